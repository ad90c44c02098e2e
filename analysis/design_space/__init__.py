"""Do combinations of the three choices that nobody has named do better than the layers that have names?

Real keys at a common norm, with their values. Every contender is `regression(weights, function_class, optimiser)` and
nothing else; the catalogue says which have names. Two squared errors relative to the values: *prediction*, v_t from
k_t by the fit of the tokens before t; *recall*, the fit after the last token read at stored keys. What a contender
leaves open (step, gate, ridge, window, norm of the keys) is chosen for each measure and model on the first half of the
text, all heads together, from the grid below; the second half is reported. The heads are the repetitions.
"""

from analysis.design_space.answer import render
from analysis.design_space.measured import STUDY

__all__ = ["STUDY", "render"]
