"""What is peculiar to softmax's relatives: windows, sinks, forgetting, thresholds, and the kernel each one is."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import torch

from ttr_numerics import border, exact, layers
from ttr_numerics.arrays import LinAlgError
from ttr_numerics.exact import kernels
from ttr_numerics.layers import blocks
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

NAMES = (
    *("softmax_attention", "sliding_window_attention", "sink_attention", "forgetting_attention", "hopfield"),
    *("exponential_attention", "compact_kernel_attention", "normalized_relu_attention", "entmax_attention"),
)
COMPACT = ("compact_kernel_attention", "normalized_relu_attention")  # polynomials: no exponential to overflow
EVERY = pytest.mark.parametrize("name", NAMES)
DOUBLE = FORMATS["float64"]


def example(name, seed=0, **sizes):
    """The row's layer and generic arguments for batch (2,)."""
    row = pairing(name)
    return row.layer, row.example(np.random.default_rng(seed), **({"T": 12, "d_k": 4, "d_v": 3} | sizes))


def apart(one, other):
    """Distances of the references of two roundings, and the sum of their bounds."""
    return row_norms(one.reference - other.reference), one.bound + other.bound


def alike(one, other):
    """Whether two roundings explain each other's outputs."""
    distance, allowed = apart(one, other)
    return bool((distance <= allowed).all())


# Blocks of queries


@pytest.mark.parametrize("entries", [1, 60, 1 << 20])
@pytest.mark.parametrize("window", [None, 1, 3, 17, 40])
@pytest.mark.parametrize(("T", "before"), [(1, 0), (17, 0), (17, 5), (1, 9)])
def test_blocks_see_the_last_tokens_once_and_nothing_else(T, before, window, entries, monkeypatch):
    monkeypatch.setattr(blocks, "ENTRIES", entries)
    seen = np.zeros((T, T + before))
    for block in blocks.causal(np.zeros((2, T, 3)), T + before, window):
        seen[block.rows, block.keys] += block.visible
    reach = T + before if window is None else window
    assert np.array_equal(seen, np.tri(T, T + before, before) - np.tri(T, T + before, before - reach))


@EVERY
def test_a_layer_in_short_blocks_is_the_layer_in_one(name, monkeypatch):
    layer, arrays = example(name, T=23)
    whole = rounding(layer, arrays, DOUBLE)
    monkeypatch.setattr(blocks, "ENTRIES", 60)
    assert (row_norms(layer(**arrays).o - whole.reference) <= 2 * whole.bound).all()


@EVERY
def test_extra_memory_grows_at_most_linearly(name, monkeypatch):
    def peak(T):
        layer, arrays = example(name, T=T, d_k=2, d_v=2)
        tracemalloc.start()
        layer(**arrays)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    monkeypatch.setattr(blocks, "ENTRIES", 1 << 12)
    peak(8)  # what a first call imports and caches is not the layer's
    assert peak(1024) <= 2 * peak(512)


def test_a_window_costs_its_width_and_not_the_length(monkeypatch):
    q = np.zeros((1, 4096, 2))
    logits = sum(block.visible.size for block in blocks.causal(q, 4096, 32))
    assert logits <= 3 * 4096 * 32  # a block of r queries sees r + w - 1 keys, r ≤ w


# Hostile logits


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("exponential_attention", *COMPACT)])
def test_logits_of_ten_thousand_are_a_choice_of_the_largest(name, dtype):
    layer, arrays = example(name)
    arrays["q"][..., 1:] = 0
    arrays["q"][..., 0], arrays["k"][..., 0] = 100.0, 0.0
    arrays["k"][:, 0, 0], arrays["k"][:, 5, 0] = -100.0, 100.0
    if name == "hopfield":
        arrays["beta"] = 1.0
    cast = {n: x.astype(dtype) if isinstance(x, np.ndarray) else x for n, x in arrays.items()}
    o, v = layer(**cast).o, cast["v"]
    assert np.isfinite(o).all()
    assert np.array_equal(o[:, 5], v[:, 5]), "the key of logit +10⁴ has all the weight"
    first = {"sink_attention": np.zeros_like(v[:, 0])}.get(name, v[:, 0])
    assert np.array_equal(o[:, 0], first), "a single key of logit -10⁴ still has it, unless there is a sink"


