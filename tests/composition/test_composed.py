"""Combinations without a name: what must hold of any three choices, against oracles that nobody here wrote."""

from itertools import product

import numpy as np
import pytest
import scipy.linalg
import sympy
import torch

from ttr_numerics import exact, features, regression
from ttr_numerics.arrays import to_numpy
from ttr_numerics.choices import (
    MLP,
    Chebyshev,
    ConjugateGradient,
    Exact,
    ExponentiatedGradient,
    FeatureMap,
    Geometric,
    GradientStep,
    HeavyBall,
    Implicit,
    Leak,
    Linear,
    LocalPolynomial,
    Newton,
    QueryKernel,
    RecursiveLeastSquares,
    Reproducing,
    Sample,
    StochasticGradient,
    Uniform,
    Window,
    WindowedGradient,
)
from ttr_numerics.composition.models import model
from ttr_numerics.composition.online import Learner
from ttr_numerics.composition.tangents import slope
from ttr_numerics.derivations.symbols import matrix, step_from, symbolic
from ttr_numerics.exact import kernels
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

U = 2.0**-53
T, D, D_V = 14, 3, 4
LEAKY = StochasticGradient(leak=Leak.BEFORE_ERROR, momentum=HeavyBall())


def given(r, seed=0, batch=(2,)):
    """Generic arrays for a composed layer."""
    rng = np.random.default_rng(seed)
    q, k = rng.standard_normal((2, *batch, T, D))
    drawn = {
        "beta": rng.uniform(0.1, 0.9, (*batch, T)),
        "w": rng.uniform(0.1, 2.0, (*batch, T)),
        "log_decay": -rng.exponential(0.1, (*batch, T)),
        "log_momentum": -rng.uniform(0.5, 1.5, (*batch, T)),
        "ridge": 0.3,
        "ridge_ratio": 0.1,
        "window": 5,
    }
    k = k / np.linalg.norm(k, axis=-1, keepdims=True)
    return {"q": q, "k": k, "v": rng.standard_normal((*batch, T, D_V))} | {n: drawn[n] for n in r.arrays}


def bounded(r, arrays):
    return rounding(lambda **x: r(**x), arrays, FORMATS["float64"])


def agree(one, other, arrays):
    """Whether two composed layers agree to the rounding of both."""
    a, b = bounded(one, arrays), bounded(other, arrays)
    return bool((row_norms(a.reference - b.reference) <= a.bound + b.bound).all())


# Triples of every engine that have no name, and of every class and weight.
SPACE, POLYNOMIAL, TAYLOR = (
    Reproducing(kernels.Gaussian()),
    Reproducing(kernels.Polynomial()),
    FeatureMap(features.taylor),
)
NEAR = QueryKernel(kernels.Gaussian())
UNNAMED = [
    (Uniform(), SPACE, StochasticGradient()),
    (Sample("w"), SPACE, Implicit(leak=Leak.BEFORE_ERROR)),
    (Uniform(), Linear(), Implicit(leak=Leak.AFTER_ERROR, momentum=HeavyBall())),
    (Uniform(), TAYLOR, LEAKY),
    (Geometric() * Sample("w"), TAYLOR, GradientStep(0.5)),
    (Window(4) * Sample("w"), TAYLOR, GradientStep()),
    (NEAR * Geometric(), Linear(), GradientStep()),
    (Window() * Sample("w"), SPACE, WindowedGradient()),
    (Geometric(), TAYLOR, ConjugateGradient(2)),
    (Window(6), Linear(), Chebyshev(5)),
    (NEAR * Window(6), Linear(), Newton()),
    (Geometric() * Window(6), Linear(), Exact()),
    (Geometric() * Sample("w"), SPACE, Exact()),
    (NEAR * Window(6) * Geometric(), LocalPolynomial(1), Exact()),
    (Window(8), LocalPolynomial(0), Exact()),
    (Sample("w"), TAYLOR, RecursiveLeastSquares()),
]
TRIPLES = pytest.mark.parametrize("triple", UNNAMED, ids=lambda t: " | ".join(map(str, t)))


