"""Public attention."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from analysis.peers.by_token import by_prefix
from analysis.peers.peer import DOUBLE, GIVEN, HALF, Peer
from ttr_numerics.axes import Output
from ttr_numerics.convention import Convention, torch_sdpa

__all__ = ["PEERS"]

SDPA = "torch.nn.functional:scaled_dot_product_attention"
FLA = "fla.ops.attn.naive:naive_parallel_attn"
OURS = Convention()
SHORT = {"T": 24, "d_k": 3, "d_v": 2}


def _band(T: int, window: int) -> torch.Tensor:
    """Which of T keys each of T queries sees: the last `window`, its own included."""
    age = torch.arange(T)[:, None] - torch.arange(T)
    return (age >= 0) & (age < window)


def _one_a_head(a: dict[str, Any]) -> dict[str, Any]:
    """A sink a head, one of them none."""
    return a | {"sink": np.array([[0.5, -2.0, 3.0, -np.inf]] * 2)}


def _with_sinks(function: Any, a: Mapping[str, Any]) -> Output:
    """gpt-oss keeps the logits of its heads on the module, takes a mask to add, and returns (B, T, H, D)."""
    q, (*_, T, d) = a["q"], a["q"].shape
    module = SimpleNamespace(sinks=a["sink"][0], num_key_value_groups=1, training=False)
    mask = torch.where(_band(T, T), 0.0, -torch.inf).to(q.dtype)
    return Output(function(module, q, a["k"], a["v"], mask, scaling=d**-0.5)[0].transpose(1, 2), None)


def _ages(log_decay: torch.Tensor) -> torch.Tensor:
    """The logits to add, a difference of cumulative sums, -inf for later keys."""
    total = log_decay.cumsum(-1)
    later = ~_band(total.shape[-1], total.shape[-1])
    return (total[..., :, None] - total[..., None, :]).masked_fill(later, -torch.inf)


def _unnormalised(f: Any, a: Mapping[str, Any]) -> Output:
    """Its mean times exp of the logarithm of the sum of weights that it returns beside it."""
    o, log_sum = f(
        a["q"],
        a["k"],
        a["v"],
        score_mod=lambda score, b, h, t, i: torch.where(t >= i, score, -torch.inf),
        scale=1.0,
        return_lse=True,
    )
    return Output(o * torch.exp(log_sum)[..., None], None)


def _iterated(f: Any, a: Mapping[str, Any]) -> Output:
    """Each query replaced by its mean of the keys, and last by that of the values."""
    q = a["q"]
    for memory in (*(a["k"],) * (a["steps"] - 1), a["v"]):
        q = f(q, a["k"], memory, is_causal=True, scale=a["beta"])
    return Output(q, None)


def _sparse(mapping: Callable[..., torch.Tensor]) -> Callable[..., Output]:
    def call(f: Any, a: Mapping[str, Any]) -> Output:
        T = a["q"].shape[-2]
        logits = torch.where(_band(T, T), a["q"] @ a["k"].mT, -1e9)
        return Output(mapping(f, logits, a["alpha"]) @ a["v"], None)

    return call


def _near_their_keys(a: dict[str, Any]) -> dict[str, Any]:
    """Some keys beyond the bandwidth, a query's own within it."""
    return a | {"q": a["k"] + a["q"] / 4, "bandwidth": 1.5, "order": 2}


