"""What only torch offers: its own attention as an oracle, and gradients through every layer."""

import numpy as np
import pytest
import torch

from tests.references import CASES, GATED, allowed, wrong
from ttr_numerics.arrays import to_numpy

DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["softmax_attention", "bidirectional_softmax_attention"])
def test_torch_attention_with_scale_one_is_the_softmax_layer(name: str, dtype: str, rng: np.random.Generator) -> None:
    given = CASES[name].inputs(rng, (2, 3), T=9, d_k=4, d_v=4)
    q, k, v = (torch.asarray(given[n], dtype=DTYPES[dtype]) for n in "qkv")
    causal = CASES[name].causal
    theirs = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=1.0)
    truth, bound = allowed(CASES[name], given, dtype)
    assert not wrong(to_numpy(theirs), truth, bound).any()
    assert not wrong(to_numpy(CASES[name].layer(q, k, v).o), truth, bound).any()


@pytest.mark.parametrize("name", CASES)
def test_gradients_match_finite_differences(name: str, rng: np.random.Generator) -> None:
    given = CASES[name].inputs(rng, (), T=3, d_k=2, d_v=2)
    names = [n for n, x in given.items() if isinstance(x, np.ndarray)]
    fixed = {n: x for n, x in given.items() if n not in names}

    def outputs(*arrays: torch.Tensor) -> torch.Tensor:
        return CASES[name].layer(**dict(zip(names, arrays, strict=True)), **fixed).o

    leaves = tuple(torch.asarray(given[n]).requires_grad_() for n in names)
    assert torch.autograd.gradcheck(outputs, leaves)


@pytest.mark.parametrize("name", GATED)
def test_gradients_through_a_hard_reset_are_finite_and_stop_there(name: str, rng: np.random.Generator) -> None:
    given, reset = CASES[name].inputs(rng, (), T=5), 2
    given["log_decay"][reset] = -np.inf
    leaves = {n: torch.asarray(x).requires_grad_() if isinstance(x, np.ndarray) else x for n, x in given.items()}
    CASES[name].layer(**leaves).o[reset:].sum().backward()
    gradients = {n: x.grad for n, x in leaves.items() if isinstance(x, torch.Tensor)}
    assert all(bool(torch.isfinite(g).all()) for g in gradients.values())
    assert not any(bool(g[:reset].any()) for g in gradients.values()), "the past has no influence"
    assert not bool(gradients["log_decay"][reset].any()), "exp has slope 0 there"


@pytest.mark.parametrize("name", ["softmax_attention", "bidirectional_softmax_attention"])
def test_gradients_of_huge_logits_are_finite(name: str, rng: np.random.Generator) -> None:
    given = CASES[name].inputs(rng, (), T=5)
    q, k, v = (torch.asarray(given[n] * (1e6 if n == "q" else 1)).requires_grad_() for n in "qkv")
    CASES[name].layer(q, k, v).o.sum().backward()
    assert all(bool(torch.isfinite(x.grad).all()) for x in (q, k, v))
