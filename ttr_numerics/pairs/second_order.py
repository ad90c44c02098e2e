"""Second-order layers and the ridge regressions that they solve."""

from typing import Any

from ttr_numerics import exact, layers
from ttr_numerics.arguments import (
    FIRST_RIDGE,
    MIXTURE,
    OPTIONAL_BETA,
    POSITIVE_RIDGE,
    RIDGE,
    RIDGE_RATIO,
    SCALAR_LOG_DECAY,
    START,
    STEPS,
)
from ttr_numerics.arrays import Array, namespace, zeros
from ttr_numerics.axes import Moments, Output
from ttr_numerics.choices import (
    Chebyshev,
    Choices,
    ConjugateGradient,
    Exact,
    Geometric,
    Linear,
    RecursiveLeastSquares,
    Sample,
)
from ttr_numerics.derivations import second_order as derived
from ttr_numerics.layers import chunked
from ttr_numerics.pairs.pairing import LinearMap, Map, Pairing
from ttr_numerics.pairs.targets import ages_at_the_end, chunked_forms

__all__ = ["TABLE"]

WEIGHTS = Sample() * Geometric()


def _mesa(q: Array, k: Array, v: Array, ridge: Any, log_decay: Any = None, beta: Any = None) -> Output:
    return exact.ridge_prefixes(q, k, v, ridge=ridge, log_decay=log_decay, weights=beta)


def _recursive(q: Array, k: Array, v: Array, ridge: Any, log_decay: Any = None, beta: Any = None) -> Output:
    return exact.recursive_least_squares_by_square_root(q, k, v, ridge=ridge, log_decay=log_decay, weights=beta)


def _galerkin(
    q: Array,
    k: Array,
    v: Array,
    ridge: Any,
    log_decay: Any = None,
    beta: Any = None,
    steps: int = 30,
    start: Any = None,
) -> Output:
    given = {"ridge": ridge, "log_decay": log_decay, "weights": beta}
    return exact.galerkin_prefixes(q, k, v, **given, steps=steps, start=start)


def _minimax(
    q: Array,
    k: Array,
    v: Array,
    log_decay: Any,
    beta: Any = None,
    alpha: Any = None,
    ridge_ratio: float = 0.02,
    steps: int = 30,
) -> Output:
    given = {"log_decay": log_decay, "weights": beta}
    solved = exact.minimax_prefixes(q, k, v, **given, ridge_ratio=ridge_ratio, steps=steps + 1)
    if alpha is None:
        return solved
    weighted = v if beta is None else beta[..., None] * v
    read = exact.correlation_prefixes(q, k, weighted, log_decay=log_decay).o
    return Output(read + alpha[..., None] * (solved.o - read), solved.state)


def _solved(state: Moments, ridge: Any, steps: int = 30, start: Any = None, **_: Any) -> Map:
    """x ↦ the layer's answer at x, from tokens that bring nothing; a start is taken to be the query."""

    def read(x: Array) -> Array:
        v, gate = _nothing(x, state)
        begun = None if start is None else x
        return layers.mesa_cg(x, 0 * x, v, ridge=ridge, log_decay=gate, steps=steps, start=begun, initial_state=state).o

    return read


def _mixed(state: Moments, alpha: Any = None, ridge_ratio: float = 0.02, steps: int = 30, **_: Any) -> Map:
    """x ↦ the layer's answer at x, mixed as at the last token."""

    def read(x: Array) -> Array:
        v, gate = _nothing(x, state)
        mix = None if alpha is None else alpha[..., -1:] + gate
        return layers.gated_kalmanet(
            x, 0 * x, v, log_decay=gate, alpha=mix, ridge_ratio=ridge_ratio, steps=steps, initial_state=state
        ).o

    return read


def _nothing(x: Array, state: Moments) -> tuple[Array, Array]:
    """Values of zero and open gates for the rows x."""
    return zeros(x, (*x.shape[:-1], state.G.shape[-1])), zeros(x, x.shape[:-1])


