"""python-flint, imported when first used: the numbers of ball arithmetic, and floats that stay exact among them."""

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["Exact", "NoEnclosureError", "UndecidedError", "flint_library", "limited", "precision", "spend"]

_left: ContextVar[list[float] | None] = ContextVar("operations left", default=None)


class UndecidedError(ArithmeticError):
    """What balls of this precision do not say; with more bits they may."""


class NoEnclosureError(ArithmeticError, AttributeError):  # so that `hasattr` may ask
    """What balls of no precision do."""


def flint_library() -> Any:
    """The module `flint`, or ModuleNotFoundError in one sentence."""
    try:
        import flint
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "python-flint: expected to be installed for certified answers, got no such module; "
            "pip install 'ttr-numerics[certify]'"
        ) from error
    return flint


def precision(bits: int) -> Any:
    """A context in which balls have midpoints of `bits` bits."""
    return flint_library().ctx.workprec(bits)


@contextmanager
def limited(operations: float) -> Iterator[None]:
    """A context in which balls take part in so many operations and no more: the next raises `NoEnclosureError`."""
    before = _left.set([operations, operations])
    try:
        yield
    finally:
        _left.reset(before)


def spend(operations: int) -> None:
    """Take operations off what is left."""
    left = _left.get()
    if left is None:
        return
    left[0] -= operations
    if left[0] < 0:
        raise NoEnclosureError(
            f"it takes more than {left[1]:.0e} operations on balls; take a shorter or narrower piece"
        )


class Exact(float):
    """A number that stays exact in arithmetic: of the float 0.1, Python would round 1/0.1² before balls see it.

    The result of an operation is again `Exact` where a float holds it, else a ball.
    """

    __slots__ = ()

    def __neg__(self) -> "Exact":
        return Exact(-float(self))

    def __abs__(self) -> "Exact":
        return Exact(abs(float(self)))


def _exactly(operation: Callable[..., Any], swapped: bool) -> Callable[..., Any]:
    def method(self: Exact, other: Any) -> Any:
        if not isinstance(other, int | float):
            return NotImplemented
        x, y = (flint_library().arb(float(z) if isinstance(z, float) else z) for z in (self, other))
        ball = operation(y, x) if swapped else operation(x, y)
        near = float(ball)
        return Exact(near) if ball == near else ball

    return method


for _name in ("add", "sub", "mul", "truediv", "pow"):
    setattr(Exact, f"__{_name}__", _exactly(getattr(operator, _name), False))
    setattr(Exact, f"__r{_name}__", _exactly(getattr(operator, _name), True))