@TRIPLES
def test_it_has_no_name_and_says_its_problem(triple):
    r = regression(*triple)
    assert r.names == ()
    assert str(triple[1]) in r.problem


@TRIPLES
def test_it_runs_alike_on_every_library(triple, library):
    r = regression(*triple)
    arrays = given(r)
    exactly = isinstance(triple[2], (Exact, RecursiveLeastSquares))
    if exactly and library.dtype in ("float16", "bfloat16"):
        with pytest.raises(ValueError, match="expected float32 or float64"):
            r(**library.arrays(arrays))
        return
    moved = library.arrays(arrays)
    out = r(**moved)
    assert type(out.o) is type(moved["q"])
    assert out.o.dtype == moved["q"].dtype
    assert getattr(out.o, "device", None) == getattr(moved["q"], "device", None)
    run = rounding(lambda **x: r(**x), arrays, FORMATS[library.dtype])
    assert (row_norms(to_numpy(out.o).astype(np.float64) - run.reference) <= run.bound).all()


@TRIPLES
@pytest.mark.parametrize("split", [0, 1, 7, T])
def test_a_split_anywhere_carries_the_state(triple, split):
    r = regression(*triple)
    arrays = given(r)
    run = bounded(r, arrays)
    part = [{n: x[:, s] if isinstance(x, np.ndarray) else x for n, x in arrays.items()} for s in np.s_[:split, split:]]
    head = r(**part[0])
    tail = r(**part[1], initial_state=head.state)
    assert (row_norms(np.concatenate([head.o, tail.o], axis=-2) - run.reference) <= 2 * run.bound).all()


@TRIPLES
def test_any_batch_axes_are_carried(triple):
    r = regression(*triple)
    for batch in ((), (2, 3)):
        arrays = given(r, batch=batch)
        assert r(**arrays).o.shape == (*batch, T, D_V)


ONLINE = [
    (Uniform(), StochasticGradient()),
    (Sample("w"), LEAKY),
    (Uniform(), StochasticGradient(batch=4)),
    (Sample("w"), Implicit(leak=Leak.AFTER_ERROR)),
    (Geometric() * Sample("w"), GradientStep(0.5)),
    (NEAR * Window(6), GradientStep()),
    (Window() * Sample("w"), WindowedGradient(HeavyBall())),
    (Geometric() * Sample("w"), Exact()),
    (NEAR * Window(6), Exact()),
]


@pytest.mark.parametrize(("weights", "optimiser"), ONLINE, ids=str)
def test_in_the_space_of_a_kernel_it_is_what_it_is_in_the_kernels_features(weights, optimiser):
    one, other = (regression(weights, c, optimiser) for c in (POLYNOMIAL, TAYLOR))
    arrays = given(one)
    if "window" in arrays or optimiser == StochasticGradient(batch=4):
        arrays["beta"] = arrays["beta"] / 8  # steps that several gradients share
    assert agree(one, other, arrays)


def test_the_delta_rule_in_a_kernels_space_is_one_triangular_solve_of_its_gram_matrix():
    r = regression(Uniform(), SPACE, StochasticGradient())
    a = given(r, batch=())
    gram = np.exp(-0.5 * np.sum((a["k"][:, None] - a["k"]) ** 2, axis=-1))
    system = np.eye(T) + a["beta"][:, None] * np.tril(gram, -1)
    alpha = scipy.linalg.solve_triangular(system, a["beta"][:, None] * a["v"], lower=True, unit_diagonal=True)
    o = np.tril(np.exp(-0.5 * np.sum((a["q"][:, None] - a["k"]) ** 2, axis=-1))) @ alpha
    run = bounded(r, a)
    # SciPy's substitution is backward stable: |δα| ≤ T u κ |α|; each output sums T of them with kernel values below 1.
    reach = T * T * U * np.linalg.cond(system) * np.linalg.norm(alpha)
    assert (row_norms(o - run.reference) <= run.bound + reach).all()


