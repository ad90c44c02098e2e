"""Views hold the numbers they are made of, in other memory; whoever reads memory instead is found."""

import numpy as np
import pytest
import torch

from ttr_numerics.probes import audit
from ttr_numerics.probes.views import View, as_view

X = np.repeat(np.random.default_rng(0).standard_normal((1, 2, 5, 4)), 3, axis=0)


@pytest.mark.parametrize("view", View)
@pytest.mark.parametrize("x", [X, torch.tensor(X), X[..., 0]], ids=["numpy", "torch", "gates"])
def test_a_view_holds_the_same_numbers_in_other_storage(view, x):
    if view is View.REVERSED and isinstance(x, torch.Tensor):
        pytest.skip("torch has no negative strides")
    seen = as_view(x, view)
    assert np.array_equal(np.asarray(seen), np.asarray(x))
    strides = seen.stride() if isinstance(seen, torch.Tensor) else np.array(seen.strides) // 8
    plain = x.stride() if isinstance(x, torch.Tensor) else np.array(x.copy().strides) // 8
    assert view is View.SHIFTED or tuple(strides) != tuple(plain)


def test_a_torch_function_that_reads_memory_as_if_it_were_contiguous_is_found():
    def flat(x):
        return torch.as_strided(x, x.shape, x.contiguous().stride())

    def attention(q, k, v):
        q, k, v = flat(q), flat(k), flat(v)
        return (q[..., None, :] @ torch.cumsum(k[..., :, None] * v[..., None, :], dim=-3))[..., 0, :]

    result = audit(attention, "linear_attention", library="torch", probes=["storage", "generic"], seed=0)
    words = {f.probe: f.word.value for f in result.findings}
    assert words == {"generic": "rounding", "storage": "wrong"}


def test_a_refusal_is_no_fault():
    def attention(q, k, v):
        return q * 0 + v.view(-1).view(v.shape)

    (found,) = audit(attention, "linear_attention", library="torch", probes=["storage"], seed=0).findings
    assert not found.wrong
    assert not found.failed
    assert any("refused: rows inside longer ones" in reason for reason in found.reasons)
