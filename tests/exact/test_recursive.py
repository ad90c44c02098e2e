"""Recursive least squares against statsmodels, padasip and the regression whose regulariser decays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import padasip
import pytest
from statsmodels.regression.recursive_ls import RecursiveLS

from tests.conftest import Library
from tests.exact.test_square_root import LIMIT, dense_numpy, enclosed, error, old_rows_on_top
from ttr_numerics import exact
from ttr_numerics.arrays import LinAlgError, like, to_numpy
from ttr_numerics.exact import square_root
from ttr_numerics.exact.growth import pieces

U = 2.0**-53


def problem(rng: np.random.Generator, T: int, d: int, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Queries, keys and noisy linear values."""
    q, k = rng.standard_normal((2, T, d))
    return q, k, k @ rng.standard_normal((d, 1)) + noise * rng.standard_normal((T, 1))


def decayed(k: np.ndarray, v: np.ndarray, ridge: float, lam: float) -> tuple[np.ndarray, float]:
    """The regression with weights λ^(t-i) and regulariser ridge·λ^t, and the condition of its moments."""
    t = len(k)
    w = lam ** np.arange(t - 1.0, -1.0, -1.0)
    H = (w[:, None] * k).T @ k + ridge * lam**t * np.eye(k.shape[1])
    return exact.ridge(k, v, ridge * lam**t, w).S, float(np.linalg.cond(H))


def bound(k: np.ndarray, S: np.ndarray, kappa: float, lam: float) -> float:
    """Error of one inverse carried over t tokens: each adds 3d roundoffs, magnified by κ in the moments P⁻¹.

    The moments forget: Σλ^j ≤ min(t, 1/(1-λ)) tokens' errors are left, and the solve magnifies them by κ again.
    """
    t, d = k.shape
    memory = t if lam == 1.0 else min(t, 1 / (1 - lam))
    return float(d * 3 * d * memory * U * kappa**2 * (1 + np.linalg.norm(S)))


@pytest.mark.parametrize("lam", [1.0, 0.97, 0.8])
def test_the_regulariser_decays_with_the_data(lam: float, rng: np.random.Generator) -> None:
    T, d, ridge = 25, 3, 0.5
    q, k, v = problem(rng, T, d)
    result = exact.recursive_least_squares(q, k, v, ridge=ridge, log_decay=np.full(T, np.log(lam)))
    worst = max(decayed(k[:t], v[:t], ridge, lam)[1] for t in range(1, T + 1))
    for t in range(1, T + 1):
        S, _ = decayed(k[:t], v[:t], ridge, lam)
        error = np.linalg.norm(result.o[t - 1] - q[t - 1] @ S) / np.linalg.norm(q[t - 1])
        assert error <= bound(k[:t], S, worst, lam)
    fixed = exact.ridge_prefixes(q, k, v, ridge=ridge, log_decay=np.full(T, np.log(lam))).o
    seen = np.linalg.norm(fixed - result.o) > np.linalg.norm(q) * bound(k, S, worst, lam)
    assert seen == (lam < 1.0), "a fixed regulariser is another problem as soon as the data are forgotten"


def test_without_forgetting_it_is_statsmodels_recursive_ls_from_the_same_prior(rng: np.random.Generator) -> None:
    T, d, ridge = 20, 3, 0.5
    q, k, v = problem(rng, T, d)
    # `filter`, not `fit`: that runs twice and rescales the prior by the noise variance it found.
    prior = {"initial_state": np.zeros(d), "initial_state_cov": np.eye(d) / ridge}
    theirs = RecursiveLS(v[:, 0], k, initialization="known", **prior).filter().recursive_coefficients.filtered.T
    ours = exact.recursive_least_squares(q, k, v, ridge=ridge).o[:, 0]
    kappa = max(decayed(k[:t], v[:t], ridge, 1.0)[1] for t in range(1, T + 1))
    size = 2 * bound(k, theirs, kappa, 1.0)
    assert np.all(np.abs(ours - np.sum(q * theirs, axis=1)) <= np.linalg.norm(q, axis=1) * size)


