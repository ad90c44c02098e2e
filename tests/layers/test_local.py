"""Kernel ridge, local polynomial attention and Parallax: their limits, each other, and what they refuse."""

from functools import partial

import numpy as np
import pytest
import scipy.linalg
import torch

from tests.conftest import Library
from ttr_numerics import exact, layers
from ttr_numerics.arrays import LinAlgError, to_numpy
from ttr_numerics.exact import kernels
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

U, T, D = 2.0**-53, 12, 3


def data(rng, batch=(), d=D):
    """Queries among the keys, keys, values."""
    q, k = rng.standard_normal((2, *batch, T, d))
    return {"q": q / 2, "k": k / 2, "v": rng.standard_normal((*batch, T, 2))}


def judged(function, arrays, **given):
    """Output and bound of a function of q, k, v in float64."""
    return rounding(partial(function, **given), arrays, FORMATS["float64"])


def same(one, other):
    """Whether two judged runs agree to the rounding of both."""
    return bool((row_norms(one.reference - other.reference) <= one.bound + other.bound).all())


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_an_endless_ridge_is_softmax_attention(degree, rng):
    a = data(rng)
    softmax = judged(layers.softmax_attention, a)
    assert same(judged(layers.local_polynomial_attention, a, degree=degree, ridge=1e300), softmax)
    assert not same(judged(layers.local_polynomial_attention, a, degree=degree, ridge=1e6), softmax)


def test_degree_zero_is_softmax_attention_and_degree_one_local_linear_attention(rng):
    a = data(rng, (2,))
    zero = judged(layers.local_polynomial_attention, a, degree=0, ridge=0.0)
    assert same(zero, judged(layers.softmax_attention, a))
    one = layers.local_polynomial_attention(**a, degree=1, ridge=0.1).o
    assert np.array_equal(one, layers.local_linear_attention(**a, ridge=0.1).o)


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
@pytest.mark.parametrize("ridge", [1e-3, 0.5])
def test_every_degree_is_the_local_polynomial_by_qr(degree, ridge, rng):
    a = data(rng, (2,), d=2)
    layer = judged(layers.local_polynomial_attention, a, degree=degree, ridge=ridge)
    partner = partial(exact.local_polynomial_prefixes, kernel=kernels.Exponential(), degree=degree)
    assert same(layer, judged(partner, a, ridge=ridge))
    assert not same(layer, judged(partner, a, ridge=1.01 * ridge))


@pytest.mark.parametrize("degree", [1, 2])
def test_shares_sum_to_one_and_can_be_negative(degree, rng):
    a = data(rng) | {"v": np.eye(T)}
    shares = judged(layers.local_polynomial_attention, a, degree=degree, ridge=0.01)
    total = np.abs(np.sum(shares.reference, axis=-1) - 1)
    assert np.all(total <= np.sqrt(T) * shares.bound)  # a sum of T errors of norm `bound` together
    assert np.min(shares.reference + shares.bound[:, None]) < 0
    assert np.min(layers.softmax_attention(**a).o) >= 0


def test_equal_weights_are_one_affine_ridge_regression_for_all_queries(rng):
    a = data(rng)
    a["q"] = 0 * a["q"]  # exp(0) for every key: the fit at the origin is the intercept of the global one
    layer = judged(layers.local_linear_attention, a, ridge=0.3)
    for t in range(T):
        k, v = a["k"][: t + 1], a["v"][: t + 1]
        centred, root = k - k.mean(0), np.sqrt(0.3) * np.eye(D)
        W = scipy.linalg.lstsq(np.vstack([centred, root]), np.vstack([v - v.mean(0), np.zeros((D, 2))]))[0]
        # Theirs has errors of its own: (3D + T) roundoffs times cond([K; √λ])², at most ‖K‖²/λ + 1, of each term.
        own = (3 * D + T) * U * (np.linalg.norm(k) ** 2 / 0.3 + 1) * np.linalg.norm(v)
        assert np.linalg.norm(v.mean(0) - k.mean(0) @ W - layer.reference[t]) <= layer.bound[t] + own


def with_logits_moved(a, shift):
    """The same with one more channel, q = shift and k = 1: all logits move by `shift`, all keys are far from q."""
    channels = (("q", shift), ("k", 1.0))
    return {n: np.concatenate([a[n], np.full((T, 1), c)], -1) for n, c in channels} | {"v": a["v"]}