def test_an_unnormalised_sum_is_infinite_where_it_overflows_and_never_nan():
    q, k, v = (np.ones((3, 2)) * x for x in (30.0, np.array([[10.0], [-100.0], [10.0]]), 1.0))
    with np.errstate(over="raise", invalid="raise"):
        o = layers.exponential_attention(q, k, v).o
    assert np.array_equal(o[:2], np.exp(600.0) * np.ones((2, 2)))
    assert np.isinf(layers.exponential_attention(2 * q, k, v).o).all()


# Windows


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_a_window_of_one_returns_the_values_to_the_last_bit(dtype):
    _, a = example("sliding_window_attention")
    q, k, v = (a[n].astype(dtype) for n in "qkv")
    out = layers.sliding_window_attention(1e2 * q, k, v, window=1)
    assert np.array_equal(out.o, v)
    assert out.state.k.shape[-2] == 0


@pytest.mark.parametrize("window", [12, 13, 10**9])
def test_a_window_of_everything_is_softmax_attention_to_the_last_bit(window):
    _, a = example("softmax_attention")
    assert np.array_equal(layers.sliding_window_attention(**a, window=window).o, layers.softmax_attention(**a).o)


@pytest.mark.parametrize("window", [2, 3, 7])
def test_the_state_of_a_window_is_one_shorter_and_enough(window):
    layer, a = example("sliding_window_attention", T=30)
    a["window"] = window
    run, state, rows = rounding(layer, a, DOUBLE), None, []
    for t in range(30):
        out = layer(*(a[n][:, t : t + 1] for n in "qkv"), window=window, initial_state=state)
        state, rows = out.state, [*rows, out.o]
        assert state.k.shape[-2] == state.v.shape[-2] == min(t + 1, window - 1)
    assert (row_norms(np.concatenate(rows, -2) - run.reference) <= 2 * run.bound).all()


def test_a_window_one_too_long_is_seen():
    layer, a = example("sliding_window_attention")
    run, longer = rounding(layer, a, DOUBLE), layer(**a | {"window": a["window"] + 1}).o
    assert (row_norms(longer - run.reference) > run.bound)[:, a["window"] :].all()


@pytest.mark.parametrize("window", [0, -3])
def test_a_window_without_tokens_is_refused(window):
    _, a = example("softmax_attention")
    with pytest.raises(ValueError, match=f"^window: expected at least 1, got {window}$"):
        layers.sliding_window_attention(**a, window=window)
    with pytest.raises(ValueError, match=f"^window: expected at least 1, got {window}$"):
        exact.kernel_smoother_prefixes(**a, window=window)


# Sinks


def test_no_sink_is_softmax_attention_and_an_endless_one_is_silence():
    _, a = example("softmax_attention")
    assert np.array_equal(layers.sink_attention(**a, sink=-np.inf).o, layers.softmax_attention(**a).o)
    assert not layers.sink_attention(**a, sink=1e4).o.any()


def test_a_sink_scales_softmax_by_the_share_it_leaves():
    layer, a = example("sink_attention")
    total = layers.exponential_attention(a["q"], a["k"], np.ones_like(a["v"])).o
    share = total / (total + np.exp(a["sink"]))
    run, softmax = rounding(layer, a, DOUBLE), layers.softmax_attention(a["q"], a["k"], a["v"]).o
    # The share and the product carry as many roundings again as the layer, whose bound is doubled for them.
    assert (row_norms(share * softmax - run.reference) <= 2 * run.bound).all()


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)], ids=str)
def test_every_head_may_have_a_sink_of_its_own(batch):
    rng = np.random.default_rng(0)
    a, sinks = pairing("softmax_attention").example(rng, batch, T=5, d_k=4, d_v=3), rng.standard_normal(batch)
    together = layers.sink_attention(**a, sink=sinks).o
    for index in np.ndindex(batch):
        head = {n: x[index] for n, x in a.items()} | {"sink": float(sinks[index])}
        bound = rounding(layers.sink_attention, head, DOUBLE).bound
        assert (row_norms(together[index] - layers.sink_attention(**head).o) <= 2 * bound).all()


def test_a_sink_that_does_not_fit_is_refused():
    _, a = example("softmax_attention")
    with pytest.raises(ValueError, match=r"^sink: expected a number or shape \(2,\), got \(3,\)$"):
        layers.sink_attention(**a, sink=np.zeros(3))
    with pytest.raises(ValueError, match="^sink: expected dtype float64 as q, got float32$"):
        layers.sink_attention(**a, sink=np.zeros(2, np.float32))


# Forgetting


