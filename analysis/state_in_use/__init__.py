"""How much of its state does a layer use, and does what it uses say what it recalls and what it has learned?

A layer that is linear in v is a matrix A(q, k): its outputs for v = I. Effective state size is the rank of A[i:, :i],
all that outputs from token i on know of the values before i (arXiv 2504.19561). Beside it stands what the memory of n
pairs gives back at its own keys, its rank, error and argmax recall, over n, gates and key covariance, on random and
stored keys; and for a noisy linear map the error at stored pairs beside the error at unseen queries.
"""

from analysis.state_in_use.answer import render
from analysis.state_in_use.measured import STUDY

__all__ = ["STUDY", "render"]
