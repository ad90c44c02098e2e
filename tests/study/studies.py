"""Studies for the tests: small, slow, failing."""

import os
import time
from pathlib import Path

import numpy as np

from ttr_numerics.study import Grid, Study


def products(cell, rng):
    """A number that depends on every bit of the cell's own random matrix and of BLAS."""
    a = rng.standard_normal((64, 64))
    return [{"trace": float(np.trace(a @ a)), "twice": 2 * cell["n"]}]


def failing_at_two(cell, rng):
    """Fails at n = 2 while the file `broken` stands in the working folder's place named by the environment."""
    if cell["n"] == 2 and Path(os.environ.get("TTR_TEST_BROKEN", "always")) == Path("always"):
        raise ValueError("no such matrix\nand a second line")
    return [{"n_squared": cell["n"] ** 2}]


def slow(cell, rng):
    """A twentieth of a second."""
    time.sleep(0.05)
    return [{"value": float(rng.standard_normal())}]


def dying_at_two(cell, rng):
    """Ends its process at n = 2."""
    if cell["n"] == 2:
        os._exit(1)
    return [{"alive": True}]


GRID = Grid({"n": (1, 2, 3), "d": (4, 8)})
PRODUCTS = Study("products", "Is it the same wherever it runs?", products, (GRID,), seed=7)
FAILING = Study("failing", "What if a cell fails?", failing_at_two, (Grid({"n": (1, 2, 3)}),))
SLOW = Study("slow", "What if it is killed?", slow, (Grid({"i": tuple(range(60))}),), seed=1)
DYING = Study("dying", "What if a worker dies?", dying_at_two, (Grid({"n": (1, 2, 3)}),))