def test_a_reset_starts_anew():
    layer, a = example("forgetting_attention", T=20)
    a["log_decay"][:, 9] = -np.inf
    late = layer(**{n: x[:, 9:] for n, x in a.items()})
    run = rounding(layer, {n: x[:, 9:] for n, x in a.items()}, DOUBLE)
    whole = layer(**a)
    assert (row_norms(whole.o[:, 9:] - late.o) <= 2 * run.bound).all()
    assert np.array_equal(np.isneginf(whole.state.log_weights), np.broadcast_to(np.arange(20) < 9, (2, 20)))
    early = {n: x.copy() for n, x in a.items()}
    early["v"][:, :9] = 1e300
    assert (row_norms(layer(**early).o[:, 9:] - late.o) <= 2 * run.bound).all(), "no trace of what came before"


def test_a_gate_that_closes_on_its_own_token_is_seen():
    layer, a = example("forgetting_attention")
    run, g = rounding(layer, a, DOUBLE), a["log_decay"]
    late = layer(a["q"], a["k"], a["v"], log_decay=np.concatenate([g[:, 1:], 0 * g[:, :1]], -1)).o
    assert (row_norms(late - run.reference) > run.bound)[:, 1:].all(), "gates one token late"
    whole = np.cumsum(g, -1)
    inclusive = np.exp(
        np.einsum("btd,bsd->bts", a["q"], a["k"]) + whole[:, :, None] - whole[:, None, :] + g[:, None, :]
    )
    inclusive = np.tril(inclusive)
    faulty = inclusive @ a["v"] / inclusive.sum(-1, keepdims=True)
    assert (row_norms(faulty - run.reference) > run.bound)[:, 1:].any(), "a token's own gate applied to itself"


def test_gradients_through_a_reset_are_finite_and_stop_there():
    _, a = example("forgetting_attention")
    a["log_decay"][:, 6] = -np.inf
    leaves = {n: torch.asarray(x).requires_grad_() for n, x in a.items()}
    layers.forgetting_attention(**leaves).o[:, 6:].sum().backward()
    assert all(bool(torch.isfinite(x.grad).all()) for x in leaves.values())
    assert not any(bool(leaves[n].grad[:, :6].any()) for n in "kv"), "the past has no influence"


def test_a_state_of_another_length_is_refused():
    _, a = example("forgetting_attention")
    state = layers.forgetting_attention(**a).state
    with pytest.raises(ValueError, match=r"^initial_state.log_weights: expected shape \(2, 12\), got \(2, 11\)$"):
        layers.forgetting_attention(**a, initial_state=state._replace(log_weights=state.log_weights[:, 1:]))


# Compact kernels


def near(seed=0, norm=1.0):
    """Keys of one norm, and queries near the key of their own token."""
    rng = np.random.default_rng(seed)
    k = rng.standard_normal((2, 30, 3))
    k = norm * k / np.linalg.norm(k, axis=-1, keepdims=True)
    return {"q": k + 0.2 * rng.standard_normal(k.shape), "k": k, "v": rng.standard_normal((2, 30, 2))}


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_key_beyond_the_bandwidth_has_no_weight_at_all(order):
    a = near()
    far = row_norms(a["q"][:, :, None] - a["k"][:, None]) > 1.001
    o = layers.compact_kernel_attention(**a, bandwidth=1.0, order=order).o
    for b in range(2):
        hidden = int(np.argmax(far[b, -1]))
        changed = a | {"v": a["v"].copy()}
        changed["v"][b, hidden] = 1e9
        assert far[b, -1, hidden]
        again = layers.compact_kernel_attention(**changed, bandwidth=1.0, order=order).o
        assert np.array_equal(again[b, -1], o[b, -1])


def test_a_query_with_no_key_in_reach_is_refused_with_its_place_by_layer_and_solver():
    a = near()
    a["q"][1, 4] = 50.0
    with pytest.raises(
        LinAlgError, match=r"^weights: .* got none in slices \(1, 4\); give a larger bandwidth or a low"
    ):
        layers.compact_kernel_attention(**a, bandwidth=1.0)
    with pytest.raises(LinAlgError, match=r"^weights: .* got none in slices \(1, 4\); give a larger bandwidth$"):
        exact.kernel_smoother_prefixes(**a, kernel=kernels.SymmetricBeta(1, 1.0))
    q = np.abs(a["k"])
    q[1, 4] *= -1
    with pytest.raises(
        LinAlgError, match=r"^weights: .* got none in slices \(1, 4\); give a larger bandwidth or a low"
    ):
        layers.normalized_relu_attention(q, np.abs(a["k"]), a["v"])


