"""What every exact solver asks of its arrays: float32 or float64, and finite."""

from ttr_numerics.arrays import Array, all_finite, namespace, to_numpy

__all__ = ["check_rows", "check_solvable"]


def check_solvable(**arrays: Array | None) -> None:
    """Raise ValueError naming the first array that is of lower precision than float32, or not finite, and where."""
    for name, x in arrays.items():
        if x is None:
            continue
        if not hasattr(x, "dtype"):
            raise ValueError(f"{name}: expected an array, got {type(x).__name__}")
        if x.dtype == object:
            continue
        xp = namespace(x)
        if not xp.isdtype(x.dtype, "real floating") or xp.finfo(x.dtype).bits < 32:
            raise ValueError(
                f"{name}: expected float32 or float64, got {x.dtype}; cast it, for instance with "
                f"xp.astype({name}, xp.float32)"
            )
        if name.endswith(("log_decay", "log_momentum")):
            _check_gates(name, x)
            continue
        if name == "weights" and bool(xp.any(x < 0)):
            raise ValueError(f"weights: expected at least 0, got {float(xp.min(x))}")
        if name == "log_weights":  # -inf is a weight of 0
            x = xp.where(x == -xp.inf, xp.zeros_like(x), x)
        if not all_finite(x):
            first = [int(i[0]) for i in (~to_numpy(xp.isfinite(x))).nonzero()]
            raise ValueError(f"{name}: expected finite entries, got NaN or infinity first at {tuple(first)}")


def _check_gates(name: str, x: Array) -> None:
    allowed = x <= 0  # NaN fails this comparison too
    if not bool(namespace(x).all(allowed)):
        first = tuple(int(i[0]) for i in (~to_numpy(allowed)).nonzero())
        raise ValueError(f"{name}: expected at most 0 (-inf resets), got {to_numpy(x)[first]} first at {first}")


def check_rows(K: Array, V: Array) -> None:
    """Raise ValueError unless K (..., T, d_k) and V (..., T, d_v) have the same rows."""
    if K.ndim < 2:
        raise ValueError(f"K: expected shape (..., T, d_k), got {tuple(K.shape)}")
    if V.ndim < 2 or K.shape[:-1] != V.shape[:-1]:
        expected = ", ".join(str(n) for n in (*K.shape[:-1], "d_v"))
        raise ValueError(f"V: expected shape ({expected}) as K, got {tuple(V.shape)}")
