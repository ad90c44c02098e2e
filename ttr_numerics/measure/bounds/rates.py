"""How fast local fits approach a smooth function on a bounded domain: exponents r of a mean squared error n^-r.

n keys with a density that stops at the boundary of a domain in d dimensions, values with noise, a function with two
derivatives whose gradient does not vanish at the boundary; the bandwidth h is at its best for every n.
"""

__all__ = ["best_bandwidth_exponent", "kernel_smoother_exponent", "local_linear_exponent"]


def kernel_smoother_exponent(d: int) -> float:
    """3/(d+3): the local constant fit (softmax attention with unit keys). Half a kernel misses the gradient.

    A layer of volume h has bias of order h, so squared bias h³ in the mean, beside variance 1/(n h^d): in balance at
    h = n^(-1/(d+3)). Upper bound, and lower in the hard case: arXiv 2510.01450, propositions 2.1-2.2.

    >>> kernel_smoother_exponent(1)
    0.75
    """
    return 3 / (d + 3)


def local_linear_exponent(d: int) -> float:
    """4/(d+4): the local linear fit, whose bias is h² everywhere, the boundary included: h⁴ beside 1/(n h^d).

    Reference: arXiv 2510.01450, propositions 2.1-2.2; Fan and Gijbels, Local Polynomial Modelling, section 3.2.

    >>> local_linear_exponent(1)
    0.8
    """
    return 4 / (d + 4)


def best_bandwidth_exponent(d: int, bias: int) -> float:
    """1/(d+b): h falls like n^-1/(d+b) where the squared bias is of order h^b, 3 or 4 for the two fits above.

    >>> best_bandwidth_exponent(1, 4)
    0.2
    """
    return 1 / (d + bias)
