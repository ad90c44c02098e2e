"""The filter of a drifting map against statsmodels, dense Gaussian conditioning, and the problems it contains."""

import numpy as np
import pytest
import scipy.linalg
from statsmodels.tsa.statespace.kalman_filter import KalmanFilter

from tests.conftest import Library
from ttr_numerics import exact
from ttr_numerics.arrays import LinAlgError, like, to_numpy
from ttr_numerics.exact import kalman
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

DRIFT, NOISE, RIDGE, GATE = np.array([0.02, 0.1, 0.005]), 0.3, 0.5, -0.05
GIVEN = {"drift": DRIFT, "noise": NOISE, "ridge": RIDGE}


def problem(rng: np.random.Generator, T: int = 20, d: int = 3, d_v: int = 2) -> dict[str, np.ndarray]:
    """Queries, keys and values of two heads, and a gate for every token."""
    q, k = rng.standard_normal((2, 2, T, d))
    return {"q": q, "k": k, "v": rng.standard_normal((2, T, d_v)), "log_decay": np.full((2, T), GATE)}


def bounded(arrays, **given):
    """The reference of `random_walk_kalman` in float64 and how far rounding may move it, by its own replicas."""
    return rounding(lambda **x: exact.random_walk_kalman(**x, **(given or GIVEN)), arrays, FORMATS["float64"])


def conditioned(k, v, drift, noise, P0, gates):
    """E[w_t | v_1..v_t] (T, d, d_v) from the joint covariance of all maps and values, conditioned anew at every t."""
    T, d = k.shape
    marginal, cross = [np.diag(P0)], np.zeros((T, T, d, d))
    for t in range(T):
        marginal.append(gates[t] ** 2 * marginal[-1] + np.diag(drift))
        for s in range(t + 1):
            cross[t, s] = np.prod(gates[s + 1 : t + 1]) * marginal[s + 1]
            cross[s, t] = cross[t, s].T
    values = np.einsum("ta,tsab,sb->ts", k, cross, k) + noise * np.eye(T)
    means = []
    for t in range(T):
        with_values = np.einsum("sab,sb->as", cross[t, : t + 1], k[: t + 1])
        means.append(with_values @ scipy.linalg.solve(values[: t + 1, : t + 1], v[: t + 1], assume_a="pos"))
    return np.stack(means)


def test_it_is_the_filter_of_statsmodels_with_keys_as_design(rng: np.random.Generator) -> None:
    arrays = problem(rng, d_v=1)
    ours, last = exact.random_walk_kalman(**arrays, **GIVEN)
    bound = bounded(arrays).bound
    for head in range(2):
        q, k, v = (arrays[n][head] for n in "qkv")
        theirs = KalmanFilter(k_endog=1, k_states=3)
        theirs.bind(v)
        theirs["design"], theirs["obs_cov"] = k.T[None], np.array([[NOISE]])
        theirs["transition"], theirs["selection"], theirs["state_cov"] = (
            np.eye(3) * np.exp(GATE),
            np.eye(3),
            np.diag(DRIFT),
        )
        # Their first state is predicted already.
        first = np.exp(2 * GATE) * np.eye(3) / RIDGE + np.diag(DRIFT)
        theirs.initialize_known(np.zeros(3), first)
        found = theirs.filter()
        # Two filters, each with the rounding of one.
        assert (np.abs(ours[head, :, 0] - np.sum(q * found.filtered_state.T, axis=1)) <= 2 * bound[head]).all()
        variance = np.einsum("i,ij,j", q[-1], last.P[head] - found.filtered_state_cov[..., -1], q[-1])
        # The covariance never sees a value: d² products of d entries of at most P_0 a token, T tokens.
        assert abs(variance) <= 20 * 9 * 3 * 2.0**-53 * np.sum(q[-1] ** 2) * np.max(first)


