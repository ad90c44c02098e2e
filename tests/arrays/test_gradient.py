"""A closed-form adjoint on torch's tape, on the smallest of functions: y = (a b, a + c)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import Library
from ttr_numerics.arrays import namespace, with_adjoint


def forward(a: Any, b: Any, c: Any) -> tuple[Any, Any]:
    """(a b, a + c), where c may be None for 0."""
    return a * b, a if c is None else a + c


def adjoint(arrays: Sequence[Any], needed: Sequence[bool], upstream: Sequence[Any]) -> tuple[Any, Any, Any]:
    """(b f + h, a f, h) for upstream gradients (f, h)."""
    a, b, c = arrays
    f, h = (0 * a if g is None else g for g in upstream)
    return b * f + h, a * f if needed[1] else None, None if c is None else h


def tensors(*requires: bool) -> list[torch.Tensor]:
    """Three tensors of two numbers."""
    values = ([1.0, 2.0], [3.0, -1.0], [0.5, 4.0])
    return [torch.tensor(x, dtype=torch.float64, requires_grad=r) for x, r in zip(values, requires, strict=True)]


def test_every_library_gets_the_function_itself(full_precision: Library) -> None:
    a, b = (full_precision.asarray(np.array(x)) for x in ([1.0, 2.0], [3.0, -1.0]))
    first, second = with_adjoint(forward, adjoint, a, b, None)
    assert second is a
    assert bool(namespace(a).all(first == a * b))


@pytest.mark.parametrize("requires", [(True, True, True), (False, True, True), (True, False, False)], ids=str)
def test_torch_finds_the_same_derivatives_by_finite_differences(requires: tuple[bool, ...]) -> None:
    assert torch.autograd.gradcheck(lambda *x: with_adjoint(forward, adjoint, *x), tensors(*requires))


def test_none_and_numbers_pass_through() -> None:
    a, *_ = tensors(True, False, False)
    first, second = with_adjoint(forward, adjoint, a, 3.0, None)
    (first.sum() + 2 * second.sum()).backward()
    assert torch.equal(a.grad, torch.full_like(a, 5.0))


def test_an_unused_output_has_no_upstream_gradient() -> None:
    seen = []

    def watched(arrays: Sequence[Any], needed: Sequence[bool], upstream: Sequence[Any]) -> Any:
        seen.append((tuple(needed), [g is None for g in upstream]))
        return adjoint(arrays, needed, upstream)

    a, b, c = tensors(True, False, True)
    with_adjoint(forward, watched, a, b, c)[1].sum().backward()
    assert seen == [((True, False, True), [True, False])]
    assert torch.equal(c.grad, torch.ones_like(c))


def test_a_gradient_comes_back_in_the_dtype_of_its_array() -> None:
    a, b, _ = tensors(True, False, False)
    b = b.float().requires_grad_()
    with_adjoint(forward, adjoint, a, b, None)[0].sum().backward()
    assert b.grad.dtype == torch.float32
    assert torch.equal(b.grad, a.detach().float())


def test_the_tape_keeps_the_arrays_alone() -> None:
    kept, given = [], tensors(True, True, True)

    def forgetful(a: Any, b: Any, c: Any) -> tuple[Any, Any]:
        between = torch.exp(a) * 0 + a  # what autograd would have kept
        return forward(between, b, c)

    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        with_adjoint(forgetful, adjoint, *given)
    assert [x.data_ptr() for x in kept] == [x.data_ptr() for x in given]


def test_without_gradients_nothing_is_kept() -> None:
    given, kept = tensors(True, True, True), []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x)
    with torch.no_grad(), hooks:
        outputs = with_adjoint(forward, adjoint, *given)
    assert kept == []
    assert not any(y.requires_grad for y in outputs)


def test_a_second_derivative_is_refused() -> None:
    a, b, c = tensors(True, True, True)
    (first,) = torch.autograd.grad(with_adjoint(forward, adjoint, a, b, c)[0].sum(), b, create_graph=True)
    with pytest.raises(RuntimeError, match="expected a first derivative"):
        first.sum().backward()


def test_what_the_function_refuses_is_raised_as_it_is() -> None:
    def refuses(*_: Any) -> Any:
        raise ValueError("a: expected another, got this")

    with pytest.raises(ValueError, match="^a: expected another, got this$"):
        with_adjoint(refuses, adjoint, *tensors(True, True, True))


def test_torch_func_differentiates_through_it() -> None:
    a, b, c = tensors(False, False, False)
    gradient = torch.func.grad(lambda x: with_adjoint(forward, adjoint, x, b, c)[0].sum())(a)
    assert torch.equal(gradient, b)