@pytest.mark.parametrize("shift", [-2000.0, -30.0, 4.0])
def test_the_ridge_is_in_units_of_the_unnormalised_weights(shift, rng):
    a = with_logits_moved(data(rng), shift)
    layer = judged(layers.local_linear_attention, a, ridge=0.2)
    partner = partial(exact.local_polynomial_prefixes, kernel=kernels.Exponential(), degree=1)
    assert same(layer, judged(partner, a, ridge=0.2))
    # All weights underflow at -2000: beside them every ridge is endless.
    assert same(layer, judged(layers.softmax_attention, a)) == (shift == -2000.0)


@pytest.mark.parametrize("shift", [60.0, 2000.0])
def test_a_ridge_beyond_the_digits_of_the_weights_is_refused_by_both_sides(shift, rng):
    a = with_logits_moved(data(rng), shift)
    with pytest.raises(LinAlgError, match=r"expected positive definite.* in slices \(0,\)"):
        layers.local_linear_attention(**a, ridge=0.2)
    with pytest.raises(LinAlgError, match=r"in slices \(0,\)"):
        exact.local_polynomial_prefixes(**a, degree=1, ridge=0.2, kernel=kernels.Exponential())


def test_a_slope_of_the_wrong_sign_is_seen(rng):
    a = data(rng)
    layer = judged(layers.local_linear_attention, a, ridge=0.2)
    mirrored = 2 * layers.softmax_attention(**a).o - layer.reference
    assert (row_norms(mirrored - layer.reference) > layer.bound)[1:].all()


def solving_probe(q, k, ridge):
    """(Cov_p(k, k) + λ/ω)⁻¹ (k̄ - q) at every position, by NumPy's solve."""
    rows = []
    for t in range(len(q)):
        w = np.exp(k[: t + 1] @ q[t])
        mean = w @ k[: t + 1] / w.sum()
        K = k[: t + 1] - mean
        rows.append(np.linalg.solve((K.T * w) @ K + ridge * np.eye(k.shape[1]), w.sum() * (mean - q[t])))
    return np.array(rows)


def test_parallax_with_the_solved_probe_is_local_linear_attention(rng):
    a, ridge = data(rng), 0.2
    probe = solving_probe(a["q"], a["k"], ridge)
    parallax = rounding(layers.parallax, a | {"probe": probe}, FORMATS["float64"])
    linear = judged(layers.local_linear_attention, a, ridge=ridge)
    for t in range(T):
        # The probe itself: d (3d + t + 2) roundoffs times the condition of Σ + λ, at most tr/λ + 1.
        kappa = np.sum(np.exp(a["k"][: t + 1] @ a["q"][t])) * np.max(np.sum(a["k"] ** 2, -1)) / ridge + 1
        own = D * (3 * D + t + 2) * U * kappa * np.linalg.norm(probe[t]) * np.linalg.norm(a["v"][: t + 1])
        apart = np.linalg.norm(parallax.reference[t] - linear.reference[t])
        assert apart <= parallax.bound[t] + linear.bound[t] + own
    assert not same(rounding(layers.parallax, a | {"probe": probe / np.sqrt(D)}, FORMATS["float64"]), linear)


def test_parallax_without_probe_is_softmax_attention(rng):
    a = data(rng, (2,))
    zero = rounding(layers.parallax, a | {"probe": np.zeros_like(a["q"])}, FORMATS["float64"])
    assert same(zero, judged(layers.softmax_attention, a))


def test_kernel_ridge_with_the_linear_kernel_is_mesa(rng):
    a = data(rng, (2,))
    mesa = judged(layers.mesa, a, ridge=0.3)
    assert same(judged(layers.kernel_ridge_attention, a, ridge=0.3, kernel=kernels.Linear()), mesa)
    assert not same(judged(layers.kernel_ridge_attention, a, ridge=0.3), mesa)


@pytest.mark.parametrize("kernel", [kernels.Gaussian(0.8), kernels.Exponential(1.3), kernels.Polynomial()], ids=repr)
def test_a_factor_that_grows_by_rows_answers_like_one_factorisation(kernel, rng):
    a = data(rng, (2,))
    layer = judged(layers.kernel_ridge_attention, a, ridge=0.1, kernel=kernel)
    assert same(layer, judged(exact.kernel_ridge_prefixes, a, ridge=0.1, kernel=kernel))
    state = layers.kernel_ridge_attention(**a, ridge=0.1, kernel=kernel).state
    for head in range(2):
        gram = kernel(a["k"][head], a["k"][head]) + 0.1 * np.eye(T)
        L = scipy.linalg.cholesky(gram, lower=True)
        # Both are factors of matrices within T(3T + 1)/T u of the Gram; a factor moves by κ times that (Sun, 1991).
        allowed = 2 * (3 * T + 1) * U * np.linalg.cond(gram) * np.linalg.norm(L)
        assert np.linalg.norm(state.L[head] - L) <= allowed
        assert np.linalg.norm(L @ state.Z[head] - a["v"][head]) <= allowed * np.linalg.norm(state.Z[head])


