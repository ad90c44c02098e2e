"""Every form of ridge at every position on hostile input: right to its conditioning or refused; which is chosen."""

from typing import Any

import numpy as np
import pytest
import sympy
import torch

from tests.conftest import Library
from tests.exact.test_square_root import enclosed
from ttr_numerics import exact
from ttr_numerics.arrays import like, to_numpy, unit_roundoff
from ttr_numerics.axes import Moments
from ttr_numerics.derivations import Equation, negative, real
from ttr_numerics.exact.growth import pieces
from ttr_numerics.tasks import conditioned_keys, isotropic_unit_keys
from ttr_numerics.tolerance import row_norms

U, T, D, D_V = 2.0**-53, 40, 6, 3
RIDGE = {
    name: getattr(exact, f"ridge_prefixes_by_{name}") for name in ("moments", "innovation", "square_root", "chebyshev")
}
RECURSIVE = {
    name: getattr(exact, f"recursive_least_squares_by_{name}") for name in ("tokens", "innovation", "square_root")
}
# What is regularised, for the enclosure of the truth: a fixed ridge or one that decays.
FORMS = {f"ridge {n}": (f, "fixed") for n, f in RIDGE.items()}
FORMS |= {f"recursive {n}": (f, "decaying") for n, f in RECURSIVE.items()}
FORMS |= {
    "ridge chosen": (exact.ridge_prefixes, "fixed"),
    "recursive chosen": (exact.recursive_least_squares, "decaying"),
}


