"""What each layer is, proved by its own code on SymPy symbols: no number, no tolerance."""

import numpy as np
import pytest
import sympy

from ttr_numerics import features, layers
from ttr_numerics.exact import (
    correlation_prefixes,
    kaczmarz_prefixes,
    kernel_ridge_prefixes,
    kernel_smoother_prefixes,
    kernels,
    ridge_prefixes,
)

T, D_K, D_V = 2, 2, 1


def symbol_array(name: str, *shape: int, **assumptions: bool) -> np.ndarray:
    """Real symbols name_ij in an object array."""
    assumptions = assumptions or {"real": True}
    array = np.empty(shape, dtype=object)
    for index in np.ndindex(shape):
        array[index] = sympy.Symbol(name + "".join(map(str, index)), **assumptions)
    return array


def equal(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether every entry of x - y simplifies to 0."""
    assert x.shape == y.shape
    return all(sympy.simplify(sympy.nsimplify(difference)) == 0 for difference in np.asarray(x - y).flat)


q, k, v = symbol_array("q", T, D_K), symbol_array("k", T, D_K), symbol_array("v", T, D_V)
beta = symbol_array("b", T, positive=True)
decay = symbol_array("g", T, negative=True)
S0 = symbol_array("s", D_K, D_V)
ridge = symbol_array("r", D_K, positive=True)


def test_linear_attention_is_the_cross_correlation_k_transpose_v() -> None:
    o, state = layers.linear_attention(q, k, v)
    assert equal(state, k.T @ v)
    assert equal(o[-1:], q[-1:] @ k.T @ v)


def test_linear_attention_is_one_gradient_step_from_zero() -> None:
    S = symbol_array("S", D_K, D_V)
    loss = sum(x**2 for x in (v - k @ S).flat) / 2
    gradient = np.array([[-sympy.diff(loss, x).subs(dict.fromkeys(S.flat, 0)) for x in row] for row in S])
    assert equal(layers.linear_attention(q, k, v).state, gradient)


def test_delta_rule_is_a_gradient_step_on_the_newest_pair() -> None:
    S = symbol_array("S", D_K, D_V)
    loss = sum(x**2 for x in (v[:1] - k[:1] @ S).flat) / 2
    step = np.array([[x - beta[0] * sympy.diff(loss, x) for x in row] for row in S])
    assert equal(layers.delta_rule(q[:1], k[:1], v[:1], beta=beta[:1], initial_state=S).state, step)


def test_delta_rule_with_inverse_square_norm_interpolates_the_newest_pair() -> None:
    kaczmarz = 1 / np.sum(k * k, axis=-1)
    S = layers.delta_rule(q, k, v, beta=kaczmarz, initial_state=S0).state
    assert equal(k[-1:] @ S, v[-1:])


@pytest.mark.parametrize("shape", [(T,), (T, D_K)], ids=["scalar", "channels"])
def test_gated_delta_rule_without_decay_is_the_delta_rule(shape: tuple[int, ...]) -> None:
    open_gate = np.zeros(shape, dtype=object)
    gated = layers.gated_delta_rule(q, k, v, beta=beta, log_decay=open_gate, initial_state=S0)
    assert equal(gated.o, layers.delta_rule(q, k, v, beta=beta, initial_state=S0).o)


def test_gated_linear_attention_without_decay_is_linear_attention() -> None:
    gated = layers.gated_linear_attention(q, k, v, log_decay=np.zeros(T, dtype=object), initial_state=S0)
    assert equal(gated.o, layers.linear_attention(q, k, v, initial_state=S0).o)


def test_equal_channel_gates_are_a_scalar_gate() -> None:
    channels = np.repeat(decay[:, None], D_K, axis=1)
    scalar = layers.gated_delta_rule(q, k, v, beta=beta, log_decay=decay, initial_state=S0)
    assert equal(layers.gated_delta_rule(q, k, v, beta=beta, log_decay=channels, initial_state=S0).o, scalar.o)
    scalar = layers.gated_linear_attention(q, k, v, log_decay=decay, initial_state=S0)
    assert equal(layers.gated_linear_attention(q, k, v, log_decay=channels, initial_state=S0).o, scalar.o)


def test_gated_delta_rule_forgets_before_it_takes_the_error() -> None:
    S = np.exp(0) * np.vectorize(sympy.exp, otypes=[object])(decay[0]) * S0
    expected = S + beta[0] * k[:1].T @ (v[:1] - k[:1] @ S)
    one = layers.gated_delta_rule(q[:1], k[:1], v[:1], beta=beta[:1], log_decay=decay[:1], initial_state=S0)
    assert equal(one.state, expected)


def test_mesa_solves_the_normal_equations_of_ridge_regression() -> None:
    unit = np.array([[sympy.Integer(i == j) for j in range(D_K)] for i in range(D_K)], dtype=object)
    S = np.concatenate([layers.mesa(u * np.ones_like(k), k, v, ridge=ridge).o[-1:] for u in unit])
    gamma = np.diag(np.array([sympy.Integer(1)] * T, dtype=object))
    assert equal((k.T @ gamma @ k + np.diag(ridge)) @ S, k.T @ gamma @ v)


def test_mesa_with_large_ridge_is_scaled_linear_attention() -> None:
    big = sympy.Symbol("L", positive=True)
    o = layers.mesa(q, k, v, ridge=np.array([big, big], dtype=object)).o
    limit = np.array([[sympy.limit(big * x, big, sympy.oo) for x in row] for row in o], dtype=object)
    assert equal(limit, layers.linear_attention(q, k, v).o)


def test_softmax_attention_is_a_gaussian_smoother_weighted_by_key_norms() -> None:
    log_weights = np.sum(k * k, axis=-1) / 2
    smoother = kernel_smoother_prefixes(q, k, v, log_weights=log_weights)
    assert equal(layers.softmax_attention(q, k, v).o, smoother.o)


def test_softmax_attention_of_one_key_returns_its_value() -> None:
    assert equal(layers.softmax_attention(q[:1], k[:1], v[:1]).o, v[:1])


def test_last_row_of_softmax_attention_is_the_same_in_both_directions() -> None:
    both = layers.bidirectional_softmax_attention(q, k, v).o
    assert equal(layers.softmax_attention(q, k, v).o[-1:], both[-1:])


def test_taylor_kernel_is_the_exponential_to_second_order() -> None:
    z = (q @ k.T)[0, 0]
    assert equal((features.taylor(q) @ features.taylor(k).T)[:1, :1], np.array([[1 + z + z**2 / 2]]))


def test_gated_linear_attention_is_the_aged_cross_correlation() -> None:
    layer = layers.gated_linear_attention(q, k, v, log_decay=decay, initial_state=S0)
    exact = correlation_prefixes(q, k, v, log_decay=decay, initial_state=S0)
    assert equal(layer.o, exact.o)
    assert equal(layer.state, exact.state)


def test_gated_delta_rule_is_one_relaxed_kaczmarz_sweep() -> None:
    layer = layers.gated_delta_rule(q, k, v, beta=beta, log_decay=decay, initial_state=S0)
    exact = kaczmarz_prefixes(q, k, v, beta=beta, log_decay=decay, initial_state=S0)
    assert equal(layer.o, exact.o)
    assert equal(layer.state, exact.state)


def test_mesa_is_ridge_regression_of_every_prefix() -> None:
    exact = ridge_prefixes(q[:, :1], k[:, :1], v, ridge=ridge[:1], weights=beta, log_decay=decay)
    assert equal(layers.mesa(q[:, :1], k[:, :1], v, ridge=ridge[:1], beta=beta, log_decay=decay).o, exact.o)


def test_mesa_is_kernel_ridge_regression_with_the_linear_kernel() -> None:
    exact = kernel_ridge_prefixes(q, k, v, kernel=kernels.Linear(), ridge=ridge[0])
    assert equal(layers.mesa(q, k, v, ridge=np.repeat(ridge[:1], D_K)).o, exact.o)
