"""What an absolute constant in the denominators of a scale-free iteration costs, seen on a public implementation."""

import importlib

import numpy as np
import pytest
import torch

from ttr_numerics import layers
from ttr_numerics.tolerance import row_norms

pytest.importorskip("fla")
QUIET = pytest.mark.filterwarnings("ignore")  # theirs, on import and for want of a device
RIDGE, HEADS, T, D = 0.25, 2, 64, 16
U = 2.0**-24


def example(seed=0):
    """Float32 numbers: queries, unit keys, values and gates near 1."""
    rng = np.random.default_rng(seed)
    q, k, v = rng.standard_normal((3, HEADS, T, D))
    k /= np.linalg.norm(k, axis=-1, keepdims=True)
    return {"q": q, "k": k, "v": v, "log_decay": -rng.exponential(0.01, (HEADS, T))}


def theirs(arrays, steps):
    """FLA's chunked CG reference in float32, o (heads, T, d)."""
    naive = importlib.import_module("fla.ops.mesa_net.naive")
    q, k, v, g = (
        torch.asarray(arrays[n], dtype=torch.float32).movedim(0, 1)[None] for n in ("q", "k", "v", "log_decay")
    )
    ridge = torch.full((HEADS, D), RIDGE)
    o = naive.naive_mesa_net_CG(q, k, v, g, ridge, torch.ones_like(g), chunk_size=16, max_CG_iteration=steps)[0]
    return o[0].movedim(0, 1).double().numpy()


def ours(arrays, steps):
    """The layer in float32."""
    single = {n: x.astype(np.float32) for n, x in arrays.items()}
    return layers.mesa_cg(**single, ridge=RIDGE, steps=steps).o.astype(np.float64)


def relative(o, truth):
    return row_norms(o - truth) / row_norms(truth)


@QUIET
def test_two_hundred_steps_with_the_constant_do_not_reach_rounding_and_sixteen_without_it_do():
    # κ ≤ 1 + T/Λ for unit keys: κu is what float32 leaves to a sound solve, whatever the number of steps beyond d.
    arrays = example()
    truth = layers.mesa(**arrays, ridge=RIDGE).o
    kappa = 1 + T / RIDGE
    for steps in (16, 30, 200):
        assert np.median(relative(ours(arrays, steps), truth)) <= kappa * U
        assert np.median(relative(theirs(arrays, steps), truth)) > kappa * U


@QUIET
def test_with_the_constant_the_output_does_not_scale_with_the_query_and_a_small_one_reads_nothing():
    arrays = example()
    small = arrays | {"q": arrays["q"] * 2.0**-20}
    assert np.array_equal(ours(small, 30) * 2.0**20, ours(arrays, 30))  # a power of two rounds nothing
    # A step moves x by about |r|²/1e-5 times a direction of size |q|, |r|² ≈ 2^-40 d; x itself is at least |q|/(T + Λ).
    assert 30 * 2.0**-40 * D / 1e-5 * (T + RIDGE) < 0.5
    assert np.all(relative(theirs(small, 30) * 2.0**20, ours(arrays, 30)) > 0.5)


@QUIET
def test_the_layer_from_the_decoding_start_is_exact_after_as_many_steps_as_eigenvalues():
    arrays = example()
    keys = arrays["k"]
    age = np.exp(np.cumsum(arrays["log_decay"], axis=-1))[..., None]
    diagonal = age * np.cumsum(keys**2 / age, axis=-2)  # of H_t
    start = arrays["q"] / (diagonal + RIDGE)
    truth = layers.mesa(**arrays, ridge=RIDGE).o
    kappa = 1 + T / RIDGE
    early = layers.mesa_cg(**arrays, ridge=RIDGE, steps=3, start=start).o
    late = layers.mesa_cg(**arrays, ridge=RIDGE, steps=D + 2, start=start).o
    assert np.median(relative(late, truth)) <= kappa * 2.0**-53
    assert np.median(relative(early, truth)) > kappa * 2.0**-53
