"""How far is each layer from the regression it stands for, as more associations are stored?

n pairs of unit keys and values are written in one pass; then the final state is read at every stored key. Random:
isotropic unit keys, unit values. Real: the first n tokens of captured keys, scaled to unit norm, with their values;
the heads are the repetitions. Two squared distances are reported relative to the values: the recall error (to the
values) and the distance to the exact solution of the layer's own regression problem, read at the same keys.
"""

from analysis.recall_error.answer import render
from analysis.recall_error.measured import STUDY

__all__ = ["STUDY", "render"]
