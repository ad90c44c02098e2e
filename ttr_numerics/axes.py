"""The axes every sequence map shares: what goes in, what comes out, and one sentence when it does not fit.

    q, k (..., T, d_k)   v, o (..., T, d_v)   beta, log_decay (..., T)   per channel: (..., T, d_k)   S (..., d_k, d_v)

Any leading axes are a batch. Within a layer every per-token array keeps its time axis at -2, so that one token
is a row (..., 1, d) and scalar and per-channel gates read alike.
"""

from typing import Any, NamedTuple

from ttr_numerics.arrays import Array, concat, namespace, zeros

__all__ = [
    "Cache",
    "KernelFactor",
    "Moments",
    "Momentum",
    "NormalisedMemory",
    "Output",
    "Preconditioned",
    "Recursion",
    "Sums",
    "WeightedMean",
    "check_sequence",
    "extended",
    "initial_array",
    "initial_matrix",
    "initial_parts",
    "per_channel",
    "per_head",
    "per_token",
    "row_ridge",
]


class Output(NamedTuple):
    """Outputs `o` (..., T, d_v) and the state after the last token."""

    o: Array
    state: Any


class Moments(NamedTuple):
    """Second moments of keys `H` (..., d_k, d_k) and of keys with values `G` (..., d_k, d_v), without ridge."""

    H: Array
    G: Array


class Recursion(NamedTuple):
    """The solution `S` (..., d_k, d_v) and the inverse `P` (..., d_k, d_k) of the decayed, regularised moments."""

    S: Array
    P: Array


class NormalisedMemory(NamedTuple):
    """A memory e^m C (..., d_k, d_v) and its normaliser e^m n (..., d_k), in the unit e^m, m (...).

    Every m stands for the same memory that brings the same products e^m C and e^m n; -inf is an empty one.
    """

    C: Array
    n: Array
    m: Array


class Sums(NamedTuple):
    """`S` = Σ k_i v_i' (..., d_k, d_v) and `z` = Σ k_i (..., d_k), the same sum for values of 1."""

    S: Array
    z: Array


class WeightedMean(NamedTuple):
    """Σ w_i v_i = e^maximum numerator and Σ w_i = e^maximum denominator, all (..., d); -inf where nothing was seen."""

    numerator: Array
    denominator: Array
    maximum: Array


class Momentum(NamedTuple):
    """A memory `S` (..., d_k, d_v) and the velocity `U` (..., d_k, d_v) of its last step."""

    S: Array
    U: Array


class Preconditioned(NamedTuple):
    """A memory `S` (..., d_k, d_v) and the decayed diagonal `A` (..., d_k) of K'K that preconditions it."""

    S: Array
    A: Array


class Cache(NamedTuple):
    """Keys (..., n, d_k) and values (..., n, d_v) seen so far."""

    k: Array
    v: Array


class KernelFactor(NamedTuple):
    """Keys `k` (..., n, d_k), the Cholesky factor `L` (..., n, n) of κ(K, K) + λI, and `Z` = L⁻¹V (..., n, d_v)."""

    k: Array
    L: Array
    Z: Array


class WeightedCache(NamedTuple):
    """Keys (..., n, d_k), values (..., n, d_v) and the log sample weights (..., n) that they have by now."""

    k: Array
    v: Array
    log_weights: Array


def check_sequence(q: Array, k: Array, v: Array) -> None:
    """Raise one clear sentence unless q, k (..., T, d_k) and v (..., T, d_v) fit together."""
    xp = namespace(q, k, v)
    for name, x in (("q", q), ("k", k), ("v", v)):
        if x.ndim < 2:
            raise ValueError(f"{name}: expected shape (..., T, d), got {tuple(x.shape)}")
        if x.dtype != object and not xp.isdtype(x.dtype, "real floating"):
            raise ValueError(f"{name}: expected a real floating dtype, got {x.dtype}")
        if x.dtype != q.dtype:
            raise ValueError(f"{name}: expected dtype {q.dtype} as q, got {x.dtype}")
    if k.shape != q.shape:
        raise ValueError(f"k: expected shape {tuple(q.shape)} as q, got {tuple(k.shape)}")
    if v.shape[:-1] != q.shape[:-1]:
        expected = (*(str(n) for n in q.shape[:-1]), "d_v")
        raise ValueError(f"v: expected shape ({', '.join(expected)}), got {tuple(v.shape)}")


def per_token(name: str, x: Array, q: Array, channels: bool = False) -> Array:
    """`x` (..., T), or (..., T, d_k) where `channels` are allowed, with its time axis at -2 and q's dtype checked.

    Leading axes of length 1 broadcast over the batch.
    """
    scalar, channel = tuple(q.shape[:-1]), tuple(q.shape)
    if x.dtype != q.dtype:
        raise ValueError(f"{name}: expected dtype {q.dtype} as q, got {x.dtype}")
    batch = q.ndim - 2
    if _fits(x, scalar, batch):
        return x[..., None]
    if channels and _fits(x, channel, batch):
        return x
    wanted = f"{scalar} or {channel}" if channels else f"{scalar}"
    raise ValueError(f"{name}: expected shape {wanted}, got {tuple(x.shape)}")


