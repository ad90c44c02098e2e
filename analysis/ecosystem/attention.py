"""Attention: torch's own kernels by name, grouped heads and low precision, and what x-transformers makes of it."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch

from analysis.ecosystem.implementation import Implementation
from analysis.peers.peer import Peer
from ttr_numerics.axes import Output
from ttr_numerics.convention import Convention, Layout, torch_sdpa

__all__ = ["IMPLEMENTATIONS"]

LOW = ("float64", "float32", "bfloat16", "float16")
SDPA = "torch.nn.functional:scaled_dot_product_attention"
GPT_OSS = "transformers.models.gpt_oss.modeling_gpt_oss"
ATTEND = "x_transformers.attend:Attend"
ONE = Convention(scale=torch_sdpa.scale)
EAGER = Convention(scale=torch_sdpa.scale, output_layout=Layout.TIME_FIRST)


def _kernel(name: str) -> Callable[..., Output]:
    """Causal attention by the kernel of that name."""

    def call(f: Any, a: Mapping[str, Any]) -> Output:
        with torch.nn.attention.sdpa_kernel(getattr(torch.nn.attention.SDPBackend, name)):
            return Output(f(a["q"], a["k"], a["v"], is_causal=True), None)

    return call


def _grouped(f: Any, a: Mapping[str, Any]) -> Output:
    return Output(f(a["q"], a["k"], a["v"], is_causal=True, enable_gqa=True), None)


def _added_mask(f: Any, a: Mapping[str, Any]) -> Output:
    T = a["q"].shape[-2]
    mask = torch.full((T, T), -torch.inf, dtype=a["q"].dtype).triu(1)
    return Output(f(a["q"], a["k"], a["v"], attn_mask=mask), None)


def _attend(**options: Any) -> Callable[..., Output]:
    """The module with these options, in the call's own format."""
    return lambda cls, a: Output(cls(**options).eval()(a["q"], a["k"], a["v"])[0], None)


def _eager(function: Any, a: Mapping[str, Any]) -> Output:
    """A mask to add, q, k, v (B, H, T, d), output (B, T, H, d)."""
    q, (*_, T, d) = a["q"], a["q"].shape
    module = SimpleNamespace(num_key_value_groups=1, training=False)
    mask = torch.full((T, T), -torch.inf, dtype=q.dtype).triu(1)
    return Output(function(module, q, a["k"], a["v"], mask, scaling=d**-0.5)[0], None)


def _sinks(function: Any, a: Mapping[str, Any]) -> Output:
    """A sink a head of the module: one batch entry after another."""
    T, d = a["q"].shape[-2:]
    mask = torch.full((T, T), -torch.inf, dtype=a["q"].dtype).triu(1)
    rows = []
    for b, sinks in enumerate(torch.as_tensor(a["sink"], dtype=a["q"].dtype).expand(a["q"].shape[:2])):
        module = SimpleNamespace(sinks=sinks, num_key_value_groups=1, training=False)
        q, k, v = (a[n][b : b + 1] for n in "qkv")
        rows.append(function(module, q, k, v, mask, scaling=d**-0.5)[0])
    return Output(torch.cat(rows), None)


def _window(f: Any, a: Mapping[str, Any]) -> Output:
    T = a["q"].shape[-2]
    age = torch.arange(T)[:, None] - torch.arange(T)
    return Output(f(a["q"], a["k"], a["v"], attn_mask=(age >= 0) & (age < a["window"])), None)


def _of(package: str, path: str, call: Callable[..., Output], how: str, convention: Any = ONE, **more: Any) -> Any:
    layer = more.pop("layer", "softmax_attention")
    return Implementation(Peer(layer, package, path, call, convention=convention, how=how), dtypes=LOW, **more)


IMPLEMENTATIONS = (
    _of("torch", SDPA, _kernel("MATH"), "math"),
    _of("torch", SDPA, _kernel("FLASH_ATTENTION"), "flash on the CPU"),
    _of("torch", SDPA, _grouped, "enable_gqa", torch_sdpa),
    _of("torch", SDPA, _added_mask, "attn_mask"),
    _of(
        "torch",
        SDPA,
        lambda f, a: Output(f(a["q"], a["k"], a["v"]), None),
        "all",
        layer="bidirectional_softmax_attention",
    ),
    _of("torch", SDPA, _window, "window mask", layer="sliding_window_attention"),
    _of("x-transformers", ATTEND, _attend(causal=True), "causal", torch_sdpa),
    _of("x-transformers", ATTEND, _attend(causal=True, flash=True), "causal, flash", torch_sdpa),
    _of("x-transformers", ATTEND, _attend(), "all", layer="bidirectional_softmax_attention"),
    _of("transformers", "transformers.models.llama.modeling_llama:eager_attention_forward", _eager, "", EAGER),
    _of("transformers", f"{GPT_OSS}:eager_attention_forward", _sinks, "", EAGER, layer="sink_attention"),
)
