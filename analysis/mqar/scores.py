"""Whether an output names the right word: its inner product with it is larger than with any other."""

import numpy as np

__all__ = ["first_among"]

BLOCK = 256  # outputs scored together: what they score stays in the cache


def first_among(o: np.ndarray, words: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Whether o_i·w_answer > o_i·w for every other word (m,); o (m, d), words (N, d). A tie counts against."""
    found = np.empty(len(o), dtype=bool)
    for first in range(0, len(o), BLOCK):
        block = slice(first, first + BLOCK)
        scores = o[block] @ words.T
        own = np.take_along_axis(scores, answers[block, None], axis=-1)
        found[block] = np.count_nonzero(scores >= own, axis=-1) == 1
    return found