def test_statsmodels_default_is_the_limit_of_no_ridge_once_keys_span(rng: np.random.Generator) -> None:
    # Its exact diffuse start gives least squares from token d on; the same from least squares of d tokens as state.
    T, d = 20, 3
    q, k, v = problem(rng, T, d)
    theirs = RecursiveLS(v[:, 0], k).fit().recursive_coefficients.filtered.T
    first = k[:d]
    start = exact.Recursion(np.linalg.solve(first, v[:d]), np.linalg.inv(first.T @ first))
    ours = exact.recursive_least_squares(q[d:], k[d:], v[d:], initial_state=start).o[:, 0]
    kappa = max(np.linalg.cond(k[:t]) ** 2 for t in range(d, T + 1))
    size = 2 * bound(k, theirs, kappa, 1.0)
    assert np.all(np.abs(ours - np.sum(q * theirs, axis=1)[d:]) <= np.linalg.norm(q[d:], axis=1) * size)


@pytest.mark.parametrize("lam", [0.99, 0.9])
def test_with_forgetting_it_is_padasip(lam: float, rng: np.random.Generator) -> None:
    T, d, ridge = 30, 3, 0.5
    _, k, v = problem(rng, T, d)
    rls = padasip.filters.FilterRLS(n=d, mu=lam, eps=ridge, w="zeros")
    rls.run(v[:, 0], k)
    state = exact.recursive_least_squares(k, k, v, ridge=ridge, log_decay=np.full(T, np.log(lam))).state
    kappa = max(decayed(k[:t], v[:t], ridge, lam)[1] for t in range(1, T + 1))
    # Their P is never symmetrised: its antisymmetric error grows as λ^-t, here by less than 24.
    assert np.linalg.norm(state.S[:, 0] - rls.w) <= (1 + lam**-T) * bound(k, state.S, kappa, lam)


def asymmetric(k: np.ndarray, v: np.ndarray, ridge: float, lam: float) -> np.ndarray:
    """The textbook update P ← (P - g (P k)')/λ with g = P k/(λ + k'P k), which never symmetrises P."""
    S, P = np.zeros((k.shape[1], v.shape[1])), np.eye(k.shape[1]) / ridge
    for x, y in zip(k, v, strict=True):
        gain = P @ x / (lam + x @ P @ x)
        S = S + np.outer(gain, y - x @ S)
        P = (P - np.outer(gain, P @ x)) / lam
    return S


@pytest.mark.parametrize("lam", [0.95, 0.98, 0.99])
def test_it_stays_at_rounding_level_where_the_asymmetric_update_explodes(lam: float, rng: np.random.Generator) -> None:
    T, d, ridge = round(30 / (1 - lam)), 16, 0.01
    _, k, v = problem(rng, T, d)
    truth, _ = decayed(k, v, ridge, lam)
    state = exact.recursive_least_squares(k, k, v, ridge=ridge, log_decay=np.full(T, np.log(lam))).state
    kappa = max(decayed(k[:t], v[:t], ridge, lam)[1] for t in range(d, T + 1, d))
    lost = np.linalg.norm(asymmetric(k, v, ridge, lam) - truth)
    assert np.linalg.norm(state.S - truth) <= bound(k, truth, kappa, lam) < lost
    assert np.array_equal(state.P, state.P.T)


def test_sample_weights_are_repeated_tokens(rng: np.random.Generator) -> None:
    q, k, v = problem(rng, 12, 3)
    w = rng.integers(1, 4, 12)
    weighted = exact.recursive_least_squares(q, k, v, ridge=0.5, weights=w * 1.0).state.S
    many = (np.repeat(x, w, axis=0) for x in (q, k, v))
    repeated = exact.recursive_least_squares(*many, ridge=0.5).state.S
    kappa = np.linalg.cond((w[:, None] * k).T @ k + 0.5 * np.eye(3)) * np.sum(w * np.sum(k * k, axis=1)) / 0.5
    assert np.linalg.norm(weighted - repeated) <= 2 * bound(np.repeat(k, w, axis=0), weighted, kappa, 1.0)


