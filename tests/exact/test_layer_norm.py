"""Least squares through a layer norm: torch's own layer norm and gradient agree, and nothing near is lower."""

import numpy as np
import pytest
import torch

from ttr_numerics import exact
from ttr_numerics.exact.losses import LayerNormSquares

U = 2.0**-53


def data(T=30, d_k=4, d_v=3):
    rng = np.random.default_rng(0)
    K, V = rng.standard_normal((2, T, d_k)), rng.standard_normal((2, T, d_v))
    return K, V, 1 + rng.random((2, d_v)), rng.standard_normal((2, d_v))


def torchs(S, K, V, gain, shift, epsilon):
    """The objective and its gradient by torch."""
    S, *given = (torch.asarray(x) for x in (S, K, V, gain, shift))
    S.requires_grad_(True)
    K, V, gain, shift = given
    z = torch.nn.functional.layer_norm(K @ S, (V.shape[-1],), gain, shift, epsilon)
    value = ((V - z) ** 2).sum() / 2
    value.backward()
    return float(value.detach()), S.grad.numpy()


@pytest.mark.parametrize("epsilon", [1e-6, 1e-1])
def test_what_is_found_is_stationary_for_torch_and_below_the_start(epsilon: float) -> None:
    K, V, gain, shift = data()
    S = exact.layer_norm_least_squares(K, V, gain=gain, shift=shift, epsilon=epsilon)
    for head in range(2):
        given = K[head], V[head], gain[head], shift[head], epsilon
        start = np.linalg.lstsq(K[head], V[head])[0]
        (value, slope), (before, steep) = torchs(S[head], *given), torchs(start, *given)
        assert value < before
        # Where a step gains less than u F, the gradient is of order √(u F) times the root of the largest curvature.
        curvature = np.linalg.norm(K[head], 2) ** 2 * np.max(gain) ** 2 / np.min(np.var(K[head] @ S[head], axis=-1))
        assert np.abs(slope).max() <= 30 * np.sqrt(2 * U * value * curvature)
        assert np.abs(steep).max() > 30 * np.sqrt(2 * U * value * curvature)


def test_the_prediction_is_torchs_layer_norm() -> None:
    _, V, gain, shift = data()
    loss = LayerNormSquares(gain[:, None], shift[:, None], 1e-5)
    z = V * 3
    theirs = [
        torch.nn.functional.layer_norm(torch.asarray(x), (3,), torch.asarray(a), torch.asarray(c), 1e-5).numpy()
        for x, a, c in zip(z, gain, shift, strict=True)
    ]
    # A dozen roundings of terms no larger than |z|, divided by σ.
    sigma = np.sqrt(np.var(z, axis=-1, keepdims=True) + 1e-5)
    bound = 2 * 12 * 3 * U * (gain[:, None] * np.abs(z).max(axis=-1, keepdims=True) / sigma + np.abs(shift[:, None]))
    assert (np.abs(loss.predicted(z) - np.stack(theirs)) <= bound).all()
    faulty = LayerNormSquares(gain[:, None], shift[:, None], 1.0001e-5)
    assert (np.abs(faulty.predicted(z) - np.stack(theirs)) > bound).any()


def test_values_that_are_not_finite_are_refused() -> None:
    K, V, gain, shift = data()
    with pytest.raises(ValueError, match="gain: expected finite entries"):
        exact.layer_norm_least_squares(K, V, gain=gain * np.nan, shift=shift, epsilon=1e-6)
