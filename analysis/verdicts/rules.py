"""How a subject of the corpus computes: the rules that a fault breaks, and the arithmetic of each role.

Every default is what the layer asks for: a fault is one field changed, its control the same field at its default.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ttr_numerics.arrays import Array, namespace

__all__ = ["GATES", "Rules", "stored", "widened"]


@dataclass(frozen=True)
class Rules:
    """Fields named by a role hold a format ("" is the arithmetic itself); lengths are tokens, 0 is never.

    `gate` names how a log gate becomes a factor. Token t sees 1..t + `shift`, and all of its own piece of `leak`
    tokens. The state is zero at the start of every piece of `lost_every` tokens, or of the one at the fraction
    `lost_at` of the sequence; the decay at the start of every piece of `undecayed_every` is left out. A residual is
    beta^write_power v - beta^erase_power e S.
    """

    gate: str = "exp"
    shift: int = 0
    leak: int = 0
    lost_every: int = 0
    lost_at: float = 0.0
    undecayed_every: int = 0
    write_power: int = 1
    erase_power: int = 1
    error_moved: bool = False
    read_moved: bool = False
    residual_detached: bool = False
    stabilised: bool = True
    normalised: bool = True
    added: float = 0.0
    ridge_power: int = 1
    ridge_per_token: bool = False
    steps_left_out: int = 0
    order_off: int = 0
    state: str = ""
    residual: str = ""
    gates: str = ""
    operands: str = ""
    accumulator: str = ""
    output: str = ""
    block: int = 4


_BITS = {"bfloat16": 8, "float16": 11, "tf32": 11}
_UNDERFLOW = {"float16": 24}
_LARGEST = {"float16": 65504.0}


def stored(x: Array, form: str) -> Array:
    """`x` rounded to the format called `form`, in its own dtype; "" leaves it.

    c - (c - x) for c = (2^s + 1) x keeps all but s bits, and has derivative 1. Reference: Dekker (1971), section 5.
    """
    if form in ("", str(x.dtype).removeprefix("torch.")):
        return x
    if form == "float32":
        xp = namespace(x)
        return xp.astype(xp.astype(x, xp.float32), x.dtype)
    xp, bits = namespace(x), 53 if str(x.dtype).endswith("float64") else 24
    c = (2.0 ** (bits - _BITS[form]) + 1) * x
    short = xp.where(xp.isfinite(c), c - (c - x), x)
    if form in _UNDERFLOW:
        unit, large = 2.0 ** _UNDERFLOW[form], _LARGEST[form]
        short = xp.where(xp.abs(x) < 2.0**-14, xp.round(x * unit) / unit, short)
        short = xp.where(xp.abs(short) > large, xp.copysign(xp.inf * xp.ones_like(short), short), short)
    return short


def widened(x: Array) -> Array:
    """`x` in float64 if it came so, else in float32."""
    xp = namespace(x)
    return x if str(x.dtype).endswith("float64") else xp.astype(x, xp.float32)


def _exp(x: Array) -> Array:
    return namespace(x).exp(x)


def _exp2(x: Array) -> Array:
    return 2.0**x


def _itself(x: Array) -> Array:
    return x


def _first_order(x: Array) -> Array:
    return 1 + x


def _polynomial(x: Array) -> Array:
    """exp by 2^i (1 + f), the straight line between powers of two: relative error up to 6 percent."""
    xp, y = namespace(x), x * 1.4426950408889634
    whole = xp.floor(xp.where(xp.isfinite(y), y, 0 * x))
    return xp.where(xp.isfinite(y), 2.0**whole * (1 + (y - whole)), xp.exp(x))


def _cubic(x: Array) -> Array:
    """exp by 2^i p(f), p of degree 3: relative error up to 1e-4."""
    xp, y = namespace(x), x * 1.4426950408889634
    whole = xp.floor(xp.where(xp.isfinite(y), y, 0 * x))
    f = y - whole
    p = 0.99992807 + f * (0.69326099 + f * (0.22412070 + f * 0.07802410))
    return xp.where(xp.isfinite(y) & (x != 0), 2.0**whole * p, xp.exp(x))


GATES: dict[str, Callable[[Any], Any]] = {
    "exp": _exp,
    "exp2": _exp2,
    "itself": _itself,
    "first order": _first_order,
    "straight line": _polynomial,
    "cubic": _cubic,
}