def test_it_is_the_gaussian_conditional_mean_at_every_token(rng: np.random.Generator) -> None:
    arrays = problem(rng)
    bound, gates = bounded(arrays).bound, np.full(20, np.exp(GATE))
    ours = exact.random_walk_kalman(**arrays, **GIVEN).o
    for head in range(2):
        q, k, v = (arrays[n][head] for n in "qkv")
        means = conditioned(k, v, DRIFT, NOISE, np.full(3, 1 / RIDGE), gates)
        # The dense covariance of 20 values has condition 1e3 at most here: the oracle's own error, by Higham 10.4.
        dense = 20 * 20 * 1e3 * 2.0**-53 * np.linalg.norm(v) * np.linalg.norm(q, axis=1)
        assert (row_norms(ours[head] - np.einsum("td,tde->te", q, means)) <= 2 * bound[head] + dense).all()


def test_without_drift_it_is_ridge_regression_whatever_the_noise(rng: np.random.Generator) -> None:
    arrays = {n: x for n, x in problem(rng).items() if n != "log_decay"}
    ours = bounded(arrays, drift=0.0, noise=NOISE, ridge=RIDGE)
    ridge = rounding(lambda **x: exact.ridge_prefixes(**x, ridge=NOISE * RIDGE), arrays, FORMATS["float64"])
    assert (row_norms(ours.reference - ridge.reference) <= ours.bound + ridge.bound).all()


def test_without_noise_the_newest_pair_is_recalled(rng: np.random.Generator) -> None:
    arrays = problem(rng) | {"q": None}
    arrays["q"] = arrays["k"]
    o = exact.random_walk_kalman(**arrays, drift=DRIFT, noise=0.0, ridge=RIDGE).o
    bound = bounded(arrays, drift=DRIFT, noise=0.0, ridge=RIDGE).bound
    assert (row_norms(o - arrays["v"]) <= 2 * bound).all()


def test_a_reset_forgets_all_but_the_drift(rng: np.random.Generator) -> None:
    arrays = problem(rng)
    arrays["log_decay"][:, 7] = -np.inf
    whole = bounded(arrays)
    start = exact.Recursion(np.zeros((2, 3, 2)), np.zeros((2, 3, 3)))
    given = {"drift": DRIFT, "noise": NOISE, "initial_state": start}
    anew = exact.random_walk_kalman(**{n: x[:, 7:] for n, x in arrays.items()}, **given).o
    assert (row_norms(anew - whole.reference[:, 7:]) <= 2 * whole.bound[:, 7:]).all()


@pytest.mark.parametrize("split", [0, 1, 20])
def test_a_split_anywhere_carries_the_state(split: int, rng: np.random.Generator) -> None:
    arrays = problem(rng)
    head = exact.random_walk_kalman(**{n: x[:, :split] for n, x in arrays.items()}, **GIVEN)
    rest = {n: x[:, split:] for n, x in arrays.items()}
    tail = exact.random_walk_kalman(**rest, drift=DRIFT, noise=NOISE, initial_state=head.state)
    whole = exact.random_walk_kalman(**arrays, **GIVEN)
    assert np.array_equal(np.concatenate([head.o, tail.o], axis=-2), whole.o)
    assert np.array_equal(tail.state.P, whole.state.P)


def test_the_covariance_is_symmetric_to_the_bit_and_positive(rng: np.random.Generator) -> None:
    arrays = problem(rng, T=400)
    P = exact.random_walk_kalman(**arrays, drift=1e-9, noise=1e-9, ridge=1e-6).state.P
    assert np.array_equal(P, np.swapaxes(P, -1, -2))
    assert (np.linalg.eigvalsh(P) > 0).all()