def test_a_split_with_the_state_handed_over_has_the_same_bits_token_by_token(rng: np.random.Generator) -> None:
    (q, k, v), form = problem(rng, 10, 3), exact.recursive_least_squares_by_tokens
    gate = np.full(10, -0.2)
    whole = form(q, k, v, ridge=0.5, log_decay=gate)
    first = form(q[:4], k[:4], v[:4], ridge=0.5, log_decay=gate[:4])
    second = form(q[4:], k[4:], v[4:], log_decay=gate[4:], initial_state=first.state)
    assert np.array_equal(np.concatenate([first.o, second.o]), whole.o)


@pytest.mark.parametrize("gate", [None, np.full(10, -0.2)])
def test_a_split_with_the_state_handed_over_is_the_whole(gate: np.ndarray | None, rng: np.random.Generator) -> None:
    q, k, v = problem(rng, 10, 3)
    head, tail = (None, None) if gate is None else (gate[:4], gate[4:])
    whole = exact.recursive_least_squares(q, k, v, ridge=0.5, log_decay=gate)
    first = exact.recursive_least_squares(q[:4], k[:4], v[:4], ridge=0.5, log_decay=head)
    second = exact.recursive_least_squares(q[4:], k[4:], v[4:], log_decay=tail, initial_state=first.state)
    lam = 1.0 if gate is None else float(np.exp(-0.2))
    kappa = max(decayed(k[:t], v[:t], 0.5, lam)[1] for t in range(1, 11))
    size = 2 * bound(k, whole.state.S, kappa, lam) * np.linalg.norm(q, axis=1)
    assert (np.linalg.norm(np.concatenate([first.o, second.o]) - whole.o, axis=1) <= size).all()


def test_a_decay_of_fifty_is_the_regression_of_the_newest_tokens(rng: np.random.Generator) -> None:
    q, k, v = problem(rng, 6, 2)
    gate = np.array([0.0, 0.0, 0.0, -50.0, 0.0, 0.0])
    result = exact.recursive_least_squares(q, k, v, ridge=0.5, log_decay=gate)
    truth = exact.ridge(k[3:], v[3:], 0.5 * np.exp(-50.0)).S
    forgotten = np.exp(-50.0) * np.linalg.cond(k[3:]) ** 2 * np.linalg.norm(k) * np.linalg.norm(v)
    kappa = np.exp(50.0) * np.sum(k * k) / 0.5  # of the moments just after the gate
    error = np.linalg.norm(result.state.S - truth)
    assert error <= forgotten + U * kappa * np.linalg.cond(k[3:]) ** 2 * (1 + np.linalg.norm(truth))


def test_a_reset_leaves_no_regulariser_and_is_refused_by_slice(rng: np.random.Generator) -> None:
    q, k, v = (np.stack([x, x]) for x in problem(rng, 6, 3))
    gate = np.zeros((2, 6))
    gate[1, 3] = -np.inf
    with pytest.raises(LinAlgError, match=r"without zero pivots, got one in slices \(1,\).*after a reset"):
        exact.recursive_least_squares(q, k, v, ridge=0.5, log_decay=gate)


@pytest.mark.parametrize("lam", [0.95])
def test_ridge_must_be_given_once_and_be_positive(lam: float, rng: np.random.Generator) -> None:
    q, k, v = problem(rng, 4, 2)
    state = exact.recursive_least_squares(q, k, v, ridge=1.0).state
    with pytest.raises(ValueError, match="expected either ridge or initial_state .* got neither"):
        exact.recursive_least_squares(q, k, v)
    with pytest.raises(ValueError, match="got both"):
        exact.recursive_least_squares(q, k, v, ridge=1.0, initial_state=state)
    with pytest.raises(ValueError, match="ridge: expected above 0"):
        exact.recursive_least_squares(q, k, v, ridge=0.0)


