"""Numbers and words as a reader sees them: one rule for the page, the Markdown and the figures."""

from __future__ import annotations

import math
import re

from ttr_numerics.report.rows import Value

__all__ = ["cell", "count", "number", "power", "syllables", "tick"]

DIGITS = 3
_LONG_WORD = 16
_SYLLABLE = re.compile(r"(?<=[_./])(?=[^\W\d_])")
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float) -> str:
    """`value` to three significant digits; powers of ten outside [10⁻³, 10⁵).

    >>> number(0.123456), number(2.0), number(-1.2345e-8), number(float("inf"))
    ('0.123', '2.00', '−1.23×10⁻⁸', '∞')
    """
    if math.isnan(value):
        return "NaN"
    sign = "−" if math.copysign(1.0, value) < 0 and value != 0 else ""
    if math.isinf(value):
        return f"{sign}∞"
    if value == 0:
        return "0"
    digits, power = f"{abs(value):.{DIGITS - 1}e}".split("e")
    exponent = int(power)
    if not -3 <= exponent < 5:
        return f"{sign}{digits}×10{str(exponent).translate(_SUPERSCRIPT)}"
    return f"{sign}{float(f'{digits}e{exponent}'):.{max(DIGITS - 1 - exponent, 0)}f}"


def power(value: float) -> str:
    """A positive tick of a logarithmic axis.

    >>> power(1e-8), power(2e6), power(1.0)
    ('10⁻⁸', '2×10⁶', '10⁰')
    """
    digits, exponent = f"{value:.0e}".split("e")
    return f"{'' if digits == '1' else digits + '×'}10{str(int(exponent)).translate(_SUPERSCRIPT)}"


def tick(value: float | str) -> str:
    """A category or a chosen place on an axis: words as they are, numbers as short as they can be.

    >>> tick(16), tick(0.25), tick("all heads")
    ('16', '0.25', 'all heads')
    """
    if isinstance(value, str):
        return value
    return count(int(value)) if float(value).is_integer() and abs(value) < 1e6 else f"{value:.3g}"


def count(value: int) -> str:
    """An integer in full, its thousands set apart from five digits on.

    >>> count(4096), count(65536) == "65\\u202f536"
    ('4096', True)
    """
    grouped = f"{value:,}".replace(",", "\u202f") if abs(value) >= 10_000 else str(value)
    return grouped.replace("-", "−")


def cell(value: Value) -> str:
    """Any stored value as the text of a table cell; what is missing is a dash.

    >>> [cell(value) for value in (True, None, 12, 0.5, "delta rule")]
    ['yes', '–', '12', '0.500', 'delta rule']
    """
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case int():
            return count(value)
        case float():
            return number(value)
        case _:
            return value


def syllables(word: str) -> list[str]:
    """The parts between which a line may break a long name, and only a long one: after an underscore, point or stroke.

    >>> syllables("signed_smoother_prefixes"), syllables("log_decay")
    (['signed_', 'smoother_', 'prefixes'], ['log_decay'])
    """
    return _SYLLABLE.split(word) if len(word) >= _LONG_WORD else [word]
