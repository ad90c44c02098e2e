"""Settings of the whole test set, and the array libraries a test may run on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import array_api_strict
import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

# Small matrices: a second thread only waits, and three BLAS libraries would fight for the cores.
torch.set_num_threads(1)
threadpool_limits(1)

# Never the default device, so that an array created without `device=` meets one on another device and fails.
STRICT_DEVICE = array_api_strict.Device("device1")


@dataclass(frozen=True)
class Library:
    """One array library in one dtype: how a float64 NumPy array becomes its array."""

    name: str
    dtype: str
    asarray: Callable[[np.ndarray], Any]

    def __str__(self) -> str:
        return f"{self.name}-{self.dtype}"

    def arrays(self, given: dict[str, Any]) -> dict[str, Any]:
        """Every array of `given` in this library; plain numbers as they are."""
        return {name: self.asarray(x) if isinstance(x, np.ndarray) else x for name, x in given.items()}


def _library(name: str, dtype: str) -> Library:
    asarray = {
        "numpy": lambda x: x.astype(dtype),
        "torch": lambda x: torch.asarray(x, dtype=getattr(torch, dtype)),
        "strict": lambda x: array_api_strict.asarray(x, dtype=getattr(array_api_strict, dtype), device=STRICT_DEVICE),
    }[name]
    return Library(name, dtype, asarray)


ALL = [(name, dtype) for name in ("numpy", "torch", "strict") for dtype in ("float64", "float32")]
HALF = [("numpy", "float16"), ("torch", "float16"), ("torch", "bfloat16")]


@pytest.fixture(params=[_library(*pair) for pair in ALL + HALF], ids=str)
def library(request: pytest.FixtureRequest) -> Library:
    """Every library in every dtype it has."""
    return request.param


@pytest.fixture(params=[_library(*pair) for pair in ALL], ids=str)
def full_precision(request: pytest.FixtureRequest) -> Library:
    """Every library in the dtypes exact solvers take."""
    return request.param


@pytest.fixture(params=[_library(name, "float64") for name in ("numpy", "torch", "strict")], ids=str)
def double(request: pytest.FixtureRequest) -> Library:
    """Every library in float64."""
    return request.param


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers that depend on the test's name alone."""
    return np.random.default_rng([ord(letter) for letter in request.node.name])