@pytest.mark.parametrize(("name", "value"), [("bandwidth", 0.0), ("bandwidth", np.nan), ("order", 0)])
def test_a_kernel_without_extent_is_refused(name, value):
    with pytest.raises(ValueError, match=f"^{name}: expected above 0, got {value}$"):
        layers.compact_kernel_attention(**near(), **{"bandwidth": 1.0, name: value})


@pytest.mark.parametrize("norm", [1.0, 3.0])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_normalised_relu_on_keys_of_one_norm_is_a_compact_kernel_of_each_querys_own_bandwidth(order, norm):
    a, b = near(norm=norm), 0.2 * norm**2
    relu = rounding(layers.normalized_relu_attention, a | {"threshold": b, "order": order}, DOUBLE)
    h = np.sqrt(np.sum(a["q"] ** 2, axis=-1) + norm**2 - 2 * b)
    for t in range(30):
        compact = {"q": a["q"][:1, t : t + 1], "K": a["k"][:1, : t + 1], "V": a["v"][:1, : t + 1]}
        o = exact.kernel_smoother(**compact, kernel=kernels.SymmetricBeta(order, h[0, t]))[0, 0]
        # The smoother rounds like the layer: twice the layer's bound.
        assert np.linalg.norm(o - relu.reference[0, t]) <= 2 * relu.bound[0, t]


# Entmax


@pytest.mark.parametrize("alpha", [2.0, 1.5, 1.25])
def test_entmax_on_keys_of_one_norm_is_a_compact_kernel_and_on_others_it_is_not(alpha):
    order, misfits = round(1 / (alpha - 1)), []
    for spread in (0.0, 0.5):
        a = near()
        a["k"] = a["k"] * (1 + spread * np.linspace(0, 1, 30))[:, None]
        a["q"] = 3 * a["q"]
        run = rounding(layers.entmax_attention, a | {"alpha": alpha}, DOUBLE)
        o = own_bandwidth(a, alpha, order)
        misfits.append(row_norms(o - run.reference)[:, 1:] > 4 * run.bound[:, 1:])
    assert not misfits[0].any()
    assert misfits[1].mean() > 0.5, "unequal norms would be seen"


def own_bandwidth(a, alpha, order):
    """Nadaraya-Watson with (1 - ‖q - k‖²/h_t²)_+ⁿ, h_t² = ‖k‖² + ‖q‖² - 2nτ, τ from the largest weight."""
    p = layers.entmax_attention(a["q"], a["k"], np.broadcast_to(np.eye(30), (2, 30, 30)), alpha=alpha).o
    logits = np.einsum("btd,bsd->bts", a["q"], a["k"])
    largest = np.argmax(p, axis=-1)[..., None]
    top = np.take_along_axis(logits, largest, -1) - order * np.take_along_axis(p, largest, -1) ** (1 / order)
    norms = np.take_along_axis(np.sum(a["k"] ** 2, -1)[:, None, :], largest, -1)
    square = norms + np.sum(a["q"] ** 2, -1, keepdims=True) - 2 * top
    distance = np.sum((a["q"][:, :, None] - a["k"][:, None]) ** 2, -1)
    weights = np.tril(np.maximum(0, 1 - distance / square) ** order)
    return weights @ a["v"] / weights.sum(-1, keepdims=True)


def test_entmax_tends_to_softmax():
    a = near()
    softmax = layers.softmax_attention(**a).o
    errors = [np.abs(layers.entmax_attention(**a, alpha=1 + 1 / n).o - softmax).max() for n in (10, 100, 1000)]
    # (1 + z/n)ⁿ = e^z (1 - z²/2n + ...): the error falls as 1/n, here by 5 to 20 for a factor of 10.
    assert all(5 < x / y < 20 for x, y in pairwise(errors))


@pytest.mark.parametrize("alpha", [1.0, 2.5, np.nan])
def test_an_entropy_out_of_range_is_refused_by_layer_and_solver(alpha):
    for function in (layers.entmax_attention, exact.tsallis_smoother_prefixes):
        with pytest.raises(ValueError, match=f"^alpha: expected above 1 and at most 2, got {alpha}$"):
            function(**near(), alpha=alpha)


@pytest.mark.parametrize("alpha", [2.0, 1.5, 1.25, 1.9])
def test_gradients_of_entmax_match_finite_differences(alpha):
    a = {n: torch.asarray(x[:, :5]).requires_grad_() for n, x in near().items()}
    assert torch.autograd.gradcheck(lambda q, k, v: layers.entmax_attention(q, k, v, alpha=alpha).o, tuple(a.values()))


