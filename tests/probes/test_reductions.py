"""Every reduction is one: the two layers agree in float64 on fresh inputs; and it tells subjects apart."""

import numpy as np
import pytest

from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.probes import audit
from ttr_numerics.probes.reductions import TABLE
from ttr_numerics.tolerance import rounding, row_norms
from ttr_numerics.verdict import Word


@pytest.mark.parametrize("reduction", TABLE, ids=lambda r: r.row)
def test_the_layer_is_the_other_to_rounding(reduction):
    row, other = pairing(reduction.row), pairing(reduction.other)
    axes = {"T": 24, "d_k": 8, "d_v": 6} | dict(row.lengths)
    arrays = row.example(np.random.default_rng(1), (2,), **axes)
    arrays |= reduction.set(arrays)
    left = rounding(row.layer, arrays, FORMATS["float64"], forms=row.forms)
    right = rounding(other.layer, reduction.read(arrays), FORMATS["float64"], forms=other.forms)
    assert (row_norms(left.reference - right.reference) <= left.bound + right.bound).all()


def test_a_gate_read_as_linear_is_no_delta_rule():
    def linear_gate(q, k, v, beta, log_decay):
        with np.errstate(divide="ignore"):
            return pairing("gated_delta_rule").layer(q, k, v, beta=beta, log_decay=np.log(np.abs(log_decay)))

    (found,) = audit(linear_gate, "gated_delta_rule", probes=["reduction"], seed=0).findings
    assert found.word is Word.WRONG
    assert "with gates of 1 it is not delta_rule" in found.reasons[0]
