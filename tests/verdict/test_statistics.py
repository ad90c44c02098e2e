"""The figures of an error are those that were planted: growth, sign, small entries, amplification."""

import json

import numpy as np
import pytest

from ttr_numerics import check, layers
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS

T = 120
U = FORMATS["float32"].u


@pytest.fixture(scope="module")
def case():
    row = pairing("gated_linear_attention")
    arrays = row.example(np.random.default_rng(0), (2,), T=T, d_k=8, d_v=8)
    arrays = {n: x.astype(np.float32) for n, x in arrays.items()}
    return arrays, layers.gated_linear_attention(**{n: x.astype(np.float64) for n, x in arrays.items()}).o


def judged(case, error):
    """The verdict on the answer plus `error`, in float64 so that no output rounding blurs it, judged in float32."""
    arrays, o = case
    return check(
        o + error, "gated_linear_attention", dtype="float32", **{n: x.astype(float) for n, x in arrays.items()}
    )


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_an_error_that_grows_like_a_power_of_t_has_that_exponent(case, power):
    _, o = case
    t = np.arange(1.0, T + 1)[:, None]
    size = np.linalg.norm(o, axis=-1, keepdims=True)
    direction = np.random.default_rng(1).standard_normal(o.shape)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    verdict = judged(case, 100 * U * t**power * size * direction)
    figures = verdict.statistics
    # the slope is exact up to rounding of the sum o + error, u64/(100 u32) at most, times the spread of log t
    assert np.max(np.abs(figures.growth - power)) < FORMATS["float64"].u / U
    assert np.max(np.abs(figures.floor_last / 100 / np.median(t[-T // 10 :]) ** power - 1)) < 1 / T
    assert f"t^{power:.1f}" in " ".join(verdict.reasons)


def test_a_sign_that_leans_is_counted_in_standard_errors(case):
    _, o = case
    up = judged(case, np.full_like(o, 1e-3)).statistics
    assert np.max(np.abs(up.sign / np.sqrt(o[0].size) - 1)) <= 2 * FORMATS["float64"].u  # a division and a root
    balanced = judged(case, 1e-3 * np.where(np.arange(8) % 2, 1.0, -1.0) + 0 * o).statistics
    np.testing.assert_array_equal(balanced.sign, 0)


def test_entries_below_the_resolution_of_the_format_are_counted_and_those_of_them_that_err():
    rng = np.random.default_rng(2)
    q, k, v = rng.standard_normal((3, 1, 24, 6))
    v[..., 0] *= U**2  # a column that one rounding of the others would bury
    o = layers.linear_attention(q, k, v).o
    wrong = o.copy()
    wrong[0, 5, 0] += 1.0
    verdict = check(wrong, "linear_attention", dtype="float32", q=q, k=k, v=v)
    assert verdict.statistics.small >= 20
    assert verdict.statistics.small_wrong == 1


def test_an_error_is_its_amplification_times_what_was_introduced(case):
    _, o = case
    verdict = judged(case, 1e-3 * o * np.sign(np.random.default_rng(3).standard_normal(o.shape)))
    figures = verdict.statistics
    # each entry changes by 1e-3 of itself, whatever its sign
    assert np.max(np.abs(figures.rms_ratio / 1e-3 - 1)) < FORMATS["float64"].u / U
    np.testing.assert_array_equal(figures.introduced, figures.rms_ratio / figures.amplification)
    assert np.all(figures.amplification >= 0.1)
    assert "introduced at every operation" in " ".join(verdict.reasons)


def test_a_cancelling_answer_amplifies_as_much_as_it_cancels():
    rng = np.random.default_rng(4)
    q = np.abs(rng.standard_normal((1, 40, 6)))
    k, v = np.ones((1, 40, 6)), np.where(np.arange(40)[:, None] % 2, -1.0, 1.0) * np.full((1, 40, 6), 1e3)
    v[..., 1::2, :] += rng.uniform(0.5, 1.0, (1, 20, 6))  # a state of 1e3 that the next token takes back but for 1
    o = layers.linear_attention(q, k, v).o
    even, odd = (
        check(o[:, :n] + 1.0, "linear_attention", dtype="float32", q=q[:, :n], k=k[:, :n], v=v[:, :n]).statistics
        for n in (1, 2)
    )
    assert odd.amplification > 100 * even.amplification


def test_the_figures_are_plain_json(case):
    verdict = judged(case, 1e-3)
    figures = json.loads(json.dumps(verdict.to_json()))["statistics"]
    assert len(figures["growth"]) == 2
    assert {len(x) for x in figures.values()} == {2}


def test_an_output_that_is_not_finite_has_figures_of_what_is(case):
    arrays, o = case
    wrong = o.copy()
    wrong[0, 3:] = np.nan
    wrong[1] *= 2
    verdict = check(wrong, "gated_linear_attention", dtype="float32", **{n: x.astype(float) for n, x in arrays.items()})
    assert abs(verdict.statistics.rms_ratio[1] - 1) < FORMATS["float64"].u / U
    assert np.isfinite(verdict.statistics.rms_ratio[0])
