"""Tables: the read-out by layer, stored beside unseen errors, and every bound and formula counted."""

from collections.abc import Iterator

from analysis.chance import COLUMNS, counted
from analysis.rows import Rows, chosen
from analysis.sources import quantised
from analysis.state_in_use.fit_figure import closed_form
from analysis.state_in_use.fitting import DELTA, FITTED, LEAST, LINEAR, RIDGE
from analysis.state_in_use.measured import FADING, MEMORY, PLAIN
from analysis.state_in_use.memories import ATTENTION, ERASING, MEMORIES
from analysis.state_in_use.rows import Row
from ttr_numerics.report import Table

__all__ = ["bound_table", "check_table", "fit_table", "read_out_table"]

CLOSE = 8  # |n - d| below which least norm's error has hardly a variance


def read_out_table(rows: Rows) -> Table:
    """One line a source and layer, of those that are swept."""
    own = [row for row in chosen(rows, part="read-out") if row["memory"] in (None, MEMORY)]
    own = [row for row in own if row["layer"] in (*PLAIN, *FADING)]
    own = [row for row in own if row.get("cond", 1.0) == 1.0 and row["pairs"] == _shown(own, row["source"])]
    fields = ("source", "layer", "pairs", "d_k", "size", "entropic", "error", "floor")
    lines = [(*(row[name] for name in fields), row["recalled"] * row["pairs"], row["heads"]) for row in own]
    measures = ("rank", "entropic", "‖H - I‖²/n", "1 - rank/n", "pairs recalled")
    return Table(
        "A memory read at its own keys",
        ("keys", "layer", "pairs", "d", *measures, "heads or draws"),
        lines,
        "H is what the memory gives back for v = I; pairs recalled by argmax among as many random unit values. Gates "
        f"and window of {MEMORY} tokens. Means over heads or draws.{quantised(own)}",
    )


def _shown(own: Rows, source: str) -> int:
    """128 pairs, or the most below."""
    counts = {int(row["pairs"]) for row in own if row["source"] == source}
    return max((n for n in counts if n <= 128), default=min(counts))


def bound_table(rows: Rows) -> Table:
    """How often a proved bound is passed, over all rows."""
    profiles, outs = chosen(rows, part="profile"), chosen(rows, part="read-out")
    attention = [row for row in profiles if row["layer"] in ATTENTION]
    single, double = (
        [row for row in profiles if row["layer"] not in ATTENTION and MEMORIES[row["layer"]].matrices == count]
        for count in (1, 2)
    )
    erasing = [row for row in profiles if row["layer"] in ERASING]
    lines = [
        ("state size ≤ min(d, i, T-i), matrix state", _heads(single), sum(row["above"] for row in single)),
        ("state size ≤ min(2d, i, T-i), two matrices", _heads(double), sum(row["above"] for row in double)),
        ("state size ≤ min(i, T-i), attention", _heads(attention), sum(row["above"] for row in attention)),
        (
            "state size ≤ d - 1, delta rules with β‖k‖² = 1",
            len(erasing),
            sum(row["largest"] > row["d_k"] - 1 for row in erasing),
        ),
        ("‖H - I‖²/n ≥ 1 - rank/n", _heads(outs), sum(row["below"] for row in outs)),
    ]
    return Table(
        "Proved bounds against every row",
        ("bound", "matrices (fourth line: rows)", "violations"),
        lines,
        "Ranks count singular values above max(m, n) eps σ₁. With β‖k_i‖² = 1 the write at token i erases what the "
        "state held along k_i before any later output sees it: one direction less.",
    )


def _heads(own: Rows) -> int:
    return sum(row["heads"] for row in own)


def fit_table(rows: Rows) -> Table:
    """Stored and unseen errors side by side at four loads."""
    own = chosen(rows, part="fit")
    lines = []
    for noise in sorted({row["noise"] for row in own}):
        for name in FITTED:
            cells: list[float | None] = []
            for load in (0.5, 1.0, 2.0, 8.0):
                found = {r["asked"]: r for r in chosen(own, noise=noise, layer=name, n=round(load * own[0]["d"]))}
                cells += [found[asked]["value"] if asked in found else None for asked in ("stored", "unseen")]
            lines.append((noise, name, *cells))
    loads = tuple(f"{asked}, n = {load}" for load in ("d/2", "d", "2d", "8d") for asked in ("stored", "unseen"))
    return Table(
        "Stored pairs and unseen queries of the same fit",
        ("noise", "memory", *loads),
        lines,
        "Squared errors relative to the stored values, noise included, and to the signal: means over "
        f"{own[0]['trials']} draws. At n = d with noise least norm has no mean at unseen queries: what stands there is "
        "that of these draws.",
    )


def check_table(rows: Rows) -> Table:
    """Closed forms of the unseen error against every row."""
    lines = []
    for name, status, found in _checks(chosen(rows, part="fit")):
        lines.append(counted(name, status, found))
    return Table(
        "Closed forms of the error at unseen queries",
        COLUMNS,
        lines,
        f"Least norm where |n - d| ≥ {CLOSE}: closer its error has hardly a variance, and next to it draws with a long "
        "right tail put a mean further below than Student's t allows. Without noise errors below 0.001 are made of "
        "rare draws and left out. The formula for ridge is a limit: at n = d = 32 it is off by a part or two in a "
        "hundred, which thousands of draws see and these do not.",
    )


def _checks(own: Rows) -> Iterator[tuple[str, str, list[tuple[float, int]]]]:
    for layer, status in ((LINEAR, "exact"), (DELTA, "exact"), (LEAST, "exact"), (RIDGE, "limit n, d → ∞")):
        found = []
        for row in chosen(own, layer=layer, asked="unseen"):
            formula = closed_form(layer, row["n"], row["d"], row["noise"])
            if _judged(row, layer, formula) and formula is not None:
                found.append(((row["value"] - formula) / (row["high"] - row["value"]), row["trials"]))
        yield layer, status, found


def _judged(row: Row, layer: str, formula: float | None) -> bool:
    close = layer in (LEAST, RIDGE) and abs(row["n"] - row["d"]) < CLOSE and (layer == LEAST or not row["noise"])
    return formula is not None and 1e-3 < formula < float("inf") and not close and row["high"] > row["value"]
