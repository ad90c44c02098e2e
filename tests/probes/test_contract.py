"""The probes of states, residuals and operands ask for what was promised: a declared coarser one is no fault."""

import ml_dtypes
import numpy as np
import pytest

from ttr_numerics.probes import audit
from ttr_numerics.verdict import Word

EXACT = ["whole numbers", "full operands", "small residual", "slow decay"]


def kept_in(**formats):
    """A gated delta rule on 16-bit arrays, float32 inside but where `formats` say otherwise."""

    def stored(name, x):
        return x.astype(formats[name]).astype(np.float32) if name in formats else x

    def layer(q, k, v, beta, log_decay):
        arrays = (np.asarray(x, dtype=np.float32) for x in (q, k, v, beta, log_decay))
        q32, k32, v32, beta32, gate32 = arrays
        q32, k32, v32 = (stored("operands", x) for x in (q32, k32, v32))
        S, rows = np.zeros((*k.shape[:2], k.shape[-1], v.shape[-1]), np.float32), []
        for t in range(q.shape[2]):
            S = stored("gate", np.exp(gate32[:, :, t]))[..., None, None] * S
            predicted = stored("residual", np.einsum("bhk,bhkv->bhv", k32[:, :, t], S))
            error = v32[:, :, t] - predicted
            S = stored("state", S + np.einsum("bhk,bhv->bhkv", beta32[:, :, t, None] * k32[:, :, t], error))
            rows.append(np.einsum("bhk,bhkv->bhv", q32[:, :, t], S))
        return np.stack(rows, axis=2).astype(q.dtype)

    return layer


def words(function, dtype="float32", contract=None):
    found = audit(function, "gated_delta_rule", dtype=dtype, contract=contract, probes=EXACT, seed=3).findings
    return {f.probe: f.word for f in found}, {f.probe: f.cause for f in found if f.cause}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_float32_inside_passes_whatever_comes_in(dtype):
    assert set(words(kept_in(), dtype)[0].values()) == {Word.ROUNDING}


@pytest.mark.parametrize(
    ("role", "caught"),
    [("state", "slow decay"), ("gate", "slow decay"), ("residual", "small residual"), ("operands", "full operands")],
)
def test_a_role_in_bfloat16_is_found_unless_it_is_declared(role, caught):
    function = kept_in(**{role: ml_dtypes.bfloat16})
    undeclared, causes = words(function)
    assert undeclared[caught] in (Word.WRONG, Word.CONVENTION)
    assert causes.get(caught) == f"contract.{role}=bfloat16"
    declared, _ = words(function, contract=f"float32,{role}=bfloat16")
    assert Word.WRONG not in declared.values()
