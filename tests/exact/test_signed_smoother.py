"""Means with signed kernels against statsmodels, NumPy's weighted average and the smoother of positive kernels."""

import numpy as np
import pytest
import statsmodels.api as sm

from tests.conftest import Library
from ttr_numerics import exact
from ttr_numerics.arrays import LinAlgError, like, to_numpy
from ttr_numerics.exact import blocks, kernels

U, T = 2.0**-53, 9


def data(rng: np.random.Generator, batch: tuple[int, ...] = ()) -> tuple[np.ndarray, ...]:
    q, k = rng.standard_normal((2, *batch, T, 3))
    return q, k, rng.standard_normal((*batch, T, 2))


def allowed(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> float:
    """How far two evaluations of one mean with weights k q may lie apart, however the weights cancel.

    Weights are inner products of d terms, both sums have at most T: (d + T + 2) u of the sums of absolute values, for
    the numerator and for the denominator times the mean; the mean is at most `condition` times the largest value.
    """
    condition = (np.abs(k) @ np.abs(q)).sum() / abs((k @ q).sum())
    largest = np.linalg.norm(v, axis=-1).max()
    return float(2 * (k.shape[1] + len(k) + 2) * U * condition * (1 + condition) * largest)


def test_every_prefix_is_the_weighted_average_of_numpy(rng: np.random.Generator) -> None:
    q, k, v = data(rng)
    o = exact.signed_smoother_prefixes(q, k, v).o
    for t in range(T):
        now, mean = slice(t + 1), np.average(v[: t + 1], axis=0, weights=k[: t + 1] @ q[t])
        assert np.linalg.norm(o[t] - mean) <= allowed(q[t], k[now], v[now])
        assert np.linalg.norm((1 + 1e-9) * o[t] - mean) > allowed(q[t], k[now], v[now])


def test_with_positive_features_it_is_weighted_least_squares_of_statsmodels(rng: np.random.Generator) -> None:
    q, k, v = (np.abs(x) for x in data(rng))
    o = exact.signed_smoother_prefixes(q, k, v).o
    for t in range(T):
        now = slice(t + 1)
        fit = sm.WLS(v[now, 0], np.ones((t + 1, 1)), weights=k[now] @ q[t]).fit(method="qr")
        # Theirs takes square roots of the weights and a QR factorisation of one column: as many roundings again.
        assert abs(o[t, 0] - fit.params[0]) <= 4 * allowed(q[t], k[now], v[now, :1])
        assert abs((1 + 1e-9) * o[t, 0] - fit.params[0]) > 4 * allowed(q[t], k[now], v[now, :1])


def test_with_a_positive_kernel_it_is_the_other_smoother(rng: np.random.Generator) -> None:
    q, k, v = data(rng)
    signed = exact.signed_smoother_prefixes(q, k, v, kernel=kernels.Gaussian(0.7)).o
    other = exact.kernel_smoother_prefixes(q, k, v, kernel=kernels.Gaussian(0.7)).o
    # An error of a logarithm, 6 roundoffs of its size, is a relative error of its weight.
    logs = np.abs(kernels.Gaussian(0.7).log(q, k)).max()
    assert np.max(np.abs(signed - other)) <= 4 * (T + 6 * logs) * U * np.abs(v).max()


def test_short_blocks_and_a_state_handed_over_give_the_same(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    q, k, v = (np.abs(x) for x in data(rng, (2, 2)))
    whole = exact.signed_smoother_prefixes(q, k, v)
    monkeypatch.setattr(blocks, "ENTRIES", 8)
    head = exact.signed_smoother_prefixes(q[..., :4, :], k[..., :4, :], v[..., :4, :])
    tail = exact.signed_smoother_prefixes(q[..., 4:, :], k[..., 4:, :], v[..., 4:, :], initial_state=head.state)
    # Weights are positive: the condition of each mean is 1.
    assert np.max(np.abs(np.concatenate([head.o, tail.o], -2) - whole.o)) <= 4 * (3 + T + 2) * U * np.abs(v).max()
    assert np.array_equal(tail.state.k, k)


def test_it_stays_in_library_dtype_and_device(full_precision: Library, rng: np.random.Generator) -> None:
    q, k, v = (full_precision.asarray(np.abs(x)) for x in data(rng, (2,)))
    out = exact.signed_smoother_prefixes(q, k, v)
    assert like(out.o) == like(v)
    assert np.isfinite(to_numpy(out.o)).all()


def test_no_weight_at_all_is_the_least_constant(rng: np.random.Generator) -> None:
    q, k, v = data(rng)
    q[2] = 0
    o = exact.signed_smoother_prefixes(q, k, v).o
    assert not o[2].any()
    assert np.abs(np.delete(o, 2, 0)).min() > 0


def test_weights_that_cancel_are_refused_by_slice(rng: np.random.Generator) -> None:
    q, k, v = data(rng, (3,))
    q[1, 1], k[1, :2] = [1.0, 0, 0], [[1.0, 0, 0], [-1.0, 0, 0]]
    with pytest.raises(
        LinAlgError, match=r"^kernel: expected weights of a nonzero sum, got a row that sums to 0 in slices \(1,\)$"
    ):
        exact.signed_smoother_prefixes(q, k, v)


def test_an_empty_sequence_gives_an_empty_answer() -> None:
    assert exact.signed_smoother_prefixes(np.ones((2, 0, 3)), np.ones((2, 0, 3)), np.ones((2, 0, 4))).o.shape == (
        2,
        0,
        4,
    )
