"""Tables of stored rows: all contenders of a cell side by side, their time over the machine's limit, who is absent."""

from typing import Any

from analysis.performance import counts
from analysis.performance.contender import REFERENCE
from analysis.performance.ours import REFERENCE_NAME
from analysis.performance.targets import Rows, find, right
from ttr_numerics.report import Table, Value
from ttr_numerics.report.notation import count, number

__all__ = ["PARTS", "absent_table", "contenders_table", "limits_table", "profile_table"]

PARTS = {
    "ridge": "Ridge regression at every position",
    "forgetting": "Ridge regression at every position, with forgetting and a fixed ridge",
    "delta rule": "Delta rule",
    "gated delta rule": "Gated delta rule",
    "kernel ridge": "Gaussian kernel ridge regression at every position",
    "device": "On an accelerator",
}


def contenders_table(rows: Rows, part: str, dtype: str) -> Table:
    """The contenders of one cell, the unit first, then by time."""
    own = [row for row in rows if (row["part"], row["dtype"]) == (part, dtype)]
    unit = find(own, part, REFERENCE_NAME)
    cells: list[tuple[Value, ...]] = [
        (
            row["contender"],
            row["library"],
            row["routine"],
            1e3 * row["seconds"],
            row["seconds"] / unit["seconds"] if unit else None,
            row["error"],
            row["runs"],
            row["share"],
        )
        for row in sorted(own, key=lambda row: (row["side"] != REFERENCE, row["seconds"]))
    ]
    first, sampled = own[0], any(row["sampled"] for row in own)
    wrong = [f"{row['contender']} ({row['library']})" for row in own if not right(row)]
    note = (
        f"{_size(first)}, {dtype}; {first['device']}, {first['threads']} thread. Median time of all the work; error: "
        "max ‖o - truth‖/‖truth‖ over the positions checked, the truth in float64 by another algorithm."
    )
    note += " A share was timed and multiplied up to the whole where the last column is not “all”." if sampled else ""
    note += f" Not the answer, less than half of the digits right: {', '.join(wrong)}." if wrong else ""
    columns = ["contender", "library", "what computes", "ms", "over linear attention", "error", "runs", "share timed"]
    if unit is None:
        columns.remove("over linear attention")
        cells = [(*cell[:4], *cell[5:]) for cell in cells]
    return Table(f"{PARTS[part]}, {dtype}", tuple(columns), cells, note)


def limits_table(rows: Rows) -> Table:
    """Time over the larger of flops/peak and bytes/bandwidth."""
    machine = {(row["dtype"], row["quantity"]): row["value"] for row in rows if row["part"] == "machine"}
    speed = next((value for (_, quantity), value in machine.items() if quantity == "bytes a second"), None)
    cells = []
    for row in rows:
        peak = machine.get((row.get("dtype", ""), "flops a second"))
        if row["part"] != "ridge" or not row.get("flops") or peak is None or speed is None:
            continue
        arithmetic, memory = row["flops"] / peak, row["bytes"] / speed
        limit, bound = max((arithmetic, "flops"), (memory, "bytes"))
        each = row["flops"] / (row["T"] * row["heads"] * row["d"] ** 2)
        named = (row["contender"], row["library"], row["dtype"])
        cells.append((*named, each, 1e3 * arithmetic, 1e3 * memory, bound, row["seconds"] / limit))
    rates = ", ".join(f"{1e-9 * machine[key]:.0f} GFlop/s {key[0]}" for key in machine if key[1] == "flops a second")
    return Table(
        "Time over the machine's limit",
        (
            "contender",
            "library",
            "dtype",
            "flops over d² a token",
            "ms of flops",
            "ms of bytes",
            "limit",
            "time over limit",
        ),
        cells,
        f"Limits measured in the same run: {rates} (product of two matrices of order 1024), "
        f"{1e-9 * (speed or 0.0):.0f} GB/s (copy of 64 MiB, reads and writes). Flops and bytes by formula: all "
        "products and factors of the algorithm; q, k, v and o moved once.",
    )


def profile_table(rows: Rows, dtype: str) -> Table:
    """Where the time of the solver goes, step by step."""
    own = [row for row in rows if row["part"] == "profile" and row["dtype"] == dtype]
    unit = find(rows, "ridge", REFERENCE_NAME, "numpy", dtype=dtype)
    total = sum(row["spent"] for row in own)
    base = counts.linear_attention(own[0]["T"], own[0]["d"], own[0]["d"]) * own[0]["heads"]
    lines = [
        (
            row["step"],
            1e3 * row["spent"],
            100 * row["spent"] / total,
            row["flops"] / base,
            row["flops"] / row["spent"] / 1e9 if row["flops"] else None,
        )
        for row in own
    ]
    flops = sum(row["flops"] for row in own)
    speed = f" Linear attention runs at {number(base / unit['seconds'] / 1e9)} GFlop/s." if unit else ""
    return Table(
        f"Where the time of ridge_prefixes_by_innovation goes, {dtype}",
        ("step", "ms", "%", "flops over linear attention's", "GFlop/s"),
        lines,
        f"{_size(own[0])}, NumPy. Each step alone, median, times its number. All steps together have "
        f"{number(flops / base)} times the flops of linear attention and take {number(1e3 * total)} ms.{speed} What "
        "the solver takes beyond that is in the steps below its rate: a factor and a substitution of order 32 are "
        "short calls of LAPACK and BLAS, and numpy.linalg factors float32 in float64.",
    )


def absent_table(rows: Rows) -> Table:
    """Who could not take part, and why."""
    reasons = dict.fromkeys((row["contender"], row["absent"]) for row in rows if "absent" in row)
    return Table("Absent", ("contender", "why"), list(reasons), "Not measured here, and not estimated.")


def _size(row: dict[str, Any]) -> str:
    return f"T = {count(row['T'])}, d_k = d_v = {row['d']}, heads: {row['heads']}"