def test_implicit_steps_of_infinite_size_interpolate_the_newest_pair_in_any_space():
    r = regression(Uniform(), SPACE, Implicit())
    a = given(r)
    o = r(**{**a, "q": a["k"], "beta": np.full((2, T), 1e18)}).o
    # The pair is left with 1/(1 + β) of its error, and rounding of T coefficients.
    assert np.max(np.abs(o - a["v"])) <= 16 * T * U * np.max(np.abs(a["v"])) * T


WEIGHTS = [
    (Geometric() * Sample("w"), ("log_decay", "w")),
    (Window(6) * Sample("w"), ("w",)),
    (NEAR * Geometric() * Window(9), ("log_decay",)),
]


def weight_rows(weights, a):
    """γ_i^(t) (T, T) written out."""
    t = np.arange(T)
    gamma = np.tril(np.ones((T, T)))
    text = str(weights)
    if "geometric" in text:
        total = np.cumsum(a["log_decay"])
        gamma = gamma * np.exp(np.minimum(total[:, None] - total, 0))
    if "w_i" in text:
        gamma = gamma * a["w"]
    if "last" in text:
        length = int(text.split("last ")[1].split(" ")[0])
        gamma = gamma * (t[:, None] - t < length)
    if "Gaussian" in text:
        gamma = gamma * np.exp(-0.5 * np.sum((a["q"][:, None] - a["k"]) ** 2, axis=-1))
    return gamma


@pytest.mark.parametrize(("weights", "needs"), WEIGHTS, ids=str)
@pytest.mark.parametrize("optimiser", [GradientStep(), ConjugateGradient(2), Exact()], ids=str)
def test_the_partner_is_weighted_least_squares_by_lapack(weights, needs, optimiser):
    r = regression(weights, Linear(), optimiser)
    assert {*needs} <= {*r.arrays}
    a = given(r, batch=())
    partner = r.partner(**{**a, "ridge": 0.3}).o
    gamma = weight_rows(weights, a)
    for t in range(T):
        root = np.sqrt(gamma[t])[:, None]
        rows = np.concatenate([root * a["k"], np.sqrt(0.3) * np.eye(D)])
        S, _, _, s = scipy.linalg.lstsq(rows, np.concatenate([root * a["v"], np.zeros((D, D_V))]))
        # Both sides solve by QR or Cholesky of the normal equations: κ² u of the solution, D + T terms each.
        reach = (
            (D + T) * U * (s[0] / s[-1]) ** 2 * np.linalg.norm(a["q"][t]) * (np.linalg.norm(S) + np.linalg.norm(a["v"]))
        )
        assert np.linalg.norm(partner[t] - a["q"][t] @ S) <= reach


def test_without_a_ridge_the_partner_is_of_least_norm():
    r = regression(Uniform(), Linear(), StochasticGradient())
    a = given(r, batch=())
    partner = r.partner(**a).o
    for t in (0, 1, D, T - 1):
        S, _, _, s = scipy.linalg.lstsq(a["k"][: t + 1], a["v"][: t + 1])
        size = (s[0] / s[s > 1e-12 * s[0]][-1]) ** 2 * np.linalg.norm(a["v"])
        assert np.linalg.norm(partner[t] - a["q"][t] @ S) <= (T + D) * U * size * np.linalg.norm(a["q"][t])


def test_the_gap_closes_as_the_optimiser_goes_on():
    gaps = [
        regression(Geometric(), Linear(), ConjugateGradient(n)).gap(
            **given(regression(Geometric(), Linear(), Newton()))
        )
        for n in range(1, D + 1)
    ]
    assert (gaps[0] > gaps[1]).all()
    assert (gaps[1] > gaps[2]).all()
    # Exact after D steps: what is left is rounding, squared.
    assert (gaps[2] < (T * U) ** 2 * 1e6).all()


