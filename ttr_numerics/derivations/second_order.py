"""Second-order layers derived: the normal equations of ridge regression."""

import numpy as np
import sympy

from ttr_numerics import exact, layers
from ttr_numerics.derivations.derivation import Derivation, Equation
from ttr_numerics.derivations.symbols import limit, matrix, negative, positive, step_from, symbolic

__all__ = ["mesa"]


def mesa() -> Derivation:
    """J_t(S) = ½ Σ_{i≤t} γ_i β_i ‖v_i - k_i S‖² + ½ tr(S'ΛS), solved exactly."""
    q, k, v, _ = symbolic()
    beta, g, ridge = positive("b", 2), negative("g", 2), positive("r", 2)
    columns = [
        layers.mesa(u + 0 * k, k, v, ridge=ridge, beta=beta, log_decay=g).o[-1:] for u in matrix(np.eye(2, dtype=int))
    ]
    S, gamma = np.concatenate(columns), beta * matrix([sympy.exp(g[1]), 1])

    def objective(X: np.ndarray) -> sympy.Expr:
        return sum((gamma[:, None] * (v - k @ X) ** 2).flat) / 2 + sum((ridge[:, None] * X**2).flat) / 2

    one = slice(0, 1)
    scalar = layers.mesa(q[:, one], k[:, one], v, ridge=ridge[one], beta=beta, log_decay=g)
    prefixes = exact.ridge_prefixes(q[:, one], k[:, one], v, ridge=ridge[one], weights=beta, log_decay=g)
    big = sympy.Symbol("L", positive=True)
    wide = layers.mesa(q, k, v, ridge=matrix([big, big])).o
    return Derivation(
        "J_t(S) = 1/2 sum_{i<=t} gamma_i b_i |v_i - k_i S|^2 + 1/2 tr(S' diag(r) S), minimised",
        (
            Equation("the gradient of J vanishes at the layer's S", "S - grad J(S)", step_from(objective, S), S),
            Equation("every output is ridge regression of its prefix (d_k = 1)", "o", scalar.o, prefixes.o),
            Equation(
                "an infinite ridge is linear attention, scaled",
                "lim r o",
                limit(big * wide, big, sympy.oo),
                layers.linear_attention(q, k, v).o,
            ),
        ),
    )
