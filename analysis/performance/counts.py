"""Flops and bytes by formula, for one head: the work that a time is held against.

Linear attention, chunk by chunk of c tokens: O = QS + tril(QK') V and S ← S + K'V are products of 2 c d_k d_v (QS),
2 c² d_k (QK'), 2 c² d_v and 2 c d_k d_v flops. With d = d_k = d_v: T (4 d² + 4 c d).

Ridge by innovation (`exact.innovation`), [P | -S] of d_k (d_k + d_v) numbers:
K[P | -S] 2 c d_k (d_k + d_v), KPK' 2 c² d_k, its Cholesky factor c³/3, the substitution c² (d_k + d_v),
QZ' 2 c² d_k, tril(QZ') E 2 c² d_v, QS 2 c d_k d_v, Z'[Z | E] 2 c d_k (d_k + d_v); and once the state that it
returns, [K'K | K'V], 2 T d_k (d_k + d_v). Products are counted whole, as they are done: no symmetry is used.
Sums, masks and copies are not counted: T (5 c + 5 d) or so.

Bytes: q, k, v read once and o written once. A chunk and the state stay in the cache.
"""

__all__ = ["CHUNK", "compulsory_bytes", "linear_attention", "ridge_by_innovation", "ridge_by_innovation_products"]

CHUNK = 32


def linear_attention(T: int, d_k: int, d_v: int, chunk: int = CHUNK) -> int:
    """Flops of the products of chunked linear attention.

    >>> linear_attention(1024, 64, 64) / (1024 * 64**2)
    6.0
    """
    return sum(4 * c * d_k * d_v + 2 * c * c * (d_k + d_v) for c in _chunks(T, chunk))


def ridge_by_innovation_products(T: int, d_k: int, d_v: int, chunk: int = CHUNK) -> int:
    """Flops of the matrix products of ridge regression by innovations, without factor and substitution."""
    state, width = 2 * T * d_k * (d_k + d_v), d_k + d_v
    return state + sum(
        4 * c * d_k * width + 2 * c * d_k * d_v + 4 * c * c * d_k + 2 * c * c * d_v for c in _chunks(T, chunk)
    )


def ridge_by_innovation(T: int, d_k: int, d_v: int, chunk: int = CHUNK) -> int:
    """All flops of ridge regression by innovations, to the last whole flop."""
    factors = sum(c**3 / 3 + c * c * (d_k + d_v) for c in _chunks(T, chunk))
    return ridge_by_innovation_products(T, d_k, d_v, chunk) + int(factors)


def compulsory_bytes(T: int, d_k: int, d_v: int, itemsize: int) -> int:
    """q, k, v read once, o written once."""
    return 2 * T * (d_k + d_v) * itemsize


def _chunks(T: int, chunk: int) -> list[int]:
    return [min(chunk, T - s) for s in range(0, T, chunk)]
