"""Pairs at half argmax recall by the independence approximation."""

from scipy import optimize

from ttr_numerics.measure import bounds

__all__ = ["half_recall"]


def half_recall(d_k: float, d_v: int) -> float:
    """The n at which `top1_accuracy` among n stored words is 1/2, for plain keys of d_k channels."""

    def above(n: float) -> float:
        return bounds.top1_accuracy(n, n, d_k, d_v) - 0.5  # type: ignore[arg-type]

    return float(optimize.brentq(above, 1.5, 4 * d_k * d_v + 16, xtol=1e-3))