FORMS = {name: getattr(exact, f"recursive_least_squares_by_{name}") for name in ("tokens", "innovation", "square_root")}
GATES = [0.0, -0.02, -0.5, -2.0, -5.0, -50.0]


def gated(rng: np.random.Generator, gate: float, d: int, T: int = 20) -> dict[str, np.ndarray]:
    """Weighted tokens that all age alike; where little is forgotten with one key twice.

    Two equal keys under a strong decay are no problem for floating point: a roundoff of the older one outweighs all
    tokens before it, so that no algorithm with a small backward error has a digit (the dense QR has none either).
    """
    q, k = rng.standard_normal((2, T, d))
    if gate > -1:
        k[7] = k[6]
    weights = rng.uniform(0.2, 2.0, T)
    return {"q": q, "k": k, "v": rng.standard_normal((T, 2)), "log_decay": np.full(T, gate), "weights": weights}


def padded(a: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """With a key of zero, and a weight of zero."""
    blank = np.arange(len(a["k"]))
    return a | {"k": a["k"] * (blank != 11)[:, None], "weights": a["weights"] * (blank != 14)}


def dense(q: np.ndarray, k: np.ndarray, v: np.ndarray, log_decay: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The same by a QR at each t of all rows as old as they are, and the regulariser's, the largest on top."""
    o, d, ridge = np.zeros_like(v), k.shape[1], np.asarray(0.5, k.dtype)
    for t in range(len(q)):
        age = np.array([np.sum(log_decay[i + 1 : t + 1]) for i in range(t + 1)])
        root = (np.sqrt(weights[: t + 1]) * np.exp(age / 2))[:, None].astype(k.dtype)
        start = (np.sqrt(ridge) * np.exp(np.sum(log_decay[: t + 1]) / 2) * np.eye(d)).astype(k.dtype)
        A = np.concatenate([root * k[: t + 1], start])
        B = np.concatenate([root * v[: t + 1], np.zeros((d, v.shape[1]), v.dtype)])
        order = np.argsort(-np.max(np.abs(A), axis=1), kind="stable")
        o[t] = dense_numpy(q[t], A[order], B[order])
    return o


def lost_by_growth(log_decay: np.ndarray) -> float:
    """The largest ratio of rows within one piece: half its nats, as a factor of the error."""
    found = pieces(len(log_decay), square_root.CHUNK, log_decay[:, None], square_root.NATS)
    return float(np.exp(-min(np.sum(log_decay[p.start + 1 : p.stop]) for p in found) / 2))


def pooled(draws: list[dict[str, np.ndarray]], form: Callable[..., Any]) -> tuple[float, float]:
    """The largest errors of a form and of the dense QR over all draws."""
    pairs = []
    for a in draws:
        truth = enclosed(**a, decaying=0.5)
        pairs.append((error(form(**a, ridge=0.5).o, truth), error(dense(**a), truth)))
    ours, theirs = np.max(pairs, axis=0)
    return float(ours), float(theirs)


@pytest.mark.parametrize(("gate", "d"), [(gate, d) for gate in GATES for d in (6, 16) if (gate, d) != (-50.0, 16)])
def test_by_square_root_the_error_is_that_of_a_dense_qr_at_any_decay(
    gate: float, d: int, rng: np.random.Generator
) -> None:
    draws, form = [gated(rng, gate, d) for _ in range(4)], FORMS["square_root"]
    ours, theirs = pooled(draws, form)
    allowed = LIMIT * lost_by_growth(draws[0]["log_decay"]) * theirs
    assert ours <= allowed < U**0.5
    scaled = [a | {"v": a["v"] * (1 + U**0.5 * (np.arange(len(a["v"])) == 9))[:, None]} for a in draws]
    for a, bad in zip(draws, scaled, strict=True):
        assert error(form(**bad, ridge=0.5).o, enclosed(**a, decaying=0.5)) > allowed


PADDED = [
    *((gate, 16) for gate in (0.0, -0.02, -0.5)),
    *((gate, 16) for gate in (-2.0, -5.0)),
    (-50.0, 6),
]


@pytest.mark.parametrize(("gate", "d"), PADDED)
def test_padding_costs_no_accuracy_at_any_decay(gate: float, d: int, rng: np.random.Generator) -> None:
    draws = [padded(gated(rng, gate, d, T=24)) for _ in range(4)]
    ours, theirs = pooled(draws, FORMS["square_root"])
    assert ours <= LIMIT * lost_by_growth(draws[0]["log_decay"]) * theirs


def test_a_state_decayed_by_hundreds_of_nats_is_used_without_a_warning(rng: np.random.Generator) -> None:
    a = gated(rng, -50.0, 16)
    truth = enclosed(**a, decaying=0.5)
    assert error(FORMS["square_root"](**a, ridge=0.5).o, truth) < U**0.5


def test_old_rows_on_top_of_new_ones_would_be_seen_under_a_strong_decay(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    a = gated(rng, -50.0, 4)
    truth = enclosed(**a, decaying=0.5)
    monkeypatch.setattr(square_root, "triangularised", old_rows_on_top)
    assert error(FORMS["square_root"](**a, ridge=0.5).o, truth) > 1e9 * LIMIT * error(dense(**a), truth)


def condition(k: np.ndarray, log_decay: np.ndarray, weights: np.ndarray, ridge: float) -> float:
    """The largest condition number of H_t + Γ_t Λ."""
    H, worst = ridge * np.eye(k.shape[1]), 1.0
    for row, gate, weight in zip(k, log_decay, weights, strict=True):
        H = np.exp(gate) * H + weight * np.outer(row, row)
        worst = max(worst, float(np.linalg.cond(H)))
    return worst


@pytest.mark.parametrize("gate", [0.0, -0.02, -0.5])
@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_the_regression_of_the_decayed_rows(name: str, gate: float, rng: np.random.Generator) -> None:
    a = padded(gated(rng, gate, 5))
    truth = enclosed(**a, decaying=0.5)
    # An inverse carried T tokens, each adding 3d roundoffs of ‖P‖, which the solution magnifies by κ.
    allowed = len(a["q"]) * 3 * 5 * U * condition(a["k"], a["log_decay"], a["weights"], 0.5)
    assert error(FORMS[name](**a, ridge=0.5).o, truth) <= allowed
    assert error(FORMS[name](**a | {"weights": a["weights"] * (1 + 1e-8)}, ridge=0.5).o, truth) > allowed


@pytest.mark.parametrize("gate", [0.0, -0.5, -5.0, -50.0])
@pytest.mark.parametrize("split", [0, 1, 9, 20])
def test_a_square_root_handed_over_is_the_whole(split: int, gate: float, rng: np.random.Generator) -> None:
    a, form = gated(rng, gate, 4), FORMS["square_root"]
    truth = enclosed(**a, decaying=0.5)
    head = form(**{n: x[:split] for n, x in a.items()}, ridge=0.5)
    tail = form(**{n: x[split:] for n, x in a.items()}, initial_state=head.state)
    # Both parts within the limit, and what the first leaves in the state.
    allowed = 2 * LIMIT * lost_by_growth(a["log_decay"]) * error(dense(**a), truth)
    assert error(np.concatenate([head.o, tail.o]), truth) <= allowed
    solved = np.linalg.solve(tail.state.R, tail.state.F)
    assert error(a["q"][-1:] @ solved, truth[-1:]) <= allowed


def test_float32_is_factored_in_float64_by_square_root_and_the_state_stays_wide(rng: np.random.Generator) -> None:
    a = {n: x.astype(np.float32) for n, x in gated(rng, -5.0, 4).items()}
    out = FORMS["square_root"](**a, ridge=0.5)
    assert out.o.dtype == np.float32
    assert out.state.R.dtype == out.state.F.dtype == np.float64
    truth = enclosed(**a, decaying=0.5)
    assert error(out.o, truth) <= error(dense(**a), truth)


@pytest.mark.parametrize("gate", [None, -0.1])
def test_the_public_form_stays_in_library_and_dtype(
    full_precision: Library, gate: float | None, rng: np.random.Generator
) -> None:
    a = padded(gated(rng, gate or 0.0, 4))
    arrays = full_precision.arrays(a)
    if gate is None:
        del arrays["log_decay"]
    out = exact.recursive_least_squares(**arrays, ridge=0.5)
    assert isinstance(out.state, exact.Recursion)
    assert like(out.o) == like(out.state.S) == like(out.state.P) == like(arrays["q"])
    stored = {n: to_numpy(full_precision.asarray(x)) for n, x in a.items()}
    truth = enclosed(**stored, decaying=0.5)
    u = float(np.finfo(stored["q"].dtype).eps) / 2
    kappa = condition(*(stored[n].astype(float) for n in ("k", "log_decay", "weights")), 0.5)
    assert error(out.o, truth) <= len(a["q"]) * 3 * 4 * u * kappa


@pytest.mark.parametrize("gate", [-np.inf, -1e4])
@pytest.mark.parametrize("name", FORMS)
def test_every_form_refuses_a_reset_by_slice(name: str, gate: float, rng: np.random.Generator) -> None:
    q, k, v = (np.stack([x, x]) for x in problem(rng, 6, 3))
    log_decay = np.zeros((2, 6))
    log_decay[1, 3] = gate
    with pytest.raises(LinAlgError, match=r" in slices \(1,\)"):
        FORMS[name](q, k, v, ridge=0.5, log_decay=log_decay)


@pytest.mark.parametrize("name", FORMS)
def test_a_state_carries_its_ridge(name: str, rng: np.random.Generator) -> None:
    q, k, v = problem(rng, 4, 2)
    state = FORMS[name](q, k, v, ridge=1.0).state
    with pytest.raises(ValueError, match="^ridge: expected either ridge or initial_state .* got both"):
        FORMS[name](q, k, v, ridge=1.0, initial_state=state)
    with pytest.raises(ValueError, match=r"^initial_state\.[SR]: expected shape \(2, [12]\), got \(3, 3\)"):
        FORMS[name](q, k, v, initial_state=type(state)(np.eye(3), np.eye(3)))


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
@pytest.mark.parametrize("T", [0, 1, 3])
@pytest.mark.parametrize("name", FORMS)
def test_short_sequences_and_batches(name: str, T: int, batch: tuple[int, ...], rng: np.random.Generator) -> None:
    q, k, v = (rng.standard_normal((*batch, T, d)) for d in (3, 3, 2))
    gate = np.full((*batch, T), -0.3)
    out = FORMS[name](q, k, v, ridge=0.5, log_decay=gate)
    public = exact.recursive_least_squares(q, k, v, ridge=0.5, log_decay=gate)
    assert out.o.shape == public.o.shape == (*batch, T, 2)
    assert public.state.S.shape == (*batch, 3, 2)
    for head in np.ndindex(batch if T else (0,)):
        truth = enclosed(q[head], k[head], v[head], decaying=0.5, log_decay=gate[head])
        allowed = T * 3 * 3 * U * condition(k[head], gate[head], np.ones(T), 0.5)
        assert error(out.o[head], truth) <= allowed
        assert error(public.o[head], truth) <= allowed
