"""How many means lie further from what theory expects of them than a number of standard errors, by chance alone."""

from collections.abc import Iterable

from scipy import stats

__all__ = ["BEYOND", "expected_beyond"]

BEYOND = 3.0  # standard errors


def expected_beyond(trials: Iterable[int], errors: float = BEYOND) -> float:
    """Σ 2 P(t_{m-1} > errors) over means of m normal repetitions each, whose standard errors are estimated from them.

    >>> round(expected_beyond([40, 40]), 4)
    0.0094
    """
    return float(sum(2 * stats.t.sf(errors, m - 1) for m in trials))
