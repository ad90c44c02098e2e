"""The table of peers, and the rows of comparing each with its layer."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from analysis.peers import (
    additive,
    filters,
    first_order,
    layer_norm,
    local,
    nonlinear,
    nonparametric,
    recurrent,
    second_order,
)
from analysis.peers.judge import Judgement, judged
from analysis.peers.peer import Peer
from ttr_numerics.pairs import catalogue

__all__ = ["PEERS", "SEED", "alone", "measure"]

SEED = 0
FAMILIES = (additive, recurrent, first_order, nonlinear, layer_norm, second_order, nonparametric, local, filters)
ORDER = [row.name for row in catalogue()]
PEERS: tuple[Peer, ...] = tuple(
    sorted((peer for family in FAMILIES for peer in family.PEERS), key=lambda peer: ORDER.index(peer.layer))
)


def measure(progress: Callable[..., Iterable[Any]], peers: Sequence[Peer] = PEERS) -> list[dict[str, Any]]:
    """One row a peer and format, and one a layer without a peer."""
    rows = [_row(peer, dtype) for peer, dtype in progress([(p, dtype) for p in peers for dtype in p.computes])]
    return rows + alone({peer.layer for peer in peers})


def alone(layers: set[str]) -> list[dict[str, Any]]:
    """A row for every layer of the catalogue that is not among `layers`: its exact partner in words."""
    return [{"layer": row.name, "identity": row.identity} for row in catalogue() if row.name not in layers]


def _row(peer: Peer, dtype: str) -> dict[str, Any]:
    against, explained, _ = judged(peer, dtype, SEED)
    named = {"layer": peer.layer, "peer": peer.name, "version": peer.version, "arithmetic": dtype}
    named["difference"] = peer.differs.sentence if peer.differs else ""
    return named | _numbers(against, "") | (_numbers(explained, "explained_") if explained else {})


def _numbers(judgement: Judgement, prefix: str) -> dict[str, float | None]:
    return {prefix + name: value for name, value in vars(judgement).items()}
