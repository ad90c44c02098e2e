"""The functions that are peers already: which formats they are asked in, and how they go on from a state."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import gcd
from typing import Any

import torch

from analysis.ecosystem.implementation import LOW, Arrays, Implementation, channels, square
from analysis.peers.measured import PEERS
from analysis.peers.peer import Peer
from ttr_numerics.axes import Output
from ttr_numerics.convention import Convention, Layout
from ttr_numerics.pairs import Pairing

__all__ = ["IMPLEMENTATIONS"]

PROMISES_FLOAT32 = "computes in float32 whatever it is given"


def _peer(path: str, layer: str, how: str, grouped: bool) -> Peer:
    """The peer of that function, layer and call; audits call arrays by our names."""
    (peer,) = (p for p in PEERS if p.path.endswith(path) and (p.layer, p.how) == (layer, how))
    as_returned = Convention().state  # a peer's call gives states laid out as ours
    return replace(peer, convention=replace(peer.convention, names=(), grouped_heads=grouped, state=as_returned))


def _initial(state: Any) -> Arrays:
    return {"initial_state": state}


def _transposed(state: Any) -> Arrays:
    return {"state": state.mT}


def _gcd_chunks(peer: Peer, largest: int) -> Peer:
    """With the largest chunk that divides the length: what its assertion asks for."""

    def call(f: Any, a: Mapping[str, Any]) -> Output:
        at = 1 if peer.convention.layout.value.startswith("(B, T") else 2
        length = a["q"].shape[at]

        def chunked(*arrays: Any, **named: Any) -> Any:
            return f(*arrays, **{**named, "chunk_size": gcd(length, largest)})

        return peer.call(chunked, a)

    return replace(peer, call=call)


def _of(
    path: str,
    layer: str,
    prepare: Callable[[Arrays], Arrays] = lambda a: a,
    resume: Callable[[Any], Arrays] | None = _initial,
    largest: int = 0,
    chunk: int = 0,
    declares: str = PROMISES_FLOAT32,
    dtypes: tuple[str, ...] = LOW,
    how: str = "",
    optional: tuple[str, ...] = (),
    grouped: bool = False,
    row: Pairing | None = None,
) -> Implementation:
    peer = _peer(path, layer, how, grouped)
    peer = _gcd_chunks(peer, largest) if largest else _padded(peer, chunk) if chunk else peer
    return Implementation(peer, dtypes, prepare, resume, optional, declares, row)


def _in_single(peer: Peer) -> Peer:
    """With a state in float32 at least, its default, where the peer asks for that of the inputs."""

    def call(f: Any, a: Mapping[str, Any]) -> Output:
        def function(*arrays: Any, dtype_state: Any, **named: Any) -> Any:
            return f(*arrays, dtype_state=torch.promote_types(dtype_state, torch.float32), **named)

        return peer.call(function, a)

    return replace(peer, call=call)


def _logit(a: Arrays) -> Arrays:
    """The forget gate before its sigmoid: x with log σ(x) = g, log(e^g/(1 - e^g)), in double precision."""
    wide = a["log_forget"].double()
    logit = wide - torch.log(-torch.expm1(wide))
    kept = {n: x for n, x in a.items() if n != "log_forget"}
    return kept | {"forget": logit.to(a["log_forget"].dtype)}


def _memory(state: Any) -> Arrays:
    C, n, m = state
    return {"c_initial": C, "n_initial": n, "m_initial": m[..., None]}


def _momentum(state: Any) -> Arrays:
    return {"initial_S": state.S, "initial_M": -state.U}


def _padded(peer: Peer, chunk: int) -> Peer:
    """Zeros up to the next multiple of its chunk, which write and forget nothing, and their outputs left out."""
    time_first = peer.convention.layout is Layout.TIME_FIRST

    def call(f: Any, a: Mapping[str, Any]) -> Output:
        length = a["q"].shape[1 if time_first else 2]
        o, state = peer.call(f, {n: _longer(x, 1 if time_first else 2, -length % chunk) for n, x in a.items()})
        return Output(o[:, :length] if time_first else o[:, :, :length], state)

    return replace(peer, call=call)


def _longer(x: Any, axis: int, more: int) -> Any:
    return torch.cat([x, x.new_zeros(*x.shape[:axis], more, *x.shape[axis + 1 :])], dim=axis)


def _preconditioned(state: Any) -> Arrays:
    S, A = state
    return {"initial_state": S, "initial_A_state": A}


def _mesa(state: Any) -> Arrays:
    return {"h_kk_init": state.H, "h_kv_init": state.G}


GDR, GLA = "gated_delta_rule", "gated_linear_attention"
DIVIDES = f"{PROMISES_FLOAT32}; asserts that the chunk divides the length: padded by us"
FULL = ("float64", "float32", "bfloat16")
SQUARE = f"{PROMISES_FLOAT32}; d_v = d_k"
PADDED = "chunks of 64, padded by us"
QWEN, KIMI = "modeling_qwen3_next", "modeling_kimi_linear"
SAME_GDR = f"{PROMISES_FLOAT32}; log decay at most 0 (docstring); the same source in olmo_hybrid, qwen3_5, qwen3_5_moe"

IMPLEMENTATIONS = (
    _of(f"{QWEN}:torch_recurrent_gated_delta_rule", GDR, declares=SAME_GDR, grouped=True),
    _of(f"{QWEN}:torch_chunk_gated_delta_rule", GDR, declares=SAME_GDR, grouped=True),
    _of(f"{KIMI}:chunk_kimi_delta_attention", GDR, channels, grouped=True),
    Implementation(
        _in_single(_peer("xlstm:mlstm_recurrent_sequence_native", "mlstm", "eps 0", False)),
        prepare=_logit,
        resume=_memory,
        dtypes=("float64", "float32"),
        declares="eps given as 0; the state in float32",
    ),
    _of(
        "xlstm:mlstm_chunkwise_native_autograd",
        "mlstm",
        _logit,
        _memory,
        16,
        how="eps 0",
        declares="eps given as 0; the chunk divides the length",
    ),
    _of("modeling_mamba2:mamba2_chunk_scan", GLA, resume=lambda S: {"initial_states": S.mT}, declares="chunks of 16"),
    _of("naive_recurrent_linear_attn", "linear_attention"),
    _of(":naive_recurrent_simple_gla", GLA),
    _of(":naive_chunk_simple_gla", GLA),
    _of(":naive_parallel_simple_gla", GLA, resume=None),
    _of(":naive_recurrent_gla", GLA, channels),
    _of(":naive_recurrent_gated_delta_rule", GDR),
    _of(":naive_chunk_gated_delta_rule", GDR),
    _of(":delta_rule_recurrence", "delta_rule"),
    _of(
        ":delta_rule_chunkwise",
        "delta_rule",
        resume=None,
        chunk=32,
        declares="float64 and float32 (bfloat16 raises); asserts that the chunk divides the length: padded by us",
        dtypes=("float64", "float32"),
    ),
    _of(":naive_recurrent_kda", GDR, channels, grouped=True),
    _of(":naive_chunk_kda", GDR, channels, chunk=64, declares=DIVIDES, grouped=True),
    _of(":naive_recurrent_gdn2", "erase_write_delta_rule", channels),
    _of(":naive_chunk_gdn2", "erase_write_delta_rule", channels),
    _of(":naive_chunk_comba", "comba"),
    _of(":naive_recurrent_comba", "comba"),
    _of(":naive_recurrent_gated_delta_product", "gated_delta_product"),
    _of(":recurrent_momentum_delta_rule_ref", "momentum_delta_rule", resume=_momentum),
    _of(":naive_recurrent_precond_kda", "preconditioned_delta_rule", channels, _preconditioned),
    _of(":dplr_recurrence", "generalized_delta_rule", channels),
    _of(
        ":dplr_chunkwise",
        "generalized_delta_rule",
        channels,
        chunk=32,
        declares=f"{DIVIDES}; float64 and bfloat16 raise",
        dtypes=("float32",),
    ),
    _of(":naive_mesa_net_exact", "mesa", resume=_mesa, optional=("log_decay",), row=square("mesa"), declares=SQUARE),
    _of(":naive_parallel_attn", "softmax_attention", resume=None, declares="", dtypes=FULL, grouped=True),
    _of(":naive_parallel_attn", "sliding_window_attention", resume=None, declares="", dtypes=FULL),
    _of(":naive_forgetting_attn", "forgetting_attention", resume=None, grouped=True),
    _of(":naive_parallax", "parallax", resume=None, row=square("parallax"), declares=f"{SQUARE} (documented)"),
    _of(":naive_chunk_linear_attn", "linear_attention", resume=None, chunk=64, declares=PADDED),
    _of(
        "RecurrentGemmaRglru",
        "rg_lru",
        resume=None,
        dtypes=("float64", "float32"),
        declares="the scan alone, told to accumulate in the format given",
    ),
    replace(
        _of("opengdn.reference:gated_delta", GDR, resume=_transposed, dtypes=FULL, declares="gates linear"),
        contract={"bfloat16": "bfloat16,state=bfloat16,residual=bfloat16"},
    ),
    _of("opengdn.chunkwise:gated_delta_chunkwise", GDR, resume=_transposed, dtypes=FULL, declares="gates linear"),
)
