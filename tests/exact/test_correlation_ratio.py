"""The correlation ratio: a weighted mean where its weights are positive, and what it is where they are not."""

import mpmath
import numpy as np
import pytest

from tests.conftest import Library
from ttr_numerics import exact
from ttr_numerics.arrays import like, to_numpy
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

T, D_K, D_V = 12, 4, 3
U = 2.0**-53


def inputs(rng: np.random.Generator):
    q, k = rng.standard_normal((2, 2, T, D_K))
    return {
        "q": q,
        "k": k,
        "v": rng.standard_normal((2, T, D_V)),
        "log_weights": rng.standard_normal((2, T)),
        "log_decay": -rng.exponential(0.3, (2, T)),
    }


def test_every_output_is_the_ratio_of_two_sums_in_two_hundred_bits(rng: np.random.Generator) -> None:
    a = inputs(rng)
    a["log_weights"] *= 300
    run = rounding(exact.correlation_ratio_prefixes, a, FORMATS["float64"])
    with mpmath.workprec(200):
        for t in (0, 3, T - 1):
            logs = [mpmath.mpf(a["log_weights"][0, i]) for i in range(t + 1)]
            logs = [x + mpmath.fsum(a["log_decay"][0, i + 1 : t + 1]) for i, x in enumerate(logs)]
            pairs = [mpmath.exp(x) * mpmath.fdot(a["q"][0, t], a["k"][0, i]) for i, x in enumerate(logs)]
            floor = max(abs(mpmath.fsum(pairs)), 1)
            truth = [float(mpmath.fdot(pairs, a["v"][0, : t + 1, c]) / floor) for c in range(D_V)]
            assert np.linalg.norm(run.reference[0, t] - truth) <= run.bound[0, t] + U * np.linalg.norm(truth)


def test_where_products_are_positive_and_sum_above_one_it_is_a_weighted_mean(rng: np.random.Generator) -> None:
    a = inputs(rng)
    a["q"], a["k"] = 2 + np.abs(a["q"]), np.abs(a["k"])
    a["log_weights"] = np.abs(a["log_weights"])
    run = rounding(exact.correlation_ratio_prefixes, a, FORMATS["float64"])
    for t in range(T):
        aged = a["log_weights"][1, : t + 1] + [a["log_decay"][1, i + 1 : t + 1].sum() for i in range(t + 1)]
        weights = np.exp(aged) * (a["k"][1, : t + 1] @ a["q"][1, t])
        assert weights.sum() > 1
        theirs = np.average(a["v"][1, : t + 1], axis=0, weights=weights)
        assert np.linalg.norm(run.reference[1, t] - theirs) <= 2 * run.bound[1, t]


def test_a_negative_denominator_makes_the_mean_of_equal_values_their_negative() -> None:
    k, v = np.ones((4, 1)), np.full((4, 1), 5.0)
    o = exact.correlation_ratio_prefixes(-2 * k, k, v, log_weights=np.zeros(4), log_decay=np.zeros(4)).o
    # Σ q·k is -2, -4, -6, -8: Nadaraya-Watson would divide by it and say 5, the ratio divides by its size.
    assert np.array_equal(o, -v)
    assert np.array_equal(exact.signed_smoother_prefixes(-2 * k, k, v).o, v)


def test_between_minus_one_and_one_nothing_is_divided(rng: np.random.Generator) -> None:
    a = inputs(rng)
    small = {**a, "log_weights": a["log_weights"] - 20}
    run = rounding(exact.correlation_ratio_prefixes, small, FORMATS["float64"])
    plain = exact.prefix_weights(a["log_decay"]) * np.exp(small["log_weights"])[:, None, :] * (a["q"] @ a["k"].mT)
    assert np.abs(plain.sum(axis=-1)).max() < 1
    assert (row_norms(plain @ a["v"] - run.reference) <= 2 * run.bound).all()


@pytest.mark.parametrize("size", [700.0, 1000.0])
def test_equal_weights_of_any_size_above_the_floor_cancel_to_the_bit(size: float, rng: np.random.Generator) -> None:
    a = inputs(rng)
    a["q"], a["k"] = 1 + np.abs(a["q"]), 1 + np.abs(a["k"])
    zero = np.zeros((2, T))
    one, other = (
        exact.correlation_ratio_prefixes(**{**a, "log_weights": zero + s, "log_decay": zero}).o for s in (0.0, size)
    )
    assert np.array_equal(one, other)


