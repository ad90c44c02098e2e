"""What public implementations of the delta rule's relatives do beyond agreeing."""

import importlib
import inspect

import numpy as np
import pytest
import torch

from ttr_numerics import layers
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, on import and for want of a device
pytest.importorskip("fla")
SINGLE = FORMATS["float32"]
T, D = 64, 16


def peer(module, name):
    return inspect.unwrap(getattr(importlib.import_module(module), name))


def given(name):
    """Generic arguments of the layer for two heads, on float32 numbers, and as tensors (1, T, H, d) with q over √d."""
    drawn = pairing(name).example(np.random.default_rng(0), T=T, d_k=D, d_v=D)
    arrays = {n: SINGLE.nearest(x) for n, x in drawn.items()}
    tensors = {n: torch.asarray(x, dtype=torch.float32).transpose(0, 1)[None] for n, x in arrays.items()}
    return arrays, tensors


def apart(theirs, arrays, layer):
    """Their error (H, T) over the tolerance of float32."""
    run = rounding(layer, arrays, SINGLE)
    return row_norms(theirs[0].transpose(0, 1).double().numpy() - run.reference) / run.bound


@pytest.mark.parametrize("nats", [32.0, 64.0])
def test_momentum_as_differences_of_logarithms_over_a_chunk_loses_every_digit_and_sums_of_products_lose_none(nats):
    module = "fla.ops.momentum_delta_rule.naive"
    recurrent, chunk = (peer(module, f"{form}_momentum_delta_rule_ref") for form in ("recurrent", "chunk"))
    arrays, t = given("momentum_delta_rule")
    arrays["log_momentum"] = np.full_like(arrays["log_momentum"], -nats / T)
    rows = {"q": t["q"], "k": t["k"], "v": t["v"], "p": t["k"]}
    gates = {"log_mu": torch.full_like(t["beta"], -nats / T), "log_alpha": 0 * t["beta"], "beta": 1 + 0 * t["beta"]}
    one, other = (f(**rows, **gates, eta=t["beta"], scale=1.0)[0] for f in (recurrent, chunk))
    assert (apart(one, arrays, layers.momentum_delta_rule) <= 1).all()
    # 1 - exp(b - a) of two sums of logarithms that differ by e^-32: nothing is left of it in float32, u = e^-16.6.
    assert apart(other, arrays, layers.momentum_delta_rule)[:, -1].min() > 1000
    single = {n: x.astype(np.float32) for n, x in arrays.items()}
    ours = layers.chunked.momentum_delta_rule(**single, chunk=T).o
    run = rounding(layers.momentum_delta_rule, arrays, SINGLE, forms=pairing("momentum_delta_rule").forms)
    assert (row_norms(ours.astype(np.float64) - run.reference) <= run.bound).all()
