"""Public attention beyond agreeing: digits lost under closed gates, and rotary embeddings by value."""

import numpy as np
import pytest
import torch

from ttr_numerics import border, layers
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

SIZES = {"T": 40, "d_k": 8, "d_v": 8}
QUIET = pytest.mark.filterwarnings("ignore")  # theirs, on import or for want of a device


def example(name, dtype="float64", seed=0):
    """Generic arguments of the layer for batch (2, 3), on the numbers that `dtype` has, and as torch tensors."""
    drawn = pairing(name).example(np.random.default_rng(seed), (2, 3), **SIZES)
    arrays = {n: FORMATS[dtype].nearest(x) if isinstance(x, np.ndarray) else x for n, x in drawn.items()}
    tensors = {n: torch.asarray(x, dtype=getattr(torch, dtype)) for n, x in arrays.items() if isinstance(x, np.ndarray)}
    return arrays, tensors


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
