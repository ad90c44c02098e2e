"""Which layers follow a map that is linear only in pieces: of time, of key space, or of both?

Sequences of 1024 unit keys with values v = kW + noise, W one map for each segment of time, for each segment and region
of key space, or for each region with its tokens shuffled. Every layer guesses the next value, tuned on other draws;
errors by the position in a segment, by the length of segments and by dimension. Then the rates at which local fits
approach a smooth function in one to four dimensions; and stored keys as regressors.
"""

from analysis.switching.answer import render
from analysis.switching.measured import STUDY

__all__ = ["STUDY", "render"]
