"""Additive memories: what normalising keeps and breaks, and what a gate by channel is and is not."""

from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import Library
from tests.references import wedin
from ttr_numerics import exact, features, layers
from ttr_numerics.arrays import to_numpy
from ttr_numerics.axes import Sums
from ttr_numerics.layers import chunked
from ttr_numerics.pairs import pairing
from ttr_numerics.pairs.targets import aged_keys_least_squares, weighted_least_squares
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding

T, D = 12, 4
U = 2.0**-53
FORMS = [layers.normalized_linear_attention, chunked.normalized_linear_attention]


def positive(rng: np.random.Generator, batch: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
    """Positive features and any values."""
    q, k = rng.exponential(1.0, (2, *batch, T, D))
    return {"q": q, "k": k, "v": rng.standard_normal((*batch, T, 3))}


def with_epsilon(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """FLA's order: the unnormalised output over q'Σk + 10⁻¹⁰."""
    below = (q * np.cumsum(k, axis=-2)).sum(-1, keepdims=True) + 1e-10
    return layers.linear_attention(q, k, v).o / below


@pytest.mark.parametrize("layer", FORMS)
@pytest.mark.parametrize("name", ["q", "k"])
def test_scaled_queries_or_keys_leave_every_bit_of_a_normalised_output(
    layer: Any, name: str, rng: np.random.Generator
) -> None:
    a = positive(rng)
    small = a | {name: 2.0**-40 * a[name]}
    assert np.array_equal(layer(**small).o, layer(**a).o)
    bound = rounding(layers.normalized_linear_attention, a, FORMATS["float64"])
    assert (np.linalg.norm(with_epsilon(**small) - bound.reference, axis=-1) > bound.bound).all(), "an ε is seen"


@pytest.mark.parametrize("layer", FORMS)
def test_a_mean_with_positive_features_lies_between_the_smallest_and_the_largest_value(
    layer: Any, rng: np.random.Generator
) -> None:
    a = positive(rng, (2,))
    o, slack = layer(**a).o, 4 * (T + D) * U * np.abs(a["v"]).max()
    assert np.all(o <= np.maximum.accumulate(a["v"], axis=-2) + slack)
    assert np.all(o >= np.minimum.accumulate(a["v"], axis=-2) - slack)
    signed = layer(**a | {"k": a["k"] * np.where(np.arange(T) % 2, 1.0, -0.9)[:, None]}).o
    assert np.any(np.abs(signed) > np.abs(a["v"]).max()), "signed features give no mean"


def test_constant_values_are_returned_whatever_the_weights(rng: np.random.Generator) -> None:
    a = positive(rng)
    a["v"] = np.ones_like(a["v"]) * np.array([1.0, -3.0, 0.5])
    assert np.all(np.abs(layers.normalized_linear_attention(**a).o / a["v"] - 1) <= 4 * (T + D) * U)


@pytest.mark.parametrize("layer", FORMS)
def test_a_memory_of_no_weight_gives_zero_in_every_library(
    layer: Any, library: Library, rng: np.random.Generator
) -> None:
    a = positive(rng)
    a["k"][:3] = 0
    a["q"][7] = 0
    o = to_numpy(layer(**library.arrays(a)).o)
    assert not o[:3].any()
    assert not o[7].any()
    assert np.abs(np.delete(o, [0, 1, 2, 7], 0)).astype(np.float64).min() > 0


def test_rectified_features_without_a_common_sign_give_zero_and_finite_gradients(rng: np.random.Generator) -> None:
    q, k = (torch.asarray(x).requires_grad_() for x in ([[1.0, -1.0]], [[-1.0, 2.0]]))
    v = torch.asarray([[3.0]], dtype=q.dtype, requires_grad=True)
    o = layers.normalized_linear_attention(features.relu(q), features.relu(k), v).o
    assert not o.detach().numpy().any()
    o.sum().backward()
    assert all(bool(torch.isfinite(x.grad).all()) for x in (q, k, v))


def test_gradients_of_the_normalised_layer_match_finite_differences(rng: np.random.Generator) -> None:
    leaves = tuple(torch.asarray(x[:4]).requires_grad_() for x in positive(rng).values())
    assert torch.autograd.gradcheck(lambda *a: layers.normalized_linear_attention(*a).o, leaves)


def test_signed_weights_that_cancel_are_infinite_as_the_library_divides() -> None:
    q, k, v = np.ones((2, 1)), np.array([[1.0], [-1.0]]), np.array([[1.0], [2.0]])
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        o = layers.normalized_linear_attention(q, k, v).o
    assert o[0] == 1.0
    assert np.isneginf(o[1])


def test_the_state_is_both_sums_and_passes_between_the_forms(rng: np.random.Generator) -> None:
    a = positive(rng, (2,))
    whole = layers.normalized_linear_attention(**a)
    size = T * U * np.abs(a["k"]).sum(-2)
    assert np.all(np.abs(whole.state.z - a["k"].sum(-2)) <= size)
    assert np.all(np.abs(whole.state.S - a["k"].mT @ a["v"]) <= T * U * (np.abs(a["k"]).mT @ np.abs(a["v"])))
    head = chunked.normalized_linear_attention(**{n: x[:, :5] for n, x in a.items()}, chunk=2)
    tail = layers.normalized_linear_attention(**{n: x[:, 5:] for n, x in a.items()}, initial_state=head.state)
    bound = rounding(layers.normalized_linear_attention, a, FORMATS["float64"]).bound
    assert (np.linalg.norm(np.concatenate([head.o, tail.o], -2) - whole.o, axis=-1) <= 2 * bound).all()
    dropped = layers.normalized_linear_attention(
        **{n: x[:, 5:] for n, x in a.items()}, initial_state=Sums(head.state.S, 0 * head.state.z)
    )
    assert (np.linalg.norm(dropped.o - whole.o[:, 5:], axis=-1) > bound[:, 5:]).all(), "a dropped z is seen"


@pytest.mark.parametrize("layer", FORMS)
def test_a_state_that_does_not_fit_is_refused(layer: Any, rng: np.random.Generator) -> None:
    a, S, z = positive(rng), np.ones((D, 3)), np.ones(D)
    for state, sentence in (
        (Sums(S[:2], z), r"^initial_state.S: expected shape \(4, 3\), got \(2, 3\)$"),
        (Sums(S, z[:2]), r"^initial_state.z: expected shape \(4,\), got \(2,\)$"),
        (Sums(S, z.astype(np.float32)), "^initial_state.z: expected dtype float64 as q, got float32$"),
    ):
        with pytest.raises(ValueError, match=sentence):
            layer(**a, initial_state=state)


def test_taylor_features_are_softmax_attention_to_third_order_in_the_logits(rng: np.random.Generator) -> None:
    q, k, v = rng.standard_normal((3, T, D))
    q, k = (0.3 * x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (q, k))
    o = layers.normalized_linear_attention(features.taylor(q), features.taylor(k), v).o
    softmax = layers.softmax_attention(q, k, v).o
    # |e^z - 1 - z - z²/2| ≤ |z|³e^|z|/6, relative to a kernel of at least 1 - |z|; a mean moves by twice that.
    z = 0.3**2
    remainder = z**3 * np.exp(z) / 6 / (1 - z)
    size = 2 * remainder / (1 - remainder) * np.linalg.norm(v, axis=-1).max()
    assert np.all(np.linalg.norm(o - softmax, axis=-1) <= size + 100 * D * U)
    plain = layers.normalized_linear_attention(features.elu_plus_one(q), features.elu_plus_one(k), v).o
    assert np.any(np.linalg.norm(plain - softmax, axis=-1) > size), "elu + 1 is another kernel"


def gated(rng: np.random.Generator, channels: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    k, v = rng.standard_normal((2, 40, D))
    return k, v, -rng.exponential(0.05, (40, D) if channels else 40)


def test_least_squares_on_aged_keys_weighs_by_the_square_and_inflates_old_values(rng: np.random.Generator) -> None:
    k, v, log_decay = gated(rng, channels=False)
    gamma = exact.prefix_weights(log_decay)[-1]
    aged = aged_keys_least_squares(k, v, log_decay).S
    weighted = exact.least_norm(k, v / gamma[:, None], gamma**2).S
    # Two backward stable solutions of one problem, whose rows they form with three roundings each.
    allowed = 2 * wedin(gamma[:, None] * k, v, aged, U) + wedin(gamma[:, None] * k, v, aged, 3 * U)
    assert np.all(np.linalg.norm(aged - weighted, axis=0) <= allowed)
    for other in (exact.least_norm(k, v, gamma**2).S, weighted_least_squares(k, v, log_decay).S):
        assert np.all(np.linalg.norm(aged - other, axis=0) > 1e3 * allowed), "neither of these is the same problem"


def test_only_the_channel_mean_reduces_to_the_scalar_gate(rng: np.random.Generator) -> None:
    k, v, log_decay = gated(rng, channels=False)
    by_channel = np.repeat(log_decay[:, None], D, axis=1)
    scalar = exact.least_norm(k, v, exact.prefix_weights(log_decay)[-1]).S
    root = np.sqrt(exact.prefix_weights(log_decay)[-1])[:, None]
    allowed = 4 * wedin(root * k, root * v, scalar, U)
    mean, aged = (fit(k, v, by_channel).S for fit in (weighted_least_squares, aged_keys_least_squares))
    assert np.all(np.linalg.norm(mean - scalar, axis=0) <= allowed)
    assert np.all(np.linalg.norm(aged - scalar, axis=0) > 1e3 * allowed)


@pytest.mark.parametrize("channels", [False, True])
def test_least_squares_on_aged_keys_fits_them_better_than_the_layer_or_the_other_target(
    channels: bool, rng: np.random.Generator
) -> None:
    k, v, log_decay = gated(rng, channels)
    age = np.flip(np.cumsum(np.flip(np.concatenate([log_decay[1:], 0 * log_decay[:1]]), 0), 0), 0)
    aged = np.exp(age if channels else age[:, None]) * k
    states = [fit(k, v, log_decay).S for fit in (aged_keys_least_squares, weighted_least_squares)]
    states.append(layers.gated_linear_attention(k, k, v, log_decay=log_decay).state)
    best, *rest = (np.linalg.norm(v - aged @ S) for S in states)
    assert best < min(rest)


def test_a_reset_leaves_only_the_keys_after_it(rng: np.random.Generator) -> None:
    k, v, log_decay = gated(rng, channels=True)
    log_decay[25] = -np.inf
    late = aged_keys_least_squares(k[25:], v[25:], log_decay[25:]).S
    whole = aged_keys_least_squares(k, v, log_decay).S
    aged = np.exp(np.flip(np.cumsum(np.flip(np.concatenate([log_decay[26:], np.zeros((1, D))]), 0), 0), 0)) * k[25:]
    assert np.all(np.linalg.norm(whole - late, axis=0) <= 4 * wedin(aged, v[25:], late, 2 * U))


def test_both_targets_of_the_gated_row_are_said() -> None:
    row = pairing("gated_linear_attention")
    assert "channel mean" in row.target
    assert [target.fit for target in row.other_targets] == [aged_keys_least_squares]
