"""Every public implementation is the layer to rounding in its own arithmetic, or the variant that its entry names."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from analysis.peers.judge import compared, judged
from analysis.peers.measured import PEERS, alone
from analysis.peers.peer import arguments, output
from ttr_numerics.pairs import catalogue

TWINS = Path(__file__).parents[1] / "twins"
CASES = [pytest.param(peer, dtype, id=f"{peer.layer}-{peer.name}-{dtype}") for peer in PEERS for dtype in peer.computes]
SAME = [case for case in CASES if case.values[0].differs is None]

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, on import or for want of a device
judged_once = cache(judged)


@pytest.mark.parametrize(("peer", "dtype"), CASES)
def test_a_peer_is_the_layer_to_rounding_or_the_variant_that_explains_it(peer, dtype):
    against, explained, _ = judged_once(peer, dtype)
    if explained is None:
        assert against.agrees, against
    else:
        assert not against.agrees  # else there is nothing to explain
        assert explained.agrees, explained


@pytest.mark.parametrize(("peer", "dtype"), SAME)
def test_values_scaled_by_a_thousandth_are_not_the_peer_nor_leave_its_state(peer, dtype):
    arrays = arguments(peer, dtype)
    changed = np.array(arrays["v"])
    changed[:, :, [-7, -1]] *= 1.001 if dtype != "bfloat16" else 1.5  # (2, 4) heads, then time
    *_, own = judged_once(peer, dtype)
    away = compared(output(peer, {**arrays, "v": changed}, dtype), own)
    assert away.ratio > 1
    assert away.state_ratio is None or away.state_ratio > 1


def test_every_layer_has_a_peer_or_is_named_as_having_none():
    named = [row["layer"] for row in alone({peer.layer for peer in PEERS})]
    assert sorted({peer.layer for peer in PEERS} | set(named)) == sorted(row.name for row in catalogue())
    twins = "".join(path.read_text("utf-8") for path in TWINS.glob("*.py"))
    assert [name for name in named if f"def {name}(" not in twins] == []