def _neighbours(estimator: Any, a: Mapping[str, Any]) -> Output:
    """Weights (1 - d²/h²)ⁿ of the neighbours within h."""
    h, order = a["bandwidth"], a["order"]

    def weights(distances: np.ndarray) -> np.ndarray:
        found = np.empty_like(distances)  # of arrays
        found[:] = [(1 - (d / h) ** 2) ** order for d in distances]
        return found

    def one(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        return estimator(radius=h, weights=weights, algorithm="brute").fit(k, v).predict(q)

    return Output(by_prefix(one, a), None)


def _kernel_regression(estimator: Any, a: Mapping[str, Any]) -> Output:
    """Local constant, bandwidth 1; it has one output."""

    def one(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        kind = {"var_type": "c" * k.shape[1], "reg_type": "lc", "bw": np.ones(k.shape[1]), "rng": 0}
        return np.array([[estimator(y, k, **kind).fit(q)[0][0] for y in v.T]])

    return Output(by_prefix(one, a), None)


PEERS = (
    Peer(
        "softmax_attention",
        "torch",
        SDPA,
        lambda f, a: Output(f(a["q"], a["k"], a["v"], is_causal=True), None),
        convention=torch_sdpa,
        computes=GIVEN,
    ),
    Peer(
        "softmax_attention",
        "fla-core",
        FLA,
        lambda f, a: Output(f(a["q"], a["k"], a["v"])[0], None),
        computes=GIVEN,
    ),
    Peer(
        "softmax_attention",
        "statsmodels",
        "statsmodels.nonparametric.kernel_regression:KernelReg",
        _kernel_regression,  # on keys of one norm, as drawn
        convention=OURS,
        computes=DOUBLE,
        axes=SHORT,
        asarray=np.asarray,
    ),
    Peer(
        "bidirectional_softmax_attention",
        "torch",
        SDPA,
        lambda f, a: Output(f(a["q"], a["k"], a["v"]), None),
        convention=torch_sdpa,
        computes=GIVEN,
    ),
    Peer(
        "sliding_window_attention",
        "torch",
        SDPA,
        lambda f, a: Output(f(a["q"], a["k"], a["v"], attn_mask=_band(a["q"].shape[2], a["window"])), None),
        convention=torch_sdpa,
        computes=GIVEN,
    ),
    Peer(
        "sliding_window_attention",
        "fla-core",
        FLA,
        lambda f, a: Output(f(a["q"], a["k"], a["v"], window_size=a["window"])[0], None),
        computes=GIVEN,
    ),
    Peer(
        "sink_attention",
        "transformers",
        "transformers.models.gpt_oss.modeling_gpt_oss:eager_attention_forward",
        _with_sinks,
        change=_one_a_head,
        convention=torch_sdpa,
        computes=HALF,
    ),
    Peer(
        "sink_attention",
        "fla-core",
        FLA,
        lambda f, a: Output(f(a["q"], a["k"], a["v"], sink_bias=a["sink"][0])[0], None),
        change=_one_a_head,
        computes=GIVEN,
    ),
    Peer(
        "forgetting_attention",
        "torch",
        SDPA,
        lambda f, a: Output(f(a["q"], a["k"], a["v"], attn_mask=_ages(a["log_decay"])), None),
        convention=torch_sdpa,
        computes=GIVEN,
    ),
    Peer(
        "forgetting_attention",
        "fla-core",
        "fla.ops.forgetting_attn.naive:naive_forgetting_attn",
        lambda f, a: Output(f(a["q"], a["k"], a["v"], a["log_decay"]), None),
    ),
    Peer(
        "exponential_attention",
        "torch",
        "torch.nn.attention.flex_attention:flex_attention",
        _unnormalised,
        convention=OURS,
        computes=GIVEN,
    ),
    Peer(
        "compact_kernel_attention",
        "scikit-learn",
        "sklearn.neighbors:RadiusNeighborsRegressor",
        _neighbours,
        convention=OURS,
        computes=DOUBLE,
        axes=SHORT,
        change=_near_their_keys,
        asarray=np.asarray,
    ),
    Peer(
        "entmax_attention",
        "entmax",
        "entmax:entmax15",
        _sparse(lambda f, logits, alpha: f(logits)),
        convention=OURS,
        computes=GIVEN,
    ),
    Peer(
        "entmax_attention",
        "entmax",
        "entmax:sparsemax",
        _sparse(lambda f, logits, alpha: f(logits)),
        convention=OURS,
        computes=GIVEN,
        change=lambda a: a | {"alpha": 2.0},
    ),
    Peer(
        "entmax_attention",
        "entmax",
        "entmax:entmax_bisect",
        _sparse(lambda f, logits, alpha: f(logits, alpha, n_iter=80)),
        convention=OURS,
        computes=GIVEN,
        change=lambda a: a | {"alpha": 1.25},
    ),
    Peer("hopfield", "torch", SDPA, _iterated, convention=OURS, computes=GIVEN),
)