def hostile(case: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """q, k, v of one head."""
    q, k, v = rng.standard_normal((T, D)), isotropic_unit_keys(rng, (T, D)), rng.standard_normal((T, D_V))
    match case:
        case "one key repeated":
            k = np.repeat(k[:1], T, axis=0)
        case "parallel keys":
            k = k[:1] * np.where(np.arange(T) % 2, -3.0, 1.0)[:, None]
        case "zero keys":
            k[::3] = 0.0
        case "all keys zero":
            k = 0 * k
        case "queries are keys":
            q = k
        case "condition 1e12":
            k = conditioned_keys(rng, T, D, 1e12)
            q = k
    return q, k, v


CASES = ["one key repeated", "parallel keys", "zero keys", "all keys zero", "queries are keys", "condition 1e12"]


def roundoffs(q: np.ndarray, k: np.ndarray, v: np.ndarray, ridge: float) -> np.ndarray:
    """√T 3d κ_T ‖q_t‖ ‖(H_t + Λ)⁻¹‖ ‖|G_t|‖ (T,): 3d roundoffs of the matrix a token, added as a random walk.

    κ_T = (‖H_T‖ + ridge)/ridge is the conditioning by which the forms are chosen (`choose_ridge_prefixes`).
    """
    kappa = 1 + np.linalg.norm(k, 2) ** 2 / ridge
    size, absolute = np.zeros(T), np.zeros((D, v.shape[1]))
    for t in range(T):
        absolute = absolute + np.abs(np.outer(k[t], v[t]))
        size[t] = np.linalg.norm(np.linalg.solve(k[: t + 1].T @ k[: t + 1] + ridge * np.eye(D), q[t]))
        size[t] *= np.linalg.norm(absolute)
    return np.sqrt(T) * 3 * D * kappa * size


@pytest.mark.parametrize("ridge", [1.0, 1e-3])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("form", FORMS)
def test_hostile_keys_are_answered_to_the_conditioning(
    form: str, case: str, ridge: float, rng: np.random.Generator
) -> None:
    q, k, v = hostile(case, rng)
    solve, kind = FORMS[form]
    truth, allowed = enclosed(q, k, v, **{kind: ridge}), U * roundoffs(q, k, v, ridge)
    assert np.all(row_norms(solve(q, k, v, ridge=ridge).o - truth) <= allowed)
    if case != "all keys zero":
        assert np.any(row_norms(solve(q, k, v * (1 + 1e-4), ridge=ridge).o - truth) > allowed)


@pytest.mark.parametrize("form", FORMS)
def test_every_library_and_dtype_is_answered_in_kind(
    form: str, full_precision: Library, rng: np.random.Generator
) -> None:
    arrays = full_precision.arrays(dict(zip("qkv", hostile("zero keys", rng), strict=True)))
    solve, kind = FORMS[form]
    out = solve(**arrays, ridge=0.25)
    assert like(out.o) == like(arrays["q"])
    q, k, v = (to_numpy(arrays[n]).astype(np.float64) for n in "qkv")
    allowed = unit_roundoff(arrays["q"]) * roundoffs(q, k, v, 0.25)
    assert np.all(row_norms(to_numpy(out.o) - enclosed(q, k, v, **{kind: 0.25})) <= allowed)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
@pytest.mark.parametrize("length", [0, 1, 33])
@pytest.mark.parametrize("form", FORMS)
def test_lengths_and_batches(form: str, length: int, batch: tuple[int, ...], rng: np.random.Generator) -> None:
    q, k, v = (rng.standard_normal((*batch, length, d)) for d in (D, D, D_V))
    o = FORMS[form][0](q, k, v, ridge=0.5).o
    assert o.shape == v.shape
    for head in list(np.ndindex(batch))[:2] if length == 1 else []:
        # One token: q (kk' + λ)⁻¹ k v' = (q·k) v/(λ + ‖k‖²), by Sherman and Morrison.
        truth = (q[head] @ k[head].T) * v[head] / (0.5 + np.sum(k[head] ** 2))
        kappa = 1 + np.sum(k[head] ** 2) / 0.5
        size = np.linalg.norm(q[head]) * np.linalg.norm(k[head]) * np.linalg.norm(v[head]) / 0.5
        assert np.linalg.norm(o[head] - truth) <= 3 * D * U * kappa * size


@pytest.mark.parametrize("form", FORMS)
def test_half_precision_and_entries_that_are_not_finite_are_refused(form: str) -> None:
    solve = FORMS[form][0]
    for x in (np.ones((4, 2), np.float16), torch.ones((4, 2), dtype=torch.bfloat16)):
        with pytest.raises(ValueError, match=r"^q: expected float32 or float64, got .*float16; cast it"):
            solve(x, x, x, ridge=1.0)
    for entry in (np.nan, np.inf):
        for name in "qkv":
            given = {n: np.ones((2, 4, 2)) for n in "qkv"}
            given[name][1, 2, 0] = entry
            with pytest.raises(ValueError, match=rf"^{name}: expected finite entries, .* first at \(1, 2, 0\)$"):
                solve(**given, ridge=1.0)
        weights = np.ones((2, 4))
        weights[1, 3] = entry
        with pytest.raises(ValueError, match=r"^weights: expected finite entries, .* first at \(1, 3\)$"):
            solve(np.ones((2, 4, 2)), np.ones((2, 4, 2)), np.ones((2, 4, 2)), ridge=1.0, weights=weights)


@pytest.mark.parametrize("form", FORMS)
def test_negative_weights_and_ridges_are_refused(form: str) -> None:
    x, solve = np.ones((4, 2)), FORMS[form][0]
    with pytest.raises(ValueError, match=r"^weights: expected at least 0, got -1\.0"):
        solve(x, x, x, ridge=1.0, weights=-np.ones(4))
    for ridge in (-1.0, np.nan):
        with pytest.raises(ValueError, match=r"^ridge: expected (at least|above) 0"):
            solve(x, x, x, ridge=ridge)


FORGETTING = ["ridge moments", "ridge chebyshev", "ridge chosen", *(n for n in FORMS if n.startswith("recursive"))]


@pytest.mark.parametrize("gate", [np.nan, np.inf, 0.5])
@pytest.mark.parametrize("form", FORGETTING)
def test_gates_that_are_nan_or_above_zero_are_refused(form: str, gate: float, rng: np.random.Generator) -> None:
    # Chebyshev's number of steps counts decay alone: where a gate is above 0 its answer was wrong in the first digit.
    q, k, v = (rng.standard_normal((2, 9, d)) for d in (D, D, D_V))
    log_decay = np.zeros((2, 9))
    log_decay[1, 4] = gate
    with pytest.raises(ValueError, match=r"^log_decay: expected .* at \(1, 4\)"):
        FORMS[form][0](q, k, v, ridge=1.0, log_decay=log_decay)


@pytest.mark.parametrize("name", RIDGE)
def test_a_state_that_is_not_finite_is_refused(name: str) -> None:
    x, G = np.ones((2, 4, 2)), np.zeros((2, 2, 2))
    G[1, 0, 1] = np.nan
    with pytest.raises(ValueError, match=r"^initial_state\.G: expected finite entries"):
        RIDGE[name](x, x, x, ridge=1.0, initial_state=Moments(0 * G[:1] + np.zeros((2, 2, 2)), G))


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("form", FORMS)
def test_a_ridge_in_float64_leaves_float32_as_it_is(form: str, library: str, rng: np.random.Generator) -> None:
    make = {"numpy": np.asarray, "torch": torch.asarray}[library]
    q, k, v = (make(rng.standard_normal((5, 2)).astype(np.float32)) for _ in range(3))
    assert FORMS[form][0](q, k, v, ridge=make(np.array([0.5, 0.25]))).o.dtype == q.dtype


# Which form is chosen, by the rule in words: κu ≤ √u, κ by the largest trace of a chunk, or of what was before.


def limit(x: Any) -> float:
    """The largest κ at which half of all digits are kept."""
    return unit_roundoff(x) ** -0.5


def chosen_ridge(k: Any, ridge: float, **more: Any) -> str:
    return exact.choose_ridge_prefixes(k, ridge, **more).__name__.removeprefix("ridge_prefixes_by_")


@pytest.mark.parametrize("side", [0.9, 1.1])
def test_the_choice_follows_the_rule_on_every_library(side: float, full_precision: Library) -> None:
    k = np.zeros((2, 5, 3))
    k[1, :, 0] = 1.0  # tr H = 5 in one head, 0 in the other
    keys = full_precision.asarray(k)
    ridge, safe = 5 / (side * limit(keys) - 1), side < 1
    assert chosen_ridge(keys, ridge) == ("innovation" if safe else "square_root")
    weights = full_precision.asarray(np.full((2, 5), 4.0))
    assert chosen_ridge(keys, 4 * ridge, weights=weights) == ("innovation" if safe else "square_root")
    before = Moments(full_precision.asarray(20 * np.tile(np.diag([1.0, 0, 0]), (2, 1, 1))), weights[..., :3, None])
    assert chosen_ridge(keys, 4 * ridge, initial_state=before) == ("innovation" if safe else "square_root")
    gates = full_precision.asarray(np.full((2, 5), -0.01))
    assert chosen_ridge(keys, ridge, log_decay=gates) == ("chebyshev" if safe else "moments")
    assert chosen_ridge(keys, 0.0) == chosen_ridge(keys, 0.0, log_decay=gates) == "moments"
    assert chosen_ridge(keys[:, :0, :], ridge) == chosen_ridge(keys[:0, ...], ridge) == "moments"


@pytest.mark.parametrize("side", [0.9, 1.1])
def test_recursive_least_squares_chooses_by_the_size_of_its_inverse(side: float, full_precision: Library) -> None:
    k = np.zeros((2, 5, 3))
    k[1, :, 0] = 1.0
    keys = full_precision.asarray(k)
    size = (side * limit(keys) - 1) / 5 / 3**0.5  # ‖P‖_F = √3 size

    def chosen(**more: Any) -> str:
        P = full_precision.asarray(np.tile(size * np.eye(3), (2, 1, 1)))
        return exact.choose_recursive_least_squares(keys, P, **more).__name__.removeprefix(
            "recursive_least_squares_by_"
        )

    assert chosen() == ("innovation" if side < 1 else "square_root")
    assert chosen(log_decay=full_precision.asarray(np.zeros((2, 5)))) == "square_root"


@pytest.mark.parametrize("gate", [0.0, -0.1, -0.13, -0.3, -50.0, -np.inf])
def test_chebyshev_is_chosen_where_decay_leaves_chunks_of_eight(gate: float) -> None:
    k, gates = np.eye(6)[np.arange(64) % 6], np.full(64, gate)
    chunks = len(list(pieces(64, 32, gates[:, None], 1.0)))
    assert chosen_ridge(k, 0.1, log_decay=gates) == ("chebyshev" if 64 / chunks >= 8 else "moments")
    assert (64 / chunks >= 8) == (gate > -0.15)


def test_symbols_are_solved_by_moments_token_by_token_where_the_regulariser_decays() -> None:
    k = real("k", 2, 2)
    ridge = np.array([sympy.Symbol("λ", positive=True)] * 2, dtype=object)
    assert exact.choose_ridge_prefixes(k, ridge) is exact.ridge_prefixes_by_moments
    assert exact.choose_recursive_least_squares(k, k.T @ k) is exact.recursive_least_squares_by_tokens


def test_on_symbols_both_regularisers_are_one_until_something_is_forgotten() -> None:
    q, k, v = real("q", 2, 1), real("k", 2, 1), real("v", 2, 1)
    gate, ridge = negative("g", 2), np.array([sympy.Symbol("λ", positive=True)], dtype=object)
    once = exact.ridge_prefixes(q, k, v, ridge=ridge).o
    assert Equation("one", "o", once, exact.recursive_least_squares(q, k, v, ridge=ridge).o).holds()
    fixed = exact.ridge_prefixes(q, k, v, ridge=ridge, log_decay=gate).o
    decaying = exact.recursive_least_squares(q, k, v, ridge=ridge, log_decay=gate).o
    assert not Equation("two", "o", fixed, decaying).holds()
