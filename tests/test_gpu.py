"""The core on a CUDA device, through CuPy and torch: the same answers as NumPy, in the caller's library and device."""

import importlib.util

import numpy as np
import pytest
import torch

from ttr_numerics import arrays, catalogue, exact, layers
from ttr_numerics.arrays import LinAlgError, to_numpy
from ttr_numerics.exact.cuda import correlation_prefixes_by_kernel, ridge_prefixes_by_kernel
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding


def _cupy_device() -> bool:
    if importlib.util.find_spec("cupy") is None:
        return False
    import cupy

    try:
        return cupy.cuda.runtime.getDeviceCount() > 0
    except cupy.cuda.runtime.CUDARuntimeError:
        return False


def _cupy_array(x):
    import cupy

    return cupy.asarray(x)


LIBRARIES = [
    pytest.param(
        _cupy_array, id="cupy", marks=pytest.mark.skipif(not _cupy_device(), reason="no CuPy with a CUDA device")
    ),
    pytest.param(
        lambda x: torch.from_numpy(x).cuda(),
        id="torch",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device for torch"),
    ),
]
pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("on_device", LIBRARIES)
@pytest.mark.parametrize("row", catalogue(), ids=lambda row: row.name)
@pytest.mark.parametrize("side", ["layer", "partner"])
def test_both_sides_of_every_pairing_answer_on_the_device_as_numpy_does(row, side, on_device):
    given = row.example(np.random.default_rng(0))
    moved = {name: on_device(x) if isinstance(x, np.ndarray) else x for name, x in given.items()}
    function = getattr(row, side)
    o = function(**moved).o
    assert type(o) is type(moved["q"])
    assert o.dtype == moved["q"].dtype
    bound = rounding(function, given, FORMATS["float64"])
    assert (np.linalg.norm(to_numpy(o) - bound.reference, axis=-1) <= bound.bound).all()


@pytest.mark.parametrize("on_device", LIBRARIES)
def test_a_singular_matrix_is_refused_on_the_device(on_device):
    stack = np.stack([np.eye(3), np.ones((3, 3))])
    with pytest.raises(LinAlgError, match=r"expected positive definite.* in slices \(1,\)"):
        arrays.cholesky(on_device(stack))


@pytest.mark.parametrize("on_device", LIBRARIES)
def test_least_norm_on_the_device_finds_the_rank(on_device):
    K = np.random.default_rng(0).standard_normal((2, 9, 4))
    K[1, :, 3] = K[1, :, 0]
    fit = exact.least_norm(on_device(K), on_device(K[..., :2]))
    assert to_numpy(fit.rank).tolist() == [4, 3]


@pytest.mark.parametrize("on_device", LIBRARIES[:1])
@pytest.mark.parametrize(("dtype", "T", "d_k", "d_v"), [("float32", 300, 64, 64), ("float64", 300, 33, 20)])
def test_the_ridge_kernel_answers_within_the_rounding_of_its_form(dtype, T, d_k, d_v, on_device):
    rng = np.random.default_rng(0)
    q, k = rng.standard_normal((2, 3, T, d_k)) / d_k**0.5
    arrays = {"q": q, "k": k, "v": rng.standard_normal((3, T, d_v)), "weights": rng.uniform(0.1, 1, (3, T))}
    bound = rounding(lambda **x: exact.ridge_prefixes_by_innovation(**x, ridge=0.1), arrays, FORMATS[dtype])
    moved = {name: on_device(x.astype(dtype)) for name, x in arrays.items()}
    o, state = ridge_prefixes_by_kernel(**moved, ridge=0.1)
    assert type(o) is type(state.H) is type(moved["q"])
    assert (np.linalg.norm(to_numpy(o) - bound.reference, axis=-1) <= bound.bound).all()


@pytest.mark.parametrize("on_device", LIBRARIES[:1])
@pytest.mark.parametrize(("dtype", "T", "d_k", "d_v"), [("float32", 300, 64, 64), ("float64", 300, 33, 20)])
def test_the_correlation_kernel_answers_within_the_rounding_of_the_layer(dtype, T, d_k, d_v, on_device):
    rng = np.random.default_rng(0)
    q, k = rng.standard_normal((2, 3, T, d_k)) / d_k**0.5
    arrays = {"q": q, "k": k, "v": rng.standard_normal((3, T, d_v))}
    bound = rounding(layers.linear_attention, arrays, FORMATS[dtype])
    o, _ = correlation_prefixes_by_kernel(**{name: on_device(x.astype(dtype)) for name, x in arrays.items()})
    assert (np.linalg.norm(to_numpy(o) - bound.reference, axis=-1) <= bound.bound).all()


@pytest.mark.parametrize("on_device", LIBRARIES[:1])
def test_the_ridge_kernel_names_the_head_that_lost_a_pivot(on_device):
    k = np.random.default_rng(0).standard_normal((2, 20, 5)).astype(np.float32)
    k[1] = k[1, :1]
    ridge = np.array([[1e-2], [1e-10]], np.float32) + np.zeros((2, 5), np.float32)
    with pytest.raises(LinAlgError, match=r"a pivot without digits in slices \(1,\)"):
        ridge_prefixes_by_kernel(on_device(k), on_device(k), on_device(k), ridge=on_device(ridge))
