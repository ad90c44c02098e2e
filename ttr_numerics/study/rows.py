"""What a cell measured, as rows that can be stored: flat, plain, and beside the cell's own parameters."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["VAST", "VAST_DIGITS", "flat"]

VAST_DIGITS = 4000
VAST = 10**VAST_DIGITS  # Python writes and reads no whole number of more than 4 300 digits
_RESERVED = ("nan", "inf", "-inf")  # how the files of a report say these numbers


def flat(found: Any, cell: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """The rows, each a dict of texts, numbers, truth values and None by name; scalars of NumPy become Python's.

    >>> flat([{"n": 3, "error": 0.5}], {"n": 3})
    ({'n': 3, 'error': 0.5},)

    Raises ValueError for anything else, and for a row that contradicts its cell.
    """
    if isinstance(found, Mapping | str) or not isinstance(found, Iterable):
        raise ValueError(f"rows: expected a list of dicts, got {type(found).__name__}")
    return tuple(_row(number, row, cell) for number, row in enumerate(found, start=1))


def _row(number: int, row: Any, cell: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise ValueError(f"row {number}: expected a dict, got {type(row).__name__}")
    plain = {
        _text(name, f"row {number}, a name"): _value(value, f"row {number}, {name}") for name, value in row.items()
    }
    for name in plain.keys() & cell.keys():
        if plain[name] != cell[name] and not (_is_nan(plain[name]) and _is_nan(cell[name])):
            raise ValueError(f"row {number}, {name}: expected {cell[name]} as in the cell, got {plain[name]}")
    return plain


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value


def _value(value: Any, where: str) -> Any:
    item = getattr(value, "item", None)  # of a scalar of NumPy
    plain = item() if item is not None and getattr(value, "ndim", None) == 0 else value
    if isinstance(plain, str):
        if plain in _RESERVED:
            raise ValueError(f"{where}: expected the number {plain}, got it as text, which is reserved for the number")
        return _text(plain, where)
    if isinstance(plain, int) and abs(plain) >= VAST:
        raise ValueError(f"{where}: expected a whole number of at most {VAST_DIGITS} digits, got one of more")
    if plain is None or isinstance(plain, bool | int | float):
        return plain
    raise ValueError(f"{where}: expected text, a number, a truth value or None, got {type(value).__name__}")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{where}: expected text, got {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{where}: expected text of whole characters, got half of a pair (surrogate)") from error
    return value