def test_equal_weights_far_below_the_floor_scale_the_output(rng: np.random.Generator) -> None:
    a = inputs(rng)
    zero = np.zeros((2, T))
    a |= {"log_weights": zero - 700.0, "log_decay": zero}
    run = rounding(exact.correlation_ratio_prefixes, a, FORMATS["float64"])
    scale = float(mpmath.exp(-700))
    plain = np.tril(a["q"] @ a["k"].mT) @ a["v"]
    # Two roundings of the scale, and the sums' own, which the run's bound has.
    assert (row_norms(run.reference - scale * plain) <= 2 * run.bound + 2 * U * scale * row_norms(plain)).all()


def test_no_weight_at_all_gives_zero_and_not_nan(rng: np.random.Generator) -> None:
    a = inputs(rng)
    nothing = {**a, "log_weights": np.full((2, T), -np.inf)}
    assert not exact.correlation_ratio_prefixes(**nothing).o.any()
    reset = {**nothing, "log_decay": np.full((2, T), -np.inf)}
    assert not exact.correlation_ratio_prefixes(**reset).o.any()
    huge = {**a, "k": 0 * a["k"], "log_weights": np.full((2, T), 1000.0)}  # 0/e^-1000, which underflows
    assert not exact.correlation_ratio_prefixes(**huge).o.any()


def test_a_zero_key_hides_nothing_however_large_its_weight(rng: np.random.Generator) -> None:
    a = inputs(rng)
    at = np.arange(T) == 4
    a["k"] = np.where(at[:, None], 0.0, a["k"])
    a["log_weights"] = np.where(at, -np.inf, a["log_weights"])
    run = rounding(exact.correlation_ratio_prefixes, a, FORMATS["float64"])
    loud = exact.correlation_ratio_prefixes(**{**a, "log_weights": np.where(at, 1000.0, a["log_weights"])})
    assert (row_norms(loud.o - run.reference) <= 2 * run.bound).all()
    assert np.isfinite(loud.state.C).all()
    assert loud.state.m.max() < 1000


@pytest.mark.parametrize("split", [0, 1, 5, T])
@pytest.mark.parametrize("unit", [0.0, 3.0])
def test_a_split_anywhere_carries_the_memory_in_any_unit(split: int, unit: float, rng: np.random.Generator) -> None:
    a = inputs(rng)
    run = rounding(exact.correlation_ratio_prefixes, a, FORMATS["float64"])
    early, late = ({n: x[:, s] for n, x in a.items()} for s in (slice(split), slice(split, T)))
    head = exact.correlation_ratio_prefixes(**early)
    C, n, m = head.state
    same = head.state._replace(C=np.exp(-unit) * C, n=np.exp(-unit) * n, m=m + unit)
    tail = exact.correlation_ratio_prefixes(**late, initial_state=same)
    assert (row_norms(np.concatenate([head.o, tail.o], axis=1) - run.reference) <= 3 * run.bound).all()


def test_a_weight_changed_in_the_ninth_digit_is_seen(rng: np.random.Generator) -> None:
    a = inputs(rng)
    run = rounding(exact.correlation_ratio_prefixes, a, FORMATS["float64"])
    a["log_weights"][:, 2] += 1e-9
    assert (row_norms(exact.correlation_ratio_prefixes(**a).o - run.reference) > run.bound).any(axis=1).all()


def test_results_stay_in_library_dtype_and_device(full_precision: Library, rng: np.random.Generator) -> None:
    a = full_precision.arrays(inputs(rng))
    out = exact.correlation_ratio_prefixes(**a)
    for part in (out.o, *out.state):
        assert type(part) is type(a["q"])
        assert like(part) == like(a["q"])
        assert np.isfinite(to_numpy(part)).all()


def test_bad_arrays_are_refused_in_one_sentence(rng: np.random.Generator) -> None:
    a = inputs(rng)
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="^log_weights: expected finite entries"):
            exact.correlation_ratio_prefixes(**{**a, "log_weights": np.full((2, T), bad)})
    with pytest.raises(ValueError, match=r"^log_weights: expected shape \(2, 12\), got \(2, 11\)"):
        exact.correlation_ratio_prefixes(**{**a, "log_weights": np.zeros((2, 11))})
    state = exact.correlation_ratio_prefixes(**a).state
    with pytest.raises(ValueError, match=r"^initial_state.n: expected shape \(2, 4\), got \(2, 3\)"):
        exact.correlation_ratio_prefixes(**a, initial_state=state._replace(n=np.ones((2, 3))))