def test_chebyshev_steps_end_at_their_partner():
    gaps = []
    for n in (2, 8, 60):
        r = regression(Geometric(), Linear(), Chebyshev(n))
        gaps.append(r.gap(**given(r)))
    assert (gaps[0] > 10 * gaps[1]).all()
    # The condition number is at most (1 + ratio)/ratio = 11: sixty steps leave rounding, squared.
    assert (gaps[2] < (11 * 11 * T * U) ** 2 * 1e2).all()


def test_one_gradient_step_on_a_perceptron_is_torchs():
    r = regression(Geometric(), MLP(_tanh), GradientStep(0.1))
    rng = np.random.default_rng(0)
    W = [torch.asarray(rng.standard_normal(shape), requires_grad=True) for shape in ((D, 6), (6, D_V))]
    a = {n: torch.asarray(x) for n, x in given(regression(Geometric(), Linear(), GradientStep()), batch=()).items()}
    o = r(**a, W_1=W[0].detach(), W_2=W[1].detach()).o
    for t in (0, 5, T - 1):
        ages = torch.flip(torch.cumsum(torch.flip(a["log_decay"][1 : t + 1], (0,)), 0), (0,))
        weights = torch.exp(torch.cat([ages, torch.zeros(1, dtype=torch.float64)]))
        errors = a["v"][: t + 1] - torch.tanh(a["k"][: t + 1] @ W[0]) @ W[1]
        slopes = torch.autograd.grad(0.5 * (weights[:, None] * errors**2).sum(), W)
        moved = [(w - 0.1 * g).detach() for w, g in zip(W, slopes, strict=True)]
        wanted = torch.tanh(a["q"][t] @ moved[0]) @ moved[1]
        # Sums of at most 6 T terms on both sides, every one of the size of the moved weights.
        assert float((o[t] - wanted).abs().max()) <= 64 * 6 * T * U * float(moved[1].abs().max() * moved[0].abs().max())


def _tanh(y):
    return 1 - 2 / (1 + _exp(2 * y))


def test_one_newton_step_is_the_exact_solution():
    one, other = (regression(Geometric() * Sample("w"), TAYLOR, o) for o in (Newton(), Exact()))
    assert agree(one, other, given(one))


def test_several_steps_a_token_have_the_partner_of_as_many_tokens():
    r = regression(Uniform(), Linear(), StochasticGradient(leak=Leak.BEFORE_ERROR, steps=2))
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((T, D)), rng.standard_normal((T, 2, D)), rng.standard_normal((T, 2, D_V))
    gate = -rng.exponential(0.1, T)
    partner = r.partner(q, k, v, beta=np.ones((T, 2)), log_decay=gate, ridge=0.3).o
    later = np.stack([gate, 0 * gate], axis=-1).reshape(-1)
    pairs = k.reshape(-1, D), v.reshape(-1, D_V)
    whole = exact.ridge_prefixes(np.repeat(q, 2, axis=0), *pairs, ridge=0.3, log_decay=later).o
    assert np.array_equal(partner, whole[1::2])
    w = rng.uniform(0.1, 2.0, T)
    r = regression(Sample("w"), Linear(), StochasticGradient(steps=2))
    partner = r.partner(q, k, v, beta=np.ones((T, 2)), w=w, ridge=0.3).o
    whole = exact.ridge_prefixes(np.repeat(q, 2, axis=0), *pairs, ridge=0.3, weights=np.repeat(w, 2)).o
    assert np.array_equal(partner, whole[1::2])


