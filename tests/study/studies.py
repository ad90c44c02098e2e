"""Studies for the tests: small, slow, failing."""

import os
import sys
import time
from pathlib import Path

import numpy as np

from ttr_numerics import tasks
from ttr_numerics.study import Grid, Study, placed


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


def of_keys(cell, rng):
    """The root mean square of stored keys, or of random ones."""
    k = tasks.stored(cell["keys"]).k if "keys" in cell else rng.standard_normal((2, cell["n"], 4))
    return [{"rms": float(np.mean(k[:, : cell["n"]] ** 2) ** 0.5)}]


def asked_of(T, d):
    """Up to T keys."""
    return (Grid({"n": tuple(n for n in (8, 64, 512) if n <= T)}),)


def by_library(cell, rng):
    """Says which library computed, and on which worker."""
    (x,) = placed(cell, rng.standard_normal(5))
    return [{"module": type(x).__module__, "sum": float((x * x).sum()), "process": os.getpid()}]


def threads_of_torch(cell, rng):
    """How many, and whether another cell had loaded it."""
    loaded = "torch" in sys.modules
    import torch

    return [{"loaded": loaded, "threads": torch.get_num_threads()}]


def alone(cell, rng):
    """Which process, and how many other cells were in it."""
    beside = len(_INSIDE)
    _INSIDE.append(cell["i"])
    time.sleep(0.2)
    _INSIDE.remove(cell["i"])
    return [{"process": os.getpid(), "beside": max(beside, len(_INSIDE))}]


_INSIDE = []

TORCH = Study("torch", "How many threads?", threads_of_torch, (Grid({"i": (0, 1)}),))
ALONE = Study("alone", "Who else is here?", alone, (Grid({"i": tuple(range(16))}),))
KEYS = Study("keys", "What of keys?", of_keys, (Grid({"n": (8, 16)}),), 3, asked_of, ("minilm_layer0",))
LIBRARY = Study("library", "By which?", by_library, (Grid({"n": (1, 2, 3, 4)}),), 4, libraries=("numpy", "torch"))
