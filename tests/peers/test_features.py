"""Feature maps and the normalised layer against FLA's modules, by value."""

import contextlib
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from ttr_numerics import features, layers
from ttr_numerics.arrays import to_numpy
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding

with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    warnings.simplefilter("ignore")  # theirs, for want of a device
    from fla.modules import feature_map as fla
    from fla.ops.based.naive import naive_parallel_based
    from fla.ops.linear_attn.naive import naive_recurrent_linear_attn
    from fla.ops.rebased.naive import naive_parallel_rebased

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, for want of a device
D, T = 4, 10
SINGLE = FORMATS["float32"]
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


def test_the_normalised_layer_is_that_of_fla_where_its_epsilon_is_below_rounding(rng: np.random.Generator) -> None:
    a = {n: SINGLE.nearest(x) for n, x in zip("qk", rng.exponential(1.0, (2, 2, T, D)), strict=True)}
    a["v"] = SINGLE.nearest(rng.standard_normal((2, T, 3)))

    def theirs(arrays: dict[str, np.ndarray]) -> np.ndarray:
        given = (torch.asarray(np.swapaxes(arrays[n], 0, 1)[None].astype(np.float32)) for n in "qkv")
        o, _ = naive_recurrent_linear_attn(*given, scale=1.0, normalize=True)
        return np.swapaxes(to_numpy(o)[0].astype(np.float64), 0, 1)

    run = rounding(layers.normalized_linear_attention, a, SINGLE)
    assert (np.linalg.norm(theirs(a) - run.reference, axis=-1) <= run.bound).all()
    small = a | {"q": 2.0**-36 * a["q"]}
    assert (np.linalg.norm(theirs(small) - run.reference, axis=-1) > run.bound).all(), "1e-10 breaks freedom of scale"


@pytest.mark.parametrize(
    ("naive", "phi"), [(naive_parallel_based, features.taylor), (naive_parallel_rebased, features.quadratic)]
)
def test_based_and_re_based_are_the_layer_on_their_features_up_to_an_epsilon(
    naive: Callable[..., Any], phi: Map, rng: np.random.Generator
) -> None:
    q, k, v = (SINGLE.nearest(x) for x in rng.standard_normal((3, 1, T, D)))
    o = naive(*(torch.asarray(x[None].astype(np.float32)) for x in (q, k, v)), scale=1.0)[0].numpy().astype(np.float64)

    def call(q: Any, k: Any, v: Any) -> Any:
        return layers.normalized_linear_attention(phi(q), phi(k), v)

    run = rounding(call, {"q": q, "k": k, "v": v}, SINGLE)
    below = np.sum(phi(q) * np.cumsum(phi(k), -2), -1)
    epsilon = 1e-6 / below * np.linalg.norm(run.reference, axis=-1)  # theirs, added to the denominator
    assert (np.linalg.norm(o - run.reference, axis=-1) <= run.bound + 2 * epsilon).all()
