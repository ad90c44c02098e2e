"""What public recurrences do beyond agreeing: hostile gates and keys, defaults that hide something, lost digits."""

import importlib
from functools import partial

import numpy as np
import pytest
import torch

from ttr_numerics import layers
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, on import and for want of a device

XLSTM = "transformers.models.xlstm.modeling_xlstm"
T, D = 64, 8


def peer(module, name):
    return getattr(importlib.import_module(module), name)


def given(name, dtype, batch=(2, 3), **axes):
    """Generic arguments on the numbers of the format, float64 NumPy."""
    drawn = pairing(name).example(np.random.default_rng(0), batch, **{"T": T, "d_k": D, "d_v": D} | axes)
    return {n: FORMATS[dtype].nearest(x) for n, x in drawn.items()}


def tensors(arrays, dtype):
    return {n: torch.tensor(x, dtype=getattr(torch, dtype)) for n, x in arrays.items()}


def bounded(name, arrays, dtype):
    return rounding(getattr(layers, name), arrays, FORMATS[dtype], forms=pairing(name).forms)


def within(theirs, bound):
    """Where their outputs lie within the rounding of the layer."""
    return row_norms(np.asarray(theirs, dtype=np.float64) - bound.reference) <= bound.bound


# RWKV-6: fla


def rwkv6_by_fla(a, **keywords):
    t = tensors(a, "float32")
    one_head = peer("fla.ops.rwkv6.recurrent_naive", "naive_recurrent_rwkv6")
    return one_head(t["q"], t["k"], t["v"], t["log_decay"], t["bonus"][0], **keywords)[0].numpy()


def rwkv6_given():
    """Channel gates, and one bonus per head over the batch, as they have it."""
    a = given("rwkv6", "float32")
    a["log_decay"] = FORMATS["float32"].nearest(np.repeat(a["log_decay"][..., None], D, axis=-1))
    a["bonus"] = a["bonus"][:1] + 0 * a["bonus"]
    return a


def test_a_reset_is_nan_in_the_chunk_form_of_fla_and_exact_here() -> None:
    a = rwkv6_given()
    a["log_decay"][..., 5, :] = -np.inf
    t, bound = tensors(a, "float32"), bounded("rwkv6", a, "float32")
    chunk = peer("fla.ops.rwkv6.chunk_naive", "naive_chunk_rwkv6")
    theirs = chunk(t["q"], t["k"], t["v"], t["log_decay"], t["bonus"][0]).numpy()
    assert np.isnan(theirs).any()  # a difference of cumulative sums, -inf less -inf
    assert within(rwkv6_by_fla(a, scale=1.0), bound).all()
    parallel = layers.chunked.rwkv6(**{n: x.astype(np.float32) for n, x in a.items()}).o
    assert within(parallel, bound).all()


# RWKV-4: transformers


def rwkv4_by_transformers(a, log_rate):
    t = tensors(a, "float32")
    rate, bonus = torch.tensor(log_rate, dtype=torch.float32), t["bonus"][0]
    return peer("transformers.models.rwkv.modeling_rwkv", "rwkv_linear_attention_cpu")(rate, bonus, t["k"], t["v"])


def rwkv4_given():
    """One decay and one bonus a channel for all heads and tokens: log_decay = -exp(time_decay), computed in float32."""
    a = given("rwkv4", "float32", batch=(3,))
    log_rate = FORMATS["float32"].nearest(np.linspace(-6.0, 1.0, D))
    decay = -torch.exp(torch.tensor(log_rate, dtype=torch.float32)).numpy().astype(np.float64)
    a |= {"log_decay": decay + np.zeros((3, T, 1)), "bonus": a["bonus"][:1] + 0 * a["bonus"], "q": 1 + 0 * a["q"]}
    return a, log_rate


