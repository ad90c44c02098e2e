"""Feature maps: the kernels they state, their sizes, their ranges, and that they stay in the caller's library."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy
import torch

from tests.conftest import Library
from ttr_numerics import exact, features, layers
from ttr_numerics.arrays import like, to_numpy, unit_roundoff
from ttr_numerics.derivations import Equation, negative, positive, real

D, M = 3, 5


def parameters(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One draw of every parameter a map takes, by name."""
    shapes = {"projection": (M, D), "weight": (M, D), "bias": (M,), "gamma": (D,), "beta": (D,)}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


Maker = Callable[..., Callable[[Any], Any]]
# Every map from its parameters, and its dimension.
MAPS: dict[str, tuple[Maker, int]] = {
    "elu_plus_one": (lambda **_: features.elu_plus_one, D),
    "relu": (lambda **_: features.relu, D),
    "quadratic": (lambda **_: features.quadratic, D * (D + 1) // 2),
    "taylor": (lambda **_: features.taylor, 1 + D + D * (D + 1) // 2),
    "re_based": (lambda gamma, beta, **_: features.ReBased(gamma, beta), D * (D + 1) // 2),
    "dpfp": (lambda **_: features.dpfp, 2 * D),
    "dpfp_3": (lambda **_: lambda x: features.dpfp(x, 3), 6 * D),
    "dpfp_negated": (lambda **_: features.dpfp_negated, 2 * D),
    "favor": (lambda projection, **_: features.Favor(projection), M),
    "favor_bounded": (lambda projection, **_: features.Favor.bounded(projection), M),
    "cos_former": (lambda **_: features.CosFormer(7, 2), 2 * D),
    "hedgehog": (lambda weight, bias, **_: features.Hedgehog(weight, bias), 2 * M),
    "hedgehog_without_bias": (lambda weight, **_: features.Hedgehog(weight), 2 * M),
    "hedgehog_softmax": (lambda weight, bias, **_: features.HedgehogSoftmax(weight, bias), 2 * M),
}
AT_LEAST_ZERO = [n for n in MAPS if n not in ("quadratic", "taylor", "re_based", "dpfp_negated", "cos_former")]


def relu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.0)


def in_signs(x: np.ndarray) -> np.ndarray:
    return np.concatenate([relu(x), relu(-x)], -1)


def shifted(r: np.ndarray, s: np.ndarray, shifts: int) -> np.ndarray:
    """Σ_j Σ_i r_i s_i r_{i+j} s_{i+j}, term by term."""
    n, both = r.shape[-1], r[:, None, :] * s[None, :, :]
    return sum(both[..., i] * both[..., (i + j) % n] for j in range(1, shifts + 1) for i in range(n))


def normal(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """torch's layer norm, with its own ε."""
    arrays = (torch.asarray(a) for a in (gamma, beta))
    return torch.nn.functional.layer_norm(torch.asarray(x), (D,), *arrays).numpy()


def angles(x: np.ndarray) -> np.ndarray:
    return np.cos(np.pi * (np.arange(len(x))[:, None] - np.arange(len(x))) / 14)


# κ(x, y) in closed form, in float64: what each docstring says.
KERNELS: dict[str, Callable[..., np.ndarray]] = {
    "relu": lambda x, y, p: relu(x) @ relu(y).T,
    "quadratic": lambda x, y, p: (x @ y.T) ** 2,
    "taylor": lambda x, y, p: 1 + x @ y.T + (x @ y.T) ** 2 / 2,
    "re_based": lambda x, y, p: (normal(x, p["gamma"], p["beta"]) @ normal(y, p["gamma"], p["beta"]).T) ** 2,
    "dpfp": lambda x, y, p: shifted(in_signs(x), in_signs(y), 1),
    "dpfp_3": lambda x, y, p: shifted(in_signs(x), in_signs(y), 3),
    "dpfp_negated": lambda x, y, p: shifted(np.tile(relu(x), 2), np.tile(relu(y), 2), 1),
    "cos_former": lambda x, y, p: relu(x) @ relu(y).T * angles(x),
    "hedgehog": lambda x, y, p: 2 * np.cosh((x[:, None] + y[None]) @ p["weight"].T + 2 * p["bias"]).sum(-1),
    "hedgehog_without_bias": lambda x, y, p: 2 * np.cosh((x[:, None] + y[None]) @ p["weight"].T).sum(-1),
}


@pytest.mark.parametrize("name", KERNELS)
def test_features_multiply_to_the_kernel_they_state(name: str, rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((2, 6, D))
    given = parameters(rng)
    phi = MAPS[name][0](**given)
    expected = KERNELS[name](x, y, given)
    size = np.abs(phi(x)) @ np.abs(phi(y)).T + np.abs(expected)
    # Every feature is a few operations on inner products of D terms of size up to 10, D_features are summed.
    bound = (MAPS[name][1] + 20 * D) * unit_roundoff(x) * size
    assert np.all(np.abs(phi(x) @ phi(y).T - expected) <= bound)
    assert np.any(np.abs(phi(1.000001 * x) @ phi(y).T - expected) > bound), "a millionth would be seen"


@pytest.mark.parametrize("name", MAPS)
def test_maps_run_alike_in_every_library_and_dtype(name: str, library: Library, rng: np.random.Generator) -> None:
    x = library.asarray(rng.standard_normal((2, 4, D)))
    given = {n: library.asarray(p) for n, p in parameters(rng).items()}
    phi = MAPS[name][0](**given)(x)
    assert like(phi) == like(x)
    assert tuple(phi.shape) == (2, 4, MAPS[name][1])
    wide = {n: np.asarray(to_numpy(p), np.float64) for n, p in given.items()}
    expected = MAPS[name][0](**wide)(np.asarray(to_numpy(x), np.float64))
    # Exponents are sums of D products and a square, each of size up to 3 D: errors of 9 D² roundoffs are relative ones
    # of the exponential; polynomial features are within a handful of roundoffs of products of entries.
    inner = 1 + float(np.max(np.abs(expected)))
    assert np.max(np.abs(np.asarray(to_numpy(phi), np.float64) - expected)) <= 9 * D**2 * unit_roundoff(x) * inner


@pytest.mark.parametrize("name", MAPS)
def test_no_map_changes_its_input(name: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, D))
    before, given = x.copy(), parameters(rng)
    kept = {n: p.copy() for n, p in given.items()}
    MAPS[name][0](**given)(x)
    assert np.array_equal(x, before)
    assert all(np.array_equal(given[n], kept[n]) for n in given)


@pytest.mark.parametrize("name", AT_LEAST_ZERO)
def test_maps_that_say_so_are_never_negative(name: str, rng: np.random.Generator) -> None:
    x = np.concatenate([rng.standard_normal((50, D)), np.zeros((1, D)), -np.ones((1, D))])
    assert np.all(MAPS[name][0](**parameters(rng))(x) >= 0)


@pytest.mark.parametrize("name", [n for n in MAPS if n != "cos_former"])
def test_nan_is_not_swallowed(name: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, D))
    x[1] = np.nan
    bad = np.isnan(MAPS[name][0](**parameters(rng))(x))
    assert bad[1].any()
    assert not bad[[0, 2]].any()


@pytest.mark.parametrize("name", MAPS)
def test_maps_have_gradients(name: str, rng: np.random.Generator) -> None:
    x = torch.asarray(rng.standard_normal((2, D))).requires_grad_()
    given = {n: torch.asarray(p) for n, p in parameters(rng).items()}
    assert torch.autograd.gradcheck(MAPS[name][0](**given), (x,))


def test_kernels_hold_in_symbols() -> None:
    x, y, W = real("x", 1, 2), real("y", 1, 2), real("w", 2, 2)
    z = (x @ y.T)[0, 0]
    claims = [
        ("taylor", features.taylor(x) @ features.taylor(y).T, 1 + z + z**2 / 2),
        ("quadratic", features.quadratic(x) @ features.quadratic(y).T, z**2),
        ("hedgehog", *_hedgehog(x, y, W)),
        ("favor", *_favor(x, y, W)),
        ("cos_former", *_cosine(positive("x", 3, 2), positive("y", 3, 2))),
        ("elu_plus_one", *_elu(positive("x", 1, 2), negative("y", 1, 2))),
    ]
    for name, left, right in claims:
        right = np.array(right, dtype=object) * np.ones(left.shape, dtype=int)
        assert Equation(name, "kernel", left, right).holds(), name
        assert not Equation(name, "kernel", left, right + sympy.Rational(1, 7)).holds(), name


def _hedgehog(x: Any, y: Any, W: Any) -> tuple[Any, Any]:
    phi = features.Hedgehog(W)
    halves = [sympy.exp(sum(w * (x + y)[0])) for w in W]
    return phi(x) @ phi(y).T, sum(e + 1 / e for e in halves)


def _favor(x: Any, y: Any, W: Any) -> tuple[Any, Any]:
    """Each feature is a Gaussian around w_j, so no input makes it large."""
    phi = features.Favor(W)
    gauss = [sympy.exp((sum(w * w) - sum((z[0] - w) ** 2)) / 2) for w in W for z in (x, y)]
    return phi(x) @ phi(y).T, (gauss[0] * gauss[1] + gauss[2] * gauss[3]) / 2


def _cosine(x: Any, y: Any) -> tuple[Any, Any]:
    phi = features.CosFormer(3)
    turned = [[sympy.cos(sympy.pi * (i - j) / 6) for j in range(3)] for i in range(3)]
    return phi(x) @ phi(y).T, np.array(turned, dtype=object) * (x @ y.T)


def _elu(x: Any, y: Any) -> tuple[Any, Any]:
    right = sum((a + 1) * sympy.exp(b) for a, b in zip(x[0], y[0], strict=True))
    return features.elu_plus_one(x) @ features.elu_plus_one(y).T, right


def test_taylor_maps_sixteen_channels_to_the_published_153() -> None:
    assert features.taylor(np.ones((1, 16))).shape[-1] == 153


def test_taylor_kernel_is_at_least_a_half_and_falls_below_minus_one() -> None:
    z = np.linspace(-4.0, 2.0, 61)
    kernel = (features.taylor(z[:, None]) @ features.taylor(np.ones((1, 1))).T)[:, 0]
    assert np.all(kernel >= 0.5 - 4 * unit_roundoff(z))
    slope = np.diff(kernel)
    assert np.all(slope[z[1:] <= -1] < 0)
    assert np.all(slope[z[:-1] >= -1] > 0)
    assert kernel[0] > kernel[z == 0.0], "the opposite key counts more than an orthogonal one"


def test_taylor_kernel_is_the_polynomial_kernel_of_the_exact_solvers(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((2, 5, D))
    size = 1 + np.abs(x) @ np.abs(y).T
    apart = features.taylor(x) @ features.taylor(y).T - exact.kernels.Polynomial()(x, y)
    assert np.all(np.abs(apart) <= 6 * (D + 2) * unit_roundoff(x) * size**2)


def test_elu_plus_one_is_positive_and_continuous(library: Library) -> None:
    x = library.asarray(np.array([[-5.0, -1.0, -0.0, 0.0, 0.5, 3.0]]))
    phi = features.elu_plus_one(x)
    value, given = (np.asarray(to_numpy(z), np.float64)[0] for z in (phi, x))
    expected = np.where(given > 0, given + 1, np.exp(given))
    assert np.all(np.abs(value - expected) <= 2 * unit_roundoff(x) * expected)
    assert np.all(value > 0)


def test_elu_plus_one_of_large_numbers_neither_overflows_nor_loses_its_gradient() -> None:
    x = torch.asarray([[-1e4, 0.0, 1e4]], dtype=torch.float64, requires_grad=True)
    features.elu_plus_one(x).sum().backward()
    assert torch.equal(x.grad, torch.asarray([[0.0, 1.0, 1.0]], dtype=torch.float64))


def test_all_shifts_of_dpfp_are_a_square_without_its_diagonal(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((2, 6, D))
    r, s = in_signs(x), in_signs(y)
    expected = (r @ s.T) ** 2 - (r**2) @ (s**2).T
    found = features.dpfp(x, 2 * D - 1) @ features.dpfp(y, 2 * D - 1).T
    assert np.all(np.abs(found - expected) <= 4 * D * (2 * D) * unit_roundoff(x) * (1 + (r @ s.T) ** 2))


def test_the_negated_dpfp_is_blind_to_negative_coordinates(rng: np.random.Generator) -> None:
    x = -np.abs(rng.standard_normal((4, D)))
    assert not features.dpfp_negated(x, 2).any()
    assert features.dpfp(x, 2).any(axis=-1).all()
    phi = features.dpfp_negated(rng.standard_normal((4, D)))
    assert np.array_equal(phi[:, :D], phi[:, D:]), "half of the features repeat the others"


@pytest.mark.parametrize("nu", [0, 2 * D])
def test_a_shift_that_does_not_exist_is_refused(nu: int) -> None:
    with pytest.raises(ValueError, match=rf"^nu: expected 1 to 2d - 1 = {2 * D - 1}, got {nu}$"):
        features.dpfp(np.ones((2, D)), nu)


def test_a_horizon_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="^horizon: expected at least 1, got 0$"):
        features.CosFormer(0)


def test_cos_former_sees_differences_of_positions_alone(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((2, 6, D))
    kernels = [features.CosFormer(9, s)(x) @ features.CosFormer(9, s)(y).T for s in (0, 4)]
    size = np.abs(x) @ np.abs(y).T
    # Angles below π/2·14/9 are within 3 roundoffs, their cosines and sines within 6.
    assert np.all(np.abs(kernels[0] - kernels[1]) <= 2 * (2 * D + 14) * unit_roundoff(x) * size)
    assert np.all(kernels[0] >= -(2 * D + 14) * unit_roundoff(x) * size)
    late = features.CosFormer(9, 3)(x[3:])
    assert np.array_equal(late, features.CosFormer(9)(x)[3:]), "a sequence may be split"


def test_softmax_features_are_exponential_ones_over_their_sum(rng: np.random.Generator) -> None:
    x, given = rng.standard_normal((6, D)), parameters(rng)
    doubled = features.Hedgehog(2 * given["weight"], 2 * given["bias"])(x)
    phi = features.HedgehogSoftmax(given["weight"], given["bias"])(x)
    logits = 2 * (np.abs(x) @ np.abs(given["weight"]).T + np.abs(given["bias"])).max()
    bound = 4 * (D + 3) * (1 + logits) * unit_roundoff(x)
    assert np.all(np.abs(phi - doubled / doubled.sum(-1, keepdims=True)) <= bound * phi)
    assert np.all(np.abs(phi.sum(-1) - 1) <= 2 * M * unit_roundoff(x))


def test_orthogonal_rows_are_orthogonal_within_blocks_and_of_any_number(rng: np.random.Generator) -> None:
    W = features.orthogonal_gaussian(rng, 8, D)
    assert W.shape == (8, D)
    size = np.linalg.norm(W, axis=-1)
    inner = (W @ W.T) / size[:, None] / size
    block = np.arange(8) // D
    same = (block[:, None] == block) & ~np.eye(8, dtype=bool)
    assert np.all(np.abs(inner[same]) <= 10 * D * unit_roundoff(W))
    assert np.all(np.abs(inner[block[:, None] != block]) > 10 * D * unit_roundoff(W))


def four_moment_bound(second: float, fourth: float, n: int, false_alarm: float) -> float:
    """t with P(|mean of n - its expectation| > t) ≤ false_alarm, by Markov on the fourth central moment of the mean."""
    return float(((fourth + 3 * (n - 1) * second**2) / n**3 / false_alarm) ** 0.25)


def test_orthogonal_rows_are_as_long_as_gaussian_ones(rng: np.random.Generator) -> None:
    n, d = 300_000, 3
    squares = (features.orthogonal_gaussian(rng, n, d) ** 2).sum(-1)
    # χ² with d degrees of freedom: mean d, variance 2d, fourth central moment 12d² + 48d.
    allowed = four_moment_bound(2 * d, 12 * d**2 + 48 * d, n, 1e-4)
    assert abs(squares.mean() - d) <= allowed
    assert abs((1.02**2 * squares).mean() - d) > allowed, "rows two hundredths too long would be seen"


def test_favor_estimates_the_exponential_kernel_without_bias(rng: np.random.Generator) -> None:
    n, d = 100_000, 3
    x, y = (0.3 * u / np.linalg.norm(u) for u in rng.standard_normal((2, d)))
    W = features.orthogonal_gaussian(rng, n * d, d)
    phi = features.Favor(W)
    estimate, kernel = float(phi(x[None])[0] @ phi(y[None])[0]), float(np.exp(x @ y))
    # One feature's product is Z = exp(w'(x + y) - c), E Z^p = exp(p²‖x + y‖²/2 - p c): central moments from these. A
    # block's mean has smaller ones (a mean of d equally distributed terms, whatever their dependence).
    raw = [np.exp(p * p * ((x + y) @ (x + y)) / 2 - p * (x @ x + y @ y) / 2) for p in range(5)]
    second = raw[2] - raw[1] ** 2
    fourth = raw[4] - 4 * raw[3] * raw[1] + 6 * raw[2] * raw[1] ** 2 - 3 * raw[1] ** 4
    allowed = four_moment_bound(second, fourth, n, 1e-4)
    assert abs(estimate - kernel) <= allowed
    assert abs(float(np.mean(np.exp(W @ (x + y)))) - kernel) > allowed, "without the half square it would be seen"


def test_bounded_favor_never_overflows_and_is_the_same_up_to_a_factor(rng: np.random.Generator) -> None:
    W = features.orthogonal_gaussian(rng, 2 * M, D)
    x = rng.standard_normal((20, D)) * np.logspace(-3, 3, 20)[:, None]
    phi = features.Favor.bounded(W)
    assert np.all(phi(x) <= (1 + 100 * unit_roundoff(x)) / np.sqrt(2 * M))
    assert phi(W).max() >= (1 - 100 * unit_roundoff(x)) / np.sqrt(2 * M), "reached at the longest row of W"
    plain, near = features.Favor(W), x[:10]
    ratio = plain(near) / phi(near)
    logits = np.abs(near) @ np.abs(W).T + phi.shift + 1
    assert np.all(np.abs(ratio / np.exp(phi.shift) - 1) <= 8 * (D + 2) * unit_roundoff(x) * logits.max())


def leaky_favor(W: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Performer's released stabiliser: the largest exponent over all keys of the sequence is subtracted, ε added."""
    exponent = k @ W.T - (k * k).sum(-1, keepdims=True) / 2
    return (np.exp(exponent - exponent.max()) + 1e-4) / np.sqrt(len(W))


@pytest.mark.parametrize("layer", [layers.linear_attention, layers.normalized_linear_attention])
def test_random_features_of_later_keys_leave_no_bit_in_the_past_and_a_leaky_stabiliser_does(
    layer: Callable[..., Any], rng: np.random.Generator
) -> None:
    W = features.orthogonal_gaussian(rng, 2 * M, D)
    q, k, v = rng.standard_normal((3, 8, D))
    changed = k.copy()
    changed[5:] = 0.1 * rng.standard_normal((3, D)) + W[np.argmax((W * W).sum(-1))]  # the largest exponent there is
    phi = features.Favor.bounded(W)
    for keys, leaks in ((phi, False), (lambda x: leaky_favor(W, x), True)):
        outputs = [layer(phi(q), keys(x), v).o[:5] for x in (k, changed)]
        assert np.array_equal(*outputs) is not leaks


def test_the_two_maps_with_parameters_have_short_forms(rng):
    x, W = rng.standard_normal((5, 3)), rng.standard_normal((4, 3))
    assert np.array_equal(features.hedgehog(x, W), features.Hedgehog(W)(x))
    drawn = features.favor_plus(np.random.default_rng(0), 8, 3)
    same = features.Favor.bounded(features.orthogonal_gaussian(np.random.default_rng(0), 8, 3))
    assert np.array_equal(drawn(x), same(x))
    assert drawn(x).max() <= 1 / np.sqrt(8)
