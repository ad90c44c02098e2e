"""Arithmetic of a stated precision under torch's operations, so that a tape's backward pass is measured too.

Within `rounded_operations(rounding)` every operation on float64 tensors, the layer's own and those autograd runs, gives
what the same operation on rounded arrays gives (`arrays.rounded`): sums and products of matrices the error of a sum,
elementary functions that of a library, the rest one rounding. Selecting, moving and copying numbers is exact.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np

from ttr_numerics.arrays.rounded import Namespace, RoundedArray, Rounding, rounded

__all__ = ["operations", "rounded_operations"]


def rounded_operations(rounding: Rounding) -> AbstractContextManager:
    """A context in which torch computes in `rounding`, on the CPU and in this thread: so does its backward pass."""
    return _mode()(rounding)


def operations(function: Callable[[], Any]) -> int:
    """How many operations on tensors a call makes, those of a backward pass not counted: what replicas repeat."""
    with _counting()() as mode:
        function()
    return mode.count


def _sum(xp: Namespace, x: RoundedArray, axes: Sequence[int] | None = None, keepdim: bool = False) -> RoundedArray:
    """The sum over several axes, as one of as many terms."""
    where = [a % x.ndim for a in axes] if axes else list(range(x.ndim))
    kept = [a for a in range(x.ndim) if a not in where]
    shape = [x.shape[a] for a in kept]
    terms = rounded(np.transpose(x.x, kept + where).reshape(*shape, -1), x.rounding)
    total = np.asarray(xp.sum(terms, axis=-1).x)
    return rounded(np.expand_dims(total, tuple(sorted(where))) if keepdim else total, x.rounding)


def _mean(xp: Namespace, x: RoundedArray, axes: Sequence[int] | None = None, keepdim: bool = False) -> RoundedArray:
    total = _sum(xp, x, axes, keepdim)
    return total / float(x.x.size // total.x.size)


def _running_sum(xp: Namespace, x: RoundedArray, axis: int) -> RoundedArray:
    """Term by term: the error of sum t has the variance Σ_{s≤t} (sum s)² of roundings of the accumulator."""
    total = np.cumsum(x.x, axis=axis)
    with np.errstate(invalid="ignore"):
        scale = np.sqrt(np.cumsum(total * total, axis=axis))
    finite = np.isfinite(total)  # a hard reset's -inf is exact
    noisy = x.rounding.factor(np.where(finite, total, 0.0), np.where(finite, scale, 0.0))
    return rounded(x.rounding.store(np.where(finite, noisy, total)), x.rounding)


def _solve_triangular(
    xp: Namespace, a: RoundedArray, b: RoundedArray, upper: bool, left: bool = True, unitriangular: bool = False
) -> RoundedArray:
    """X with A X = B, or X A = B unless `left`."""
    if not left:
        return _transposed(_solve_triangular(xp, _transposed(a), _transposed(b), not upper, True, unitriangular))
    matrix = np.tril(a.x.mT if upper else a.x)
    if unitriangular:
        matrix = np.tril(matrix, -1) + np.eye(matrix.shape[-1])
    return xp.own_solve_triangular(rounded(matrix, a.rounding), b, upper)


def _transposed(x: RoundedArray) -> RoundedArray:
    return rounded(x.x.mT, x.rounding)


# An operation on rounded arrays for every torch one that is more than one rounding, or exact for some arguments.
_OPERATIONS: dict[str, Callable[..., RoundedArray]] = {
    "add": lambda xp, x, y, alpha=1: x + alpha * y,
    "sub": lambda xp, x, y, alpha=1: x - alpha * y,
    "rsub": lambda xp, x, y, alpha=1: y - alpha * x,
    "mul": lambda xp, x, y: x * y,
    "div": lambda xp, x, y: x / y,
    "reciprocal": lambda xp, x: 1.0 / x,
    "mm": lambda xp, x, y: x @ y,
    "bmm": lambda xp, x, y: x @ y,
    "sum": _sum,
    "mean": _mean,
    "cumsum": _running_sum,
    "exp": lambda xp, x: xp.exp(x),
    "expm1": lambda xp, x: xp.expm1(x),
    "log": lambda xp, x: xp.log(x),
    "tanh": lambda xp, x: xp.tanh(x),
    "tanh_backward": lambda xp, g, y: g * (1.0 - y * y),
    "linalg_solve_triangular": _solve_triangular,
}
_EXACT = frozenset(
    (
        *("abs", "amax", "amin", "arange", "cat", "clamp", "clone", "constant_pad_nd", "copy", "diagonal_backward"),
        *("empty_like", "expand_copy", "eye", "fill", "flip", "full_like", "gather", "index", "index_put", "isnan"),
        *("index_select", "lift_fresh", "masked_fill", "max", "maximum", "min", "minimum", "neg", "ones_like", "relu"),
        *("repeat", "roll", "scalar_tensor", "scatter", "select_backward", "sgn", "sign", "slice_backward", "sort"),
        *("stack", "threshold_backward", "topk", "tril", "triu", "unfold_backward", "where", "zero", "zeros_like"),
        *("_to_copy", "_unsafe_view", "new_zeros", "new_empty", "slice_scatter", "select_scatter", "zeros", "ones"),
    )
)


@cache
def _mode() -> type:
    """The dispatch mode, made when it is first asked for: torch is no dependency."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    def ours(x: Any, rounding: Rounding) -> Any:
        if not torch.is_tensor(x):
            return x
        array = x.detach().numpy()
        return rounded(array, rounding) if x.dtype == torch.float64 else array

    def theirs(x: RoundedArray) -> Any:
        return torch.from_numpy(np.array(x.x, order="C"))  # a copy: results share no numbers with arguments

    class RoundedOperations(TorchDispatchMode):
        def __init__(self, rounding: Rounding) -> None:
            super().__init__()
            self.rounding, self.namespace = rounding, Namespace(rounding)

        def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
            name, in_place = _rounded_name(func)
            if name is None or not any(self._rounds(x) for x in args):
                return func(*args, **kwargs or {})
            if name == "linalg_cholesky_ex":
                factor = self.namespace.own_cholesky(ours(args[0], self.rounding))
                return theirs(factor), torch.zeros(args[0].shape[:-2], dtype=torch.int32)
            if name not in _OPERATIONS:
                return self._stored(func(*args, **kwargs or {}))
            given = [ours(x, self.rounding) for x in args]
            result = theirs(_OPERATIONS[name](self.namespace, *given, **kwargs or {}))
            return args[0].copy_(result) if in_place else result

        def _rounds(self, x: Any) -> bool:
            return torch.is_tensor(x) and x.dtype == torch.float64

        def _stored(self, result: Any) -> Any:
            if isinstance(result, tuple | list):
                return type(result)(self._stored(x) for x in result)
            if not self._rounds(result):
                return result
            return result.copy_(torch.from_numpy(np.asarray(self.rounding.store(result.numpy()))))

    return RoundedOperations


@cache
def _counting() -> type:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counting(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.count = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
            self.count += 1
            return func(*args, **kwargs or {})

    return Counting


@cache
def _rounded_name(func: Any) -> tuple[str | None, bool]:
    """The name of a torch operation that rounds, None for one that does not; whether it writes into its argument.

    What shares the numbers of an argument without writing is a view.
    """
    schema = func._schema
    aliases = [x.alias_info for x in schema.returns]
    view = any(alias is not None and not alias.is_write for alias in aliases)
    name = schema.name.removeprefix("aten::")
    name = name.removesuffix("_") if schema.is_mutable else name
    return None if view or name in _EXACT else name, schema.is_mutable
