"""Feature maps: their kernels, their sizes, and that they stay in the caller's library."""

import numpy as np
import pytest
import torch

from tests.conftest import Library
from ttr_numerics import exact, features
from ttr_numerics.arrays import like, to_numpy, unit_roundoff


@pytest.mark.parametrize("d", [1, 2, 5])
def test_taylor_kernel_is_the_polynomial_one(d: int, library: Library, rng: np.random.Generator) -> None:
    x, y = (library.asarray(rng.standard_normal((2, 4, d))) for _ in range(2))
    phi = features.taylor(x)
    assert like(phi) == like(x)
    assert tuple(phi.shape) == (2, 4, 1 + d + d * (d + 1) // 2)
    wide_x, wide_y = (np.asarray(to_numpy(z), np.float64) for z in (x, y))
    inner = np.asarray(to_numpy(phi), np.float64) @ np.asarray(to_numpy(features.taylor(y)), np.float64).mT
    expected = exact.kernels.Polynomial()(wide_x, wide_y)
    # Each feature is two operations and a root away from exact; the inner product itself is float64.
    size = 1 + np.abs(wide_x) @ np.abs(wide_y).mT
    assert np.all(np.abs(inner - expected) <= 6 * (d + 2) * unit_roundoff(x) * size**2)


def test_taylor_maps_sixteen_channels_to_the_published_153() -> None:
    assert features.taylor(np.ones((1, 16))).shape[-1] == 153


def test_elu_plus_one_is_positive_and_continuous(library: Library) -> None:
    x = library.asarray(np.array([[-5.0, -1.0, -0.0, 0.0, 0.5, 3.0]]))
    phi = features.elu_plus_one(x)
    assert like(phi) == like(x)
    value, given = (np.asarray(to_numpy(z), np.float64)[0] for z in (phi, x))
    expected = np.where(given > 0, given + 1, np.exp(given))
    assert np.all(np.abs(value - expected) <= 2 * unit_roundoff(x) * expected)
    assert np.all(value > 0)


def test_elu_plus_one_of_large_numbers_neither_overflows_nor_loses_its_gradient() -> None:
    x = torch.asarray([[-1e4, 0.0, 1e4]], dtype=torch.float64, requires_grad=True)
    features.elu_plus_one(x).sum().backward()
    assert torch.equal(x.grad, torch.asarray([[0.0, 1.0, 1.0]], dtype=torch.float64))


@pytest.mark.parametrize("name", ["elu_plus_one", "taylor"])
def test_no_feature_map_changes_its_input(name: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 2))
    before = x.copy()
    getattr(features, name)(x)
    assert np.array_equal(x, before)
