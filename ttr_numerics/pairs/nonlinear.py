"""Online learners, not linear in the state or over mini-batches, and the regressions that they are."""

from collections.abc import Callable
from typing import Any

from ttr_numerics import exact, layers
from ttr_numerics.arguments import (
    BATCH,
    BETA,
    DELTA,
    EPSILON,
    ETA,
    GAIN,
    INITIAL_STATE,
    LOG_DECAY,
    LOG_MOMENTUM,
    OPTIONAL_WEIGHTS,
    POWER,
    SCALAR_LOG_DECAY,
    SHIFT,
    THETA,
    W_1,
    W_2,
    WINDOW,
    WINDOW_BETA,
)
from ttr_numerics.arrays import Array
from ttr_numerics.axes import Output
from ttr_numerics.choices import (
    MLP,
    Choices,
    ExponentiatedGradient,
    HeavyBall,
    InfluenceGradient,
    LayerNormLinear,
    Leak,
    Linear,
    Sample,
    StochasticGradient,
    Uniform,
    Window,
    WindowedGradient,
)
from ttr_numerics.derivations import descent as derived
from ttr_numerics.derivations import nonlinear as robust
from ttr_numerics.exact import losses
from ttr_numerics.layers import chunked
from ttr_numerics.layers.ttt_mlp import gelu
from ttr_numerics.pairs.pairing import Pairing
from ttr_numerics.pairs.targets import AGED, chunked_forms, weighted_least_squares

__all__ = ["TABLE"]


def _ttt_linear(q: Array, k: Array, v: Array, eta: Array, batch: int) -> Output:
    return exact.descent_prefixes(q, k, v, inner=eta, batch=batch)


def _layer_norm(
    q: Array, k: Array, v: Array, eta: Array, gain: Array, shift: Array, epsilon: float, batch: int
) -> Output:
    loss = losses.LayerNormSquares(gain[..., None, :], shift[..., None, :], epsilon)
    return exact.nonlinear_kaczmarz_prefixes(q, k, v, beta=eta, loss=loss, batch=batch)


def _titans(q: Array, k: Array, v: Array, theta: Array, log_momentum: Array, log_decay: Array) -> Output:
    return exact.descent_prefixes(q, k, v, inner=2 * theta, log_momentum=log_momentum, log_decay=log_decay)


def _omega(
    q: Array,
    k: Array,
    v: Array,
    beta: Array,
    window: int,
    log_momentum: Array | None = None,
    log_decay: Array | None = None,
    weights: Array | None = None,
) -> Output:
    return exact.descent_prefixes(
        q,
        k,
        v,
        outer=beta,
        weights=weights,
        window=window,
        log_momentum=log_momentum,
        log_decay=log_decay,
    )


def _sweep(loss_of: Callable[[Any], Any], name: str) -> Callable[..., Output]:
    """A nonlinear Kaczmarz sweep on the loss of the array or number called `name`."""

    def sweep(
        q: Array,
        k: Array,
        v: Array,
        beta: Array,
        log_decay: Array | None = None,
        initial_state: Array | None = None,
        **named: Any,
    ) -> Output:
        return exact.nonlinear_kaczmarz_prefixes(
            q, k, v, beta=beta, loss=loss_of(named[name]), log_decay=log_decay, initial_state=initial_state
        )

    return sweep


def _huber_fit(k: Array, v: Array, delta: Array, **_: Any) -> Array:
    return exact.m_estimate(k, v, losses.Huber(delta[..., None])).S


def _entrywise_huber_fit(k: Array, v: Array, delta: Array, **_: Any) -> Array:
    return exact.m_estimate(k, v, losses.EntrywiseHuber(delta[..., None])).S


def _power_fit(k: Array, v: Array, p: float, **_: Any) -> Array:
    return exact.m_estimate(k, v, losses.Power(p)).S


def _window_fit(k: Array, v: Array, window: int, **_: Any) -> Array:
    return exact.least_norm(k[..., -window:, :], v[..., -window:, :]).S


def _exponentiated(
    q: Array, k: Array, v: Array, beta: Array, log_decay: Array | None = None, initial_state: Array | None = None
) -> Output:
    return exact.mirror_descent_prefixes(
        q,
        k,
        v,
        beta=beta,
        loss=losses.Squares(),
        link=exact.Softmax(),
        log_decay=log_decay,
        initial_state=initial_state,
    )


