"""Smooth minimisation without constraints, row by row of a batch, by SciPy's L-BFGS-B."""

from collections.abc import Callable

import numpy as np
import scipy.optimize

from ttr_numerics.arrays.library import Array, like, namespace, to_numpy

__all__ = ["local_minimum"]

Objective = Callable[[Array, tuple[int, ...]], tuple[Array, Array]]  # (x, index) -> (value, gradient)


def local_minimum(objective: Objective, start: Array, steps: int = 10000) -> Array:
    """x (..., n) where `objective(x[index], index)` has stopped falling, or `steps` from `start` (..., n).

    Stops where the line search finds nothing lower: gradients are then of order √(u F) times the root of the largest
    curvature. Reference: Liu and Nocedal, Math. Program. 45 (1989) 503.
    """
    xp, first = namespace(start), to_numpy(start).astype(np.float64)
    found = np.empty_like(first)

    def numbers(x: np.ndarray, index: tuple[int, ...]) -> tuple[float, np.ndarray]:
        value, gradient = objective(xp.asarray(x, **like(start)), index)
        return float(value), to_numpy(gradient).astype(np.float64)

    for index in np.ndindex(first.shape[:-1]):
        run = scipy.optimize.minimize(
            numbers,
            first[index],
            args=(index,),
            jac=True,
            method="L-BFGS-B",
            options={"ftol": 0.0, "gtol": 0.0, "maxiter": steps, "maxfun": 2 * steps},
        )
        found[index] = run.x
    return xp.asarray(found, **like(start))
