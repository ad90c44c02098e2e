"""The catalogue: every layer, its three choices, and the regression it is or approximates.

Two relations are kept apart. The *identity* is the problem a layer solves exactly: an exact solver with the same
output to rounding, asserted by the tests. The *target* is the regression it approximates: measured, never asserted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ttr_numerics import exact, layers
from ttr_numerics.arrays import Array, namespace, zeros
from ttr_numerics.axes import Output
from ttr_numerics.layers import chunked

__all__ = ["Pairing", "catalogue", "pairing"]


@dataclass(frozen=True)
class Pairing:
    """One row: `layer` and `partner` take q, k, v and the same named arrays and return `Output`.

    `forms` are other sound algorithms for the layer. `fit(k, v, **arrays)` gives the target's S (..., d_k, d_v) at the
    last position, None where the target is the identity itself.
    """

    layer: Callable[..., Output]
    arrays: tuple[str, ...]
    optional: tuple[str, ...]
    weights: str
    function_class: str
    optimiser: str
    identity: str
    partner: Callable[..., Output]
    target: str
    fit: Callable[..., Array] | None
    domain: str
    source: str
    causal: bool = True
    forms: tuple[Callable[..., Output], ...] = ()

    @property
    def name(self) -> str:
        """The layer's public name."""
        return self.layer.__name__


def _additive(
    q: Array, k: Array, v: Array, log_decay: Array | None = None, initial_state: Array | None = None
) -> Output:
    return exact.correlation_prefixes(q, k, v, log_decay=log_decay, initial_state=initial_state)


def _mesa(q: Array, k: Array, v: Array, ridge: Any, log_decay: Any = None, beta: Any = None) -> Output:
    return exact.ridge_prefixes(q, k, v, ridge=ridge, log_decay=log_decay, weights=beta)


def _key_weighted(q: Array, k: Array, v: Array) -> Output:
    return exact.kernel_smoother_prefixes(q, k, v, log_weights=_half_square(k))


def _key_weighted_everywhere(q: Array, k: Array, v: Array) -> Output:
    return Output(exact.kernel_smoother(q, k, v, log_weights=_half_square(k)), None)


def _half_square(k: Array) -> Array:
    return namespace(k).sum(k * k, axis=-1) / 2


def _least_squares(k: Array, v: Array, log_decay: Array | None = None, **_: Any) -> Array:
    """Weighted least squares at the last position; a per-channel gate counts by its channel mean."""
    gate = zeros(k, k.shape[:-1]) if log_decay is None else log_decay
    if gate.ndim == k.ndim:
        gate = namespace(k).mean(gate, axis=-1)
    return exact.least_norm(k, v, exact.prefix_weights(gate + zeros(k, k.shape[:-1]))[..., -1, :]).S


def _chunked(layer: Callable[..., Output]) -> tuple[Callable[..., Output], ...]:
    """The chunk-parallel form at a short and a long chunk: kernels use lengths between them."""
    return partial(layer, chunk=16), partial(layer, chunk=64)


_AGED = "weighted least squares with γ_i = Π_{s>i} exp(log_decay_s) (per-channel gates: their channel mean)"

