"""Solvers without a closed-form adjoint are differentiated by torch as they stand: derivatives against differences."""

import pytest
import torch

from ttr_numerics import exact
from ttr_numerics.exact import kernels

SOLVERS = {
    "kernel smoother": lambda q, k, v, w: exact.kernel_smoother_prefixes(q, k, v, log_weights=w).o,
    "smoother of all": lambda q, k, v, w: exact.kernel_smoother(q, k, v, log_weights=w),
    "kernel ridge": lambda q, k, v, w: exact.kernel_ridge_prefixes(q, k, v, kernel=kernels.Gaussian(), ridge=0.3).o,
    "local linear": lambda q, k, v, w: exact.local_polynomial_prefixes(q, k, v, degree=1, ridge=0.2, log_weights=w).o,
    "local quadratic": lambda q, k, v, w: (
        exact.local_polynomial_prefixes(q, k, v, degree=2, ridge=0.2, log_weights=w).o
    ),
    "correlation": lambda q, k, v, w: exact.correlation_prefixes(q, k, v, log_decay=-torch.abs(w)).o,
    "kaczmarz": lambda q, k, v, w: exact.kaczmarz_prefixes(q, k, v, beta=w).o,
    "ridge": lambda q, k, v, w: exact.ridge(k, v, 0.1, weights=torch.abs(w)).S,
    "least norm": lambda q, k, v, w: exact.least_norm(k, v, weights=torch.abs(w)).S,
}


@pytest.mark.parametrize("name", SOLVERS)
def test_derivatives_are_those_of_differences(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 7, 3), (2, 7, 3), (2, 7, 2), (2, 7)]
    inputs = [torch.randn(s, dtype=torch.float64, generator=generator).requires_grad_() for s in shapes]
    assert torch.autograd.gradcheck(SOLVERS[name], inputs)


def test_a_detached_key_would_be_seen() -> None:
    q, k, v = (torch.ones(1, 3, 2, dtype=torch.float64).cumsum(1).requires_grad_() for _ in range(3))

    def faulty(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return exact.kernel_smoother_prefixes(q, k.detach() + 0 * k, v).o

    assert not torch.autograd.gradcheck(faulty, (q, k, v), raise_exception=False)
