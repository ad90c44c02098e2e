"""Maps that drift or switch: stationary, piecewise, and refused in one sentence."""

import numpy as np
import pytest

from tests.measure.test_bounds import agrees
from ttr_numerics import tasks


def test_the_map_keeps_its_size_and_forgets_at_the_stated_rate():
    d, q, T = 4, 0.3, 6
    rng = np.random.default_rng(0)
    task = tasks.drifting_regression(rng, np.broadcast_to(np.eye(d)[0], (4000, T, d)), q, 0.0, 1)
    first, last = task.w[:, 0, 0], task.target[:, -1, 0]
    assert agrees(d * last**2, 1.0)
    assert agrees(d * first * last, (1 - q) ** (T / 2))
    assert not agrees(d * first * last, (1 - q) ** T)


def test_noise_is_added_to_values_and_not_to_targets():
    rng = np.random.default_rng(1)
    task = tasks.drifting_regression(rng, rng.standard_normal((200, 20, 3)), 0.1, 0.25, 2)
    assert agrees(np.mean((task.v - task.target) ** 2, axis=(-2, -1)), 0.25)


def test_values_of_one_label_are_one_linear_map():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, (2, 60))
    k = tasks.isotropic_unit_keys(rng, (2, 60, 4))
    task = tasks.piecewise_linear_regression(rng, k, labels, 0.0, 2)
    for head in range(2):
        for label in range(3):
            own = labels[head] == label
            W, *_ = np.linalg.lstsq(k[head, own], task.v[head, own])
            # Backward stable least squares on some twenty unit keys: their condition is below 100.
            assert np.max(np.abs(k[head, own] @ W - task.target[head, own])) < 100 * 60 * 2.0**-53 * 10
        W, *_ = np.linalg.lstsq(k[head], task.v[head])
        assert np.max(np.abs(k[head] @ W - task.target[head])) > 0.1


def test_keys_of_one_label_are_nearer_than_those_of_others():
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(8), 30)
    k = tasks.clustered_unit_keys(rng, labels, 4, 0.3)
    assert np.max(np.abs(np.linalg.norm(k, axis=-1) - 1)) <= 8 * 2.0**-53
    cosines, same = k @ k.T, labels[:, None] == labels
    assert np.mean(cosines[same]) > 0.8
    assert np.mean(cosines[~same]) < 0.1


def test_bad_input_is_refused_in_one_sentence():
    rng = np.random.default_rng(4)
    with pytest.raises(ValueError, match=r"^q, noise: expected q in \[0, 1\]"):
        tasks.drifting_regression(rng, np.ones((2, 1)), 1.5, 0.0, 1)
    with pytest.raises(ValueError, match="^labels: expected below 4, twice the dimension, got 4"):
        tasks.clustered_unit_keys(rng, np.array([0, 4]), 2, 0.1)
    with pytest.raises(ValueError, match="^labels: expected whole numbers from 0 of shape"):
        tasks.piecewise_linear_regression(rng, np.ones((2, 1)), np.array([0.0, 1.0]), 0.0, 1)