@pytest.mark.parametrize("change", ["zero keys", "repeated keys", "parallel keys"])
def test_hostile_keys_have_an_answer_once_there_is_noise(change: str, rng: np.random.Generator) -> None:
    arrays = problem(rng)
    k = arrays["k"]
    arrays["k"] = {"zero keys": 0 * k, "repeated keys": 0 * k + k[:, :1], "parallel keys": k[..., :1] * k[:, :1]}[
        change
    ]
    o = exact.random_walk_kalman(**arrays, **GIVEN).o
    assert np.isfinite(o).all()
    if change == "zero keys":
        assert not o.any()


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_any_batch_is_each_of_its_heads(batch: tuple[int, ...], rng: np.random.Generator) -> None:
    q, k = rng.standard_normal((2, *batch, 5, 3))
    v = rng.standard_normal((*batch, 5, 2))
    o = exact.random_walk_kalman(q, k, v, **GIVEN).o
    for head in np.ndindex(batch):
        alone = bounded({"q": q[head], "k": k[head], "v": v[head]})
        assert (row_norms(o[head] - alone.reference) <= 2 * alone.bound).all()
    assert exact.random_walk_kalman(q[..., :0, :], k[..., :0, :], v[..., :0, :], **GIVEN).o.shape == (*batch, 0, 2)


def test_results_stay_in_library_and_dtype(full_precision: Library, rng: np.random.Generator) -> None:
    arrays = full_precision.arrays(problem(rng))
    out = exact.random_walk_kalman(**arrays, drift=full_precision.asarray(DRIFT), noise=NOISE, ridge=RIDGE)
    assert like(out.o) == like(out.state.P) == like(arrays["v"])
    stored = {n: np.asarray(to_numpy(x), np.float64) for n, x in arrays.items()}
    contract = FORMATS[full_precision.dtype]
    allowed = rounding(lambda **x: exact.random_walk_kalman(**x, **GIVEN), stored, contract).bound
    truth = exact.random_walk_kalman(**stored, **GIVEN).o
    assert (row_norms(np.asarray(to_numpy(out.o), np.float64) - truth) <= 2 * allowed).all()


def test_drift_added_after_the_update_is_another_filter(rng: np.random.Generator) -> None:
    arrays = problem(rng)
    P0 = np.broadcast_to(np.eye(3) / RIDGE - np.diag(DRIFT) * np.exp(-2 * GATE), (2, 3, 3))
    late = exact.Recursion(np.zeros((2, 3, 2)), P0)
    o = exact.random_walk_kalman(**arrays, drift=DRIFT, noise=NOISE, initial_state=late).o
    whole = bounded(arrays)
    assert (row_norms(o - whole.reference) > whole.bound).all()


def test_what_it_refuses_and_in_which_words(rng: np.random.Generator) -> None:
    arrays = problem(rng)
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="^noise: expected a finite number, at least 0, got"):
            exact.random_walk_kalman(**arrays, drift=0.1, noise=bad, ridge=1.0)
    with pytest.raises(ValueError, match=r"^drift: expected at least 0, got -1\.0"):
        exact.random_walk_kalman(**arrays, drift=-1.0, noise=1.0, ridge=1.0)
    with pytest.raises(ValueError, match="^ridge: expected either ridge or initial_state"):
        exact.random_walk_kalman(**arrays, drift=1.0, noise=1.0)
    arrays["k"][1, 4] = np.nan
    with pytest.raises(ValueError, match=r"^k: expected finite entries, got NaN or infinity first at \(1, 4, 0\)"):
        exact.random_walk_kalman(**arrays, **GIVEN)
    arrays["k"][1, 4] = 0
    with pytest.raises(LinAlgError, match=r"^noise: expected innovations of positive variance, .*1"):
        exact.random_walk_kalman(**arrays, drift=DRIFT, noise=0.0, ridge=RIDGE)
    half = np.ones((4, 2), np.float16)
    with pytest.raises(ValueError, match="q: expected float32 or float64, got float16"):
        exact.random_walk_kalman(half, half, half, drift=1.0, noise=1.0, ridge=1.0)


def test_it_claims_no_more_than_it_exports() -> None:
    assert kalman.__all__ == ["random_walk_kalman"]
