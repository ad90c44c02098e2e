"""The array API on balls, used as a namespace: `ball_functions.exp(x)`.

Selection and reshaping are NumPy's own; functions enclose. As on symbols the stabilisers of exponentials are 0, which
cancel in exact arithmetic: balls do not overflow. What is not here raises `NoEnclosureError`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ttr_numerics.arrays.arb import NoEnclosureError, UndecidedError, flint_library
from ttr_numerics.arrays.balls import BallArray, balls, each

inf = np.inf


def __getattr__(name: str) -> Any:
    if name == "pi":
        return flint_library().arb.pi()
    if name == "finfo":
        raise NoEnclosureError("its code asks for the roundoff of a dtype, and exact numbers have none")
    if name.startswith(("_", "own_")):
        raise AttributeError(name)
    if name in _CREATING:
        return _creating(getattr(np, name))
    if name in _SHAPING:
        return _shaping(getattr(np, name))
    raise NoEnclosureError(f"its code asks for {name}, which balls have not")


_CREATING = frozenset(("eye", "full", "full_like", "ones", "ones_like", "tril", "triu", "zeros", "zeros_like"))
_SHAPING = frozenset(
    (
        *("all", "any", "arange", "broadcast_to", "concat", "expand_dims", "flip", "matrix_transpose", "moveaxis"),
        *("permute_dims", "reshape", "roll", "squeeze", "stack", "take_along_axis"),
    )
)


def _creating(function: Callable[..., Any]) -> Callable[..., BallArray]:
    """NumPy's function with every entry a ball, those that it fills in too."""

    def created(*arguments: Any, dtype: Any = None, device: Any = None, **keywords: Any) -> BallArray:
        entries = function(*(_plain(a) for a in arguments), **keywords).astype(object)
        return each(flint_library().arb, BallArray(entries))

    return created


