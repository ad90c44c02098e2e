"""Do public implementations compute what the catalogue says, to rounding in their own arithmetic?

Each peer gets the layer's own arguments in its own convention and is held against the float64 layer on the same
rounded inputs, by the tolerance derived for its arithmetic. Where it is another operator, the variant that it is
stands beside it, and is held to the same tolerance. It takes public packages along: measured only when named.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from analysis.peers import additive, first_order, local, nonlinear, nonparametric, recurrent, second_order
from analysis.peers.peer import Peer, judged
from ttr_numerics.report import Section, Table

__all__ = ["PEERS", "SEED", "measure", "render"]

SEED = 0
FAMILIES = (additive, recurrent, first_order, nonlinear, second_order, nonparametric, local)
PEERS: tuple[Peer, ...] = tuple(peer for family in FAMILIES for peer in family.PEERS)


def measure(progress: Callable[..., Iterable[Any]], peers: Sequence[Peer] = PEERS) -> list[dict[str, Any]]:
    """One row a peer and format."""
    return [_row(peer, dtype) for peer, dtype in progress([(p, dtype) for p in peers for dtype in p.formats])]


def _row(peer: Peer, dtype: str) -> dict[str, Any]:
    against, explained = judged(peer, dtype, SEED)
    return {
        "layer": peer.layer,
        "peer": peer.name,
        "version": against.version,
        "arithmetic": dtype,
        "error": against.error,
        "ratio": against.ratio,
        "difference": peer.differs.sentence if peer.differs else "",
        "explained_error": explained.error if explained else None,
        "explained_ratio": explained.ratio if explained else None,
    }


def render(rows: Sequence[dict[str, Any]]) -> Section:
    """Two tables from stored rows alone."""
    same = [row for row in rows if not row["difference"]]
    other = [row for row in rows if row["difference"]]
    worst = max((row["ratio"] for row in same), default=0.0)
    return Section(
        name="peers",
        title="Public implementations beside the catalogue",
        question="Do public implementations compute what the catalogue says, to rounding in their own arithmetic?",
        answer=f"{len(same)} of {len(rows)} comparisons ({len({r['peer'] for r in rows})} functions of "
        f"{len({r['peer'].partition(':')[0] for r in rows})} packages, {len({r['layer'] for r in rows})} layers) agree "
        f"to rounding: at worst {worst:.2f} of the derived tolerance.{_others(other)}",
        compared="Each function in its own convention and arithmetic, with the float64 layer on the same rounded "
        "inputs (2 × 4 heads, 64 tokens, unless the function asks for other sizes).",
        figures=(),
        tables=(_agreement(same), *((_differences(other),) if other else ())),
        limits=(
            "One draw of generic inputs a row; hostile inputs are the tests' own.",
            "Functions of pure Python on the CPU: no compiled kernel was run.",
        ),
    )


def _others(rows: Sequence[dict[str, Any]]) -> str:
    """What the answer says of peers that are other operators."""
    if not rows:
        return ""
    worst = max(row["explained_ratio"] for row in rows)
    return (
        f" The other {len(rows)} are other operators, and each equals the variant named beside it: at worst "
        f"{worst:.2f} of the same tolerance."
    )


def _agreement(rows: Sequence[dict[str, Any]]) -> Table:
    columns = ("layer", "peer", "version", "arithmetic", "largest relative error", "of its tolerance")
    keys = ("layer", "peer", "version", "arithmetic", "error", "ratio")
    return Table("Agreement to rounding", columns, tuple(tuple(row[k] for k in keys) for row in rows))


def _differences(rows: Sequence[dict[str, Any]]) -> Table:
    columns = (
        "layer",
        "peer",
        "arithmetic",
        "error against the layer",
        "why",
        "error against the variant",
        "of its tolerance",
    )
    keys = ("layer", "peer", "arithmetic", "error", "difference", "explained_error", "explained_ratio")
    return Table("Other operators, explained", columns, tuple(tuple(row[k] for k in keys) for row in rows))
