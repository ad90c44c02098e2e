"""Public implementations of softmax's relatives, each on the same numbers: equal to the layer to rounding."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ttr_numerics import border, layers
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

SIZES = {"T": 40, "d_k": 8, "d_v": 8}
DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])
QUIET = pytest.mark.filterwarnings("ignore")  # theirs, on import or for want of a device


def example(name, dtype="float64", seed=0):
    """Generic arguments of the layer for batch (2, 3), on the numbers that `dtype` has, and as torch tensors."""
    drawn = pairing(name).example(np.random.default_rng(seed), (2, 3), **SIZES)
    arrays = {n: FORMATS[dtype].nearest(x) if isinstance(x, np.ndarray) else x for n, x in drawn.items()}
    tensors = {n: torch.asarray(x, dtype=getattr(torch, dtype)) for n, x in arrays.items() if isinstance(x, np.ndarray)}
    return arrays, tensors


def is_the_layer(theirs, layer, arrays, dtype="float64"):
    """Whether their output is within rounding of the layer, and one key a thousandth longer is not."""
    run = rounding(layer, arrays, FORMATS[dtype])
    apart = row_norms(np.asarray(theirs, dtype=np.float64) - run.reference)
    faulty = dict(arrays, k=arrays["k"] * (1 + 1e-3 * (np.arange(SIZES["T"]) == 7))[:, None])
    seen = row_norms(np.asarray(theirs, dtype=np.float64) - np.asarray(layer(**faulty).o)) > run.bound
    return bool((apart <= run.bound).all() and seen.any())


def band(window):
    """The mask of the last `window` tokens."""
    place = torch.arange(SIZES["T"])
    age = place[:, None] - place
    return (age >= 0) & (age < window)


@DTYPES
@pytest.mark.parametrize("window", [1, 4, 39, 40])
def test_a_window_is_torch_attention_with_a_band_mask(dtype, window):
    arrays, t = example("sliding_window_attention", dtype)
    arrays["window"] = window
    attention = torch.nn.functional.scaled_dot_product_attention
    theirs = attention(t["q"], t["k"], t["v"], attn_mask=band(window), scale=1.0)
    if window == 1:
        assert np.array_equal(theirs.numpy(), arrays["v"])
        assert np.array_equal(layers.sliding_window_attention(**arrays).o, arrays["v"])
    else:
        assert is_the_layer(theirs, layers.sliding_window_attention, arrays, dtype)


@DTYPES
def test_an_additive_bias_of_torch_attention_is_the_forgetting(dtype):
    arrays, _ = example("forgetting_attention", dtype)
    arrays["log_decay"][..., 11] = -30.0
    total = np.cumsum(arrays["log_decay"], axis=-1)
    bias = np.where(np.tri(SIZES["T"], dtype=bool), total[..., :, None] - total[..., None, :], -np.inf)
    theirs = torch.nn.functional.scaled_dot_product_attention(
        *(torch.asarray(arrays[n]) for n in "qkv"), attn_mask=torch.asarray(bias), scale=1.0
    )
    # Theirs is computed in float64, where the difference of sums that the layer avoids still has digits to spare.
    assert is_the_layer(theirs, layers.forgetting_attention, arrays, dtype)


@QUIET
def test_a_long_run_of_closed_gates_costs_their_difference_of_sums_its_digits_and_not_the_layer():
    naive = pytest.importorskip("fla.ops.forgetting_attn.naive").naive_forgetting_attn
    arrays, _ = example("forgetting_attention", "float32")
    arrays["log_decay"][..., :30] = np.float32(-1e6 / 3)
    run = rounding(layers.forgetting_attention, arrays, FORMATS["float32"])
    t = {n: torch.asarray(x, dtype=torch.float32) for n, x in arrays.items()}
    q, k, v, g = (t[n].transpose(1, 2) for n in ("q", "k", "v", "log_decay"))
    theirs = naive(q, k, v, g, scale=1.0).transpose(1, 2).numpy()
    ours = layers.forgetting_attention(**t).o.numpy()
    assert (row_norms(ours - run.reference) <= run.bound).all()
    assert (row_norms(theirs - run.reference) > run.bound)[..., 31:].any()


@QUIET
@DTYPES
@pytest.mark.parametrize("sinks", [(0.5, -2.0, 3.0), (-np.inf, 0.0, -np.inf)], ids=str)
def test_a_sink_is_that_of_gpt_oss_one_a_head(dtype, sinks):
    eager = pytest.importorskip("transformers.models.gpt_oss.modeling_gpt_oss").eager_attention_forward
    arrays, t = example("sink_attention", dtype)
    sink = np.array([sinks, sinks])
    module = SimpleNamespace(sinks=torch.asarray(sinks, dtype=t["q"].dtype), num_key_value_groups=1, training=False)
    mask = torch.where(band(SIZES["T"]), 0.0, -torch.inf).to(t["q"].dtype)
    theirs = eager(module, t["q"], t["k"], t["v"], mask, scaling=1.0)[0].transpose(1, 2)
    assert is_the_layer(theirs, layers.sink_attention, dict(arrays, sink=sink), dtype)


@pytest.mark.parametrize("alpha", [2.0, 1.5, 1.25, 1.9])
def test_entmax_attention_is_that_of_the_entmax_package(alpha):
    entmax = pytest.importorskip("entmax")
    arrays, t = example("entmax_attention")
    arrays["alpha"] = alpha
    exact_ones = {2.0: entmax.sparsemax, 1.5: entmax.entmax15}
    logits = torch.where(band(SIZES["T"]), t["q"] @ t["k"].mT, -1e9)
    p = exact_ones.get(alpha, lambda z: entmax.entmax_bisect(z, alpha, n_iter=80))(logits)
    assert is_the_layer(p @ t["v"], layers.entmax_attention, arrays)


@QUIET
@pytest.mark.parametrize(("model", "layout"), [("Llama", border.HALVES), ("Cohere", border.INTERLEAVED)], ids=str)
def test_rotary_embedding_is_that_of_transformers(model, layout):
    module = pytest.importorskip(f"transformers.models.{model.lower()}.modeling_{model.lower()}")
    arrays, t = example("softmax_attention")
    settings = getattr(module, f"{model}Config")(hidden_size=24, num_attention_heads=3)
    places, base = np.arange(SIZES["T"]), settings.rope_parameters["rope_theta"]
    cos, sin = getattr(module, f"{model}RotaryEmbedding")(settings)(t["q"], torch.asarray(places)[None])
    theirs = module.apply_rotary_pos_emb(t["q"], t["k"], cos, sin)[0].numpy()
    ours = border.rotary(arrays["q"], places, base=base, layout=layout)
    # Their angle is a product of a position and a frequency in float32, each with a few roundings.
    allowed = 8 * FORMATS["float32"].u * (1 + places) * row_norms(arrays["q"])
    assert (row_norms(theirs - ours) <= allowed).all()
    other = border.INTERLEAVED if layout == border.HALVES else border.HALVES
    swapped = border.rotary(arrays["q"], places, base=base, layout=other)
    assert (row_norms(theirs - swapped) > allowed)[..., 1:].all()
