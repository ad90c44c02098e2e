"""A profile says of keys what is true of them, and of layers what the exact solvers and the theory say."""

import json

import numpy as np
import pytest
from scipy import stats

from ttr_numerics import cli, tasks
from ttr_numerics.measure import bounds, unit_rows
from ttr_numerics.profile import as_text, capacity, profiled
from ttr_numerics.profile.contenders import CONTENDERS
from ttr_numerics.profile.keys import directions
from ttr_numerics.profile.profile import FEWEST

U = 2.0**-53


def unit_keys(rng, heads, n, d):
    K = rng.standard_normal((heads, n, d))
    return K / np.linalg.norm(K, axis=-1, keepdims=True)


def served(profile):
    return {s.layer: s for s in profile.served}


def test_orthonormal_keys_are_recalled_exactly_by_every_linear_memory():
    K = np.tile(np.eye(16), (3, 1, 1))
    found = served(profiled(K))
    for layer in ("linear_attention", "delta_rule", "mesa"):
        assert found[layer].mean < 1e-5  # mesa's smallest ridge is 1e-3, and its error that squared
        assert found[layer].capacity == 16
        assert not found[layer].full


def test_linear_attention_on_random_keys_is_as_the_theory_says():
    # Twenty heads of random values: the mean lies within four standard errors of its expectation.
    n, d = 128, 16
    profile = profiled(unit_keys(np.random.default_rng(0), 20, n, d))
    errors = np.array(served(profile)["linear_attention"].error)
    expected = bounds.linear_attention_scaled_error(n // 2, d)
    assert abs(errors.mean() - expected) < 4 * errors.std(ddof=1) / np.sqrt(20) + 2 / (n * d)
    assert all(abs(k.linear_attention - (1 - k.participation_ratio / n)) < 1e-15 for k in profile.keys)


def test_keys_with_a_large_mean_are_told_by_its_share_and_by_the_condition_number():
    rng = np.random.default_rng(1)
    K = rng.standard_normal((2, 200, 8))
    K[1] += 20
    plain, shifted = profiled(K).keys
    assert plain.mean_share < 0.05 < 0.95 < shifted.mean_share
    assert shifted.condition > 5 * plain.condition
    assert shifted.condition_centred < 2 * plain.condition


def test_the_lead_has_an_interval_over_heads_and_none_with_a_single_head():
    rng = np.random.default_rng(2)
    profile = profiled(unit_keys(rng, 6, 64, 8))
    best, second = profile.served[:2]
    mean, low, high = profile.lead(best, second)
    assert mean >= 0
    assert low <= mean <= high
    alone = profiled(unit_keys(rng, 1, 64, 8))
    assert np.isnan(alone.lead(*alone.served[:2])[1])
    assert "a single head gives no interval" in " ".join(as_text(alone).split())


@pytest.mark.parametrize("scale", [2.0**-498, 1.0, 2.0**498])  # exact: not a bit may change
def test_the_scale_of_keys_and_values_changes_nothing_but_the_norms(scale):
    rng = np.random.default_rng(3)
    K, V = rng.standard_normal((2, 2, 32, 4))
    one, other = profiled(K, V), profiled(K * scale, V)
    assert [s.layer for s in one.served] == [s.layer for s in other.served]
    assert [s.mean for s in one.served] == [s.mean for s in other.served]


@pytest.mark.parametrize(
    ("k", "v", "sentence"),
    [
        (np.ones((2, 3, 4)), None, "k: expected at least 4 tokens, got 3"),
        (np.ones((2, 8, 4)), np.ones((2, 7, 4)), r"v: expected the heads and tokens of k, \(2, 8\), got \(2, 7\)"),
        (np.full((2, 8, 4), np.nan), None, "k: expected finite entries, got 64 that are not"),
        (np.zeros((2, 8, 4)), None, "K: expected rows with a direction, got a row of zeros"),
        (
            np.ones((2, 8, 4)),
            np.zeros((2, 8, 4)),
            "v: expected values that are not all zero in half of a head's tokens",
        ),
        (np.ones(4), None, r"k: expected shape \(..., T, d\) without an empty axis, got \(4,\)"),
    ],
)
def test_what_cannot_be_profiled_is_one_sentence(k, v, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        profiled(k, v)


def test_all_keys_the_same_is_a_profile_too():
    (keys,) = profiled(np.ones((1, 8, 4))).keys
    assert keys.condition_centred == np.inf
    assert abs(keys.participation_ratio - 1) < 1e-12


def test_the_command_on_a_real_model(tmp_path, capsys):
    model, path = tasks.smollm2(), tmp_path / "keys.npz"
    np.savez(path, key=model.k[:, :64], value=model.v[:, :64])
    assert cli.main(["profile", str(path)]) == 0
    text = capsys.readouterr().out
    assert "3 heads, 64 tokens, d_k 64, d_v 64, the file's values" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 130
    assert cli.main(["profile", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tokens"] == 64
    np.savez(path, x=model.k)
    assert cli.main(["profile", str(path)]) == 2
    assert capsys.readouterr().err.startswith("ttr profile: k: expected in ")


def test_the_spectrum_is_that_of_the_second_moment():
    rng = np.random.default_rng(4)
    K = rng.standard_normal((2, 50, 6)) * np.array([8.0, 4, 2, 1, 0.5, 0.25]) + 3
    for head, keys in zip(K, profiled(K).keys, strict=True):
        for shares, x in ((keys.spectrum, head), (keys.spectrum_centred, head - head.mean(axis=0))):
            moment = x.T @ x
            expected = np.linalg.eigvalsh(moment)[::-1] / np.trace(moment)
            # Weyl: an eigenvalue moves by at most the rounding of sums of 50 products, in parts of the trace.
            assert np.max(np.abs(np.array(shares) - expected)) < 8 * 50 * U
        assert directions(keys.spectrum, 1 - 1e-9) == 6
        assert directions(keys.spectrum, keys.spectrum[0] / 2) == 1
    assert directions((0.0, 0.0), 0.5) == 0


def test_the_expected_error_is_that_of_random_values_and_not_of_values_that_share_with_the_keys():
    """Twenty heads of the same keys with random values: the mean lies within four standard errors of the formula."""
    rng = np.random.default_rng(5)
    K = np.broadcast_to(unit_rows(unit_keys(rng, 1, 96, 12) + 0.2), (20, 96, 12))
    V = rng.standard_normal((20, 96, 40))
    for layer in profiled(K, V).served:
        errors = np.array(layer.error)
        # A ratio of means of 48 x 40 numbers in place of its expectation: off by parts of 1/1920.
        allowed = 4 * errors.std(ddof=1) / np.sqrt(20) + 4 / 1920
        assert abs(errors.mean() - np.mean(layer.expected)) < allowed
    shared = served(profiled(K, K @ rng.standard_normal((12, 40))))
    assert shared["mesa"].mean < 1e-8
    assert np.mean(shared["mesa"].expected) > 0.5


def test_the_expected_error_of_linear_attention_is_the_participation_ratio_of_the_half():
    K = unit_keys(np.random.default_rng(6), 4, 64, 8)
    half = K[:, 32:]
    ratio = 1 / np.mean((half @ np.swapaxes(half, -1, -2)) ** 2, axis=(-2, -1))
    found = np.array(served(profiled(K))["linear_attention"].expected)
    assert np.max(np.abs(found - (1 - ratio / 32))) < 8 * 32 * 32 * U  # sums of 32 x 32 squares


def crossing(d):
    """Where the error of scaled linear attention on random keys, E(n), is 1/2, interpolated as heads are."""
    n = capacity.sizes(512)
    return capacity.capacity(n, np.array([[bounds.linear_attention_scaled_error(size, d)] for size in n])).heads[0]


def test_the_interval_of_the_capacity_holds_what_the_theory_says_as_often_as_it_claims():
    """Forty files of six heads: a 95 % interval fails more than seven times with probability below 1 in 1000."""
    files, expected, held, narrow = 40, np.log(crossing(16)), 0, 0
    for seed in range(files):
        rng = np.random.default_rng([7, seed])
        n = capacity.sizes(64)
        K, V = unit_keys(rng, 6, 64, 16), unit_keys(rng, 6, 64, 16)
        contender = next(c for c in CONTENDERS if c.layer == "linear_attention")
        errors = [squared(contender.recalled(K[:, :size], V[:, :size], {}), V[:, :size]) for size in n]
        _, low, high, _ = capacity.capacity(n, np.stack(errors)).interval
        middle, half = np.log(low * high) / 2, np.log(high / low) / 2
        held += abs(expected - middle) <= half
        narrow += abs(expected - middle) <= half / 8  # the planted fault
    most = int(stats.binom.ppf(1 - 1e-3, files, 0.05))
    assert files - held <= most
    assert files - narrow > most


def squared(O, V):
    """The recall error by its definition."""
    return np.sum((O - V) ** 2, axis=(-2, -1)) / np.sum(V**2, axis=(-2, -1))


def test_a_capacity_has_no_interval_where_a_head_is_not_full_or_alone():
    n, errors = [1, 2, 4], np.array([[0.0, 0.0], [0.4, 0.1], [0.9, 0.2]])
    found = capacity.capacity(n, errors)
    assert (found.largest, found.open) == (2, 1)
    assert found.heads[1] == 4
    assert np.isnan(found.interval.low)
    assert np.isnan(capacity.capacity(n, errors[:, :1]).interval.low)
    assert abs(np.log2(capacity.capacity(n, errors[:, :1]).heads[0]) - 1.2) < 8 * U
    assert capacity.capacity([1, 2], np.array([[0.7], [0.9]])).heads == (1.0,)


def test_the_ridge_of_a_left_out_pair_is_by_fits_without_it():
    rng = np.random.default_rng(8)
    K, V = rng.standard_normal((2, 24, 3)), rng.standard_normal((2, 24, 2))
    unit = unit_rows(K)[:, 12:]
    for found in profiled(K, V).ridges:
        for head in range(2):
            A, B, left = unit[head], V[head, 12:], 0.0
            for i in range(12):
                rest = np.delete(A, i, axis=0)
                fit = np.linalg.solve(rest.T @ rest + found.ridge * np.eye(3), rest.T @ np.delete(B, i, axis=0))
                left += np.sum((B[i] - A[i] @ fit) ** 2)
            moment = A.T @ A + found.ridge * np.eye(3)
            allowed = found.condition[head] * 8 * 12 * U
            assert abs(found.leave_one_out[head] / (left / np.sum(B**2)) - 1) < allowed
            assert abs(found.condition[head] / np.linalg.cond(moment) - 1) < allowed


def test_what_a_person_reads_names_the_spectrum_the_ridge_and_its_doubt():
    text = as_text(profiled(unit_keys(np.random.default_rng(9), 3, 64, 8)))
    flat = " ".join(text.split())
    assert "directions 50 % 90 % 99 % centred 50 % 90 % 99 % λ1 λ2 λ4 λ8" in flat
    assert "A pair not stored is told best by the others at ridge 10, the most tried" in flat  # of random values: none
    assert "expected" in flat


def test_values_that_begin_with_zeros_are_profiled():
    rng = np.random.default_rng(10)
    K, V = unit_keys(rng, 2, 32, 4), rng.standard_normal((2, 32, 4))
    V[:, :3] = 0
    assert np.isfinite([s.mean for s in profiled(K, V).served]).all()


@pytest.mark.parametrize("shape", [(1, FEWEST, 1), (2, 5, 40), (1, 9, 3)])
def test_the_json_of_the_smallest_profiles_is_json(shape):
    said = profiled(np.ones(shape) + np.random.default_rng(11).standard_normal(shape) / 8).to_json()
    again = json.loads(json.dumps(said, allow_nan=False))
    assert again["schema"] == 1
    assert len(again["keys"][0]["spectrum"]) == min(shape[1:])
    assert {"layer", "settings", "error", "numbers", "capacity", "full", "expected", "stores"} <= set(
        again["served"][0]
    )
    assert json.dumps(profiled(np.ones((1, 8, 4))).to_json(), allow_nan=False)  # cond of the centred keys is infinite
