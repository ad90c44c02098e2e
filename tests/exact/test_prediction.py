"""Correlation memories that predict: torch differentiates the objective, and takes the step."""

import numpy as np
import pytest
import torch

from tests.conftest import Library
from ttr_numerics import exact
from ttr_numerics.arrays import like, to_numpy
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

T, D_K, D_V = 12, 4, 3


def inputs(rng: np.random.Generator):
    q, k = rng.standard_normal((2, 2, T, D_K))
    return {
        "q": q,
        "k": k,
        "v": rng.standard_normal((2, T, D_V)),
        "log_decay": -rng.exponential(0.3, (2, T)),
        "bonus": rng.standard_normal((2, D_K)),
    }


def step(k, v, weights):
    """-∇ ½Σ w_i‖v_i - k_i S‖² at S = 0, by torch."""
    S = torch.zeros((k.shape[1], v.shape[1]), dtype=torch.float64, requires_grad=True)
    loss = (torch.from_numpy(weights)[:, None] * (torch.from_numpy(v) - torch.from_numpy(k) @ S) ** 2).sum() / 2
    loss.backward()
    assert S.grad is not None
    return -S.grad.numpy()


def test_every_output_is_one_gradient_step_on_what_came_before_and_the_weighted_newest(rng) -> None:
    a = inputs(rng)
    u = 0.7
    a["bonus"] = np.full((2, D_K), u)
    run = rounding(exact.predictive_correlation_prefixes, a, FORMATS["float64"])
    for t in range(T):
        for h in range(2):
            age = np.array([np.exp(a["log_decay"][h, i + 1 : t].sum()) if i < t else u for i in range(t + 1)])
            theirs = a["q"][h, t] @ step(a["k"][h, : t + 1], a["v"][h, : t + 1], age)
            assert np.linalg.norm(run.reference[h, t] - theirs) <= 2 * run.bound[h, t]


def test_without_bonus_the_first_output_is_zero_and_the_newest_value_has_no_influence(rng) -> None:
    a = inputs(rng)
    del a["bonus"]
    o = exact.predictive_correlation_prefixes(**a).o
    assert not o[:, 0].any()
    a["v"][:, -1] += 1.0
    assert np.array_equal(exact.predictive_correlation_prefixes(**a).o, o)


def test_equal_channel_gates_are_a_scalar_gate(rng: np.random.Generator) -> None:
    a = inputs(rng)
    run = rounding(exact.predictive_correlation_prefixes, a, FORMATS["float64"])
    a["log_decay"] = np.repeat(a["log_decay"][..., None], D_K, axis=-1)
    other = rounding(exact.predictive_correlation_prefixes, a, FORMATS["float64"])
    assert (row_norms(run.reference - other.reference) <= run.bound + other.bound).all()


@pytest.mark.parametrize("split", [0, 1, 5, T])
def test_a_split_anywhere_carries_the_state(split: int, rng: np.random.Generator) -> None:
    a = inputs(rng)
    run = rounding(exact.predictive_correlation_prefixes, a, FORMATS["float64"])
    early, late = ({n: x if n == "bonus" else x[:, s] for n, x in a.items()} for s in (slice(split), slice(split, T)))
    head = exact.predictive_correlation_prefixes(**early)
    tail = exact.predictive_correlation_prefixes(**late, initial_state=head.state)
    assert (row_norms(np.concatenate([head.o, tail.o], axis=1) - run.reference) <= 2 * run.bound).all()


def test_a_mask_off_by_one_is_seen(rng: np.random.Generator) -> None:
    a = inputs(rng)
    a["bonus"] = np.ones((2, D_K))
    run = rounding(exact.predictive_correlation_prefixes, a, FORMATS["float64"])
    inclusive = exact.correlation_prefixes(a["q"], a["k"], a["v"], log_decay=a["log_decay"]).o
    # At bonus 1 both read tokens 1..t, but here those before t are one decay younger.
    apart = row_norms(inclusive - run.reference)
    assert (apart[:, 0] <= 2 * run.bound[:, 0]).all()
    assert (apart[:, 1:] > run.bound[:, 1:]).all()


def test_results_stay_in_library_dtype_and_device(full_precision: Library, rng: np.random.Generator) -> None:
    a = full_precision.arrays(inputs(rng))
    out = exact.predictive_correlation_prefixes(**a)
    for part in out:
        assert type(part) is type(a["q"])
        assert like(part) == like(a["q"])
        assert np.isfinite(to_numpy(part)).all()


def test_bad_arrays_are_refused_in_one_sentence(rng: np.random.Generator) -> None:
    a = inputs(rng)
    with pytest.raises(ValueError, match=r"^bonus: expected shape \(2, 4\), got \(3,\)"):
        exact.predictive_correlation_prefixes(**{**a, "bonus": np.ones(3)})
    with pytest.raises(ValueError, match="^bonus: expected finite entries"):
        exact.predictive_correlation_prefixes(**{**a, "bonus": np.full((2, D_K), np.nan)})
    with pytest.raises(ValueError, match="^log_decay: expected at most 0"):
        exact.predictive_correlation_prefixes(**{**a, "log_decay": -a["log_decay"]})
