"""How does the covariance of the keys decide what a memory recalls, and how far are real keys from isotropic?

Spectrum, effective ranks and mean key of stored and random keys, as they are and after removing the mean or whitening;
recall of linear attention, the delta rule and least squares as the spectrum widens to condition 1e6, as a mean key
grows, under rotary embedding, and through a metric Σ^(-1/2) that is known, estimated on other tokens, or in sample.
Then the error at unseen queries of a linear map with noise: whether tracking the uncertainty of the solution
(recursive least squares) helps beyond a fixed metric.
"""

from analysis.key_covariance.answer import render
from analysis.key_covariance.measured import STUDY

__all__ = ["STUDY", "render"]
