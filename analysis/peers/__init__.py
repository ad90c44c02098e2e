"""Do public implementations compute what the catalogue says, to rounding in their own arithmetic?

Each peer gets the layer's own arguments in its own convention and is held against the float64 layer on the same
rounded inputs, by the tolerance derived for its arithmetic: outputs, and the last state where it returns one. Where it
is another operator, the variant that it is stands beside it, and is held to the same tolerance. It takes public
packages along: measured only when named.
"""

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
from ttr_numerics.report import Section, Table

__all__ = ["FORMATS", "PEERS", "SEED", "alone", "measure", "render"]

SEED = 0
FAMILIES = (additive, recurrent, first_order, nonlinear, layer_norm, second_order, nonparametric, local, filters)
ORDER = [row.name for row in catalogue()]
PEERS: tuple[Peer, ...] = tuple(
    sorted((peer for family in FAMILIES for peer in family.PEERS), key=lambda peer: ORDER.index(peer.layer))
)
FORMATS = ("float64", "float32", "bfloat16")

Rows = Sequence[dict[str, Any]]


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


def render(rows: Rows) -> Section:
    """Three tables from stored rows alone."""
    compared = [row for row in rows if "peer" in row]
    same = [row for row in compared if not row["difference"]]
    other = [row for row in compared if row["difference"]]
    without = [row for row in rows if "peer" not in row]
    return Section(
        name="peers",
        title="Public implementations beside the catalogue",
        question="Do public implementations compute what the catalogue says, to rounding in their own arithmetic?",
        answer=f"{_agreed(same, compared)}{_others(other)}",
        compared="Each function in its own convention and arithmetic, with the float64 layer on the same rounded "
        "inputs: 2 × 4 heads, 64 tokens, unless the function asks for other sizes.",
        figures=(),
        tables=tuple(make(part) for make, part in ((_agreement, same), (_differences, other), (_without, without))),
        limits=(
            "One draw of generic inputs a row; hostile inputs are the tests' own.",
            "Functions on the CPU: no compiled kernel for a GPU was run.",
            "Where the function is a part of a library (an optimiser, a derivative, a kernel smoother), the loop over "
            "tokens around it is ours.",
        ),
    )


def _agreed(same: Rows, compared: Rows) -> str:
    within = [row for row in same if _worst(row, "") <= 1]
    functions = {row["peer"].partition(",")[0] for row in compared}
    packages = {name.partition(":")[0] for name in functions}
    worst = max((_worst(row, "") for row in same), default=0.0)
    states = sum(row["state_ratio"] is not None for row in same)
    return (
        f"{len(within)} of the {len(same)} comparisons that should agree do so to rounding, {states} of them in the "
        f"last state too: {len(functions)} functions of {len(packages)} packages, "
        f"{len({row['layer'] for row in compared})} layers, at worst {worst:.2f} of the derived tolerance."
    )


def _others(other: Rows) -> str:
    """What the answer says of peers that are other operators."""
    if not other:
        return ""
    worst = max(_worst(row, "explained_") for row in other)
    return (
        f" {len(other)} more are other operators, and each equals the variant named beside it: at worst {worst:.2f} of "
        "the same tolerance."
    )


def _worst(row: dict[str, Any], prefix: str) -> float:
    """The ratio to the tolerance, the larger of outputs and state."""
    return max(row[f"{prefix}ratio"], row[f"{prefix}state_ratio"] or 0.0)


def _agreement(same: Rows) -> Table:
    """A line a peer, its largest relative error in each format."""
    lines: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in same:
        lines.setdefault((row["layer"], row["peer"], row["version"]), {})[row["arithmetic"]] = row
    cells = [
        (*name, *(line[f]["error"] if f in line else None for f in FORMATS), *_ratios(line))
        for name, line in lines.items()
    ]
    columns = ("layer", "peer", "version", *FORMATS, "of its tolerance", "state, of its tolerance")
    note = (
        "Largest error of a token relative to its output, by the format that the function computes in; the worst of "
        "the formats over its tolerance. A dash: it does not compute in the format, or returns no state."
    )
    return Table("Largest relative error, layer by peer", columns, cells, note)


def _ratios(line: dict[str, Any]) -> tuple[float, float | None]:
    rows = [line[f] for f in FORMATS if f in line]
    states = [row["state_ratio"] for row in rows if row["state_ratio"] is not None]
    return max(row["ratio"] for row in rows), max(states, default=None)


def _differences(other: Rows) -> Table:
    columns = ("layer", "peer", "arithmetic", "why", "error", "error against the variant", "of its tolerance")
    cells = [
        (
            row["layer"],
            row["peer"],
            row["arithmetic"],
            row["difference"],
            row["error"],
            row["explained_error"],
            _worst(row, "explained_"),
        )
        for row in other
    ]
    return Table(
        "Other operators, explained", columns, cells, "The last column is the worse of outputs and last state."
    )


def _without(without: Rows) -> Table:
    cells = [(row["layer"], "naive twin in extended precision", row["identity"]) for row in without]
    note = (
        "Both are other arithmetic by other code: the twin from the published recursion, the partner from the problem."
    )
    return Table("Layers without a public implementation", ("layer", "twin", "exact partner"), cells, note)
