"""The attention functions of transformers 5, by name, and how their arguments read as arrays of a catalogue layer.

eager_attention_forward        o = softmax(scaling q k' + mask) v, q, k, v (B, H, T, d), o (B, T, H, d)
..._chunk_gated_delta_rule     the gated delta rule with q over √d_k, all (B, T, H, d)
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType, ModuleType
from typing import Any

import torch

from ttr_numerics.capture.captured import Captured

__all__ = ["FUNCTIONS"]

Given = Mapping[str, Any]


def _attention(given: Given, returned: Any, modeling: ModuleType) -> Captured:
    """Softmax attention; heads of k and v may be fewer than those of q."""
    q, k, v = given["query"], given["key"], given["value"]
    scale = given.get("scaling")
    if scale is None:
        scale = q.shape[-1] ** -0.5
    arrays = _kept(q=q, k=k, v=v, o=returned[0].transpose(1, 2))
    return Captured("softmax_attention", arrays, float(scale), _departures(given))


def _delta_rule(given: Given, returned: Any, modeling: ModuleType) -> Captured:
    """The gated delta rule; q and k normalised as the function does it, in float32, where it does."""
    named = {"q": given["query"], "k": given["key"], "v": given["value"], "log_decay": given["g"]}
    arrays = {name: x.transpose(1, 2) for name, x in (named | {"beta": given["beta"], "o": returned[0]}).items()}
    if given.get("use_qk_l2norm_in_kernel"):
        arrays |= {name: modeling.l2norm(arrays[name].float(), dim=-1, eps=1e-6) for name in ("q", "k")}
    return Captured("gated_delta_rule", _kept(**arrays), arrays["q"].shape[-1] ** -0.5)


def _kept(**arrays: torch.Tensor) -> dict[str, torch.Tensor]:
    """Copies that the model's later steps cannot change."""
    return {name: x.detach().clone(memory_format=torch.contiguous_format) for name, x in arrays.items()}


def _departures(given: Given) -> tuple[str, ...]:
    """What stands between this call and causal softmax attention."""
    found = [_mask(given["attention_mask"], given["query"].shape[-2])]
    if given.get("softcap") is not None:
        found.append(f"logits pass a soft cap of {given['softcap']}")
    if given.get("s_aux") is not None or getattr(given["module"], "sinks", None) is not None:
        found.append("a learned sink takes weight")
    if given.get("position_bias") is not None:
        found.append("a bias by position is added to the logits")
    return tuple(filter(None, found))


def _mask(mask: torch.Tensor | None, T: int) -> str:
    """Empty for the causal mask, which alone is the catalogue's."""
    if mask is None:
        return "" if T == 1 else "no mask: every token reads all tokens"
    seen = mask if mask.dtype == torch.bool else mask == 0
    if mask.dtype != torch.bool and not bool((seen | (mask <= torch.finfo(mask.dtype).min)).all()):
        return "the mask adds a bias to the logits"
    causal = torch.ones(T, mask.shape[-1], dtype=torch.bool, device=mask.device).tril()
    return "" if bool((seen == causal).all()) else "the mask is not the causal one: a window, or padding"


FUNCTIONS: Mapping[str, Callable[[Given, Any, ModuleType], Captured]] = MappingProxyType(
    {
        "eager_attention_forward": _attention,
        "torch_chunk_gated_delta_rule": _delta_rule,
        "chunk_kimi_delta_attention": _delta_rule,
    }
)
