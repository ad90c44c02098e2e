"""How many pairs the memories of `kernels` can be expected to hold, and at which n they are asked."""

import math

import numpy as np
from scipy import optimize

from analysis.capacity.notions import (
    BANDWIDTHS,
    KERNEL_RIDGE,
    KERNEL_RIDGE_PENALTY,
    KERNELS,
    QUADRATIC,
    SMOOTHER,
    SMOOTHER_ROOT,
    THRESHOLD,
)
from ttr_numerics.study import Grid

__all__ = ["NARROW", "Places", "feature_dimension", "harmonics", "kernel_grids", "resolved_degree"]

Places = tuple[int, ...]
NARROW, MIDDLE, WIDEST = BANDWIDTHS
DIMENSIONS = (64, 128, 256, 512)
ATTENDED = (64, 1024, 8192)
SOLVED = (4096,)
FILLED = (0.6, 0.75, 0.85, 0.95, 1.1, 1.4)  # n over `harmonics`
# Degree 2: loads 2 n ln n/(D d) of a matrix of D × d numbers, D its `feature_dimension`; where that is too many, n.
LOADS, WIDE_LOADS = (0.25, 0.5, 0.87, 1.2, 1.5, 2.2), (0.5, 0.87, 1.2, 1.5)
QUADRATIC_LOADS = {16: LOADS, 32: LOADS, 64: LOADS, 128: WIDE_LOADS}
SUMMED = (8192,)


def feature_dimension(d: int) -> float:
    """1/E(k·k')⁴ = d(d+2)/3 for independent unit keys: as linear attention has 1/E(k·k')² = d, degree 2 has this.

    Of the d(d+1)/2 features of degree 2, two thirds for d → ∞: their keys are not isotropic.
    """
    return d * (d + 2) / 3


def harmonics(d: int, degree: int) -> int:
    """C(d+p-1, p) + C(d+p-2, p-1): the polynomials of degree ≤ p on the unit sphere of dimension d.

    >>> harmonics(64, 1), harmonics(64, 2)
    (65, 2144)
    """
    return math.comb(d + degree - 1, degree) + math.comb(d + degree - 2, degree - 1)


def resolved_degree(bandwidth: float) -> int:
    """The last p with λ e^{1/h²} h^{2p} p! < the threshold of exact recall.

    On unit keys e^{x·y/h²} = Σ_p (x·y)^p/(h^{2p} p!), whose p-th part has eigenvalues of about its coefficient: what is
    far above the ridge is learnt, with the error λ over it.

    >>> [resolved_degree(h) for h in BANDWIDTHS]
    [6, 2, 1]
    """
    penalty = KERNEL_RIDGE_PENALTY * math.exp(bandwidth**-2)
    degree = 0
    while penalty * bandwidth ** (2 * degree + 2) * math.factorial(degree + 1) < THRESHOLD:
        degree += 1
    return degree


def kernel_grids() -> list[Grid]:
    """Softmax attention by two gains, kernel ridge regression by three bandwidths, and the kernel of degree 2."""
    grids = [_grid(layer, d, ATTENDED) for layer in (SMOOTHER_ROOT, SMOOTHER) for d in DIMENSIONS]
    grids += [_grid(KERNEL_RIDGE[NARROW], d, SOLVED) for d in DIMENSIONS]
    grids += [_grid(KERNEL_RIDGE[MIDDLE], d, _filled(d, MIDDLE)) for d in (16, 32, 64)]
    grids += [_grid(KERNEL_RIDGE[MIDDLE], d, SOLVED) for d in DIMENSIONS[1:]]
    grids += [_grid(KERNEL_RIDGE[WIDEST], d, _filled(d, WIDEST)) for d in (64, 512)]
    grids += [_grid(QUADRATIC, d, tuple(_at_load(x, d) for x in loads)) for d, loads in QUADRATIC_LOADS.items()]
    return [*grids, *(_grid(QUADRATIC, d, SUMMED) for d in DIMENSIONS[2:])]


def _grid(layer: str, d: int, n: Places) -> Grid:
    return Grid({"part": (KERNELS,), "layer": (layer,), "d": (d,), "n": n})


def _filled(d: int, bandwidth: float) -> Places:
    return tuple(round(x * harmonics(d, resolved_degree(bandwidth))) for x in FILLED)


def _at_load(load: float, d: int) -> int:
    """The n with 2 n ln n = load D d."""
    size = load * feature_dimension(d) * d
    return round(optimize.brentq(lambda n: 2 * n * np.log(n) - size, 1.0, size + 2.0))
