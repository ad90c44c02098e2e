"""How fast local fits approach a smooth function on a bounded domain: exponents r of a mean squared error n^-r.

n keys with a density that stops at the boundary of a domain in d dimensions, values with noise, a smooth function whose
derivatives do not vanish at the boundary; the bandwidth h is at its best for every n.
"""

__all__ = [
    "best_bandwidth_exponent",
    "kernel_smoother_exponent",
    "local_linear_exponent",
    "local_polynomial_exponent",
    "squared_bias_order",
]


def squared_bias_order(degree: int) -> int:
    """2p + 3 for even p, 2p + 2 for odd: the power of h in the integrated squared bias of the local fit of degree p.

    The fit misses the monomial of order p + 1: bias h^(p+1) at a boundary. Inside, a symmetric kernel has no odd
    moments: of even p the odd monomial is fitted for nothing, bias h^(p+2). Then the layer of width h at the boundary
    has squared bias h^(2p+2), integrated h^(2p+3), and outweighs h^(2p+4) of the inside. Of odd p bias is h^(p+1)
    everywhere, squared h^(2p+2). In numbers: 3, 4, 7, 8 for local constant, linear, quadratic, cubic.
    Reference: Ruppert and Wand, Annals of Statistics 22 (1994), theorems 4.1-4.2; Fan and Gijbels, Local Polynomial
    Modelling (1996), theorems 3.1-3.2. The integral over the layer is taken here.

    >>> [squared_bias_order(p) for p in range(4)]
    [3, 4, 7, 8]
    """
    return 2 * degree + (2 if degree % 2 else 3)


def local_polynomial_exponent(degree: int, d: int) -> float:
    """b/(d + b), b the order of squared bias: h^b beside variance 1/(n h^d), in balance at h = n^(-1/(d+b)).

    3/(d+3), 4/(d+4) and 7/(d+7) for local constant, linear and quadratic fits: the variance is of the same order for
    every degree, the boundary included, and only its constant grows.
    Reference: as for `squared_bias_order`; degrees 0 and 1 also arXiv 2510.01450, propositions 2.1-2.2.

    >>> local_polynomial_exponent(2, 1)
    0.875
    """
    return squared_bias_order(degree) * best_bandwidth_exponent(d, squared_bias_order(degree))


def kernel_smoother_exponent(d: int) -> float:
    """3/(d+3): the local constant fit (softmax attention with unit keys). Half a kernel misses the gradient.

    Upper bound, and lower in the hard case: arXiv 2510.01450, propositions 2.1-2.2.

    >>> kernel_smoother_exponent(1)
    0.75
    """
    return local_polynomial_exponent(0, d)


def local_linear_exponent(d: int) -> float:
    """4/(d+4): the local linear fit, whose bias is h² everywhere, the boundary included: h⁴ beside 1/(n h^d).

    >>> local_linear_exponent(1)
    0.8
    """
    return local_polynomial_exponent(1, d)


def best_bandwidth_exponent(d: int, bias: int) -> float:
    """1/(d+b): h falls like n^-1/(d+b) where the squared bias is of order h^b, `squared_bias_order` of the fit.

    >>> best_bandwidth_exponent(1, 4)
    0.2
    """
    return 1 / (d + bias)
