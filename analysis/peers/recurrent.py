"""Public implementations of the layers in `pairs.recurrent`."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from analysis.peers.peer import DOUBLE, GIVEN, Difference, Peer
from ttr_numerics import layers
from ttr_numerics.arrays import namespace, stabiliser
from ttr_numerics.axes import NormalisedMemory, Output, WeightedMean, per_token
from ttr_numerics.convention import Convention, inverse_root
from ttr_numerics.layers.mlstm import finite, initial_memory
from ttr_numerics.recurrence import sequential

__all__ = ["PEERS", "with_epsilon"]

OURS = Convention()
Arrays = dict[str, Any]
RWKV6 = "fla.ops.rwkv6"
XLSTM = "transformers.models.xlstm.modeling_xlstm"
GRIFFIN = "transformers.models.recurrent_gemma.modeling_recurrent_gemma:RecurrentGemmaRglru"
SQUARE = {"d_v": 16}


def _channels(a: Arrays) -> Arrays:
    """A gate per key channel, and one bonus a head for the whole batch."""
    rates = np.linspace(0.5, 1.5, a["q"].shape[-1])
    return a | {"log_decay": a["log_decay"][..., None] * rates, "bonus": a["bonus"][:1] + 0 * a["bonus"]}


def _rwkv6(f: Any, a: Mapping[str, Any], **scale: float) -> Output:
    gates = a["log_decay"], a["bonus"][0]
    return Output(*f(a["q"], a["k"], a["v"], *gates, output_final_state=True, **scale))


def _scaled_down(q: Any, k: Any, v: Any, log_decay: Any, bonus: Any) -> Output:
    return layers.rwkv6(q / q.shape[-1] ** 0.5, k, v, log_decay=log_decay, bonus=bonus)


# RWKV-4: it is given log(-log_decay), one a channel for all heads and tokens, and no receptance


def _time_decay(a: Arrays) -> Arrays:
    kept = {"q": 1 + 0 * a["q"], "k": a["k"], "v": a["v"], "bonus": a["bonus"][:1, :1] + 0 * a["bonus"]}
    return kept | {"time_decay": np.linspace(-6.0, 1.0, a["q"].shape[-1]) + 0 * a["q"][..., :1, :]}


def _rwkv4_ours(q: Any, k: Any, v: Any, bonus: Any, time_decay: Any) -> Output:
    decay = -namespace(q).exp(time_decay) + namespace(q).zeros_like(k)
    return layers.rwkv4(q, k, v, log_decay=decay, bonus=bonus)


def _rwkv4(f: Any, a: Mapping[str, Any]) -> Output:
    k, v = (a[n].flatten(0, 1) for n in "kv")
    o, state = f(a["time_decay"][0, 0, 0], a["bonus"][0, 0], k, v, return_state=True)
    return Output(o.reshape(a["v"].shape), WeightedMean(*(x.reshape(a["bonus"].shape) for x in state)))


# mLSTM: it takes the forget gate before its sigmoid


def _before_the_sigmoid(a: Arrays) -> Arrays:
    forget = np.random.default_rng(1).normal(3.0, 1.0, a["log_forget"].shape)
    return {n: a[n] for n in ("q", "k", "v", "log_input")} | {"forget": forget}


def _log_sigmoid(x: Any) -> Any:
    """log σ(x) = -log(1 + y), y = exp(-x): the rounding of 1 + y cancels in log(1 + y)/((1 + y) - 1)."""
    y = namespace(x).exp(-x)
    one_and_y = 1 + y
    return -namespace(x).log(one_and_y) * (y / (one_and_y - 1))


def _mlstm_ours(q: Any, k: Any, v: Any, log_input: Any, forget: Any) -> Output:
    return layers.mlstm(q, k, v, log_input=log_input, log_forget=_log_sigmoid(forget))


def _mlstm(**options: Any) -> Callable[..., Output]:
    def call(f: Any, a: Mapping[str, Any]) -> Output:
        given = (a[n] for n in ("q", "k", "v", "log_input", "forget"))
        kind = {"dtype_state": a["q"].dtype} if "chunk_size" not in options else {}
        o, (C, n, m) = f(*given, return_last_states=True, **options, **kind)
        return Output(o, NormalisedMemory(C, n.reshape(C.shape[:-1]), m.reshape(C.shape[:-2])))

    return call


def _true_units(state: NormalisedMemory) -> tuple[Any, Any]:
    """e^m C and e^m n: the unit e^m is free."""
    unit = namespace(state.m).exp(state.m)
    return unit[..., None, None] * state.C, unit[..., None] * state.n


def with_epsilon(q: Any, k: Any, v: Any, log_input: Any, forget: Any) -> Output:
    """mLSTM divided by max(|q n'|, e^-m) + 1e-6, in the unit e^m that starts from 1."""
    xp = namespace(q)
    m = initial_memory(None, q, v).m

    def step(state: NormalisedMemory, q: Any, k: Any, v: Any, i: Any, f: Any) -> tuple[NormalisedMemory, Any]:
        m = stabiliser(f + state.m, i)
        kept, write = xp.exp(f + state.m - m), xp.exp(i - m) * k
        C, n = kept * state.C + xp.matrix_transpose(write) @ v, kept * state.n + write
        size = xp.maximum(xp.abs(q @ xp.matrix_transpose(n)), xp.exp(-m))
        return NormalisedMemory(C, n, m), q @ C / (size + 1e-6)

    start = initial_memory(None, q, v)._replace(m=finite(m))
    gates = per_token("log_input", log_input, q), per_token("log_forget", _log_sigmoid(forget), q)
    o, (C, n, m) = sequential(step, start, q, k, v, *gates)
    return Output(o, NormalisedMemory(C, n[..., 0, :], m[..., 0, 0]))


# RG-LRU and HGRN: they are given the input as it is written


def _scan(cls: Any, a: Mapping[str, Any]) -> Output:
    """Told to accumulate in the dtype given: it would in float32."""
    k, v = (a[n].flatten(0, 1) for n in "kv")
    gate = a["log_decay"].flatten(0, 1)[..., None].expand_as(k)
    written, reset = torch.sqrt(-torch.expm1(2 * gate)) * k * v, torch.zeros_like(gate, dtype=torch.bool)
    h, last = cls._rnn_scan(None, written, torch.exp(gate), reset, None, acc_dtype=k.dtype)
    return Output(a["q"] * h.reshape(a["q"].shape), last.reshape(*a["q"].shape[:2], -1))


def _hgrn(f: Any, a: Mapping[str, Any], **chunk: int) -> Output:
    k, v = (a[n].flatten(0, 1) for n in "kv")
    gate = a["log_decay"].flatten(0, 1)[..., None].expand_as(k).contiguous()
    h, last = f(-torch.expm1(gate) * k * v, gate, output_final_state=True, **chunk)
    return Output(a["q"] * h.reshape(a["q"].shape), last.reshape(*a["q"].shape[:2], -1))


def _xlstm(name: str, epsilon: bool, options: dict[str, Any]) -> Peer:
    """A form of theirs, with its default epsilon of 1e-6 or without."""
    return Peer(
        "mlstm",
        "transformers",
        f"{XLSTM}:{name}",
        _mlstm(**options) if epsilon else _mlstm(eps=0.0, **options),
        convention=Convention(scale=inverse_root),
        computes=DOUBLE if epsilon else GIVEN,  # in float32 the constant is near rounding
        change=_before_the_sigmoid,
        ours=_mlstm_ours,
        how="" if epsilon else "eps 0",
        state=_true_units,
        differs=Difference("adds 1e-6 to the denominator, in a unit e^m that is free", with_epsilon)
        if epsilon
        else None,
    )


PEERS = (
    Peer(
        "rwkv6",
        "fla-core",
        f"{RWKV6}.recurrent_naive:naive_recurrent_rwkv6",
        lambda f, a: _rwkv6(f, a, scale=1.0),
        how="scale 1",
        convention=OURS,
        change=_channels,
    ),
    Peer(
        "rwkv6",
        "fla-core",
        f"{RWKV6}.recurrent_naive:naive_recurrent_rwkv6",
        _rwkv6,
        convention=OURS,
        change=_channels,
        differs=Difference("divides q by √d_k unless told, where its chunked form never does", _scaled_down),
    ),
    Peer(
        "rwkv6",
        "fla-core",
        f"{RWKV6}.chunk_naive:naive_chunk_rwkv6",
        lambda f, a: Output(f(a["q"], a["k"], a["v"], a["log_decay"], a["bonus"][0]), None),
        convention=OURS,
        change=_channels,
    ),
    Peer(
        "rwkv4",
        "transformers",
        "transformers.models.rwkv.modeling_rwkv:rwkv_linear_attention_cpu",
        _rwkv4,
        convention=OURS,
        axes=SQUARE,
        change=_time_decay,
        ours=_rwkv4_ours,
    ),
    _xlstm("mlstm_recurrent_sequence_native", False, {}),
    _xlstm("mlstm_chunkwise_native_autograd", False, {"chunk_size": 16}),
    _xlstm("mlstm_recurrent_sequence_native", True, {}),
    _xlstm("mlstm_chunkwise_native_autograd", True, {"chunk_size": 16}),
    Peer("rg_lru", "transformers", GRIFFIN, _scan, convention=OURS, computes=GIVEN, axes=SQUARE),
    Peer("hgrn", "fla-core", "fla.ops.hgrn.naive:naive_recurrent_hgrn", _hgrn, convention=OURS, axes=SQUARE),
    Peer(
        "hgrn",
        "fla-core",
        "fla.ops.hgrn.naive:naive_chunk_hgrn",
        lambda f, a: _hgrn(f, a, chunk_size=64),
        convention=OURS,
        axes=SQUARE,
    ),
)
