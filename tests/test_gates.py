"""Gates: each formula against 50-digit arithmetic and torch's own functions, in every library, at both ends."""

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import torch

from tests.conftest import Library
from ttr_numerics import gates, layers
from ttr_numerics.arrays import like, to_numpy, unit_roundoff

H, T, D = 2, 4, 3
A_LOG, BIAS = np.array([0.5, -1.0]), np.array([0.25, -0.75])
CHANNEL_BIAS = np.array([[0.25, -0.75, 2.0], [0.0, 1.0, -3.0]])


def sigmoid(x: mpmath.mpf) -> mpmath.mpf:
    return 1 / (1 + mpmath.exp(-x))


def softplus(x: mpmath.mpf) -> mpmath.mpf:
    return mpmath.log1p(mpmath.exp(x))


def digits(f: Callable[..., Any], *arrays: np.ndarray) -> np.ndarray:
    """f entry by entry in 50 digits, rounded once to float64."""
    with mpmath.workdps(50):
        rows = zip(*(x.flat for x in np.broadcast_arrays(*arrays)), strict=True)
        flat = [float(f(*(mpmath.mpf(float(x)) for x in row))) for row in rows]
    return np.reshape(flat, np.broadcast_shapes(*(x.shape for x in arrays)))


Gate = Callable[[Any, dict[str, Any]], Any]
# By name: our gate of x, and the same in 50 digits; parameters p are arrays of x's library.
GATES: dict[str, tuple[Gate, Callable[[np.ndarray], np.ndarray]]] = {
    "softplus": (lambda x, p: gates.softplus(x), lambda x: digits(softplus, x)),
    "gla": (lambda x, p: gates.gla(x), lambda x: digits(lambda y: mpmath.log(sigmoid(y)) / 16, x)),
    "rwkv6": (lambda x, p: gates.rwkv6(x), lambda x: digits(lambda y: -mpmath.exp(y), x)),
    "rwkv7": (lambda x, p: gates.rwkv7(x), lambda x: digits(lambda y: -mpmath.exp(-0.5) * sigmoid(y), x)),
    "hgrn2": (lambda x, p: gates.hgrn2(x).log_decay, lambda x: digits(lambda y: mpmath.log(sigmoid(y)), x)),
    "hgrn2_bound": (
        lambda x, p: gates.hgrn2(x, p["bound"]).log_decay,
        lambda x: digits(lambda y, b: mpmath.log(b + (1 - b) * sigmoid(y)), x, np.array([0.0, 0.25, 0.75])),
    ),
    "hgrn2_key": (
        lambda x, p: gates.hgrn2(x, 0.25).k,
        lambda x: digits(lambda y: 1 - (mpmath.mpf(0.25) + mpmath.mpf(0.75) * sigmoid(y)), x),
    ),
    "gated_delta_net": (
        lambda x, p: gates.gated_delta_net(x[..., 0], p["A_log"], p["bias"]),
        lambda x: digits(_rate, x[..., 0], A_LOG[:, None], BIAS[:, None]),
    ),
    "kimi_delta": (
        lambda x, p: gates.kimi_delta(x, p["A_log"], p["channel_bias"]),
        lambda x: digits(_rate, x, A_LOG[:, None, None], CHANNEL_BIAS[:, None, :]),
    ),
}


def _rate(a: mpmath.mpf, A_log: mpmath.mpf, bias: mpmath.mpf) -> mpmath.mpf:
    return -mpmath.exp(A_log) * softplus(a + bias)


def inputs(library: Library, x: np.ndarray) -> tuple[Any, dict[str, Any], np.ndarray]:
    """x and parameters in a library, and x as the library holds it. All parameters are exact in every format."""
    given = {"A_log": A_LOG, "bias": BIAS, "channel_bias": CHANNEL_BIAS, "bound": np.array([0.0, 0.25, 0.75])}
    moved = library.asarray(x)
    return moved, library.arrays(given), np.asarray(to_numpy(moved), np.float64)


