"""The answer from stored rows alone: nothing of a peer is imported to show what was found."""

from collections.abc import Sequence
from typing import Any

from ttr_numerics.report import Section, Table

__all__ = ["FORMATS", "render"]

FORMATS = ("float64", "float32", "bfloat16")

Rows = Sequence[dict[str, Any]]


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