def _weights(k: Array, log_decay: Any, beta: Any) -> Array:
    return ages_at_the_end(k, log_decay) * (1 if beta is None else beta)


def _fixed(k: Array, v: Array, ridge: Any, log_decay: Any = None, beta: Any = None, **_: Any) -> Map:
    return LinearMap(exact.ridge(k, v, ridge, _weights(k, log_decay, beta)).S)


def _relative(k: Array, v: Array, log_decay: Any, beta: Any = None, ridge_ratio: float = 0.02, **_: Any) -> Map:
    xp, weights = namespace(k), _weights(k, log_decay, beta)
    H = xp.matrix_transpose(k) @ (weights[..., None] * k)
    size = xp.sqrt(xp.sum(xp.sum(H * H, axis=-1), axis=-1))
    return LinearMap(exact.ridge(k, v, ridge_ratio * size[..., None] + xp.zeros_like(k[..., 0, :]), weights).S)


TABLE = (
    Pairing(
        layers.mesa,
        Choices(WEIGHTS, Linear(), Exact()),
        identity="ridge regression with a fixed regulariser (ridge_prefixes)",
        partner=_mesa,
        target="the identity itself",
        fit=None,
        domain="H_t + ridge positive definite: ridge > 0, or as many independent keys as channels",
        source="von Oswald et al., arXiv 2506.05233",
        derivation=derived.mesa,
        takes=(RIDGE,),
        may_take=(SCALAR_LOG_DECAY, OPTIONAL_BETA),
    ),
    Pairing(
        layers.original_mesa,
        Choices(WEIGHTS, Linear(), RecursiveLeastSquares()),
        identity="ridge regression whose regulariser decays with the data (recursive_least_squares)",
        partner=_recursive,
        target="the identity itself",
        fit=None,
        domain="ridge > 0, log_decay > -inf; every token loses the digits that its gate forgets",
        source="von Oswald et al., arXiv 2309.05858; Haykin, Adaptive Filter Theory, chapter 10",
        derivation=derived.original_mesa,
        takes=(FIRST_RIDGE,),
        may_take=(SCALAR_LOG_DECAY, OPTIONAL_BETA),
    ),
    Pairing(
        layers.mesa_cg,
        Choices(WEIGHTS, Linear(), ConjugateGradient(30)),
        identity="ridge regression over the Krylov space of A_t and q_t (galerkin_prefixes)",
        partner=_galerkin,
        target="ridge regression with a fixed regulariser (ridge)",
        fit=_fixed,
        domain="ridge > 0; log_decay ≤ 0, -inf a reset",
        source="von Oswald et al., arXiv 2506.05233; Hestenes and Stiefel, J. Res. NBS 49 (1952)",
        derivation=derived.mesa_cg,
        memory=_solved,
        takes=(POSITIVE_RIDGE, SCALAR_LOG_DECAY),
        may_take=(OPTIONAL_BETA, STEPS, START),
        forms=chunked_forms(chunked.mesa_cg),
    ),
    Pairing(
        layers.gated_kalmanet,
        Choices(WEIGHTS, Linear(), Chebyshev(31)),
        identity="ridge regression by the polynomial of degree 30 with the least residual (minimax_prefixes)",
        partner=_minimax,
        target="ridge regression with λ_t = ridge_ratio ‖H_t‖_F (ridge)",
        fit=_relative,
        domain="ridge_ratio > 0; log_decay ≤ 0, -inf a reset",
        source="Peng et al. (Gated KalmaNet), arXiv 2511.21016; Golub and Varga, Numer. Math. 3 (1961)",
        derivation=derived.gated_kalmanet,
        memory=_mixed,
        takes=(SCALAR_LOG_DECAY,),
        may_take=(OPTIONAL_BETA, MIXTURE, RIDGE_RATIO, STEPS),
        forms=chunked_forms(chunked.gated_kalmanet),
    ),
)