@pytest.mark.parametrize("function_class", [Linear(), TAYLOR, MLP(np.tanh)], ids=["linear", "Taylor", "perceptron"])
def test_the_pullback_of_a_class_is_torchs_derivative_of_its_value(function_class):
    rng = np.random.default_rng(0)
    x, e = torch.asarray(rng.standard_normal((5, D))), torch.asarray(rng.standard_normal((5, D_V)))
    W = [torch.asarray(rng.standard_normal(shape), requires_grad=True) for shape in ((D, 6), (6, D_V))]
    if isinstance(function_class, MLP):
        function_class = MLP(_tanh)
        m = model(function_class, {"W_1": W[0], "W_2": W[1]})
        parameters, leaves = m.start(x, e, None), W
    else:
        m = model(function_class, {})
        S = torch.asarray(rng.standard_normal((m.rows(x).shape[-1], D_V)), requires_grad=True)
        parameters, leaves = S, [S]
    rows = m.rows(x)
    wanted = torch.autograd.grad((m.value(parameters, rows) * e).sum(), leaves)
    found = m.pullback(parameters, rows, e)
    for one, other in zip(found if isinstance(found, tuple) else (found,), wanted, strict=True):
        # Two evaluations of sums of at most 5 · 6 products, a few roundings each.
        assert float((one - other).detach().abs().max()) <= 64 * 30 * U * float(other.abs().max())


def _exp(x):
    return x.__array_namespace__().exp(x) if hasattr(x, "__array_namespace__") else torch.exp(x)


def test_the_slope_of_an_activation_is_its_symbolic_derivative():
    x = sympy.Symbol("x", positive=True)

    def activation(y):
        xp = y.__array_namespace__() if hasattr(y, "__array_namespace__") else None
        return (1 - 3 / (1 + y * y)) * xp.exp(-y) / xp.sqrt(2 + xp.log(y)) - y / 2

    written = (1 - 3 / (1 + x * x)) * sympy.exp(-x) / sympy.sqrt(2 + sympy.log(x)) - x / 2
    assert sympy.simplify(slope(activation, matrix([x]))[0] - sympy.diff(written, x)) == 0


def test_a_composed_step_is_the_symbolic_gradient_step_with_momentum_and_leak():
    q, k, v, S0 = symbolic(T=1)
    r = regression(Sample("w"), Linear(), StochasticGradient(leak=Leak.AFTER_ERROR, momentum=HeavyBall()))
    b, w, g, m = (matrix([sympy.Symbol(n, positive=True)]) for n in "bwgm")
    U0 = matrix([[sympy.Symbol(f"u{i}")] for i in range(2)])
    state = Learner(S0, U0, S0, 0)
    out = r(q, k, v, beta=b, w=w, log_decay=-g, log_momentum=-m, initial_state=state).state
    step = step_from(lambda S: w[0] * sum(e**2 for e in (v - k @ S).flat) / 2, S0, b[0]) - S0
    velocity = sympy.exp(-m[0]) * U0 + step
    assert all(sympy.simplify(x) == 0 for x in (out.velocity - velocity).flat)
    assert all(sympy.simplify(x) == 0 for x in (out.parameters - sympy.exp(-g[0]) * S0 - velocity).flat)


def test_an_implicit_step_is_stationary_in_symbols():
    q, k, v, S0 = symbolic(T=1)
    r = regression(Uniform(), Linear(), Implicit())
    b = matrix([sympy.Symbol("b", positive=True)])
    S = r(q, k, v, beta=b, initial_state=S0).state
    stationary = step_from(lambda X: sum(e**2 for e in (v - k @ X).flat) / 2, S, b[0])
    assert all(sympy.simplify(x) == 0 for x in (stationary - S - (S - S0)).flat)


def test_a_smoother_in_a_window_is_its_formula_in_symbols():
    q, k, v, _ = symbolic(T=3)
    r = regression(Window(2) * QueryKernel(kernels.Exponential()), LocalPolynomial(0), Exact())
    weights = [sympy.exp(sum(q[2] * k[i])) for i in (1, 2)]
    written = sum(w * v[i, 0] for w, i in zip(weights, (1, 2), strict=True)) / sum(weights)
    assert sympy.simplify(sympy.nsimplify(r(q, k, v).o[2, 0]) - written) == 0