def per_channel(name: str, x: Array, rows: Array) -> Array:
    """`x` after a check that it has the shape and dtype of `rows` (..., T, d); leading axes of length 1 broadcast."""
    if x.dtype != rows.dtype:
        raise ValueError(f"{name}: expected dtype {rows.dtype} as q, got {x.dtype}")
    if not _fits(x, tuple(rows.shape), rows.ndim - 2):
        raise ValueError(f"{name}: expected shape {tuple(rows.shape)}, got {tuple(x.shape)}")
    return x


def per_head(name: str, x: Array, q: Array) -> Array:
    """`x` (..., d_k), one row for all tokens, with a time axis of length 1; leading axes broadcast."""
    shape = (*q.shape[:-2], q.shape[-1])
    if x.dtype != q.dtype:
        raise ValueError(f"{name}: expected dtype {q.dtype} as q, got {x.dtype}")
    if not 0 < x.ndim <= len(shape) or not _fits(x, shape[len(shape) - x.ndim :], x.ndim - 1):
        raise ValueError(f"{name}: expected shape {shape}, got {tuple(x.shape)}")
    return x[..., None, :]


def _fits(x: Array, shape: tuple[int, ...], batch: int) -> bool:
    """Whether `x` has `shape`, where its first `batch` axes may have length 1."""
    return x.ndim == len(shape) and all(
        n == m or (n == 1 and i < batch) for i, (n, m) in enumerate(zip(x.shape, shape, strict=True))
    )


def initial_matrix(initial: Array | None, q: Array, v: Array, name: str = "initial_state") -> Array:
    """The state S_0 (..., d_k, d_v): `initial` after a shape check, zero if None."""
    return initial_array(initial, (*q.shape[:-2], q.shape[-1], v.shape[-1]), q, name)


def initial_array(initial: Array | None, shape: tuple[int, ...], q: Array, name: str = "initial_state") -> Array:
    """Any state of a fixed `shape`: `initial` after a check, zero if None."""
    if initial is None:
        return zeros(q, shape)
    if not hasattr(initial, "dtype"):
        raise ValueError(f"{name}: expected an array of shape {shape}, got {type(initial).__name__}")
    if tuple(initial.shape) != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {tuple(initial.shape)}")
    if initial.dtype != q.dtype:
        raise ValueError(f"{name}: expected dtype {q.dtype} as q, got {initial.dtype}")
    return initial


def initial_parts(initial: Any, kind: Any) -> Any:
    """A state of several parts: `initial` after a check that it is the named tuple `kind` that the layer returns."""
    if not isinstance(initial, kind):
        wanted = f"{kind.__name__}({', '.join(kind._fields)})"
        raise ValueError(f"initial_state: expected {wanted}, got {type(initial).__name__}")
    return initial


def extended(initial: Cache | None, k: Array, v: Array) -> Cache:
    """Keys and values seen so far: those of `initial`, after a check, before k and v."""
    if initial is None:
        return Cache(k, v)
    initial = initial_parts(initial, Cache)
    for name, old, new in (("k", initial.k, k), ("v", initial.v, v)):
        expected = ", ".join(map(str, (*new.shape[:-2], "n", new.shape[-1])))
        if old.ndim != new.ndim or (*old.shape[:-2], old.shape[-1]) != (*new.shape[:-2], new.shape[-1]):
            raise ValueError(f"initial_state.{name}: expected shape ({expected}), got {tuple(old.shape)}")
        if old.dtype != new.dtype:
            raise ValueError(f"initial_state.{name}: expected dtype {new.dtype} as {name}, got {old.dtype}")
    if initial.k.shape[-2] != initial.v.shape[-2]:
        raise ValueError(f"initial_state.v: expected {initial.k.shape[-2]} rows as k, got {initial.v.shape[-2]}")
    return Cache(concat([initial.k, k], -2), concat([initial.v, v], -2))


def row_ridge(ridge: Any, q: Array) -> Array:
    """The diagonal (..., d_k) of the regulariser from a number or an array (..., d_k)."""
    xp = namespace(q)
    if not isinstance(ridge, int | float) and not hasattr(ridge, "dtype"):
        raise ValueError(f"ridge: expected a number or an array (..., {q.shape[-1]}), got {type(ridge).__name__}")
    if isinstance(ridge, int | float):
        ridge = zeros(q, (q.shape[-1],)) + ridge
    elif ridge.ndim == 0:
        ridge = zeros(q, (q.shape[-1],)) + xp.astype(ridge, q.dtype)
    if ridge.shape[-1] != q.shape[-1]:
        raise ValueError(f"ridge: expected a number or shape (..., {q.shape[-1]}), got {tuple(ridge.shape)}")
    if ridge.dtype != object and not bool(xp.all(ridge >= 0)):  # NaN fails this comparison too
        raise ValueError(f"ridge: expected at least 0, got {float(xp.min(ridge))}")
    return ridge if ridge.dtype == q.dtype else xp.astype(ridge, q.dtype)
