"""Memories whose functions are not called as their peers are: states by position, one array for all of a batch."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from analysis.ecosystem.implementation import Implementation, channels
from analysis.peers.peer import Peer
from analysis.peers.recurrent import RWKV6
from ttr_numerics import layers
from ttr_numerics.arguments import Argument, Domain
from ttr_numerics.arrays import namespace
from ttr_numerics.axes import Momentum, Output
from ttr_numerics.convention import Convention, Gate, Layout, fla
from ttr_numerics.pairs import Pairing, pairing

__all__ = ["IMPLEMENTATIONS"]

SCALED = replace(fla, names=(), grouped_heads=False)
UNSCALED = replace(SCALED, scale=1.0)


# RWKV-6: one bonus a head for all of a batch, so that batch entries become heads


def _heads(a: Mapping[str, Any]) -> dict[str, Any]:
    return {n: x.flatten(0, 1)[None] if torch.is_tensor(x) and x.ndim > 2 else x for n, x in a.items()}


def _rwkv6(**options: Any) -> Callable[..., Output]:
    def call(f: Any, a: Mapping[str, Any]) -> Output:
        flat, bonus = _heads(a), a["bonus"].flatten(0, 1)
        found = f(flat["q"], flat["k"], flat["v"], flat["log_decay"], bonus, **options)
        o, state = found if isinstance(found, tuple) else (found, None)
        return Output(o[0].reshape(a["v"].shape), None if state is None else state[0].unflatten(0, a["q"].shape[:2]))

    return call


def _in_chunks(f: Any, a: Mapping[str, Any]) -> Output:
    """Padded to chunks of 32: keys of 0 write nothing."""
    length = a["q"].shape[2]
    longer = {n: torch.nn.functional.pad(x, (0, 0, 0, -length % 32)) for n, x in a.items() if n != "bonus"}
    return Output(_rwkv6()(f, longer | {"bonus": a["bonus"]}).o[:, :, :length], None)


def _kept(state: Any) -> dict[str, Any]:
    return {"initial_state": state}


def _kept_by_head(state: Any) -> dict[str, Any]:
    return {"initial_state": state.flatten(0, 1)[None]}


def _kept_flat(state: Any) -> dict[str, Any]:
    return {"initial_state": state.flatten(0, 1)}


# Functions whose state goes by position


def _kimi_recurrent(f: Any, a: Mapping[str, Any]) -> Output:
    state = getattr(f, "keywords", {}).get("initial_state")
    function = getattr(f, "func", f)
    return Output(*function(a["q"], a["k"], a["v"], a["log_decay"], a["beta"], state, True))


def _rwkv7(f: Any, a: Mapping[str, Any]) -> Output:
    start = a["v"].new_zeros(a["q"].shape[0], a["q"].shape[2], a["q"].shape[-1], a["v"].shape[-1])
    given = {"initial_state": start, **getattr(f, "keywords", {})}
    arrays = (a[n] for n in ("q", "log_decay", "k", "v", "a", "b"))
    return Output(*getattr(f, "func", f)(*arrays, **given))


def _hgrn(f: Any, a: Mapping[str, Any]) -> Output:
    k, v = (a[n].flatten(0, 1) for n in "kv")
    gate = a["log_decay"].flatten(0, 1)[..., None].expand_as(k).contiguous()
    h, last = f(-torch.expm1(gate) * k * v, gate, output_final_state=True)
    return Output(a["q"] * h.reshape(a["q"].shape), last.unflatten(0, a["q"].shape[:2]))


def _momentum_chunks(f: Any, a: Mapping[str, Any]) -> Output:
    gates = {"log_alpha": a["log_decay"] if "log_decay" in a else 0 * a["beta"], "log_mu": a["log_momentum"]}
    gates |= {"beta": 1 + 0 * a["beta"], "eta": a["beta"]}
    o, (S, step) = f(q=a["q"], k=a["k"], v=a["v"], p=a["k"], **gates, output_final_state=True)
    return Output(o, Momentum(S, -step))


# Rows of the published functions that the catalogue has no row for


def preconditioned_delta_rule_on_unit_rows(q: Any, k: Any, v: Any, **arrays: Any) -> Output:
    """The layer on q/‖q‖√d_k and k/‖k‖, rows of 0 as they are."""
    return layers.preconditioned_delta_rule(_unit(q) / q.shape[-1] ** 0.5, _unit(k), v, **arrays)


def _unit(x: Any) -> Any:
    xp = namespace(x)
    size = xp.sqrt(xp.sum(x * x, axis=-1, keepdims=True))
    return x / xp.where(size > 0, size, xp.ones_like(size))


def rwkv4_by_head(q: Any, k: Any, v: Any, bonus: Any, time_decay: Any) -> Output:
    """RWKV-4 with decay e^-e^w, one w a channel for all tokens, and no receptance."""
    decay = -namespace(q).exp(time_decay)[..., None, :] + 0 * k
    return layers.rwkv4(namespace(q).ones_like(q), k, v, log_decay=decay, bonus=bonus)


TIME_DECAY = Argument(
    "time_decay", (("d_k",),), Domain.REAL, "log of minus the log decay", lambda rng, shape: rng.uniform(-6, 1, shape)
)


def _rwkv4(f: Any, a: Mapping[str, Any]) -> Output:
    """Heads as channels, one batch entry after another."""
    rows, states = [], []
    for b in range(a["q"].shape[0]):
        k, v = (a[n][b].transpose(0, 1).flatten(1)[None] for n in "kv")
        given = f.keywords["state"][b] if hasattr(f, "keywords") else None
        function = getattr(f, "func", f)
        decay, bonus = (a[n][b].flatten() for n in ("time_decay", "bonus"))
        o, state = function(decay, bonus, k, v, state=given, return_state=True)
        rows.append(o[0].unflatten(-1, a["q"].shape[1:4:2]).transpose(0, 1))
        states.append(state)
    return Output(torch.stack(rows), states)


CONSTANTS = {"base": "x", "centre": "log_atk_scale", "eps": "eps"}


def preconditioned(f: Any, a: Mapping[str, Any]) -> Output:
    gates = {"g": a["log_decay"], "beta": a["beta"]}
    gates |= {"g_atk": a["curvature_log_decay"], "beta_atk": a["curvature_beta"]}
    gates |= {theirs: a[ours] for ours, theirs in CONSTANTS.items() if ours in a}
    o, *state = f(q=a["q"], k=a["k"], v=a["v"], **gates, output_final_state=True)
    return Output(o, tuple(state))


QWEN_KIMI = "transformers.models.kimi_linear.modeling_kimi_linear"
OPS = "fla.ops"
DIVIDES = "computes in float32; asserts that the chunk divides the length: padded by us"


def _of(layer: str, package: str, path: str, call: Callable[..., Output], **more: Any) -> Implementation:
    peer = {n: more.pop(n) for n in ("convention", "how", "state") if n in more}
    return Implementation(Peer(layer, package, path, call, **peer), **more)


def _row(name: str, layer: Callable[..., Output], **changes: Any) -> Pairing:
    return replace(pairing(name), layer=layer, forms=(), **changes)


IMPLEMENTATIONS = (
    _of(
        "gated_delta_rule",
        "transformers",
        f"{QWEN_KIMI}:recurrent_kimi_delta_attention",
        _kimi_recurrent,
        convention=SCALED,
        prepare=channels,
        resume=_kept,
        declares="computes in float32 whatever it is given",
    ),
    _of(
        "rwkv6",
        "fla-core",
        f"{RWKV6}.recurrent_naive:naive_recurrent_rwkv6",
        _rwkv6(scale=1.0, output_final_state=True),
        convention=Convention(),
        how="scale 1",
        prepare=channels,
        resume=_kept_by_head,
        declares="computes in float32 whatever it is given",
    ),
    _of(
        "rwkv6",
        "fla-core",
        f"{RWKV6}.chunk_naive:naive_chunk_rwkv6",
        _in_chunks,
        convention=Convention(),
        prepare=channels,
        declares=DIVIDES,
    ),
    _of(
        "rwkv4",
        "transformers",
        "transformers.models.rwkv.modeling_rwkv:rwkv_linear_attention_cpu",
        _rwkv4,
        convention=Convention(),
        resume=lambda states: {"state": states},
        row=_row("rwkv4", rwkv4_by_head, takes=(*pairing("rwkv4").takes[1:], TIME_DECAY), may_take=()),
        declares="the state in float32; one decay a channel for all tokens",
    ),
    _of(
        "generalized_delta_rule",
        "rwkv7-hf",
        "rwkv7_hf.ops_rwkv7:rwkv7_recurrent",
        _rwkv7,
        convention=Convention(layout=Layout.TIME_FIRST, gate=Gate.LINEAR),
        prepare=channels,
        resume=_kept,
        dtypes=("float64", "float32", "bfloat16"),
        declares="gates linear; outer products and reads in the model's format, the state in that of the state given",
    ),
    _of(
        "hgrn",
        "fla-core",
        f"{OPS}.hgrn.naive:naive_recurrent_hgrn",
        _hgrn,
        convention=Convention(),
        resume=_kept_flat,
        declares="computes in float32 whatever it is given",
    ),
    _of(
        "momentum_delta_rule",
        "fla-core",
        f"{OPS}.momentum_delta_rule.naive:chunk_momentum_delta_rule_ref",
        _momentum_chunks,
        convention=SCALED,
        resume=lambda state: {"initial_S": state.S, "initial_M": -state.U},
        declares="computes in float32 whatever it is given",
    ),
    _of(
        "preconditioned_delta_rule",
        "fla-core",
        f"{OPS}.precond_gated_delta_rule.naive:naive_recurrent_precond_gated_delta_rule",
        preconditioned,
        convention=UNSCALED,
        resume=lambda state: {"initial_state": state[0], "initial_A_state": state[1]},
        row=_row("preconditioned_delta_rule", preconditioned_delta_rule_on_unit_rows),
        declares="computes in float32; normalises q and k itself",
    ),
)