@pytest.mark.parametrize("size", [100.0, -100.0])
def test_keys_of_a_hundred_nats_overflow_neither_side(size: float) -> None:
    a, log_rate = rwkv4_given()
    a["k"] = FORMATS["float32"].nearest(a["k"] + size * np.sign(np.arange(T) % 3 - 1.0)[:, None])
    assert within(rwkv4_by_transformers(a, log_rate)[0].numpy(), bounded("rwkv4", a, "float32")).all()


# mLSTM: transformers


def mlstm_given(dtype):
    """Their gates are before the logarithm of a sigmoid; ours are that logarithm, computed by torch."""
    a = given("mlstm", dtype)
    raw = FORMATS[dtype].nearest(np.random.default_rng(1).normal(3.0, 1.0, (2, 3, T)))
    log = torch.nn.functional.logsigmoid(torch.tensor(raw, dtype=getattr(torch, dtype)))
    a["log_forget"] = log.numpy().astype(np.float64)
    return a, raw


def mlstm_by_transformers(name, a, raw, dtype, **keywords):
    t = tensors({**a, "raw": raw}, dtype)
    return peer(XLSTM, name)(t["q"], t["k"], t["v"], t["log_input"], t["raw"], **keywords)


def scaled(a):
    """Queries over √d, which all their forms divide by and the layer leaves to the caller."""
    return {**a, "q": a["q"] / np.sqrt(D)}


FORMS = {
    "mlstm_recurrent_sequence_native": {"dtype_state": torch.float64},
    "mlstm_chunkwise_native_autograd": {"chunk_size": 16},
}


def test_their_epsilon_depends_on_a_unit_that_stands_for_nothing() -> None:
    a, raw = mlstm_given("float64")
    a["log_input"] -= 20.0
    empty = {
        "c_initial": torch.zeros((2, 3, D, D), dtype=torch.float64),
        "n_initial": torch.zeros((2, 3, D), dtype=torch.float64),
        "dtype_state": torch.float64,
    }
    form = partial(mlstm_by_transformers, "mlstm_recurrent_sequence_native", a, raw, "float64", **empty)
    units = [torch.full((2, 3, 1), m, dtype=torch.float64) for m in (0.0, 14.0)]
    one, other = (form(m_initial=m).numpy() for m in units)
    bound = bounded("mlstm", scaled(a), "float64")
    assert (row_norms(one - other) > bound.bound).any()  # an empty memory in another unit changes their answer
    one, other = (form(m_initial=m, eps=0.0).numpy() for m in units)
    assert within(one, bound).all()
    assert within(other, bound).all()


def test_a_closed_forget_gate_is_nan_in_their_chunk_form_and_exact_here() -> None:
    a, raw = mlstm_given("float64")
    raw[..., 21] = -np.inf
    a["log_forget"][..., 21] = -np.inf
    recurrent, chunk = (mlstm_by_transformers(f, a, raw, "float64", eps=0.0, **FORMS[f]).numpy() for f in FORMS)
    bound = bounded("mlstm", scaled(a), "float64")
    assert np.isnan(chunk).any()  # again a difference of cumulative sums
    assert within(recurrent, bound).all()
    assert within(layers.chunked.mlstm(**scaled(a)).o, bound).all()


def test_strong_forgetting_costs_their_chunk_form_digits_and_not_ours() -> None:
    a, raw = mlstm_given("float32")
    raw[..., 1::2] = -3000.0  # a forget gate of -3000 nats, between gates near 1
    log = torch.nn.functional.logsigmoid(torch.tensor(raw, dtype=torch.float32))
    a["log_forget"] = log.numpy().astype(np.float64)
    bound = bounded("mlstm", scaled(a), "float32")
    chunk = mlstm_by_transformers("mlstm_chunkwise_native_autograd", a, raw, "float32", eps=0.0, chunk_size=64)
    assert not within(chunk.numpy(), bound)[..., 2:].all()  # logs near -10^5 are known to u 10^5 nats
    single = {n: x.astype(np.float32) for n, x in scaled(a).items()}
    assert within(layers.chunked.mlstm(**single, chunk=64).o, bound).all()