_TABLE = (
    Pairing(
        layers.linear_attention,
        arrays=(),
        optional=("initial_state",),
        weights="uniform",
        function_class="linear",
        optimiser="one full-batch gradient step of size 1 from zero",
        identity="least squares with K'K replaced by I: S_t = K'V (correlation_prefixes)",
        partner=_additive,
        target="least squares (least_norm)",
        fit=_least_squares,
        domain="all inputs; identity and target agree where K'K = I",
        source="Katharopoulos et al., arXiv 2006.16236; arXiv 2501.12352, section 3.1",
        forms=_chunked(chunked.linear_attention),
    ),
    Pairing(
        layers.gated_linear_attention,
        arrays=("log_decay",),
        optional=("initial_state",),
        weights="geometric in age, from log_decay",
        function_class="linear",
        optimiser="one full-batch gradient step of size 1 from zero",
        identity="weighted least squares with K'ΓK replaced by I: S_t = K'Γ_t V (correlation_prefixes)",
        partner=_additive,
        target=_AGED,
        fit=_least_squares,
        domain="log_decay ≤ 0, -inf a reset; a per-channel gate ages key channels and is no sample weight",
        source="Yang et al., arXiv 2312.06635; Dao and Gu, arXiv 2405.21060",
        forms=_chunked(chunked.gated_linear_attention),
    ),
    Pairing(
        layers.delta_rule,
        arrays=("beta",),
        optional=("initial_state",),
        weights="uniform",
        function_class="linear",
        optimiser="one pass of stochastic gradient steps of size beta_t",
        identity="one relaxed Kaczmarz sweep, SOR on KK'α = V (kaczmarz_prefixes); Kaczmarz at beta = 1/‖k‖²",
        partner=exact.kaczmarz_prefixes,
        target="least squares (least_norm)",
        fit=_least_squares,
        domain="all beta; stable where 0 ≤ beta‖k‖² ≤ 2",
        source="Schlag et al., arXiv 2102.11174; Yang et al., arXiv 2406.06484",
        forms=_chunked(chunked.delta_rule),
    ),
    Pairing(
        layers.gated_delta_rule,
        arrays=("beta", "log_decay"),
        optional=("initial_state",),
        weights="uniform; ageing enters through the decayed state",
        function_class="linear",
        optimiser="one pass of stochastic gradient steps with leak, forgetting before the error",
        identity="one relaxed Kaczmarz sweep on the Gram matrix of aged keys (kaczmarz_prefixes)",
        partner=exact.kaczmarz_prefixes,
        target=_AGED,
        fit=_least_squares,
        domain="log_decay ≤ 0, -inf a reset; stable where 0 ≤ beta‖k‖² ≤ 2",
        source="Yang et al., arXiv 2412.06464; Kimi Linear (per channel), arXiv 2510.26692",
        forms=_chunked(chunked.gated_delta_rule),
    ),
    Pairing(
        layers.mesa,
        arrays=("ridge",),
        optional=("log_decay", "beta"),
        weights="beta_i, geometric in age",
        function_class="linear",
        optimiser="exact (Cholesky)",
        identity="ridge regression with a fixed regulariser (ridge_prefixes)",
        partner=_mesa,
        target="the identity itself",
        fit=None,
        domain="H_t + ridge positive definite: ridge > 0, or as many independent keys as channels",
        source="von Oswald et al., arXiv 2506.05233",
    ),
    Pairing(
        layers.softmax_attention,
        arrays=(),
        optional=(),
        weights="exp(‖k_i‖²/2) times a Gaussian kernel at the query; the kernel alone for unit keys",
        function_class="local constant",
        optimiser="exact (a weighted mean)",
        identity="Nadaraya-Watson with sample weights exp(‖k‖²/2) at bandwidth 1 (kernel_smoother_prefixes)",
        partner=_key_weighted,
        target="the identity itself",
        fit=None,
        domain="all inputs; equal key norms cancel the sample weights",
        source="Vaswani et al., arXiv 1706.03762; arXiv 2501.12352, section 3.4",
    ),
    Pairing(
        layers.bidirectional_softmax_attention,
        arrays=(),
        optional=(),
        weights="exp(‖k_i‖²/2) times a Gaussian kernel at the query; the kernel alone for unit keys",
        function_class="local constant",
        optimiser="exact (a weighted mean)",
        identity="Nadaraya-Watson with sample weights exp(‖k‖²/2) at bandwidth 1 (kernel_smoother)",
        partner=_key_weighted_everywhere,
        target="the identity itself",
        fit=None,
        domain="all inputs; equal key norms cancel the sample weights",
        source="Vaswani et al., arXiv 1706.03762; arXiv 2501.12352, section 3.4",
        causal=False,
    ),
)


def catalogue() -> tuple[Pairing, ...]:
    """All pairings, in the order of the table.

    >>> [row.name for row in catalogue()][:3]
    ['linear_attention', 'gated_linear_attention', 'delta_rule']
    """
    return _TABLE


def pairing(name: str) -> Pairing:
    """The row of the layer called `name`, or a ValueError listing the names."""
    for row in _TABLE:
        if row.name == name:
            return row
    raise ValueError(f"layer: expected one of {', '.join(row.name for row in _TABLE)}, got {name}")
