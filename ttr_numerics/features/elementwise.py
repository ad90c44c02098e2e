"""Maps that act entry by entry: D = d."""

from ttr_numerics.arrays import Array, namespace

__all__ = ["elu_plus_one", "relu"]


def elu_plus_one(x: Array) -> Array:
    """φ(x) = x + 1 for x > 0, exp(x) otherwise; D = d, positive: κ(x, y) = Σ_j φ(x_j) φ(y_j) > 0.

    Reference: Katharopoulos et al., arXiv 2006.16236, equation 7.
    """
    xp = namespace(x)
    negative = xp.where(x > 0, xp.zeros_like(x), x)  # exp sees no large positive entry: no overflow, no NaN gradient
    return xp.where(x > 0, x + 1, xp.exp(negative))


def relu(x: Array) -> Array:
    """φ(x) = max(x, 0); D = d, κ(x, y) = Σ_j max(x_j, 0) max(y_j, 0) ≥ 0, and 0 for rows without a common sign.

    Reference: Kasai et al. (T2R, on a learned affine map of x), arXiv 2103.13076.
    """
    xp = namespace(x)
    return xp.maximum(x, xp.zeros_like(x))
