"""Every public implementation is the layer to rounding in its own arithmetic, or the variant that its entry names."""

import numpy as np
import pytest

from analysis.peers import PEERS
from analysis.peers.peer import arguments, judged, output
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

CASES = [pytest.param(peer, dtype, id=f"{peer.layer}-{peer.name}-{dtype}") for peer in PEERS for dtype in peer.formats]


@pytest.mark.filterwarnings("ignore")  # theirs, on import or for want of a device
@pytest.mark.parametrize(("peer", "dtype"), CASES)
def test_a_peer_is_the_layer_to_rounding_or_the_variant_that_explains_it(peer, dtype):
    against, explained = judged(peer, dtype)
    if explained is None:
        assert against.ratio <= 1
    else:
        assert against.ratio > 1  # else there is nothing to explain
        assert explained.ratio <= 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("peer", "dtype"), [case for case in CASES if case.values[0].differs is None])
def test_a_value_scaled_by_a_thousandth_is_not_the_peer(peer, dtype):
    row, arrays = pairing(peer.layer), arguments(peer, dtype)
    bound = rounding(row.layer, arrays, FORMATS[dtype], forms=row.forms)
    changed = np.array(arrays["v"])
    changed[:, :, 5] *= 1.001  # (2, 4) heads, then time
    assert (row_norms(output(peer, {**arrays, "v": changed}, dtype) - bound.reference) > bound.bound).any()
