"""Linear attention on features: Performer and the linear attention transformer, held against the layer on features."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from analysis.ecosystem.implementation import Implementation
from analysis.peers.peer import Peer
from ttr_numerics import layers
from ttr_numerics.arrays import namespace
from ttr_numerics.axes import Output, Sums
from ttr_numerics.convention import Convention
from ttr_numerics.pairs import Pairing, pairing

__all__ = ["IMPLEMENTATIONS"]

NLA = "normalized_linear_attention"
PERFORMER, OTHER = "performer_pytorch.performer_pytorch", "linear_attention_transformer.linear_attention_transformer"


def normalized_linear_attention_on_exponentials(q: Any, k: Any, v: Any) -> Output:
    """o_t = q_t Σ e^k_i' v_i / q_t Σ e^k_i' of q after a softmax over its channels."""
    xp = namespace(q)
    return layers.normalized_linear_attention(xp.exp(q - xp.max(q, axis=-1, keepdims=True)), xp.exp(k), v)


def normalized_linear_attention_on_random_features(q: Any, k: Any, v: Any) -> Output:
    """The mean under φ(q)·φ(k) of positive random features, the drawn directions of `_directions`."""
    return layers.normalized_linear_attention(_positive(q), _positive(k), v)


def with_epsilon(q: Any, k: Any, v: Any) -> Output:
    """o_t = q_t Σ k_i'v_i / q_t Σ (k_i + 1e-6)': the constant once, in each entry of the summed keys."""
    xp = namespace(q)
    o, S = layers.linear_attention(q, k, xp.concat([v, xp.ones_like(v[..., :1])], axis=-1))
    o = o[..., :-1] / (o[..., -1:] + 1e-6 * xp.sum(q, axis=-1, keepdims=True))
    return Output(o, Sums(S[..., :-1], S[..., -1]))


def on_exponentials_with_epsilon(q: Any, k: Any, v: Any) -> Output:
    """The same of q after a softmax over its channels and e^k."""
    xp = namespace(q)
    q = xp.exp(q - xp.max(q, axis=-1, keepdims=True))
    return with_epsilon(q / xp.sum(q, axis=-1, keepdims=True), xp.exp(k), v)


def _directions(d: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2 * d, d))


def _positive(x: Any) -> Any:
    """exp(Ω x/d^¼ - ‖x‖²/2√d)."""
    xp, d = namespace(x), x.shape[-1]
    x = x * d**-0.25
    omega = xp.asarray(_directions(d), dtype=x.dtype)
    return xp.exp(x @ xp.matrix_transpose(omega) - xp.sum(x * x, axis=-1, keepdims=True) / 2)


def _row(layer: Callable[..., Output], **changes: Any) -> Pairing:
    """The catalogue's row with this layer in its place, on real queries and keys."""
    generic = pairing("softmax_attention")
    return replace(pairing(NLA), layer=layer, queries=generic.queries, keys=generic.keys, forms=(), **changes)


def _fast_attention(cls: Any, a: Mapping[str, Any]) -> Output:
    module = cls(a["q"].shape[-1], nb_features=2 * a["q"].shape[-1], causal=True)
    module.projection_matrix = torch.asarray(_directions(a["q"].shape[-1]))
    return Output(module(a["q"], a["k"], a["v"]), None)


def _without_projection(cls: Any, a: Mapping[str, Any]) -> Output:
    return Output(cls(a["q"].shape[-1], causal=True, no_projection=True)(a["q"], a["k"], a["v"]), None)


def _of(path: str, call: Callable[..., Output], how: str = "", **more: Any) -> Implementation:
    package = "performer-pytorch" if path.startswith("performer") else "linear-attention-transformer"
    return Implementation(Peer(NLA, package, path, call, convention=Convention(), how=how), **more)


IMPLEMENTATIONS = (
    _of(
        f"{PERFORMER}:causal_linear_attention_noncuda",
        lambda f, a: Output(f(a["q"], a["k"], a["v"], chunk_size=16), None),
        row=replace(pairing(NLA), layer=with_epsilon, forms=()),
        declares="adds eps = 1e-6 to each entry of the summed keys, part of the layer here",
    ),
    _of(
        f"{PERFORMER}:FastAttention",
        _fast_attention,
        "causal",
        row=_row(normalized_linear_attention_on_random_features),
        declares="adds eps = 1e-4 to the features, after a stabiliser over all tokens and features",
        dtypes=("float32",),
    ),
    _of(
        f"{PERFORMER}:FastAttention",
        _without_projection,
        "causal, no_projection",
        row=_row(on_exponentials_with_epsilon),
        declares="exp of the keys; eps = 1e-6, part of the layer here",
    ),
    _of(
        f"{OTHER}:causal_linear_attn",
        lambda f, a: Output(f(a["q"], a["k"], a["v"], bucket_size=1), None),
        "bucket 1",
        row=_row(normalized_linear_attention_on_exponentials, lengths=(("d_k", 4), ("d_v", 4))),
        declares="exp of the keys; denominators clamped at eps = 1e-3; d_v = d_k",
        dtypes=("float32", "bfloat16", "float16"),
    ),
)