def test_the_last_token_of_causal_ridge_is_intention(rng):
    a = data(rng, (2,))
    whole, prefixes = judged(layers.intention, a, ridge=0.3), judged(layers.mesa, a, ridge=0.3)
    apart = row_norms(whole.reference - prefixes.reference)
    assert (apart <= whole.bound + prefixes.bound)[:, -1].all()
    assert (apart > whole.bound + prefixes.bound)[:, 0].all()


def test_a_ridge_of_its_own_for_every_channel_is_taken_by_intention(rng):
    a, ridge = data(rng), np.linspace(0.1, 1.0, D)
    layer = judged(layers.intention, a, ridge=ridge)
    whole = judged(layers.mesa, a, ridge=ridge)
    assert row_norms(layer.reference - whole.reference)[-1] <= layer.bound[-1] + whole.bound[-1]


@pytest.mark.parametrize("name", ["local_linear_attention", "parallax", "kernel_ridge_attention", "intention"])
def test_derivatives_are_those_of_differences(name):
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 4, 2), (2, 4, 2), (2, 4, 1), (2, 4, 2)]
    q, k, v, r = (torch.randn(s, dtype=torch.float64, generator=generator).requires_grad_() for s in shapes)
    layer = getattr(layers, name)
    if name == "parallax":
        assert torch.autograd.gradcheck(lambda q, k, v, r: layer(q, k, v, probe=r).o, (q, k, v, r))
    else:
        assert torch.autograd.gradcheck(lambda q, k, v: layer(q, k, v, ridge=0.4).o, (q, k, v))


def test_no_ridge_is_refused_where_keys_are_too_few_naming_the_slices(double: Library, rng):
    a = double.arrays(data(rng, (2,)))
    with pytest.raises(
        LinAlgError, match=r"moments \+ ridge, queries from 0 on: expected positive definite.* \(0, 0\)"
    ):
        layers.local_linear_attention(**a, ridge=0.0)
    with pytest.raises(LinAlgError, match=r"^K'K \+ ridge: expected positive definite.* in slices \(0,\), \(1,\)"):
        layers.intention(**{**a, "k": 0 * a["k"]}, ridge=0.0)


def test_a_repeated_key_without_ridge_is_refused_naming_token_and_slice(double: Library, rng):
    a = data(rng, (2,))
    a["k"][1, 7] = a["k"][1, 2]
    layer = partial(layers.kernel_ridge_attention, kernel=kernels.Gaussian(0.3))
    with pytest.raises(LinAlgError, match=r"rounding level at token 7 in slices \(1,\); give a larger ridge$"):
        layer(**double.arrays(a), ridge=0.0)
    assert np.isfinite(to_numpy(layer(**double.arrays(a), ridge=0.1).o)).all()


BAD = {
    "degree": (
        "local_polynomial_attention",
        {"degree": -1, "ridge": 1.0},
        "^degree: expected a whole number, at least 0",
    ),
    "half a degree": ("local_polynomial_attention", {"degree": 0.5, "ridge": 1.0}, "^degree: expected a whole number"),
    "ridge": ("local_linear_attention", {"ridge": -1.0}, "^ridge: expected at least 0, got -1.0$"),
    "nan ridge": ("kernel_ridge_attention", {"ridge": np.nan}, "^ridge: expected at least 0, got nan$"),
    "word": ("intention", {"ridge": "small"}, "^ridge: expected a number or an array"),
    "probe": ("parallax", {"probe": np.ones((T, D + 1))}, r"^probe: expected shape \(12, 3\), got \(12, 4\)$"),
    "probe dtype": ("parallax", {"probe": np.ones((T, D), np.float32)}, "^probe: expected dtype float64 as q"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_makes_no_problem_is_refused_in_one_sentence(case, rng):
    name, given, sentence = BAD[case]
    with pytest.raises(ValueError, match=sentence):
        getattr(layers, name)(**data(rng), **given)


@pytest.mark.parametrize("part", ["k", "L", "Z"])
def test_a_state_of_another_shape_is_refused(part, rng):
    a = data(rng)
    state = layers.kernel_ridge_attention(**a, ridge=0.1).state
    broken = state._replace(**{part: getattr(state, part)[..., :-1]})
    with pytest.raises(ValueError, match=rf"^initial_state.{part}: expected shape"):
        layers.kernel_ridge_attention(**a, ridge=0.1, initial_state=broken)