def _shaping(function: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's function on balls, and on masks and positions."""

    def shaped(*arguments: Any, device: Any = None, **keywords: Any) -> Any:
        result = function(*(_plain(a) for a in arguments), **keywords)
        return BallArray(result) if isinstance(result, np.ndarray) and result.dtype == object else result

    return shaped


def _plain(x: Any) -> Any:
    if isinstance(x, list | tuple):
        return [_plain(y) for y in x] if any(isinstance(y, BallArray) for y in x) else x
    return x.x if isinstance(x, BallArray) else x


def _method(name: str) -> Callable[[BallArray], BallArray]:
    return lambda x: each(lambda ball: getattr(ball, name)(), x)


exp, expm1, log, log1p, sqrt = (_method(name) for name in ("exp", "expm1", "log", "log1p", "sqrt"))
cos, sin, tanh, sign = (_method(name) for name in ("cos", "sin", "tanh", "sgn"))


def abs(x: BallArray) -> BallArray:
    """|x|, enclosed where the sign is open."""
    return x.__abs__()


def isdtype(dtype: Any, kind: str) -> bool:
    """Balls are real numbers."""
    return dtype == np.dtype(object) and kind == "real floating"


def astype(x: Any, dtype: Any, copy: bool = True) -> Any:
    """Balls stay balls; masks and positions become balls, or what NumPy makes of them."""
    return x if isinstance(x, BallArray) else balls(x) if dtype == np.dtype(object) else x.astype(dtype)


def asarray(x: Any, dtype: Any = None, device: Any = None, copy: bool = False) -> BallArray:
    """`x` as balls."""
    return x if isinstance(x, BallArray) else balls(x)


def isfinite(x: BallArray) -> np.ndarray:
    """Whether each ball is bounded."""
    return np.asarray(np.frompyfunc(lambda ball: ball.is_finite(), 1, 1)(x.x), dtype=bool)


def where(condition: np.ndarray, x: Any, y: Any) -> BallArray:
    """Selection by a mask."""
    return BallArray(np.where(condition, asarray(x).x, asarray(y).x))


def maximum(x: Any, y: Any) -> BallArray:
    """The larger of two, enclosed without asking which it is."""
    return each(lambda a, b: a.max(b), asarray(x), asarray(y))


def minimum(x: Any, y: Any) -> BallArray:
    """The smaller of two."""
    return each(lambda a, b: a.min(b), asarray(x), asarray(y))


def max(x: BallArray, axis: int | None = None, keepdims: bool = False) -> BallArray:
    """The largest along an axis."""
    return _folded(maximum, x, axis, keepdims)


def min(x: BallArray, axis: int | None = None, keepdims: bool = False) -> BallArray:
    """The smallest along an axis."""
    return _folded(minimum, x, axis, keepdims)


def _folded(choose: Callable[..., BallArray], x: BallArray, axis: int | None, keepdims: bool) -> BallArray:
    rows = BallArray(x.x.reshape(-1) if axis is None else np.moveaxis(x.x, axis, 0))
    total = rows[0, ...]
    for i in range(1, rows.shape[0]):
        total = choose(total, rows[i, ...])
    return BallArray(np.expand_dims(total.x, axis)) if keepdims and axis is not None else total


def sum(x: BallArray, axis: int | None = None, keepdims: bool = False) -> BallArray:
    """Σ x, the ball 0 of nothing."""
    total = np.asarray(np.sum(x.x, axis=axis, keepdims=keepdims), dtype=object)
    return each(flint_library().arb, BallArray(total))


def mean(x: BallArray, axis: int, keepdims: bool = False) -> BallArray:
    """Σ x / n."""
    return sum(x, axis, keepdims) / x.shape[axis]


def vecdot(x: BallArray, y: BallArray) -> BallArray:
    """Σ x_i y_i over the last axis."""
    return sum(x * y, -1)


def cumulative_sum(x: BallArray, axis: int = -1) -> BallArray:
    """Running sums."""
    return BallArray(np.cumsum(x.x, axis=axis))


def sort(x: BallArray, axis: int = -1, descending: bool = False) -> BallArray:
    """Rows in order, where balls say which it is."""
    middles = np.frompyfunc(lambda ball: float(ball.mid()), 1, 1)(x.x).astype(np.float64)
    order = np.argsort(middles, axis=axis)
    rows = np.moveaxis(np.take_along_axis(x.x, order, axis=axis), axis, -1)
    if not np.all(BallArray(rows[..., :-1]) <= BallArray(rows[..., 1:])):
        raise UndecidedError("an order of balls whose midpoints are as one")
    rows = np.moveaxis(rows, -1, axis)
    return BallArray(np.flip(rows, axis=axis) if descending else rows)


def own_row_maximum(x: BallArray) -> BallArray:
    """0: the stabiliser of a softmax."""
    return balls(np.zeros((*x.shape[:-1], 1)))


def own_stabiliser(x: BallArray, y: BallArray) -> BallArray:
    """0: the unit of a running sum of exponentials."""
    return balls(np.zeros(np.broadcast_shapes(x.shape, y.shape)))


def own_cholesky(a: BallArray) -> BallArray:
    """Lower factor L with L L' = a, column by column (Cholesky-Crout); undecided where a pivot may be 0 or less."""
    factor = balls(np.zeros(a.shape))
    for j in range(a.shape[-1]):
        rest = a[..., j:, j] - (factor[..., j:, :j] @ factor[..., j, :j, None])[..., 0]
        if not np.all(rest[..., :1] > 0):
            raise UndecidedError("a matrix that is not positive definite")
        factor[..., j:, j] = rest / sqrt(rest[..., :1])
    return factor


def own_solve_triangular(factor: BallArray, b: BallArray, transpose: bool = False) -> BallArray:
    """x with L x = b (or L' x = b), by substitution."""
    matrix, n = BallArray(factor.x.mT if transpose else factor.x), b.shape[-2]
    x = balls(np.zeros((*np.broadcast_shapes(factor.shape[:-2], b.shape[:-2]), *b.shape[-2:])))
    for i in reversed(range(n)) if transpose else range(n):
        done = slice(i + 1, n) if transpose else slice(0, i)
        known = (matrix[..., i, None, done] @ x[..., done, :])[..., 0, :]
        x[..., i, :] = (b[..., i, :] - known) / matrix[..., i, i, None]
    return x


class _Linalg:
    """Diagonals; balls have no other factorisation than `own_cholesky`."""

    def diagonal(self, a: BallArray) -> BallArray:
        """The diagonal itself."""
        return BallArray(np.linalg.diagonal(a.x))

    def trace(self, a: BallArray) -> BallArray:
        """Its sum."""
        return sum(self.diagonal(a), -1)

    def __getattr__(self, name: str) -> Any:
        raise NoEnclosureError(f"its code asks for linalg.{name}, which balls have not")


linalg = _Linalg()
