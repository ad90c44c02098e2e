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
from ttr_numerics.arrays import Array, namespace
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
from ttr_numerics.exact.tangent import Weights, jacobian, perceptron
from ttr_numerics.layers import chunked
from ttr_numerics.layers.ttt_mlp import gelu
from ttr_numerics.pairs.pairing import LinearMap, Map, Pairing, Target
from ttr_numerics.pairs.targets import AGED, ages_at_the_end, chunked_forms, held_in, weighted_least_squares

__all__ = ["TABLE"]

_WEIGHED = "weights γ_i = Π_{s>i} exp(log_decay_s) where something is forgotten (per-channel gates: their channel mean)"
_STEPS = 400  # of L-BFGS, where a target is not convex


def _ttt_linear(q: Array, k: Array, v: Array, eta: Array, batch: int) -> Output:
    return exact.descent_prefixes(q, k, v, inner=eta, batch=batch)


def _layer_norm(
    q: Array, k: Array, v: Array, eta: Array, gain: Array, shift: Array, epsilon: float, batch: int
) -> Output:
    loss = losses.LayerNormSquares(gain[..., None, :], shift[..., None, :], epsilon)
    return exact.nonlinear_kaczmarz_prefixes(q, k, v, beta=eta, loss=loss, batch=batch)


def _layer_normed(state: Any, gain: Array, shift: Array, epsilon: float, **_: Any) -> Map:
    """x ↦ LN(x S): what is fitted to the values, though the layer reads x S."""
    loss = losses.LayerNormSquares(gain[..., None, :], shift[..., None, :], epsilon)
    return lambda x: loss.predicted(x @ state.now)


def _layer_norm_fit(k: Array, v: Array, gain: Array, shift: Array, epsilon: float, **_: Any) -> Map:
    S = exact.layer_norm_least_squares(k, v, gain=gain, shift=shift, epsilon=epsilon, steps=_STEPS)
    loss = losses.LayerNormSquares(gain[..., None, :], shift[..., None, :], epsilon)
    return lambda x: loss.predicted(x @ S)


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


def _per_token_huber(delta: Array) -> losses.Huber:
    return losses.Huber(delta[..., None])


def _per_token_entrywise_huber(delta: Array) -> losses.EntrywiseHuber:
    return losses.EntrywiseHuber(delta[..., None])


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


def _estimate(loss_of: Callable[[Any], Any], name: str) -> Callable[..., Map]:
    """The M-estimate with the loss of the array or number called `name`, pairs weighted by what is left of them."""

    def fit(k: Array, v: Array, log_decay: Array | None = None, **named: Any) -> LinearMap:
        loss = loss_of(named[name])
        if log_decay is not None:
            loss = losses.Weighted(loss, ages_at_the_end(k, log_decay)[..., None])
        return LinearMap(exact.m_estimate(k, v, loss).S)

    return fit


def _window_fit(k: Array, v: Array, window: int, **_: Any) -> LinearMap:
    return LinearMap(exact.least_norm(k[..., -window:, :], v[..., -window:, :]).S)


def _on_the_simplex(k: Array, v: Array, **_: Any) -> LinearMap:
    return LinearMap(exact.simplex_least_squares(k, v).S)


def _distributions(state: Array, **_: Any) -> LinearMap:
    return LinearMap(exact.Softmax()(state))


def _perceptron(state: Any, **_: Any) -> Map:
    return lambda x: perceptron(x, Weights(state.W_1, state.W_2))


def _weights(k: Array, W_1: Array, W_2: Array) -> Weights:
    """The weights before the first token, one pair of matrices a head."""
    xp = namespace(k)
    return Weights(*(xp.broadcast_to(W, (*k.shape[:-2], *W.shape[-2:])) for W in (W_1, W_2)))


def _fitted_perceptron(k: Array, v: Array, W_1: Array, W_2: Array, **_: Any) -> Map:
    start = _weights(k, W_1, W_2)
    return _perceptron(exact.perceptron_least_squares(k, v, W_1=start.W_1, W_2=start.W_2, steps=_STEPS))


