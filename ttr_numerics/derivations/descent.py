"""Mini-batch, heavy-ball and windowed learners derived: gradient steps on their losses, and the sweeps they are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy

from ttr_numerics import exact, layers
from ttr_numerics.axes import Momentum
from ttr_numerics.derivations.derivation import Derivation, Equation
from ttr_numerics.derivations.symbols import matrix, negative, positive, real, step_from, symbolic
from ttr_numerics.exact import losses
from ttr_numerics.exact.descent import Motion
from ttr_numerics.layers import chunked
from ttr_numerics.layers.omega import NewtonSchulz, Windowed
from ttr_numerics.layers.ttt import MiniBatch
from ttr_numerics.layers.ttt_mlp import gelu, gelu_slope

__all__ = ["layer_norm_ttt_linear", "omega_rule", "squares", "titans", "ttt_linear", "ttt_mlp"]

ONE = slice(0, 1)
NEVER = matrix([-sympy.oo, -sympy.oo])  # logarithms of gates that are shut
ALWAYS = matrix([0, 0])


def squares(k: np.ndarray, v: np.ndarray, weights: Any = 1) -> Callable[[np.ndarray], sympy.Expr]:
    """½ Σ_i w_i ‖v_i - k_i S‖² as a function of S."""
    return lambda S: sum((weights * (v - k @ S) ** 2).flat) / 2


def ttt_linear() -> Derivation:
    """J(S) = ½ Σ_{i ∈ mini-batch} η_i ‖v_i - k_i S‖², one gradient step a mini-batch."""
    q, k, v, S0 = symbolic()
    eta, begun = positive("n", 2), MiniBatch(S0, S0, 0)
    layer = layers.ttt_linear(q, k, v, eta=eta, batch=2, initial_state=begun)
    single = layers.ttt_linear(q, k, v, eta=eta, batch=1, initial_state=begun)
    head = layers.ttt_linear(q[:1], k[:1], v[:1], eta=eta[:1], batch=2, initial_state=begun)
    tail = layers.ttt_linear(q[1:], k[1:], v[1:], eta=eta[1:], batch=2, initial_state=head.state)
    q3, k3, v3, s3 = symbolic(3, 1)
    ragged = layers.ttt_linear(q3, k3, v3, eta=positive("n", 3), batch=2, initial_state=MiniBatch(s3, s3, 0))
    sweep = exact.descent_prefixes(q3, k3, v3, inner=positive("n", 3), batch=2, initial_state=Motion(s3, 0 * s3))
    return Derivation(
        "J(S) = 1/2 sum_{i in mini-batch} n_i |v_i - k_i S|^2, one gradient step a mini-batch",
        (
            Equation(
                "a mini-batch of two is one gradient step",
                "S_2",
                layer.state.now,
                step_from(squares(k, v, eta[:, None]), S0),
            ),
            Equation(
                "a mini-batch of one is the delta rule",
                "o",
                single.o,
                layers.delta_rule(q, k, v, beta=eta, initial_state=S0).o,
            ),
            Equation("a mini-batch cut in two gives the same", "o_2", tail.o, layer.o[1:]),
            Equation("the outputs are one sweep of simultaneous corrections (T = 3, d_k = 1)", "o", ragged.o, sweep.o),
            Equation(
                "the chunk-parallel form is the recursion (T = 3, d_k = 1)",
                "o",
                chunked.ttt_linear(q3, k3, v3, eta=positive("n", 3), batch=2, initial_state=MiniBatch(s3, s3, 0)).o,
                ragged.o,
            ),
        ),
    )


def layer_norm_ttt_linear() -> Derivation:
    """J(S) = ½ ‖v - LN(k S)‖², LN(z) = gain (z - z̄)/√(var z + ε) + shift."""
    q, k, v, S0 = symbolic(2, 1, 2)
    gain, shift, eta = real("a", 2), real("c", 2), positive("n", 2)
    epsilon = sympy.Symbol("e", positive=True)

    def objective(S: np.ndarray) -> sympy.Expr:
        z = (k[:1] @ S)[0]
        centred = z - sum(z) / 2
        normed = gain * centred / sympy.sqrt(sum(centred**2) / 2 + epsilon) + shift
        return sum((v[0] - normed) ** 2) / 2

    given = {"gain": gain, "shift": shift, "epsilon": epsilon, "batch": 2}
    one = layers.layer_norm_ttt_linear(
        q[:1], k[:1], v[:1], eta=eta[:1], initial_state=MiniBatch(S0, S0, 0), **given
    ).state.now
    # Keys and memory in numbers: the roots of variances are numbers then, and are recognised as equal.
    keys, memory, loss = matrix([[1], [2]]), matrix([[3, 1]]), losses.LayerNormSquares(gain[None], shift[None], 1)
    run = layers.layer_norm_ttt_linear(
        q, keys, v, eta=eta, initial_state=MiniBatch(memory, memory, 0), **given | {"epsilon": 1}
    )
    sweep = exact.nonlinear_kaczmarz_prefixes(q, keys, v, beta=eta, loss=loss, batch=2, initial_state=memory)
    return Derivation(
        "J(S) = 1/2 |v - LN(k S)|^2, LN(z) = a (z - mean z)/sqrt(var z + e) + c, gradients as of ttt_linear",
        (
            Equation("one token is a gradient step", "S_1", one, step_from(objective, S0, eta[0])),
            Equation("the outputs are one sweep with errors through LN's Jacobian (d_k = 1)", "o", run.o, sweep.o),
        ),
    )


def ttt_mlp() -> Derivation:
    """J(W) = ½ ‖v - gelu(k W_1) W_2‖², gradients on both layers."""
    q, k, v, _ = symbolic(2, 1)
    W_1, W_2, eta = real("w", 1, 2), real("u", 2, 1), positive("n", 2)

    def objective(W: np.ndarray) -> sympy.Expr:
        return sum((v[:1] - gelu(k[:1] @ W[None, :2]) @ W[2:, None]).flat) ** 2 / 2

    at = np.concatenate([W_1[0], W_2[:, 0]])
    begun: dict[str, Any] = {"W_1": W_1, "W_2": W_2, "batch": 2}
    one = layers.ttt_mlp(q[:1], k[:1], v[:1], eta=eta[:1], **begun).state
    layer = layers.ttt_mlp(q, k, v, eta=eta, **begun)
    tail = layers.ttt_mlp(q[1:], k[1:], v[1:], eta=eta[1:], batch=2, initial_state=one)
    x = sympy.Symbol("x", real=True)
    return Derivation(
        "J(W) = 1/2 |v - gelu(k W_1) W_2|^2, gelu(x) = x (1 + tanh(sqrt(2/pi)(x + 0.044715 x^3)))/2",
        (
            Equation(
                "one token is a gradient step on both layers",
                "(W_1, W_2)",
                np.concatenate([one.W_1[0], one.W_2[:, 0]]),
                step_from(objective, at, eta[0]),
            ),
            Equation(
                "the slope of gelu is its derivative",
                "gelu'(x)",
                gelu_slope(matrix([x])),
                matrix([sympy.diff(gelu(matrix([x]))[0], x)]),
            ),
            Equation("a mini-batch cut in two gives the same", "o_2", tail.o, layer.o[1:]),
        ),
    )


def titans() -> Derivation:
    """ℓ_t(M) = ‖v_t - k_t M‖², U_t = e^{m_t} U_{t-1} - θ_t ∇ℓ_t(M_{t-1}), M_t = e^{g_t} M_{t-1} + U_t."""
    q, k, v, M0 = symbolic()
    U0, theta, m, g = real("u", 2, 1), positive("h", 2), negative("m", 2), negative("g", 2)
    gates = {"theta": theta, "log_momentum": m, "log_decay": g}
    first = {name: x[:1] for name, x in gates.items()}
    one = layers.titans(q[:1], k[:1], v[:1], **first, initial_state=Momentum(M0, U0)).state
    step = step_from(lambda M: 2 * squares(k[:1], v[:1])(M), M0, theta[0]) - M0
    layer = layers.titans(q[:, ONE], k[:, ONE], v, **gates, initial_state=Momentum(M0[ONE], U0[ONE]))
    sweep = exact.descent_prefixes(
        q[:, ONE],
        k[:, ONE],
        v,
        inner=2 * theta,
        log_momentum=m,
        log_decay=g,
        initial_state=Motion(M0[ONE], U0[ONE]),
    )
    begun = Momentum(M0[ONE], U0[ONE])
    parallel = chunked.titans(q[:, ONE], k[:, ONE], v, **gates, initial_state=begun, chunk=2)
    plain = layers.titans(q, k, v, theta=theta, log_momentum=NEVER, log_decay=ALWAYS, initial_state=Momentum(M0, U0))
    return Derivation(
        "l_t(M) = |v_t - k_t M|^2 (no 1/2), heavy-ball velocity, gradient at the undecayed M_{t-1}",
        (
            Equation(
                "one token: leak, momentum, and a gradient step of size h at M_0",
                "M_1",
                one.S,
                sympy.exp(g[0]) * M0 + sympy.exp(m[0]) * U0 + step,
            ),
            Equation("the outputs are one heavy-ball sweep in the Gram matrix (d_k = 1)", "o", layer.o, sweep.o),
            Equation("the chunk-parallel form is the recursion (d_k = 1)", "o", parallel.o, layer.o),
            Equation(
                "without momentum and leak it is the delta rule of step 2 h",
                "o",
                plain.o,
                layers.delta_rule(q, k, v, beta=2 * theta, initial_state=M0).o,
            ),
        ),
    )


def omega_rule() -> Derivation:
    """J_t(M) = ½ Σ_{t-window<i≤t} w_i ‖v_i - k_i M‖², M_t = e^{g_t} M_{t-1} - b_t ∇J_t(M_{t-1})."""
    q, k, v, M0 = symbolic()
    beta, w, m, g = positive("b", 2), positive("w", 2), negative("m", 2), negative("g", 2)
    begun = Windowed(M0, 0 * M0, k[:0], v[:0], v[:0])
    gates: dict[str, Any] = {"beta": beta, "log_decay": g, "weights": w, "window": 2}
    layer = layers.omega_rule(q, k, v, **gates, initial_state=begun)
    before = layers.omega_rule(
        q[:1], k[:1], v[:1], **{n: x[:1] for n, x in gates.items() if n != "window"}, window=2, initial_state=begun
    ).state.M
    step = step_from(squares(k, v, w[:, None]), before, beta[1]) - before
    narrow = layers.omega_rule(q, k, v, beta=beta, window=1, initial_state=begun)
    start = Windowed(M0[ONE], 0 * M0[ONE], k[:0, ONE], v[:0], v[:0])
    heavy = layers.omega_rule(q[:, ONE], k[:, ONE], v, **gates, log_momentum=m, initial_state=start)
    sweep = exact.descent_prefixes(
        q[:, ONE],
        k[:, ONE],
        v,
        outer=beta,
        weights=w,
        window=2,
        log_momentum=m,
        log_decay=g,
        initial_state=Motion(M0[ONE], 0 * M0[ONE]),
    )
    s = positive("s", 2)
    a, b, c = real("c", 3)
    unit = s / sympy.sqrt(sum(s**2))
    return Derivation(
        "J_t(M) = 1/2 sum_{window} w_i |v_i - k_i M|^2, one gradient step of size b_t at the undecayed M_{t-1}",
        (
            Equation(
                "a token is a leak and a gradient step on its window",
                "M_2",
                layer.state.M,
                sympy.exp(g[1]) * before + step,
            ),
            Equation(
                "a window of one is the delta rule",
                "o",
                narrow.o,
                layers.delta_rule(q, k, v, beta=beta, initial_state=M0).o,
            ),
            Equation("the outputs are one sweep in the window's Gram matrix (d_k = 1)", "o", heavy.o, sweep.o),
            Equation(
                "Newton-Schulz maps singular values s to a s + b s^3 + c s^5 in units of the norm",
                "N(diag s)",
                NewtonSchulz(1, (a, b, c))(matrix(np.diag(s))),
                matrix(np.diag(a * unit + b * unit**3 + c * unit**5)),
            ),
        ),
    )
