"""Pieces of online learners by other code: Newton-Schulz as in torch, a step as SciPy's minimum, or as a gradient."""

import importlib

import numpy as np
import pytest
import scipy.optimize
import torch

from ttr_numerics import layers
from ttr_numerics.layers.omega import NewtonSchulz
from ttr_numerics.pairs import pairing

D = 8


def test_newton_schulz_has_the_coefficients_of_torch_and_lifts_singular_values_by_their_polynomial() -> None:
    muon = importlib.import_module("torch.optim._muon")
    assert NewtonSchulz().coefficients == (muon.DEFAULT_A, muon.DEFAULT_B, muon.DEFAULT_C)
    assert NewtonSchulz().steps == muon.DEFAULT_NS_STEPS
    U = np.random.default_rng(1).standard_normal((3, 6, 4))
    left, s, right = np.linalg.svd(U, full_matrices=False)
    s = s / np.linalg.norm(s, axis=-1, keepdims=True)
    a, b, c = NewtonSchulz().coefficients
    amplified = 1.0
    for _ in range(5):
        amplified *= a + 3 * abs(b) + 5 * abs(c)  # the polynomial's slope on [0, 1], in absolute values
        s = a * s + b * s**3 + c * s**5
    # Six products of order 6 a step, each rounding of which the remaining steps amplify at most so much.
    tolerance = 5 * 6 * 6 * 2.0**-53 * amplified
    assert np.abs(NewtonSchulz()(U) - (left * s[..., None, :]) @ right).max() <= tolerance


def test_the_cubic_newton_schulz_converges_to_the_orthogonal_polar_factor() -> None:
    U = np.random.default_rng(2).standard_normal((6, 4))
    left, _, right = np.linalg.svd(U, full_matrices=False)
    polar = NewtonSchulz(60, (1.5, -0.5, 0.0))(U)
    assert np.abs(polar - left @ right).max() <= 6 * 6 * 2.0**-53


def test_an_exponentiated_gradient_step_minimises_the_linearised_loss_and_the_divergence() -> None:
    row = pairing("exponentiated_gradient_rule")
    a = row.example(np.random.default_rng(0), (), optional=True, T=24, d_k=3, d_v=1)
    a = {n: x[:1] if n != "initial_state" else x for n, x in a.items()}
    before = np.exp(a["initial_state"][:, 0]) / np.exp(a["initial_state"][:, 0]).sum()
    gradient = -a["k"][0] * (a["v"][0, 0] - a["k"][0] @ before)
    gate, beta = np.exp(a["log_decay"][0]), a["beta"][0]
    logits = layers.exponentiated_gradient_rule(**a).state[:, 0]
    after = np.exp(logits) / np.exp(logits).sum()

    def objective(S):
        return gradient @ S + (S @ np.log(S) - gate * S @ np.log(before)) / beta

    found = scipy.optimize.minimize(
        objective,
        np.full(3, 1 / 3),
        method="SLSQP",
        bounds=[(1e-9, 1)] * 3,
        constraints={"type": "eq", "fun": lambda S: S.sum() - 1},
        options={"ftol": 1e-15},
    )
    # The objective exceeds its minimum by KL(S, minimiser)/β, at least ‖S - minimiser‖₁²/(2β) (Pinsker), and is itself
    # a sum of nine terms of a few roundings each.
    size = np.abs(gradient) @ after + (after @ np.abs(np.log(after)) + gate * after @ np.abs(np.log(before))) / beta
    slack = 9 * 4 * 2.0**-53 * size
    excess = objective(found.x) - objective(after)
    assert excess >= -slack
    assert np.sum(np.abs(found.x - after)) ** 2 <= 2 * beta * (excess + slack)
    assert np.sum(np.abs(before - after)) ** 2 > 2 * beta * (excess + slack)  # it says something


@pytest.mark.filterwarnings("ignore")  # theirs, on import and for want of a device
def test_the_titans_of_fla_steps_along_no_gradient_and_their_own_formula_with_the_bracket_moved_is_one():
    reference = importlib.import_module("fla.ops.titans.naive").chunk_titans_linear_ref
    k, v = torch.randn(2, 1, 1, 1, D, generator=torch.Generator().manual_seed(0))
    M = torch.randn(1, 1, D, D, generator=torch.Generator().manual_seed(1)).requires_grad_()
    z = k @ M
    unit = torch.nn.functional.layer_norm(z, (D,), eps=1.0)
    ((unit - (v - k)) ** 2).sum().div(2).backward()
    one, nothing = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    affine, options = (torch.ones(1, D), torch.zeros(1, D)), {"eps": 1.0, "chunk_size": 1, "use_chunk": False}
    _, after = reference(
        k, k, v, *affine, one / 2, nothing, nothing, **options, initial_state=M, output_final_state=True
    )
    theirs = (M - after).detach()  # θ = 1/2: a step of the whole gradient
    deviation = torch.sqrt(z.var(unbiased=False) + 1.0)
    undivided = k.mT @ (D * (unit - (v - k)) * (1 - 1 / (deviation * D)))  # d g in place of d g/(σ d)
    # M ± step, and the sums of D terms of each gradient: a few roundings of numbers of that size.
    allowed = 8 * D * 2.0**-24 * float(M.abs().max() + theirs.abs().max())
    assert float((theirs - undivided - M.grad).abs().max()) <= allowed
    assert float((theirs - M.grad).abs().max()) > 100 * allowed