def _linearised_perceptron(k: Array, v: Array, eta: Array, W_1: Array, W_2: Array, **_: Any) -> Map:
    """x ↦ f(x) + J(x) δ, δ by ridge regression on the Jacobian with λ = 1/η̄."""
    xp, W = namespace(k), _weights(k, W_1, W_2)
    J = jacobian(k, W)
    rows = xp.reshape(J, (*J.shape[:-3], J.shape[-3] * J.shape[-2], J.shape[-1]))
    residual = xp.reshape(v - perceptron(k, W), (*rows.shape[:-1], 1))
    ridge = 1 / xp.mean(eta, axis=-1)[..., None] + xp.zeros_like(rows[..., 0, :])
    change = exact.ridge(rows, residual, ridge).S
    return lambda x: perceptron(x, W) + (jacobian(x, W) @ change[..., None, :, :])[..., 0]


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


_TANGENT = (
    "the perceptron linearised at W_1, W_2: tangent kernel ridge regression with λ = 1/η̄, η̄ the mean step, as early "
    "stopping (tangent_kernel_ridge_prefixes)"
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
        memory=held_in("now"),
        takes=(ETA, BATCH),
        forms=chunked_forms(chunked.ttt_linear),
    ),
    Pairing(
        layers.layer_norm_ttt_linear,
        Choices(Uniform(), LayerNormLinear(), StochasticGradient(batch=16)),
        identity="the same sweep with errors pulled back through the layer norm (nonlinear_kaczmarz_prefixes)",
        partner=_layer_norm,
        target=f"least squares through the layer norm, by {_STEPS} L-BFGS steps (layer_norm_least_squares)",
        fit=_layer_norm_fit,
        domain="d_v above 1; from a zero memory the first gradient grows with 1/√epsilon; read-out without layer norm",
        source="Sun et al., arXiv 2407.04620, section 2.7",
        derivation=derived.layer_norm_ttt_linear,
        memory=_layer_normed,
        takes=(ETA, GAIN, SHIFT, EPSILON, BATCH),
    ),
    Pairing(
        layers.ttt_mlp,
        Choices(Uniform(), MLP(gelu), StochasticGradient(batch=16)),
        identity="the same descent by the explicit Jacobian of all weights (perceptron_descent_prefixes)",
        partner=exact.perceptron_descent_prefixes,
        target=f"the perceptron fitted to all pairs by {_STEPS} L-BFGS steps from W_1, W_2 (perceptron_least_squares)",
        fit=_fitted_perceptron,
        domain="all eta; stable for small eta",
        source="Sun et al., arXiv 2407.04620, section 2.7",
        derivation=derived.ttt_mlp,
        takes=(ETA, W_1, W_2, BATCH),
        memory=_perceptron,
        other_targets=(Target(_TANGENT, _linearised_perceptron),),
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
        memory=held_in("S"),
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
        memory=held_in("M"),
        takes=(WINDOW_BETA, WINDOW),
        may_take=(LOG_MOMENTUM, SCALAR_LOG_DECAY, OPTIONAL_WEIGHTS),
    ),
    Pairing(
        layers.huber_delta_rule,
        Choices(Uniform(), Linear(), InfluenceGradient(losses.Huber)),
        identity="one nonlinear Kaczmarz sweep, errors shortened to delta (nonlinear_kaczmarz_prefixes)",
        partner=_sweep(_per_token_huber, "delta"),
        target=f"Huber regression of whole errors (m_estimate), {_WEIGHED}",
        fit=_estimate(_per_token_huber, "delta"),
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
        partner=_sweep(_per_token_entrywise_huber, "delta"),
        target=f"Huber regression (m_estimate), {_WEIGHED}",
        fit=_estimate(_per_token_entrywise_huber, "delta"),
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
        target=f"regression in the p-norm (m_estimate), {_WEIGHED}",
        fit=_estimate(losses.Power, "p"),
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
        target="least squares over distributions on the key channels (simplex_least_squares)",
        fit=_on_the_simplex,
        domain="memories in [0, 1] with columns of sum 1; the state is their logits",
        source="Kivinen and Warmuth, Inf. Comput. 132 (1997); Behrouz et al., arXiv 2504.13173 (Memora)",
        derivation=robust.exponentiated_gradient_rule,
        memory=_distributions,
        takes=(BETA,),
        may_take=(LOG_DECAY, INITIAL_STATE),
    ),
)