@pytest.mark.parametrize("name", [n for n in NAMES if n != "entmax_attention"])
def test_gradients_match_finite_differences(name):
    layer, arrays = example(name, T=4, d_k=2, d_v=2)
    named = [n for n, x in arrays.items() if isinstance(x, np.ndarray)]
    numbers = {n: x for n, x in arrays.items() if n not in named}
    leaves = tuple(torch.asarray(arrays[n]).requires_grad_() for n in named)
    assert torch.autograd.gradcheck(lambda *x: layer(**dict(zip(named, x, strict=True)), **numbers).o, leaves)


# Hopfield


def energy(x, k, beta):
    """½‖ξ‖² - β⁻¹ log Σ exp(β ξ·k_i) of the last token's state."""
    return np.sum(x * x, -1) / 2 - np.logaddexp.reduce(beta * (k @ x[..., None])[..., 0], axis=-1) / beta


@pytest.mark.parametrize("beta", [0.3, 4.0, 1e4])
def test_the_energy_never_rises(beta):
    a = near()
    states = [a["q"][:, -1]]
    for steps in range(1, 12):
        states.append(layers.hopfield(a["q"], a["k"], a["k"], beta=beta, steps=steps).o[:, -1])
    energies = np.array([energy(x, a["k"], beta) for x in states])
    # An energy is a sum of some T + d terms of size 2 at most, and log Σ has an absolute error of as many roundoffs.
    noise = 4 * (30 + 3) * DOUBLE.u * (1 + np.max(np.abs(energies)))
    assert (np.diff(energies, axis=0) <= noise).all()
    assert (energies[0] - energies[-1] > noise).all()


def test_a_cold_network_retrieves_the_stored_pattern_exactly():
    a = near()
    nearest = np.argmin(row_norms(a["q"][:, -1:] - a["k"]), axis=-1)
    o = layers.hopfield(a["q"], a["k"], a["k"], beta=1e5, steps=3).o[:, -1]
    assert np.array_equal(o, a["k"][np.arange(2), nearest])


def test_named_steps_compose():
    a = near()
    first = layers.hopfield(a["q"], a["k"], a["k"], beta=2.0, steps=2).o
    twice = rounding(layers.hopfield, a | {"beta": 2.0, "steps": 3}, DOUBLE)
    assert (row_norms(layers.hopfield(first, a["k"], a["v"], beta=2.0).o - twice.reference) <= 2 * twice.bound).all()
    once = layers.hopfield(**a, beta=2.0).o
    assert np.array_equal(once, layers.softmax_attention(2.0 * a["q"], a["k"], a["v"]).o)


@pytest.mark.parametrize(("name", "value", "wanted"), [("beta", 0.0, "above 0"), ("steps", 0, "at least 1")])
def test_a_network_without_temperature_or_steps_is_refused(name, value, wanted):
    with pytest.raises(ValueError, match=f"^{name}: expected {wanted}, got {value}$"):
        layers.hopfield(**near(), **{"beta": 1.0, name: value})


# What softmax's kernel is


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_normalised_keys_make_softmax_nadaraya_watson_without_sample_weights(spread):
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((3, 2, 20, 4))
    k = k * np.exp(spread * rng.standard_normal((2, 20, 1)))
    gain = 2.0
    normed = {"q": gain * border.l2_normalized(q, epsilon=0.0), "k": border.l2_normalized(k, epsilon=0.0), "v": v}
    softmax = rounding(layers.softmax_attention, normed, DOUBLE)
    gaussian = kernels.Gaussian(gain**-0.5)

    def smoother(q, k, v):
        return exact.kernel_smoother_prefixes(q, k, v, kernel=gaussian)

    assert alike(softmax, rounding(smoother, normed | {"q": normed["q"] / gain}, DOUBLE))
    plain = {"q": q, "k": k, "v": v}
    distance, allowed = apart(
        rounding(layers.softmax_attention, plain, DOUBLE), rounding(exact.kernel_smoother_prefixes, plain, DOUBLE)
    )
    assert (distance > allowed)[:, 1:].all(), "without the norm the sample weights would be seen"


def test_an_unnormalised_sum_fits_its_pairs_worse_than_kernel_ridge_regression():
    a = near()
    a["q"] = a["k"]
    kernel = kernels.Exponential()
    hebbian = layers.exponential_attention(**a).o[:, -1]
    ridge = exact.kernel_ridge_prefixes(**a, kernel=kernel, ridge=1e-6).o[:, -1]
    errors = [np.linalg.norm(o - a["v"][:, -1]) for o in (ridge, hebbian)]
    assert errors[0] < errors[1]
