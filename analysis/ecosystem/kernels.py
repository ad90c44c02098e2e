"""Triton kernels of fla-core through Triton's interpreter, on the CPU: the recurrent and the parallel ones.

Chunked kernels do not run there: a loop counter is a Python int in the interpreter and has no `to`.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch

from analysis.ecosystem.implementation import Arrays, Implementation, channels
from analysis.peers.peer import Peer
from ttr_numerics.axes import Output
from ttr_numerics.convention import fla

__all__ = ["IMPLEMENTATIONS"]

SCALED = replace(fla, names=(), grouped_heads=False)
GROUPED = replace(SCALED, grouped_heads=True)
UNSCALED = replace(SCALED, scale=1.0)
FINAL = {"output_final_state": True}
GLA, GDR = "gated_linear_attention", "gated_delta_rule"


def _untuned() -> None:
    """Let the autotuner take its first candidate: there is no device to time them on."""
    driver = importlib.import_module("triton.runtime").driver
    clock = SimpleNamespace(
        get_benchmarker=lambda: lambda call, quantiles=None: [0.0] * 3, get_current_device=lambda: 0
    )
    driver.set_active(clock)


def _kernel(call: Callable[..., Any]) -> Callable[..., Output]:
    """`call(f, a)` gives (o, state), or o alone. Arrays go in one piece, as the decorator we unwrap would have them."""

    def interpreted(f: Any, a: Mapping[str, Any]) -> Output:
        _untuned()
        found = call(f, {n: x.contiguous() if torch.is_tensor(x) else x for n, x in a.items()})
        return Output(*found[:2]) if isinstance(found, tuple) else Output(found, None)

    return interpreted


def _flat(f: Any, a: Mapping[str, Any]) -> tuple[Any, Any]:
    """HGRN: channels beside heads, the input as it is written."""
    gate = a["log_decay"][..., None].expand(a["k"].shape).flatten(2)
    h, last = f(-torch.expm1(gate) * (a["k"] * a["v"]).flatten(2), gate, **FINAL)
    return a["q"] * h.reshape(a["q"].shape), last.reshape(a["q"].shape[0], -1, a["q"].shape[-1])


def _each_batch(f: Any, a: Mapping[str, Any]) -> tuple[Any, Any]:
    """RWKV-6: one bonus a head for all of a batch: batch entries become heads."""
    heads = {n: x.transpose(0, 1).flatten(1, 2)[None] for n, x in a.items() if n in ("q", "k", "v", "log_decay")}
    o, state = f(*(heads[n] for n in ("q", "k", "v", "log_decay")), a["bonus"].flatten(0, 1), scale=1.0, **FINAL)
    return o[0].unflatten(1, a["q"].shape[:3:2]).transpose(0, 1), state[0].unflatten(0, a["q"].shape[:3:2])


def _kept(state: Any) -> Arrays:
    return {"initial_state": state}


def _by_head(state: Any) -> Arrays:
    return {"initial_state": state.flatten(0, 1)[None]}


def _flattened(state: Any) -> Arrays:
    return {"initial_state": state.flatten(1)}


def _of(
    layer: str,
    path: str,
    call: Callable[..., Any],
    prepare: Callable[[Arrays], Arrays] = lambda a: a,
    convention: Any = SCALED,
    resume: Callable[[Any], Arrays] | None = _kept,
    declares: str = "through Triton's interpreter; state and sums in float32",
) -> Implementation:
    return Implementation(
        Peer(layer, "fla-core", f"fla.ops.{path}", _kernel(call), convention=convention, how="kernel, interpreted"),
        dtypes=("float32",),  # the interpreter is NumPy: in fewer bits it is no kernel's arithmetic
        prepare=prepare,
        resume=resume,
        declares=declares,
        environment={"TRITON_INTERPRET": "1"},
    )


IMPLEMENTATIONS = (
    _of(
        "linear_attention",
        "linear_attn:fused_recurrent_linear_attn",
        lambda f, a: f(a["q"], a["k"], a["v"], normalize=False, **FINAL),
    ),
    _of(
        GLA, "simple_gla:fused_recurrent_simple_gla", lambda f, a: f(a["q"], a["k"], a["v"], g=a["log_decay"], **FINAL)
    ),
    _of(GLA, "simple_gla:parallel_simple_gla", lambda f, a: f(a["q"], a["k"], a["v"], a["log_decay"])[0], resume=None),
    _of(GLA, "gla:fused_recurrent_gla", lambda f, a: f(a["q"], a["k"], a["v"], gk=a["log_decay"], **FINAL), channels),
    _of(
        "delta_rule",
        "delta_rule:fused_recurrent_delta_rule",
        lambda f, a: f(a["q"], a["k"], a["v"], a["beta"], **FINAL),
    ),
    _of(
        GDR,
        "gated_delta_rule:fused_recurrent_gated_delta_rule",
        lambda f, a: f(a["q"], a["k"], a["v"], g=a["log_decay"], beta=a["beta"], **FINAL),
        convention=GROUPED,
    ),
    _of(
        GDR,
        "kda:fused_recurrent_kda",
        lambda f, a: f(a["q"], a["k"], a["v"], a["log_decay"], a["beta"], **FINAL),
        channels,
        GROUPED,
    ),
    _of(
        "comba",
        "comba:fused_recurrent_comba",
        lambda f, a: f(a["q"], a["k"], a["p"], a["v"], a["log_decay"], a["beta"], **FINAL),
    ),
    _of(
        "erase_write_delta_rule",
        "gdn2:fused_recurrent_gdn2",
        lambda f, a: f(a["q"], a["k"], a["v"], a["log_decay"], a["erase"], a["write"], **FINAL),
        channels,
    ),
    _of(
        "generalized_delta_rule",
        "generalized_delta_rule:fused_recurrent_dplr_delta_rule",
        lambda f, a: f(a["q"], a["k"], a["v"], a["a"], a["b"], a["log_decay"], **FINAL),
        channels,
    ),
    _of(
        "generalized_delta_rule",
        "rwkv7:fused_recurrent_rwkv7",
        lambda f, a: f(a["q"], a["log_decay"], a["k"], a["v"], a["a"], a["b"], scale=1.0, **FINAL),
        channels,
        UNSCALED,
    ),
    _of("rwkv6", "rwkv6:fused_recurrent_rwkv6", _each_batch, channels, UNSCALED, _by_head),
    _of("hgrn", "hgrn:fused_recurrent_hgrn", _flat, convention=UNSCALED, resume=_flattened),
    _of(
        "softmax_attention",
        "attn:parallel_attn",
        lambda f, a: f(a["q"], a["k"], a["v"]),
        convention=GROUPED,
        resume=None,
    ),
    _of(
        "forgetting_attention",
        "forgetting_attn:parallel_forgetting_attn",
        lambda f, a: f(a["q"], a["k"], a["v"], a["log_decay"]),
        convention=GROUPED,
        resume=None,
    ),
)
