"""Prefix ridge without a time loop: the same answers as from the objective, and the choice between the two forms."""

import numpy as np
import pytest

from tests.pairs.hostile import hostile
from tests.verdict.test_words import inputs
from ttr_numerics import exact, tasks
from ttr_numerics.arrays import forward_substitution, to_numpy
from ttr_numerics.axes import Moments
from ttr_numerics.exact.innovation import innovation_prefixes
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms


def sides(arrays, ridge, seed=0):
    """Rounding of both forms in float64 on the same input."""
    forms = exact.ridge_prefixes_by_innovation, exact.ridge_prefixes_by_moments
    return [rounding(lambda f=form, **x: f(**x, ridge=ridge), arrays, FORMATS["float64"], seed=seed) for form in forms]


@pytest.mark.parametrize("case", ["unit keys", "repeated keys", "zero keys", "one token"])
@pytest.mark.parametrize("ridge", [1.0, 1e-2, 1e-6])
def test_both_forms_agree_to_the_rounding_of_both(case, ridge):
    a = hostile(pairing("gated_delta_rule"), case)
    arrays = {"q": a["q"], "k": a["k"], "v": a["v"], "weights": a["beta"]}
    innovation, moments = sides(arrays, ridge)
    apart = row_norms(innovation.reference - moments.reference)
    assert (apart <= innovation.bound + moments.bound).all()


@pytest.mark.parametrize("ridge", [1e-2, 1e-6])
def test_queries_that_repeat_keys_are_recalled_as_by_the_objective(ridge):
    a = inputs(dtype=np.float64)
    innovation, moments = sides({"q": a["k"], "k": a["k"], "v": a["v"]}, ridge)
    apart = row_norms(innovation.reference - moments.reference)
    assert (apart <= innovation.bound + moments.bound).all()


@pytest.mark.parametrize("split", [0, 1, 31, 48])
def test_a_split_anywhere_carries_the_moments(split):
    a = inputs(dtype=np.float64)
    pieces = [{n: a[n][:, part] for n in "qkv"} for part in (slice(split), slice(split, None))]
    head = exact.ridge_prefixes(**pieces[0], ridge=0.1)
    tail = exact.ridge_prefixes(**pieces[1], ridge=0.1, initial_state=head.state)
    whole = rounding(lambda **x: exact.ridge_prefixes(**x, ridge=0.1), {n: a[n] for n in "qkv"}, FORMATS["float64"])
    apart = row_norms(np.concatenate([head.o, tail.o], axis=-2) - whole.reference)
    assert (apart <= 2 * whole.bound).all()


@pytest.mark.parametrize("chunk", [1, 7, 16, 48, 100])
def test_every_chunk_length_gives_the_same_answer(chunk):
    a = inputs(dtype=np.float64)
    S, P = np.zeros((2, 8, 8)), np.broadcast_to(np.eye(8) / 0.1, (2, 8, 8))
    o = innovation_prefixes(a["q"], a["k"], a["v"], None, None, exact.Recursion(S, P), chunk).o
    whole = rounding(lambda **x: exact.ridge_prefixes(**x, ridge=0.1), {n: a[n] for n in "qkv"}, FORMATS["float64"])
    assert (row_norms(o - whole.reference) <= 2 * whole.bound).all()


def test_a_dropped_innovation_is_seen():
    a = inputs(dtype=np.float64)
    whole = rounding(lambda **x: exact.ridge_prefixes(**x, ridge=0.1), {n: a[n] for n in "qkv"}, FORMATS["float64"])
    silent = np.ones((2, 48))
    silent[:, 20] = 0
    o = exact.ridge_prefixes_by_innovation(a["q"], a["k"], a["v"], ridge=0.1, weights=silent).o
    assert (row_norms(o - whole.reference)[:, 20:] > whole.bound[:, 20:]).all()


def test_the_choice_follows_conditioning_forgetting_and_dtype():
    rng = np.random.default_rng(0)
    k = tasks.isotropic_unit_keys(rng, (1024, 64))
    by = {form: f"ridge_prefixes_by_{form}" for form in ("innovation", "moments", "square_root", "chebyshev")}
    for dtype, limit in (
        (np.float64, 4.7e8),
        (np.float32, 2.0e4),
    ):  # 5/√u: where half of all digits, less one, are left
        H = np.linalg.norm(k.T @ k)
        for factor, form in ((0.5, "innovation"), (2.0, "square_root")):
            assert exact.choose_ridge_prefixes(k.astype(dtype), H / (factor * limit)).__name__ == by[form]
        assert exact.choose_ridge_prefixes(k.astype(dtype), 0).__name__ == by["moments"]
    assert exact.choose_ridge_prefixes(k, 1.0, log_decay=np.zeros(1024)).__name__ == by["chebyshev"]
    assert exact.choose_ridge_prefixes(k, 1.0, log_decay=np.full(1024, -1.0)).__name__ == by["moments"]


def test_innovations_refuse_forgetting():
    a = inputs(dtype=np.float64)
    with pytest.raises(ValueError, match="^log_decay: expected None"):
        exact.ridge_prefixes_by_innovation(a["q"], a["k"], a["v"], ridge=1.0, log_decay=a["log_decay"])


def test_results_stay_in_library_dtype_and_device(full_precision):
    a = full_precision.arrays({n: inputs(dtype=np.float64)[n] for n in "qkv"})
    out = exact.ridge_prefixes_by_innovation(**a, ridge=0.1)
    assert type(out.o) is type(a["q"])
    assert isinstance(out.state, Moments)
    assert out.o.dtype == out.state.H.dtype == a["q"].dtype
    assert np.isfinite(to_numpy(out.o)).all()


@pytest.mark.parametrize("n", [1, 7, 8, 9, 31])
def test_forward_substitution_solves_to_a_small_residual(n):
    rng = np.random.default_rng(n)
    A = rng.standard_normal((3, n, n))
    L = np.linalg.cholesky(A @ A.mT + n * np.eye(n))
    x_true = rng.standard_normal((3, n, 5))
    x = forward_substitution(L, L @ x_true)
    # |error| ≤ κ(L) times the backward error, a few n roundoffs of |L||x| (Higham, theorem 8.5, and L @ x_true's own).
    kappa = np.linalg.cond(L)[:, None, None]
    assert (np.abs(x - x_true) <= 4 * n * 2.0**-53 * kappa * np.linalg.norm(x_true, axis=-2, keepdims=True)).all()
