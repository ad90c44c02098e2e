"""Rigorous enclosures of exact answers: balls with as many bits as it takes, or a sentence that says why not."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ttr_numerics.arrays.arb import Exact, NoEnclosureError, UndecidedError, limited, precision
from ttr_numerics.arrays.balls import BallArray, as_balls, balls, each
from ttr_numerics.arrays.factor import LinAlgError

__all__ = ["BITS", "MOST_BITS", "OPERATIONS", "RELATIVE", "Enclosure", "EnclosureError", "enclosed", "refined"]

BITS = 128  # at first; doubled as often as needed
MOST_BITS = 4096
RELATIVE = 2.0**-64  # largest radius in a row, relative to the row's largest entry
OPERATIONS = 2e8  # entries of arrays made and products formed: about 20 s with few bits
SMALLEST = 2.0**-1074


class EnclosureError(LinAlgError):
    """Why an answer has no enclosure."""


@dataclass(frozen=True)
class Enclosure:
    """Balls (..., n) that contain the exact entries, computed with `bits` bits."""

    balls: BallArray
    bits: int

    @cached_property
    def middle(self) -> np.ndarray:
        """Floats nearest to the midpoints, (..., n)."""
        return _floats(self.balls, lambda ball: float(ball.mid()))

    @cached_property
    def radius(self) -> np.ndarray:
        """Floats (..., n) such that `middle` ± `radius` contains the exact answer."""
        with precision(self.bits):
            return _floats(abs(self.balls - balls(self.middle)), _above)

    def contains(self, x: np.ndarray) -> np.ndarray:
        """Which entries of the floats x (..., n) lie in their balls."""
        pairs = zip(self.balls.x.flat, np.broadcast_to(x, self.balls.shape).flat, strict=True)
        return np.array([ball.contains(float(y)) for ball, y in pairs], dtype=bool).reshape(self.balls.shape)

    def distance(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Floats below and above ‖x - exact‖₂ over the last axis, for floats x (..., n); inf where x is not finite."""
        finite = np.isfinite(x).all(axis=-1)
        with precision(self.bits):
            difference = self.balls - balls(np.where(finite[..., None], x, 0.0))
            below = _floats(_norm(difference, lambda ball: ball.abs_lower()), _below)
            above = _floats(_norm(difference, lambda ball: ball.abs_upper()), _above)
        return np.where(finite, below, np.inf), np.where(finite, above, np.inf)


def refined(
    answer: Callable[[], BallArray],
    relative: float = RELATIVE,
    most_bits: int = MOST_BITS,
    operations: float = OPERATIONS,
) -> Enclosure:
    """`answer()` with bits doubled until the largest radius of a row is `relative` times its largest entry.

    A row that is smaller than every float may keep a radius of the smallest float. Raises `EnclosureError` that says
    what stands in the way: too few bits, too many operations, or a function without an enclosure.
    """
    bits, why = BITS, ""
    try:
        with limited(operations):
            while bits <= most_bits:
                x, why = _attempt(answer, relative, bits)
                if not why:
                    return Enclosure(x, bits)
                bits *= 2
    except NoEnclosureError as never:
        raise EnclosureError(f"no enclosure: {never}") from never
    raise EnclosureError(f"no enclosure with {most_bits} bits: {why}")


def _attempt(answer: Callable[[], BallArray], relative: float, bits: int) -> tuple[Any, str]:
    """The answer with so many bits and what is wrong with it: nothing where it is narrow."""
    with precision(bits):
        try:
            x = answer()
            narrow = _narrow(x, relative)
        except UndecidedError as undecided:
            return None, f"what stands in the way is {undecided}"
    return x, "" if narrow else "its balls stay wide: a division by what may be 0, or an answer that cancels"


def enclosed(
    solve: Callable[..., Any],
    arrays: Mapping[str, Any],
    relative: float = RELATIVE,
    most_bits: int = MOST_BITS,
    operations: float = OPERATIONS,
) -> Enclosure:
    """The outputs o of `solve(**arrays)` in exact arithmetic: its own code on balls. Raises `EnclosureError`.

    `solve` is a layer or an exact solver; arrays are float64 NumPy arrays, numbers, and tuples of arrays. Numbers are
    exact, defaults too; a constant in the code (0.044715 in a GELU) is the float that stands there, and so is what
    `math` makes of a number (the logarithm of `preconditioned_delta_rule`'s base).
    """
    defaults = {
        n: p.default for n, p in inspect.signature(solve).parameters.items() if type(p.default) in (float, tuple)
    }
    given = {name: x for name, x in (defaults | dict(arrays)).items() if x is not None}
    return refined(lambda: solve(**{name: as_balls(x) for name, x in given.items()}).o, relative, most_bits, operations)


def _narrow(x: BallArray, relative: float) -> bool:
    """Whether every row is finite, and its radii within `relative` of its largest entry or the smallest float."""
    xp = x.__array_namespace__()
    if not x.size or not xp.isfinite(x).all():
        return not x.size
    radius, size = each(lambda ball: ball.rad(), x), each(lambda ball: ball.abs_lower(), x)
    allowed = xp.maximum(xp.max(size, axis=-1) * Exact(relative), balls(SMALLEST))
    return bool(np.all(xp.max(radius, axis=-1) <= allowed))


def _norm(x: BallArray, end: Callable[[Any], Any]) -> BallArray:
    """√Σ end(|x_j|)² over the last axis, for one end of |x_j|."""
    xp, ends = x.__array_namespace__(), each(end, x)
    return xp.sqrt(xp.sum(ends * ends, axis=-1))


def _floats(x: BallArray, function: Callable[[Any], float]) -> np.ndarray:
    return np.asarray(np.frompyfunc(function, 1, 1)(x.x), dtype=np.float64)


def _above(ball: Any) -> float:
    """A float that no number of the ball exceeds."""
    top = ball.abs_upper()
    near = float(top)
    return near if bool(top <= near) else float(np.nextafter(near, np.inf))


def _below(ball: Any) -> float:
    """A float that no number of the ball, of numbers at least 0, is below."""
    bottom = ball.abs_lower()
    near = float(bottom)
    return near if bool(bottom >= near) else float(np.nextafter(near, 0.0))
