"""What is peculiar to the layers that solve at every token: their bounds, their scaling, and how they go wrong."""

import re
from typing import Any

import numpy as np
import pytest
import scipy.special
import torch

from tests.pairs.hostile import hostile
from ttr_numerics import exact, layers
from ttr_numerics.axes import Moments, Recursion
from ttr_numerics.layers import chunked
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

F64, RIDGE = FORMATS["float64"], 0.25
FORMS = pytest.mark.parametrize("form", [layers, chunked], ids=["sequential", "chunked"])


def data(rng: np.random.Generator, T: int = 24, d_k: int = 6, d_v: int = 4) -> dict[str, np.ndarray]:
    """Two heads of unit keys with gates and weights."""
    q, k = (rng.standard_normal((2, T, d_k)) for _ in range(2))
    return {
        "q": q,
        "k": k / np.linalg.norm(k, axis=-1, keepdims=True),
        "v": rng.standard_normal((2, T, d_v)),
        "log_decay": -rng.exponential(0.1, (2, T)),
        "beta": rng.uniform(0.1, 1.0, (2, T)),
    }


def within_both(one: Any, other: Any, arrays: dict[str, np.ndarray]) -> bool:
    """Whether two functions of the same arrays differ by no more than the rounding of both."""
    a, b = rounding(one, arrays, F64), rounding(other, arrays, F64)
    return bool(np.all(row_norms(a.reference - b.reference) <= a.bound + b.bound))


def weighted_attention(q: Any, k: Any, v: Any, log_decay: Any, beta: Any, **_: Any) -> Any:
    return layers.gated_linear_attention(q, k, beta[..., None] * v, log_decay=log_decay)