def test_a_gradient_step_on_a_window_is_the_symbolic_gradient():
    q, k, v, _ = symbolic(T=3)
    r = regression(Window(2) * Geometric(), Linear(), GradientStep(0.5))
    gate = matrix([sympy.Symbol(f"g{i}", negative=True) for i in range(3)])

    def loss(S):
        errors = [sum(e**2 for e in (v[i] - k[i] @ S).flat) / 2 for i in (1, 2)]
        return sympy.exp(gate[2]) * errors[0] + errors[1]

    wanted = q[2] @ step_from(loss, matrix([[0], [0]]), sympy.Rational(1, 2))
    assert sympy.simplify(sympy.nsimplify(r(q, k, v, log_decay=gate).o[2, 0]) - wanted[0]) == 0


@pytest.mark.parametrize("triple", UNNAMED[:10], ids=lambda t: " | ".join(map(str, t)))
def test_torch_differentiates_through_it(triple):
    r = regression(*triple)
    arrays = given(r, batch=())
    named = [n for n, x in arrays.items() if isinstance(x, np.ndarray)]
    short = {n: x[:4] if n in named else x for n, x in arrays.items()}
    tensors = [torch.asarray(short[n], requires_grad=True) for n in named]
    assert torch.autograd.gradcheck(lambda *x: r(**short | dict(zip(named, x, strict=True))).o, tensors)


REFUSED = [
    (Geometric(), Linear(), StochasticGradient(), "weights: expected no Geometric"),
    (Window(3), Linear(), Implicit(), "optimiser: expected GradientStep"),
    (NEAR, Linear(), Implicit(), "optimiser: expected Exact"),
    (Uniform(), LocalPolynomial(1), GradientStep(), "optimiser: expected Exact"),
    (Uniform(), SPACE, ConjugateGradient(3), "optimiser: expected Exact"),
    (Uniform(), SPACE, Newton(), "optimiser: expected Exact"),
    (Window(3), Linear(), RecursiveLeastSquares(), "weights: expected products of Uniform"),
    (Uniform(), MLP(np.tanh), Exact(), "optimiser: expected StochasticGradient"),
    (Uniform(), TAYLOR, ExponentiatedGradient(), "function_class: expected Linear"),
    (Sample("beta"), Linear(), StochasticGradient(), "weights: expected another name"),
    (Geometric(), Linear(), WindowedGradient(), "weights: expected products of Window"),
    (Uniform(), Linear(), StochasticGradient(batch=4, leak=Leak.BEFORE_ERROR), "optimiser: expected no leak"),
]


@pytest.mark.parametrize(("weights", "function_class", "optimiser", "sentence"), REFUSED, ids=str)
def test_choices_that_make_no_sense_are_refused_in_a_sentence(weights, function_class, optimiser, sentence):
    with pytest.raises(ValueError, match="^" + sentence) as refusal:
        regression(weights, function_class, optimiser)
    assert "\n" not in str(refusal.value)


def test_every_other_combination_of_the_simple_choices_runs():
    classes = (Linear(), TAYLOR, SPACE, LocalPolynomial(1))
    weightings = (Uniform(), Geometric(), Sample("w"), Window(5), NEAR, NEAR * Window(5))
    optimisers = (GradientStep(), StochasticGradient(), Implicit(), Newton(), ConjugateGradient(2), Exact())
    ran = 0
    for triple in product(weightings, classes, optimisers):
        try:
            r = regression(*triple)
        except ValueError:
            continue
        assert np.isfinite(r(**given(r)).o).all()
        ran += 1
    assert ran >= 60


def test_arrays_are_asked_for_by_name():
    r = regression(Geometric(), Linear(), Exact())
    a = given(r)
    with pytest.raises(ValueError, match="^ridge: expected as a named array"):
        r(a["q"], a["k"], a["v"], log_decay=a["log_decay"])
    with pytest.raises(ValueError, match="^beta: expected no array of this name but log_decay, ridge$"):
        r(**a, beta=a["log_decay"])
