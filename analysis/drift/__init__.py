"""How much does a memory lose that follows a drifting map by the gated delta rule, and not by the Kalman filter?

Maps move as a random walk that forgets, w_t = √(1-q) w_{t-1} + √(q/d) ξ_t, and are seen through one value a token,
with noise. The gated delta rule against its closed form; at its best against the filter, which is optimal, over
dimension, drift and noise, on isotropic and on coloured keys; other layers at their best; stored keys as regressors.
"""

from analysis.drift.answer import render
from analysis.drift.measured import STUDY

__all__ = ["STUDY", "render"]