def systems(rng: np.random.Generator, spectrum: np.ndarray, n: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A symmetric A of that spectrum, n queries, and A⁻¹ of each."""
    d = len(spectrum)
    Q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    q = rng.standard_normal((n, d))
    return (Q * spectrum) @ Q.T, q, ((q @ Q) / spectrum) @ Q.T


def read(layer: Any, H: np.ndarray, q: np.ndarray, **given: Any) -> np.ndarray:
    """x_t of every query for the memory H: what is read where the memory of values is the identity."""
    memory = Moments(H, np.eye(len(H)))
    return layer(q, 0 * q, 0 * q, **given, initial_state=memory).o


# --- the original Mesa layer -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", [0.0, -0.05, -0.5, -2.0])
def test_the_original_layer_is_recursive_least_squares_to_what_its_gates_cost(
    gate: float, rng: np.random.Generator
) -> None:
    arrays = data(rng) | {"log_decay": np.full((2, 24), gate)}

    def solver(beta: Any, **given: Any) -> Any:
        return exact.recursive_least_squares_by_square_root(**given, weights=beta, ridge=RIDGE)

    assert within_both(lambda **a: layers.original_mesa(**a, ridge=RIDGE), solver, arrays)
    fixed = layers.mesa(**arrays, ridge=RIDGE).o  # whose regulariser does not decay
    bound = rounding(lambda **a: layers.original_mesa(**a, ridge=RIDGE), arrays, F64)
    assert (gate == 0.0) == bool(np.all(row_norms(fixed - bound.reference) <= 4 * bound.bound))


def test_an_inverse_updated_with_its_columns_alone_explodes_and_the_layers_does_not(rng: np.random.Generator) -> None:
    # (Pk')(Pk')' is symmetric whatever P is: the antisymmetric part of P meets no correction and grows as 1/γ^t.
    T, d, gamma = 750, 16, 0.95
    q, k, v = (rng.standard_normal((T, d)) for _ in range(3))
    P, S = 100.0 * np.eye(d), np.zeros((d, d))
    rows = []
    for t in range(T):
        Pk = P @ k[t]
        gain = Pk / (gamma + k[t] @ Pk)
        S = S + np.outer(gain, v[t] - k[t] @ S)
        P = (P - np.outer(gain, Pk)) / gamma
        rows.append(q[t] @ S)
    arrays = {"q": q, "k": k, "v": v, "log_decay": np.full(T, np.log(gamma))}
    truth = exact.recursive_least_squares_by_square_root(**arrays, ridge=0.01).o
    size = np.linalg.norm(truth, axis=-1)
    run = rounding(lambda **a: layers.original_mesa(**a, ridge=0.01), arrays, F64)
    late = slice(T - 50, T)
    assert np.all(np.linalg.norm(np.array(rows) - truth, axis=-1)[late] > size[late])
    assert np.all(np.linalg.norm(run.reference - truth, axis=-1) <= 2 * run.bound)
    assert np.all(run.bound[late] < 1e-3 * size[late])


def test_the_state_of_the_layer_and_of_the_solver_continue_each_other(rng: np.random.Generator) -> None:
    arrays = data(rng)
    head, tail = ({n: x[:, part] for n, x in arrays.items()} for part in (slice(12), slice(12, None)))
    ours = layers.original_mesa(**head, ridge=RIDGE).state
    weights = {"weights": tail.pop("beta")}
    there = exact.recursive_least_squares(**tail, **weights, initial_state=ours).o
    run = rounding(lambda **a: layers.original_mesa(**a, ridge=RIDGE), arrays, F64)
    assert isinstance(ours, Recursion)
    assert np.all(row_norms(there - run.reference[:, 12:]) <= 2 * run.bound[:, 12:])


def test_along_a_direction_that_no_key_excites_the_inverse_grows_as_the_memory_is_forgotten() -> None:
    T, gate = 40, -1.0
    k = np.zeros((T, 2))
    k[:, 0] = 1.0
    P = layers.original_mesa(k, k, k, ridge=RIDGE, log_decay=np.full(T, gate)).state.P
    # One division and one exponential of a rounded gate a token: wind-up, which ends in overflow.
    assert abs(P[1, 1] * RIDGE * np.exp(gate * T) - 1) <= 4 * T * F64.u
    assert P[0, 0] <= 1.0


# --- conjugate gradients ---------------------------------------------------------------------------------------------


@FORMS
@pytest.mark.parametrize("kappa", [10.0, 1e3, 1e6])
def test_the_error_of_conjugate_gradients_stays_below_the_bound_of_the_condition_number(
    form: Any, kappa: float, rng: np.random.Generator
) -> None:
    spectrum = np.geomspace(1.0, kappa, 12)
    A, q, x = systems(rng, spectrum)
    rate = (np.sqrt(kappa) - 1) / (np.sqrt(kappa) + 1)

    def energy(e: np.ndarray) -> np.ndarray:
        return np.sqrt(np.sum((e @ A) * e, axis=-1))

    for steps in (1, 2, 5, 8):
        found = read(form.mesa_cg, A - 0.5 * np.eye(12), q, ridge=0.5, steps=steps)
        # d roundoffs of every product with A, through A⁻¹ at most κ of them, in each of the steps.
        rounded = 12 * steps * F64.u * kappa * energy(x)
        assert np.all(energy(found - x) <= 2 * rate**steps * energy(x) + rounded)
    assert np.any(energy(read(form.mesa_cg, A - 0.5 * np.eye(12), q, ridge=0.5, steps=1) - x) > rate**2 * energy(x))


@FORMS
@pytest.mark.parametrize("distinct", [1, 2, 3, 5])
def test_as_many_steps_as_distinct_eigenvalues_solve_exactly_and_one_fewer_do_not(
    form: Any, distinct: int, rng: np.random.Generator
) -> None:
    spectrum = np.linspace(1.0, 3.0, distinct)[rng.permutation(np.arange(10) % distinct)]
    A, q, x = systems(rng, spectrum)
    memory = A - 0.5 * np.eye(10)
    # κ = 3: a step loses a few multiples of d roundoffs of ‖A‖, and that of A itself is d of them.
    rounded = 10 * (distinct + 2) * 3 * F64.u * np.linalg.norm(x, axis=-1)
    error = np.linalg.norm(read(form.mesa_cg, memory, q, ridge=0.5, steps=distinct) - x, axis=-1)
    assert np.all(error <= rounded)
    if distinct > 1:
        short = np.linalg.norm(read(form.mesa_cg, memory, q, ridge=0.5, steps=distinct - 1) - x, axis=-1)
        assert np.all(short > rounded)


@FORMS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("power", [-90, -20, 60])
def test_the_output_scales_with_the_query_bit_by_bit(
    form: Any, dtype: str, power: int, rng: np.random.Generator
) -> None:
    arrays = {n: x.astype(dtype) for n, x in data(rng).items()}
    scale = np.asarray(2.0**power, dtype)
    for layer in (lambda **a: form.mesa_cg(**a, ridge=RIDGE, steps=4), form.gated_kalmanet):
        assert np.array_equal(layer(**arrays | {"q": scale * arrays["q"]}).o, scale * layer(**arrays).o)


@FORMS
def test_no_step_from_the_query_is_gated_linear_attention_and_from_zero_nothing(
    form: Any, rng: np.random.Generator
) -> None:
    arrays = data(rng)
    start = arrays | {"start": arrays["q"]}
    assert within_both(
        lambda **a: form.mesa_cg(**a, ridge=RIDGE, steps=0), lambda start, **a: weighted_attention(**a), start
    )
    assert not np.any(form.mesa_cg(**arrays, ridge=RIDGE, steps=0).o)


@FORMS
def test_thirty_steps_from_anywhere_are_the_exact_layer(form: Any, rng: np.random.Generator) -> None:
    arrays = data(rng)
    exactly = rounding(lambda **a: layers.mesa(**a, ridge=RIDGE), arrays, F64)
    for start in (None, arrays["q"], rng.standard_normal(arrays["q"].shape)):
        given = arrays if start is None else arrays | {"start": start}
        run = rounding(lambda **a: form.mesa_cg(**a, ridge=RIDGE), given, F64)
        assert np.all(row_norms(run.reference - exactly.reference) <= run.bound + exactly.bound)


@FORMS
@pytest.mark.parametrize("ridge", [1e-2, np.geomspace(1e-2, 10.0, 6), np.ones((2, 6))], ids=lambda r: str(np.shape(r)))
def test_a_ridge_of_any_shape_is_that_of_the_exact_layer(form: Any, ridge: Any, rng: np.random.Generator) -> None:
    def iterated(**arrays: Any) -> Any:
        return form.mesa_cg(**arrays, ridge=ridge, steps=60)

    assert within_both(iterated, lambda **a: layers.mesa(**a, ridge=ridge), data(rng))


# --- Gated KalmaNet --------------------------------------------------------------------------------------------------


@FORMS
@pytest.mark.parametrize("ratio", [0.02, 0.5])
def test_the_residual_stays_below_one_over_the_chebyshev_polynomial(
    form: Any, ratio: float, rng: np.random.Generator
) -> None:
    H, q, _ = systems(rng, np.geomspace(1e-3, 1.0, 12))
    ridge = ratio * np.linalg.norm(H)
    for steps in (0, 3, 30):
        x = read(form.gated_kalmanet, H, q, ridge_ratio=ratio, steps=steps)
        left = np.linalg.norm(x @ (H + ridge * np.eye(12)) - q, axis=-1)
        size = np.linalg.norm(q, axis=-1)
        # d roundoffs of every product, through a spectrum between λ and (1 + 1/a) λ, in each of the steps.
        rounded = 12 * (steps + 1) * F64.u * (1 + 1 / ratio) * size
        assert np.all(left <= size / scipy.special.eval_chebyt(steps + 1, 1 + 2 * ratio) + rounded)
        one_more = scipy.special.eval_chebyt(steps + 2, 1 + 2 * ratio)
        assert steps == 30 or np.any(left > size / one_more + rounded), "one step fewer would be seen"


def test_the_condition_number_is_at_most_fifty_one_whatever_the_keys(rng: np.random.Generator) -> None:
    for case in ("unit keys", "repeated keys", "zero keys"):
        k = hostile(pairing("gated_kalmanet"), case)["k"]
        for keys in (k, 1e3 * k, k * np.geomspace(1.0, 1e6, k.shape[-1])):
            H = keys.mT @ keys
            norm = np.linalg.norm(H, axis=(-2, -1))[..., None]
            spectrum = np.linalg.eigvalsh(H) + 0.02 * norm
            assert np.all(spectrum.max(axis=-1) / spectrum.min(axis=-1) <= 51 * (1 + k.shape[-1] * F64.u / 0.02))


@FORMS
def test_enough_steps_solve_with_the_ridge_that_follows_the_memory(form: Any, rng: np.random.Generator) -> None:
    arrays = data(rng)
    run = rounding(lambda **a: form.gated_kalmanet(**a, ridge_ratio=0.1, steps=120), arrays, F64)
    H = np.zeros((2, 6, 6))
    G = np.zeros((2, 6, 4))
    for t in range(24):
        k, v, w = arrays["k"][:, t, :, None], arrays["v"][:, t, None], arrays["beta"][:, t, None, None]
        gate = np.exp(arrays["log_decay"][:, t, None, None])
        H, G = gate * H + w * (k @ k.mT), gate * G + w * (k @ v)
        A = H + 0.1 * np.linalg.norm(H, axis=(-2, -1))[:, None, None] * np.eye(6)
        o = (np.linalg.solve(A, arrays["q"][:, t, :, None]).mT @ G)[:, 0]
        assert np.all(np.linalg.norm(o - run.reference[:, t], axis=-1) <= 2 * run.bound[:, t])


@FORMS
def test_mixture_zero_is_gated_linear_attention(form: Any, rng: np.random.Generator) -> None:
    arrays = data(rng) | {"alpha": np.zeros((2, 24))}
    assert within_both(form.gated_kalmanet, lambda alpha, **a: weighted_attention(**a), arrays)


@pytest.mark.parametrize(
    "fault",
    [
        lambda a: layers.gated_kalmanet(**a, steps=29),
        lambda a: layers.gated_kalmanet(**a, ridge_ratio=0.0201),
        lambda a: layers.gated_kalmanet(**a | {"beta": np.sqrt(a["beta"])}),
        lambda a: layers.gated_kalmanet(**a | {"log_decay": np.roll(a["log_decay"], 1, axis=-1)}),
    ],
    ids=["one step fewer", "another ratio", "the write gate not squared", "gates a token late"],
)
def test_a_planted_fault_is_seen(fault: Any, rng: np.random.Generator) -> None:
    arrays = data(rng)
    run = rounding(layers.gated_kalmanet, arrays, F64)
    assert np.mean(row_norms(fault(arrays).o - run.reference) > run.bound) > 0.5


@FORMS
def test_an_empty_memory_reads_zero_until_a_key_comes(form: Any, rng: np.random.Generator) -> None:
    arrays = data(rng)
    arrays["k"][:, :5] = 0.0
    arrays["log_decay"][:, 3] = -np.inf
    o = form.gated_kalmanet(**arrays).o
    assert not np.any(o[:, :5])
    assert np.all(np.isfinite(o))
    assert np.all(np.linalg.norm(o[:, 5:], axis=-1) > 0)


@pytest.mark.parametrize("gamma", [0.9, 0.99])
def test_the_condition_number_under_a_fixed_ridge_is_bounded_by_ridge_and_gate(
    gamma: float, rng: np.random.Generator
) -> None:
    arrays = data(rng, T=200) | {"log_decay": np.full((2, 200), np.log(gamma)), "beta": np.ones((2, 200))}
    for keys in (arrays["k"], np.repeat(arrays["k"][:, :1], 200, axis=1)):
        H = layers.mesa(**arrays | {"k": keys}, ridge=RIDGE).state.H
        kappa = np.linalg.cond(H + RIDGE * np.eye(6))
        assert np.all(kappa <= (1 + 1 / (RIDGE * (1 - gamma))) * (1 + 200 * F64.u))
    assert np.all(kappa > 0.8 * (1 + 1 / (RIDGE * (1 - gamma))))  # one key repeated nearly attains it


def test_conjugate_gradients_are_never_behind_as_many_chebyshev_steps(rng: np.random.Generator) -> None:
    H, q, _ = systems(rng, np.geomspace(1e-3, 1.0, 12))
    ratio = 0.02
    ridge = ratio * np.linalg.norm(H)
    A = H + ridge * np.eye(12)
    x = np.linalg.solve(A, q.T).T
    for steps in (1, 3, 6):
        krylov = read(layers.mesa_cg, H, q, ridge=ridge, steps=steps) - x
        chebyshev = read(layers.gated_kalmanet, H, q, ridge_ratio=ratio, steps=steps - 1) - x
        optimal, other = (np.sum((e @ A) * e, axis=-1) for e in (krylov, chebyshev))
        assert np.all(optimal < other)  # the least A-norm over the same space


# --- both ------------------------------------------------------------------------------------------------------------


@FORMS
@pytest.mark.parametrize("name", ["mesa_cg", "gated_kalmanet"])
def test_a_memory_that_has_decayed_by_forty_nats_still_answers(form: Any, name: str, rng: np.random.Generator) -> None:
    # Zero keys write nothing: H_t is e^-40 of what it was, in float32 too small for its square.
    arrays = {n: x.astype(np.float32) for n, x in data(rng).items()}
    arrays["k"][:, 12:] = 0
    arrays["log_decay"][:, 12] = -40.0
    o = getattr(form, name)(**arrays, **({"ridge": 1e-20} if name == "mesa_cg" else {})).o
    before = getattr(form, name)(
        **{n: x[:, :12] for n, x in arrays.items()}, **({"ridge": 1.0} if name == "mesa_cg" else {})
    )
    assert np.all(np.isfinite(o))
    if name == "gated_kalmanet":  # scale-free: the same answers as from the memory that was
        again = getattr(form, name)(
            **{n: x[:, 12:] for n, x in arrays.items()} | {"log_decay": np.zeros((2, 12), np.float32)},
            initial_state=before.state,
        )
        rest = arrays["log_decay"][:, 13:]
        assert rest.shape[1] == 11
        # 30 steps of d roundoffs through a condition number of 51, and those of the gates.
        limit = 51 * 31 * 6 * 2.0**-24 * np.linalg.norm(again.o, axis=-1)
        assert np.all(np.linalg.norm(o[:, 12:] - again.o, axis=-1) <= limit)


@FORMS
@pytest.mark.parametrize("name", ["mesa_cg", "gated_kalmanet"])
def test_nan_is_passed_on_and_no_answer_hides_it(form: Any, name: str, rng: np.random.Generator) -> None:
    ridge = {"ridge": RIDGE} if name == "mesa_cg" else {}
    for array in ("q", "k", "v", "beta"):
        arrays = data(rng)
        arrays[array][0, 7] = np.nan
        o = getattr(form, name)(**arrays, **ridge).o
        assert np.all(np.isnan(o[0, 7]))
        assert np.all(np.isfinite(o[1]))
        assert array == "q" or np.all(np.isnan(o[0, 7:]))


@FORMS
@pytest.mark.parametrize("name", ["mesa_cg", "gated_kalmanet"])
def test_gates_of_one_head_serve_all(form: Any, name: str, rng: np.random.Generator) -> None:
    arrays, given = data(rng), {"ridge": RIDGE} if name == "mesa_cg" else {}
    shared = arrays | {n: arrays[n][:1] for n in ("log_decay", "beta")}
    whole = arrays | {n: np.repeat(arrays[n][:1], 2, axis=0) for n in ("log_decay", "beta")}
    run = rounding(lambda **a: getattr(form, name)(**a, **given), whole, F64)
    assert np.all(row_norms(getattr(form, name)(**shared, **given).o - run.reference) <= 2 * run.bound)


@FORMS
@pytest.mark.parametrize("name", ["mesa_cg", "gated_kalmanet"])
def test_gradients_match_finite_differences(form: Any, name: str, rng: np.random.Generator) -> None:
    given = data(rng, T=4, d_k=3, d_v=2)
    names = list(given)
    more = {"mesa_cg": {"ridge": RIDGE, "steps": 2}, "gated_kalmanet": {"steps": 3}}[name]

    def outputs(*arrays: torch.Tensor) -> torch.Tensor:
        return getattr(form, name)(**dict(zip(names, arrays, strict=True)), **more).o

    assert torch.autograd.gradcheck(outputs, tuple(torch.asarray(given[n]).requires_grad_() for n in names))


def test_gradients_of_the_original_layer_match_finite_differences(rng: np.random.Generator) -> None:
    given = data(rng, T=4, d_k=3, d_v=2)
    names = list(given)

    def outputs(*arrays: torch.Tensor) -> torch.Tensor:
        return layers.original_mesa(**dict(zip(names, arrays, strict=True)), ridge=RIDGE).o

    assert torch.autograd.gradcheck(outputs, tuple(torch.asarray(given[n]).requires_grad_() for n in names))


@FORMS
@pytest.mark.parametrize("name", ["mesa_cg", "gated_kalmanet"])
def test_gradients_through_resets_empty_memories_and_convergence_are_finite(
    form: Any, name: str, rng: np.random.Generator
) -> None:
    given = data(rng)
    given["k"][:, :3] = 0.0
    given["log_decay"][:, 8] = -np.inf
    given["q"][:, 10] = 0.0
    leaves = {n: torch.asarray(x).requires_grad_() for n, x in given.items()}
    getattr(form, name)(**leaves, **({"ridge": RIDGE} if name == "mesa_cg" else {})).o.sum().backward()
    assert all(bool(torch.isfinite(x.grad).all()) for x in leaves.values())


@pytest.mark.parametrize(
    ("layer", "changed", "sentence"),
    [
        ("original_mesa", {}, "ridge: expected either ridge or initial_state (which carries the ridge), got neither"),
        (
            "original_mesa",
            {"ridge": 1.0, "initial_state": Recursion(np.zeros((2, 6, 4)), np.zeros((2, 6, 6)))},
            "ridge: expected either ridge or initial_state (which carries the ridge), got both",
        ),
        ("original_mesa", {"ridge": 0.0}, "ridge: expected above 0 (the recursion starts from its inverse), got 0"),
        (
            "original_mesa",
            {"ridge": 1.0, "log_decay": np.full((2, 24), -np.inf)},
            "log_decay: expected above -inf (a reset leaves nothing to invert; see mesa), got -inf or NaN",
        ),
        (
            "original_mesa",
            {"initial_state": Recursion(np.zeros((2, 6, 4)), np.zeros((2, 6, 4)))},
            "initial_state.P: expected shape (2, 6, 6), got (2, 6, 4)",
        ),
        (
            "mesa_cg",
            {"ridge": 0.0},
            "ridge: expected above 0 (conjugate gradients need H_t + ridge positive definite), got 0",
        ),
        ("mesa_cg", {"ridge": -1.0}, "ridge: expected at least 0, got -1.0"),
        ("mesa_cg", {"ridge": 1.0, "steps": -1}, "steps: expected a whole number, at least 0, got -1"),
        ("mesa_cg", {"ridge": 1.0, "steps": 2.5}, "steps: expected a whole number, at least 0, got 2.5"),
        (
            "mesa_cg",
            {"ridge": 1.0, "start": np.zeros((2, 24, 5))},
            "start: expected shape (2, 24, 6) as q, got (2, 24, 5)",
        ),
        (
            "mesa_cg",
            {"ridge": 1.0, "start": np.zeros((2, 24, 6), np.float32)},
            "start: expected dtype float64 as q, got float32",
        ),
        ("gated_kalmanet", {"ridge_ratio": 0.0}, "ridge_ratio: expected above 0, got 0.0"),
        ("gated_kalmanet", {"alpha": np.ones((2, 23))}, "alpha: expected shape (2, 24), got (2, 23)"),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(
    layer: str, changed: dict[str, Any], sentence: str, rng: np.random.Generator
) -> None:
    for form in (layers, chunked):
        if hasattr(form, layer):
            with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
                getattr(form, layer)(**data(rng) | changed)
