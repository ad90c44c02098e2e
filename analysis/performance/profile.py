"""Where the time of the ridge solution by innovations goes: each step of a chunk on its own, times the chunks.

The steps are those of `exact.innovation`, on the chunk in the middle of the sequence; a test puts them together and
finds the solver's answer.
"""

import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from analysis.performance import clock, counts, problems
from analysis.performance.problems import RIDGE, Size
from ttr_numerics import exact
from ttr_numerics.arrays import cholesky, forward_substitution
from ttr_numerics.exact.inputs import check_solvable

__all__ = ["Step", "profile_rows", "steps"]

RUNS = 60


class Step(NamedTuple):
    """A step, how often the whole sequence asks for it, and its flops a head, all times together."""

    name: str
    run: Callable[[], Any]
    times: int
    flops: float


def profile_rows(s: problems.Sequence, cell: dict[str, Any]) -> list[dict[str, Any]]:
    """Seconds of every step over the whole sequence, from the median of single ones, in the order of execution."""
    rows, size = [], Size(s.q.shape[-2], s.q.shape[-1], s.q.shape[0])
    for step in steps(s):
        step.run()
        median = statistics.median(clock.timed(step.run)[0].seconds for _ in range(RUNS))
        found = {"step": step.name, "spent": step.times * median, "flops": step.flops * size.heads}
        rows.append({"part": "profile"} | cell | size._asdict() | found)
    return rows


def steps(s: problems.Sequence) -> list[Step]:
    """The steps on the chunk that begins in the middle of the sequence."""
    q, k, v = s.q, s.k, s.v
    (T, d), c, m = q.shape[-2:], counts.CHUNK, v.shape[-1]
    half, chunks = T // 2 // c * c, -(-T // c)
    before = exact.recursive_least_squares_by_innovation(q[:, :half], k[:, :half], v[:, :half], ridge=RIDGE).state
    joint = np.concatenate([before.P, -before.S], axis=-1)
    Q, K, V = (x[:, half : half + c] for x in (q, k, v))
    eye = np.eye(c, dtype=k.dtype)

    def moved() -> np.ndarray:
        rows = K @ joint
        rows[..., d:] += V
        return rows

    rows = moved()

    def factored() -> np.ndarray:
        return cholesky(eye + rows[..., :d] @ K.mT, "I + K P K'")

    factor = factored()
    found = forward_substitution(factor, rows)
    ZT, E = found[..., :d].mT, found[..., d:]
    return [
        Step("checks and the choice", lambda: _checked(q, k, v), 1, 0),
        Step("[KP | V - KS]", moved, chunks, 2 * T * d * (d + m)),
        Step("Cholesky factor of I + KPK'", factored, chunks, T * (2 * c * d + c * c / 3)),
        Step("[Z | E] by substitution", lambda: forward_substitution(factor, rows), chunks, T * c * (d + m)),
        Step(
            "O = QS + tril(QZ') E",
            lambda: np.tril(Q @ ZT) @ E - Q @ joint[..., d:],
            chunks,
            T * (2 * d * m + 2 * c * (d + m)),
        ),
        Step("[P | -S] - Z'[Z | E]", lambda: joint - ZT @ found, chunks, 2 * T * d * (d + m)),
        Step("the state returned, K'K and K'V", lambda: (k.mT @ k, k.mT @ v), 1, 2 * T * d * (d + m)),
    ]


def _checked(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> Any:
    check_solvable(q=q, k=k, v=v)
    return exact.choose_ridge_prefixes(k, RIDGE)