@pytest.mark.parametrize("name", GATES)
def test_gates_are_their_formula_in_every_library(name: str, library: Library, rng: np.random.Generator) -> None:
    x, parameters, wide = inputs(library, 2 * rng.standard_normal((H, T, D)))
    gate, formula = GATES[name]
    found = gate(x, parameters)
    assert like(found) == like(x)
    expected = formula(wide)
    assert tuple(found.shape) == expected.shape
    # A dozen operations, arguments of exponentials of size 1 + |x| (the bias moves x by at most 3).
    bound = (16 + 16 * (4 + np.max(np.abs(wide)))) * unit_roundoff(x) * np.abs(expected)
    assert np.all(np.abs(np.asarray(to_numpy(found), np.float64) - expected) <= bound)


@pytest.mark.parametrize("name", GATES)
def test_gates_keep_their_digits_at_both_ends(name: str) -> None:
    x = np.stack([np.linspace(-80.0, 80.0, T * D).reshape(T, D)] * H)
    gate, formula = GATES[name]
    given = {"A_log": A_LOG, "bias": BIAS, "channel_bias": CHANNEL_BIAS, "bound": np.array([0.0, 0.25, 0.75])}
    expected, found = formula(x), gate(x, given)
    bound = 16 * (5 + np.abs(x[..., : found.shape[-1]] if found.ndim == 3 else x[..., 0])) * unit_roundoff(x)
    assert np.all(np.abs(found - expected) <= bound * np.abs(expected))


def test_the_plain_formulas_lose_what_ours_keep() -> None:
    x = np.array([40.0])
    naive = np.log(1 / (1 + np.exp(-x))) / 16
    assert naive == 0.0, "a gate just below one is lost"
    assert gates.gla(x) < 0.0
    assert 1 - np.exp(gates.hgrn2(x).log_decay) == 0.0
    assert gates.hgrn2(x).k > 0.0


@pytest.mark.parametrize("name", [n for n in GATES if n not in ("softplus", "hgrn2_key")])
def test_gates_are_legal_logarithms(name: str) -> None:
    x = np.stack([np.array([-1e4, -30.0, -1.0, 0.0, 1.0, 6.0]).reshape(2, D)] * H)
    given = {"A_log": A_LOG, "bias": BIAS, "channel_bias": CHANNEL_BIAS, "bound": np.array([0.0, 0.25, 0.75])}
    found = GATES[name][0](x, given)
    assert np.all(np.isfinite(found))
    assert np.all(found <= 0)


@pytest.mark.parametrize("name", GATES)
def test_gates_have_gradients(name: str, rng: np.random.Generator) -> None:
    x = torch.asarray(rng.standard_normal((H, T, D))).requires_grad_()
    given = {"A_log": A_LOG, "bias": BIAS, "channel_bias": CHANNEL_BIAS, "bound": np.array([0.0, 0.25, 0.75])}
    moved = {n: torch.asarray(p) for n, p in given.items()}
    assert torch.autograd.gradcheck(lambda y: GATES[name][0](y, moved), (x,))


def test_gates_are_what_torch_makes_of_the_released_formulas(rng: np.random.Generator) -> None:
    x = torch.asarray(3 * rng.standard_normal((T, D)))
    log_sigmoid, bound = torch.nn.functional.logsigmoid, torch.asarray([0.1, 0.5, 0.9], dtype=torch.float64)
    hgrn2 = torch.logaddexp(bound.log(), torch.log1p(-bound) + log_sigmoid(x))
    ours = gates.hgrn2(x, bound)
    for found, theirs in (
        (gates.gla(x), log_sigmoid(x) / 16),
        (gates.softplus(x), torch.nn.functional.softplus(x, threshold=1000.0)),
        (gates.rwkv7(x), -0.6065306597126334 * x.sigmoid()),
        (ours.log_decay, hgrn2),
        (ours.k, 1 - hgrn2.exp()),
    ):
        # Theirs cancels: absolute errors of size u (1 + |x|) remain.
        assert float((found - theirs).abs().max()) <= 32 * 2.0**-53 * (1 + float(x.abs().max()))