# RG-LRU: transformers


def scan(a, dtype, reset=None, **keywords):
    """Their scan on our inputs: √(1 - a²) k∘v already formed."""
    t = tensors(a, dtype)
    gate = t["log_decay"][..., None].expand_as(t["q"])
    share = torch.sqrt(-torch.expm1(2 * gate))
    reset = torch.zeros_like(gate, dtype=torch.bool) if reset is None else reset
    cls = peer("transformers.models.recurrent_gemma.modeling_recurrent_gemma", "RecurrentGemmaRglru")
    h, _ = cls._rnn_scan(None, share * t["k"] * t["v"], torch.exp(gate), reset, None, **keywords)
    return (t["q"] * h).numpy()


def test_their_scan_accumulates_in_float32_unless_told() -> None:
    a = given("rg_lru", "float32", batch=(3,))
    o = scan(a, "float64")
    assert not within(o, bounded("rg_lru", a, "float64"))[:, 1:].any()
    assert within(o, bounded("rg_lru", a, "float32")).all()


def rglru_module(param):
    """Their module with its gates' weights zero: input gate 1/2, recurrence gate 1/2, log a = -4 softplus(param)."""
    config = peer("transformers", "RecurrentGemmaConfig")(lru_width=D, hidden_size=D, num_attention_heads=2)
    module = peer("transformers.models.recurrent_gemma.modeling_recurrent_gemma", "RecurrentGemmaRglru")(config)
    with torch.no_grad():
        for p in module.parameters():
            p.zero_()
        module.recurrent_param.fill_(param)
    return module


def test_their_first_token_is_a_reset_and_enters_unscaled() -> None:
    module, a = rglru_module(-3.0), given("rg_lru", "float32", batch=(3,))
    with torch.no_grad():
        theirs = module(tensors(a, "float32")["v"], torch.arange(T)[None]).numpy()
        log = -8.0 * torch.tensor(0.5) * torch.nn.functional.softplus(module.recurrent_param)
    gate = np.full((3, T, D), float(log[0]))
    a |= {"q": 1 + 0 * a["q"], "k": 0.5 + 0 * a["k"], "log_decay": gate}
    start = np.where(np.arange(T)[:, None] == 0, -np.inf, gate)
    assert within(theirs, bounded("rg_lru", {**a, "log_decay": start}, "float32")).all()
    assert not within(theirs, bounded("rg_lru", a, "float32"))[:, :8].any()


def test_their_share_loses_the_digits_of_a_gate_near_one() -> None:
    module, a = rglru_module(-14.0), given("rg_lru", "float32", batch=(3,))
    with torch.no_grad():
        theirs = module(tensors(a, "float32")["v"], torch.arange(T)[None]).numpy()
        log = -8.0 * torch.tensor(0.5) * torch.nn.functional.softplus(module.recurrent_param)
        share = torch.sqrt(1 - torch.exp(2 * log)).numpy().astype(np.float64)
    gate = np.where(np.arange(T)[:, None] == 0, -np.inf, np.full((3, T, D), float(log[0])))
    a |= {"q": 1 + 0 * a["q"], "k": 0.5 + 0 * a["k"], "log_decay": gate}
    bound = bounded("rg_lru", a, "float32")
    assert (~within(theirs, bound))[:, 1:].mean() > 0.5
    exact_share = np.sqrt(-np.expm1(2 * gate))
    rounded = np.where(np.arange(T)[:, None] == 0, 1.0, share)  # 1 - a² in float32: a has 24 digits, 1 - a² has few
    explained = bounded("rg_lru", {**a, "v": a["v"] * rounded / exact_share}, "float32")
    assert within(theirs, explained).all()


# HGRN: fla


def test_the_chunk_form_of_fla_takes_one_chunk_only() -> None:
    x = torch.zeros(3, T, D)
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        peer("fla.ops.hgrn.naive", "naive_chunk_hgrn")(x, x, chunk_size=T // 2)
