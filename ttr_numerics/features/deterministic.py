"""Deterministic parameter-free projection: products of rectified coordinates, sparse and positive."""

from ttr_numerics.arrays import Array, concat, namespace
from ttr_numerics.features.elementwise import relu

__all__ = ["dpfp", "dpfp_negated"]


def dpfp(x: Array, nu: int = 1) -> Array:
    """φ(x) = r_i r_{i+j}, j = 1..ν, for r = [max(x, 0), max(-x, 0)], indices modulo 2d; D = 2dν, at least 0.

    κ(x, y) = Σ_{j≤ν} Σ_i (r_i s_i)(r_{i+j} s_{i+j}) for r, s of x, y; all 2d - 1 shifts give (r's)² - Σ_i (r_i s_i)².
    FLA 0.6.0 rolls the other way, which only permutes the features; for earlier releases see `dpfp_negated`.
    Reference: Schlag et al., arXiv 2102.11174, section 5.3.
    """
    return _shifted_products(concat([relu(x), relu(-x)], -1), nu)


def dpfp_negated(x: Array, nu: int = 1) -> Array:
    """The map of early FLA releases (0.2.2 for one): `dpfp` with r = [max(x, 0), -max(x, 0)]; D = 2dν.

    A minus sign outside the rectifier: negative coordinates are lost (φ = 0 for x ≤ 0), and half of the features only
    repeat the others, so that κ(x, y) = Σ_{j≤ν} Σ_i (r_i s_i)(r_{i+j} s_{i+j}) with r = [max(x, 0), max(x, 0)].
    """
    return _shifted_products(concat([relu(x), -relu(x)], -1), nu)


def _shifted_products(r: Array, nu: int) -> Array:
    """[r ∘ (r shifted by 1), ..., r ∘ (r shifted by nu)]."""
    if not 1 <= nu < r.shape[-1]:
        raise ValueError(f"nu: expected 1 to 2d - 1 = {r.shape[-1] - 1}, got {nu}")
    xp = namespace(r)
    return concat([r * xp.roll(r, -j, axis=-1) for j in range(1, nu + 1)], -1)