TABLE = (
    Pairing(
        layers.ttt_linear,
        Choices(Uniform(), Linear(), StochasticGradient(batch=16)),
        identity="one sweep of simultaneous corrections, mini-batch by mini-batch, on KK'α = V (descent_prefixes)",
        partner=_ttt_linear,
        target="least squares (least_norm)",
        fit=weighted_least_squares,
        domain="all eta; stable where no mini-batch has an eigenvalue of eta K'K above 2",
        source="Sun et al., arXiv 2407.04620, sections 2.5 and 2.6",
        derivation=derived.ttt_linear,
        takes=(ETA, BATCH),
        forms=chunked_forms(chunked.ttt_linear),
    ),
    Pairing(
        layers.layer_norm_ttt_linear,
        Choices(Uniform(), LayerNormLinear(), StochasticGradient(batch=16)),
        identity="the same sweep with errors pulled back through the layer norm (nonlinear_kaczmarz_prefixes)",
        partner=_layer_norm,
        target="nonlinear least squares through the layer norm: no closed form",
        fit=None,
        domain="d_v above 1; from a zero memory the first gradient grows with 1/√epsilon; read-out without layer norm",
        source="Sun et al., arXiv 2407.04620, section 2.7",
        derivation=derived.layer_norm_ttt_linear,
        takes=(ETA, GAIN, SHIFT, EPSILON, BATCH),
    ),
    Pairing(
        layers.ttt_mlp,
        Choices(Uniform(), MLP(gelu), StochasticGradient(batch=16)),
        identity="the same descent by the explicit Jacobian of all weights (perceptron_descent_prefixes)",
        partner=exact.perceptron_descent_prefixes,
        target="the perceptron fitted (perceptron_least_squares), or linearised (tangent_kernel_ridge_prefixes)",
        fit=None,
        domain="all eta; stable for small eta",
        source="Sun et al., arXiv 2407.04620, section 2.7",
        derivation=derived.ttt_mlp,
        takes=(ETA, W_1, W_2, BATCH),
    ),
    Pairing(
        layers.titans,
        Choices(Uniform(), Linear(), StochasticGradient(leak=Leak.AFTER_ERROR, momentum=HeavyBall())),
        identity="one heavy-ball sweep as a triangular system in the Gram matrix (descent_prefixes)",
        partner=_titans,
        target=AGED,
        fit=weighted_least_squares,
        domain="gates ≤ 0, -inf forgets after the error; stable for 2 theta‖k‖² < 2(1 + momentum)",
        source="Behrouz et al., arXiv 2501.00663, equations 13 and 14",
        derivation=derived.titans,
        takes=(THETA, LOG_MOMENTUM, SCALAR_LOG_DECAY),
        forms=chunked_forms(chunked.titans),
    ),
    Pairing(
        layers.omega_rule,
        Choices(Window() * Sample("weights"), Linear(), WindowedGradient(HeavyBall())),
        identity="one gradient step a token on the window, a triangular system in its Gram matrix (descent_prefixes)",
        partner=_omega,
        target="least squares of the window (windowed_least_squares_prefixes)",
        fit=_window_fit,
        domain="stable where beta times the window's K'WK has no eigenvalue above 2; orthogonalised steps have no dual",
        source="Behrouz et al., arXiv 2505.23735",
        derivation=derived.omega_rule,
        takes=(WINDOW_BETA, WINDOW),
        may_take=(LOG_MOMENTUM, SCALAR_LOG_DECAY, OPTIONAL_WEIGHTS),
    ),
    Pairing(
        layers.huber_delta_rule,
        Choices(Uniform(), Linear(), InfluenceGradient(losses.Huber)),
        identity="one nonlinear Kaczmarz sweep, errors shortened to delta (nonlinear_kaczmarz_prefixes)",
        partner=_sweep(lambda delta: losses.Huber(delta[..., None]), "delta"),
        target="Huber regression of whole errors (m_estimate)",
        fit=_huber_fit,
        domain="delta > 0; stable where 0 ≤ beta‖k‖² ≤ 2; log_decay -inf forgets after the error",
        source="Behrouz et al., arXiv 2504.13173 (Yaad, the norm-based form)",
        derivation=robust.huber_delta_rule,
        takes=(BETA, DELTA),
        may_take=(LOG_DECAY, INITIAL_STATE),
    ),
    Pairing(
        layers.entrywise_huber_delta_rule,
        Choices(Uniform(), Linear(), InfluenceGradient(losses.EntrywiseHuber)),
        identity="one nonlinear Kaczmarz sweep, errors clipped at delta (nonlinear_kaczmarz_prefixes)",
        partner=_sweep(lambda delta: losses.EntrywiseHuber(delta[..., None]), "delta"),
        target="Huber regression (m_estimate)",
        fit=_entrywise_huber_fit,
        domain="delta > 0; stable where 0 ≤ beta‖k‖² ≤ 2; log_decay -inf forgets after the error",
        source="Huber, Ann. Math. Stat. 35 (1964); Behrouz et al., arXiv 2504.13173, the coordinate-wise form",
        derivation=robust.entrywise_huber_delta_rule,
        takes=(BETA, DELTA),
        may_take=(LOG_DECAY, INITIAL_STATE),
    ),
    Pairing(
        layers.lp_delta_rule,
        Choices(Uniform(), Linear(), InfluenceGradient(losses.Power)),
        identity="one nonlinear Kaczmarz sweep, errors to the power p - 1 (nonlinear_kaczmarz_prefixes)",
        partner=_sweep(losses.Power, "p"),
        target="regression in the p-norm (m_estimate)",
        fit=_power_fit,
        domain="p ≥ 1; p > 2 diverges for large errors, p < 2 circles near small ones",
        source="Behrouz et al., arXiv 2504.13173 (Moneta)",
        derivation=robust.lp_delta_rule,
        takes=(BETA, POWER),
        may_take=(LOG_DECAY, INITIAL_STATE),
    ),
    Pairing(
        layers.exponentiated_gradient_rule,
        Choices(Uniform(), Linear(), ExponentiatedGradient()),
        identity="mirror descent of entropy, logits as aged keys times corrections (mirror_descent_prefixes)",
        partner=_exponentiated,
        target="least squares over distributions on the key channels",
        fit=None,
        domain="memories in [0, 1] with columns of sum 1; the state is their logits",
        source="Kivinen and Warmuth, Inf. Comput. 132 (1997); Behrouz et al., arXiv 2504.13173 (Memora)",
        derivation=robust.exponentiated_gradient_rule,
        takes=(BETA,),
        may_take=(LOG_DECAY, INITIAL_STATE),
    ),
)
