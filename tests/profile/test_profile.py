"""A profile says of keys what is true of them, and of layers what the exact solvers and the theory say."""

import json

import numpy as np
import pytest

from ttr_numerics import cli, tasks
from ttr_numerics.measure import bounds
from ttr_numerics.profile import as_text, profiled


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
        (np.ones((2, 8, 4)), np.zeros((2, 8, 4)), "v: expected values that are not all zero in a head"),
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
