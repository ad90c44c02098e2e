"""Numbers in sentences: a value of a grid as short as it can be, and from where to where values lie."""

from collections.abc import Callable, Iterable

from ttr_numerics.report.notation import power

__all__ = ["short", "span"]


def short(value: float) -> str:
    """A value of a grid.

    >>> short(64), short(0.1), short(1e6)
    ('64', '0.1', '10⁶')
    """
    return power(value) if abs(value) >= 1e5 else f"{value:g}"


def span(values: Iterable[float], word: Callable[[float], str] = "{:.2f}".format) -> str:
    """The least and the greatest, once where they read the same.

    >>> span([0.5, 0.25, 1]), span([2, 2], short)
    ('0.25 to 1.00', '2')
    """
    kept = list(values)
    low, high = word(min(kept)), word(max(kept))
    return low if low == high else f"{low} to {high}"