def test_a_gate_is_its_key_in_hgrn2(rng: np.random.Generator) -> None:
    x = rng.standard_normal((T, D))
    f, k = np.exp(gates.hgrn2(x, 0.3).log_decay), gates.hgrn2(x, 0.3).k
    assert np.all(np.abs(f + k - 1) <= 32 * 2.0**-53 * (1 + np.abs(x)))
    assert np.all(f > 0.3)


@pytest.mark.parametrize("bound", [-0.1, 1.0, np.nan])
def test_a_lower_bound_outside_its_range_is_refused(bound: float) -> None:
    with pytest.raises(ValueError, match="^lower_bound: expected at least 0 and below 1, got"):
        gates.hgrn2(np.zeros((T, D)), bound)


def test_rates_per_head_are_those_of_the_papers() -> None:
    with mpmath.workdps(50):
        retnet = [float(mpmath.log(1 - mpmath.mpf(2) ** (-5 - h))) for h in range(8)]
        lightning = [float(-mpmath.mpf(8) / 8 * (1 - mpmath.mpf(1) / 3) * h) for h in range(8)]
        fade = 1 - 1 / (mpmath.mpf(2) + mpmath.mpf(1e-5)) + mpmath.mpf(1e-5)
        minimax = [float(-(mpmath.mpf(2) ** (-h - 1)) * fade) for h in range(8)]
    rates = (gates.retnet(8), gates.lightning(8, 1, 3), gates.minimax(8, 1, 3))
    for found, expected in zip(rates, (retnet, lightning, minimax), strict=True):
        assert np.all(np.abs(np.array(found) - expected) <= 8 * 2.0**-53 * np.abs(expected))


def test_the_two_gates_called_lightning_are_not_one() -> None:
    assert gates.lightning(8, 0, 4)[0] == 0.0, "head 0 never forgets"
    assert gates.minimax(8, 0, 4)[0] < -0.5, "head 0 forgets fastest"
    assert gates.lightning(8, 0, 4) != gates.minimax(8, 0, 4)[::-1]


@pytest.mark.parametrize("gate", [gates.lightning, gates.minimax])
@pytest.mark.parametrize("layer", [-1, 3])
def test_a_layer_that_does_not_exist_is_refused(gate: Callable[..., Any], layer: int) -> None:
    with pytest.raises(ValueError, match=f"^layer: expected 0 to 2, got {layer}$"):
        gate(8, layer, 3)


def test_rates_are_spread_over_tokens(library: Library) -> None:
    q = library.asarray(np.ones((2, 3, T, D)))
    g = gates.constant(gates.retnet(3), q)
    assert like(g) == like(q)
    assert tuple(g.shape) == (2, 3, T)
    expected = np.array(gates.retnet(3))[None, :, None]
    assert np.all(np.abs(np.asarray(to_numpy(g), np.float64) - expected) <= unit_roundoff(q) * np.abs(expected))
    assert layers.gated_linear_attention(q, q, q, log_decay=g).o.shape == q.shape


def test_rates_for_other_heads_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^q: expected shape \(\.\.\., 3, T, d_k\), got \(2, 4, 5\)$"):
        gates.constant(gates.retnet(3), np.ones((2, 4, 5)))


def test_ssd_is_the_zero_order_hold_of_its_state_space(rng: np.random.Generator) -> None:
    """h' = A h over a step dt multiplies by exp(dt A): the solution of the equation, by another route."""
    dt, A = rng.uniform(0.1, 1.0, (H, T)), -rng.uniform(0.5, 2.0, H)
    g = gates.ssd(dt, A)
    with mpmath.workdps(30):
        for h, t in np.ndindex(H, T):
            flow = mpmath.expm(mpmath.matrix([[A[h] * dt[h, t]]]))[0]
            assert abs(float(flow) - np.exp(g[h, t])) <= 8 * 2.0**-53 * float(flow)
