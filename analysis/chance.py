"""How many means lie further from what theory expects of them than a number of standard errors, by chance alone."""

from collections.abc import Iterable, Sequence

from scipy import stats

__all__ = ["BEYOND", "COLUMNS", "counted", "expected_beyond"]

BEYOND = 3.0  # standard errors


def expected_beyond(trials: Iterable[int], errors: float = BEYOND) -> float:
    """Σ 2 P(t_{m-1} > errors) over means of m normal repetitions each, whose standard errors are estimated from them.

    >>> round(expected_beyond([40, 40]), 4)
    0.0094
    """
    return float(sum(2 * stats.t.sf(errors, m - 1) for m in trials))


COLUMNS = ("formula", "status", "means", "beyond 3 standard errors", "expected by chance", "largest, standard errors")


def counted(name: str, status: str, deviations: Sequence[tuple[float, int]]) -> tuple[str, str, int, int, float, float]:
    """A line of a table of COLUMNS; a deviation is in standard errors, and of how many draws."""
    outside = sum(abs(x) > BEYOND for x, _ in deviations)
    largest = max((abs(x) for x, _ in deviations), default=0.0)
    return name, status, len(deviations), outside, expected_beyond(m for _, m in deviations), largest
