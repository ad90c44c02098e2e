"""M-estimates: no library's robust regression has a lower objective, and the stop sees what is not stationary."""

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import statsmodels.api as sm

from ttr_numerics import exact
from ttr_numerics.arrays import LinAlgError, to_numpy
from ttr_numerics.exact import losses

T, D, M = 40, 4, 3
U = 2.0**-53
LOSSES = [
    losses.Squares(),
    losses.Huber(1.0),
    losses.EntrywiseHuber(0.5),
    losses.Power(1.2),
    losses.Power(1.5),
    losses.Power(3.0),
    losses.Power(6.0),
]


def data(seed=0, batch=(2,), dtype=np.float64):
    """Heavy tails: Student's t with two degrees of freedom."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((*batch, T, D)).astype(dtype), rng.standard_t(2, (*batch, T, M)).astype(dtype)


def no_higher(ours, theirs, terms):
    """Whether an objective, a sum of `terms` of a dozen roundings each, is at most the other."""
    return ours <= theirs * (1 + terms * 12 * U)


def slope_bound(K, V, loss, found, S):
    """|∇F(found)·(found - S)|: for convex F an upper bound of F(found) - F(S)."""
    e = V - K @ found
    return abs(np.sum((K.T @ (loss.weight(e) * e)) * (found - S)))


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_no_minimiser_of_scipy_finds_a_lower_objective(loss) -> None:
    K, V = (x[0] for x in data())
    S = exact.m_estimate(K, V, loss)

    def objective(x):
        e = V - K @ x.reshape(D, M)
        return float(loss.total(e)), -(K.T @ (loss.weight(e) * e)).ravel()

    found = scipy.optimize.minimize(objective, np.zeros(D * M), jac=True, method="L-BFGS-B", options={"ftol": 0.0})
    assert no_higher(float(S.objective), found.fun, T * M)
    gap = slope_bound(K, V, loss, found.x.reshape(D, M), S.S)
    assert found.fun <= float(S.objective) * (1 + T * M * 12 * U) + gap


def test_entrywise_huber_is_scipys_least_squares_with_huber_loss() -> None:
    K, V = (x[0] for x in data(1))
    S = exact.m_estimate(K, V, losses.EntrywiseHuber(0.5))
    for j in range(M):
        found = scipy.optimize.least_squares(
            lambda x, j=j: K @ x - V[:, j], np.zeros(D), loss="huber", f_scale=0.5, gtol=1e-15, ftol=1e-15, xtol=1e-15
        )
        ours = scipy.special.huber(0.5, V[:, j] - K @ S.S[:, j]).sum()
        assert no_higher(ours, found.cost, T)
        gap = slope_bound(K, V[:, j : j + 1], losses.EntrywiseHuber(0.5), found.x[:, None], S.S[:, j : j + 1])
        assert found.cost <= ours * (1 + T * 12 * U) + gap


def test_entrywise_huber_is_statsmodels_robust_linear_model_at_its_own_scale() -> None:
    K, V = (x[0] for x in data(2))
    for j in range(M):
        found = sm.RLM(V[:, j], K, M=sm.robust.norms.HuberT(1.345)).fit(update_scale=False, maxiter=500, tol=1e-14)
        loss = losses.EntrywiseHuber(1.345 * found.scale)
        ours = exact.m_estimate(K, V[:, j : j + 1], loss)
        theirs = float(loss.total(V[:, j : j + 1] - K @ found.params[:, None]))
        assert no_higher(float(ours.objective), theirs, T)
        gap = slope_bound(K, V[:, j : j + 1], loss, found.params[:, None], ours.S)
        assert theirs <= float(ours.objective) * (1 + T * 12 * U) + gap


def test_powers_near_one_approach_the_linear_programme_of_least_absolute_values() -> None:
    K, V = (x[0] for x in data(3))
    v = V[:, 0]
    programme = scipy.optimize.linprog(
        np.r_[np.zeros(D), np.ones(2 * T)],
        A_eq=np.hstack([K, np.eye(T), -np.eye(T)]),
        b_eq=v,
        bounds=[(None, None)] * D + [(0, None)] * 2 * T,
    )
    for p in (1.3, 1.1):
        S = exact.m_estimate(K, v[:, None], losses.Power(p)).S
        size = np.abs(v - K @ S[:, 0]).sum()
        assert size >= programme.fun * (1 - T * 12 * U)
        # ‖e‖_1 ≤ T^{1-1/p} ‖e‖_p, and no e has a smaller p-norm than ours.
        assert size <= T ** (1 - 1 / p) * programme.fun


def test_a_loss_that_is_the_square_is_least_squares() -> None:
    K, V = data(4)
    S = exact.ridge(K, V).S
    for loss in (losses.Squares(), losses.Power(2.0), losses.Huber(1e6), losses.EntrywiseHuber(1e6)):
        fit = exact.m_estimate(K, V, loss)
        assert np.array_equal(fit.S, S)
        assert fit.steps == 0


def test_the_stop_sees_a_solution_off_in_the_tenth_digit() -> None:
    from ttr_numerics.exact.m_estimate import _gradient_ratio

    K, V = data(5)
    for loss in LOSSES:
        fit = exact.m_estimate(K, V, loss)
        assert (_gradient_ratio(K, V, fit.S, loss) <= 1).all()
        assert (_gradient_ratio(K, V, fit.S * (1 + 1e-10), loss) > 1).all()


def test_thresholds_may_differ_from_token_to_token() -> None:
    K, V = (x[0] for x in data(6))
    delta = np.where(np.arange(T) < 20, 1e6, 1e-6)[:, None]
    fit = exact.m_estimate(K, V, losses.Huber(delta))
    assert float(fit.objective) < float(losses.Huber(delta).total(V - K @ exact.m_estimate(K, V, losses.Huber(1.0)).S))


@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_batches_are_solved_one_by_one(batch) -> None:
    K, V = data(7, batch)
    together = exact.m_estimate(K, V, losses.Power(1.5))
    for index in np.ndindex(batch):
        alone = exact.m_estimate(K[index], V[index], losses.Power(1.5))
        assert no_higher(float(together.objective[index]), float(alone.objective), T * M)
        assert no_higher(float(alone.objective), float(together.objective[index]), T * M * 2)


def test_it_runs_alike_on_every_library(full_precision) -> None:
    K, V = data(8)
    moved = full_precision.arrays({"K": K, "V": V})
    for loss in (losses.Huber(1.0), losses.EntrywiseHuber(0.5), losses.Power(1.5), losses.Power(3.0)):
        fit = exact.m_estimate(moved["K"], moved["V"], loss)
        assert type(fit.S) is type(moved["K"])
        assert fit.S.dtype == moved["K"].dtype
        assert (to_numpy(fit.gradient_ratio) <= 1).all()


def test_zero_values_have_the_zero_fit() -> None:
    K, V = data(9)
    assert not exact.m_estimate(K, 0 * V, losses.Power(1.5)).S.any()


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_consistent_values_are_recovered_to_rounding(loss) -> None:
    K, V = data(11)
    truth = V[:, :D]
    S = exact.m_estimate(K, K @ truth, loss).S
    for h in range(2):
        # Residuals of (D + 2) u (|K||S| + |V|) at most: the solution is off by that over the least singular value.
        size = np.linalg.norm(np.abs(K[h] @ truth[h]) + np.abs(K[h]) @ np.abs(truth[h]), axis=0)
        bound = 4 * (D + 2) * U * size / np.linalg.svd(K[h])[1][-1]
        assert (np.linalg.norm(S[h] - truth[h], axis=0) <= bound * np.sqrt(T)).all()


def test_what_has_no_answer_is_refused() -> None:
    K, V = data(10)
    with pytest.raises(LinAlgError, match=r"K: expected full column rank .* in slices \(1,\)"):
        exact.m_estimate(K * np.array([1.0, 0.0])[:, None, None] + 0 * K, V, losses.Huber(1.0))
    with pytest.raises(
        LinAlgError, match=r"^m_estimate: expected a gradient at rounding level in 2 steps, got .* in sl"
    ):
        exact.m_estimate(K, V, losses.Huber(1.0), steps=2)
    with pytest.raises(ValueError, match=r"^loss: expected a power above 1, got 1.0; p = 1 is a linear programme$"):
        exact.m_estimate(K, V, losses.Power(1.0))
    with pytest.raises(ValueError, match="^V: expected finite entries"):
        exact.m_estimate(K, np.where(V > 1, np.nan, V), losses.Huber(1.0))
    with pytest.raises(ValueError, match="^K: expected float32 or float64, got float16"):
        exact.m_estimate(K.astype(np.float16), V.astype(np.float16), losses.Huber(1.0))


@pytest.mark.parametrize("loss", [losses.Huber(1.0), losses.EntrywiseHuber(0.5), losses.Power(1.5)], ids=str)
def test_weights_count_as_repetitions(loss) -> None:
    K, V = (x[0] for x in data(3))
    counts = np.arange(T) % 4
    weighted = exact.m_estimate(K, V, losses.Weighted(loss, counts[:, None].astype(float)))
    repeated = exact.m_estimate(K.repeat(counts, 0), V.repeat(counts, 0), loss)
    terms = int(counts.sum()) * M
    assert no_higher(float(weighted.objective), float(repeated.objective), terms)
    assert no_higher(float(repeated.objective), float(weighted.objective), terms)
    plain = exact.m_estimate(K, V, loss).S
    assert not no_higher(
        float(losses.Weighted(loss, counts[:, None]).total(V - K @ plain)), float(weighted.objective), terms
    )


def test_a_weighted_power_of_one_is_refused_too() -> None:
    K, V = data()
    with pytest.raises(ValueError, match="^loss: expected a power above 1, got 1.0"):
        exact.m_estimate(K, V, losses.Weighted(losses.Power(1.0), np.ones((T, 1))))
