"""What does associative recall ask of a layer: with a short convolution or without, on long sequences, of keys that
are given new values, and of lists that are shown again?

Multi-query associative recall without training. Embeddings are fixed on the sphere, one short convolution makes
bigrams of tokens (k_t = x_(t-1), v_t = x_t), one layer stores them, and the value with the highest score is its answer.
"""

from analysis.mqar.answer import render
from analysis.mqar.measured import STUDY

__all__ = ["STUDY", "render"]
