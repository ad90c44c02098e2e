"""Feature maps against FLA's modules, by value."""

import contextlib
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from ttr_numerics import features

with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    warnings.simplefilter("ignore")  # theirs, for want of a device
    from fla.modules import feature_map as fla

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, for want of a device
D, T = 4, 10
Map = Callable[[Any], Any]


def hedgehog(rng: np.random.Generator) -> tuple[Map, Map]:
    theirs = fla.HedgehogFeatureMap(D).double()
    for parameter in theirs.parameters():
        parameter.data = torch.asarray(rng.standard_normal(parameter.shape))
    return theirs, features.HedgehogSoftmax(theirs.layer.weight.detach(), theirs.layer.bias.detach())


def re_based(rng: np.random.Generator) -> tuple[Map, Map]:
    theirs = fla.RebasedFeatureMap(D, use_beta=False).double()  # with β FLA calls a compiled kernel
    theirs.gamma.data = torch.asarray(rng.standard_normal(D))
    return theirs, features.ReBased(theirs.gamma.detach() / D**0.25, torch.zeros(D, dtype=torch.float64))


MAPS: dict[str, Callable[[np.random.Generator], tuple[Map, Map]]] = {
    "taylor": lambda rng: (fla.TaylorFeatureMap(D), lambda x: features.taylor(x / D**0.25)),
    "dpfp": lambda rng: (fla.DPFPFeatureMap(D, nu=2), lambda x: features.dpfp(x, 2)),
    "relu": lambda rng: (fla.ReLUFeatureMap(), features.relu),
    "hedgehog": hedgehog,
    "re_based": re_based,
}


@pytest.mark.parametrize("name", MAPS)
def test_the_maps_of_fla_have_our_kernels(name: str, rng: np.random.Generator) -> None:
    x, y = torch.asarray(rng.standard_normal((2, T, D)))
    theirs, ours = MAPS[name](rng)
    left, right = (phi(x) @ phi(y).mT for phi in (theirs, ours))
    size = ours(x).abs() @ ours(y).abs().mT
    assert theirs(x).shape == ours(x).shape
    assert bool(((left - right).abs() <= 64 * D * 2.0**-53 * size).all())
    assert not bool(((left - ours(x) @ ours(1.0001 * y + 1e-4).mT).abs() <= 64 * D * 2.0**-53 * size).all())


def test_the_dpfp_of_fla_is_the_papers_permuted_and_no_longer_the_negated_one(rng: np.random.Generator) -> None:
    x = torch.asarray(rng.standard_normal((T, D)))
    theirs = fla.DPFPFeatureMap(D, nu=2)(x)
    assert torch.equal(theirs.sort(-1).values, features.dpfp(x, 2).sort(-1).values)
    assert not torch.equal(theirs, features.dpfp(x, 2))
    assert not torch.equal(theirs.sort(-1).values, features.dpfp_negated(x, 2).sort(-1).values)
