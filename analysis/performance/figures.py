"""Figures of stored rows: error against time, growth with the sequence, growth with channels and heads."""

from typing import Any

from analysis.performance.contender import THEIRS
from analysis.performance.ours import REFERENCE_NAME
from analysis.performance.targets import CHOLESKY, DTYPES, LENGTH, RIDGE, ROOT, Rows, find, right
from ttr_numerics.report import Figure, Measured, Panel, Series
from ttr_numerics.report.notation import count, number

__all__ = ["accuracy_figure", "length_figure", "size_figure"]

WIDTH, HEADS = "scaling with d", "scaling with heads"
SHOWN = {
    REFERENCE_NAME: "linear attention",
    RIDGE: "ridge_prefixes",
    ROOT: "… by square root",
    "exact.ridge_prefixes_by_moments": "… by moments",
    "exact.recursive_least_squares": "recursive_least_squares",
    "NumPy Sherman-Morrison loop": "Sherman-Morrison loop",
    CHOLESKY: "torch Cholesky",
    "numpy.linalg.solve a position": "NumPy solve",
    "scipy.linalg.cho_solve a position": "SciPy Cholesky",
    "scipy.linalg.lstsq a position": "SciPy lstsq",
    "scikit-learn Ridge a position": "scikit-learn Ridge",
    "statsmodels RecursiveLS": "statsmodels RecursiveLS",
    "padasip FilterRLS": "padasip FilterRLS",
}


def accuracy_figure(rows: Rows) -> Figure:
    """Error against time, one marker a contender."""
    panels = []
    for dtype in dict.fromkeys(row["dtype"] for row in rows if row["part"] == "ridge"):
        found = {label: find(rows, "ridge", name, dtype=dtype) for name, label in SHOWN.items()}
        points = [Measured(label, [row["seconds"]], [row["error"]]) for label, row in found.items() if row]
        panels.append(Panel(dtype, "seconds", "largest relative error", tuple(points), x_log=True, y_log=True))
    return Figure(
        "error",
        tuple(panels),
        _accuracy_finding(rows),
        "Largest relative error against the median time of all the work; down and left is better. Ours on NumPy; torch "
        "and the shares that were timed are in the tables. statsmodels computes in float64 whatever it is given. "
        "Linear attention answers another question, and is judged by its own definition.",
        grid=_grid([row for row in rows if row["part"] == "ridge"]),
        interval="None drawn: the quartiles of the times are in the tables. An error is the largest over all heads and "
        "the positions judged.",
        theory="None: no law is stated for times.",
    )


def _accuracy_finding(rows: Rows) -> str:
    found = []
    for dtype in DTYPES:
        own = [row for row in rows if (row["part"], row["dtype"]) == ("ridge", dtype) and row["routine"]]
        exact = [row for row in own if row["contender"].startswith("exact.") and right(row)]
        others = [row for row in own if row["side"] == THEIRS and "scaled_dot" not in row["contender"] and right(row)]
        if exact and others:
            ours, other = (min(group, key=lambda row: row["seconds"]) for group in (exact, others))
            found.append(
                f"in {dtype} {number(other['seconds'] / ours['seconds'])} times as fast as the quickest of the others, "
                f"{other['contender']} (errors {number(ours['error'])} and {number(other['error'])})"
            )
    return f"The quickest of our exact solvers is {'; '.join(found)}." if found else "Time and error."


def length_figure(rows: Rows) -> Figure:
    """Time and extra memory against T."""
    own = [row for row in rows if row["part"] == LENGTH]
    sizes, heads = sorted({row["T"] for row in own}), own[0]["heads"]
    time, memory = _lines(own, "T", 1e3), []
    for name in dict.fromkeys(row["contender"] for row in own):
        each = [row for row in own if row["contender"] == name]
        memory.append(Measured(name, [row["T"] for row in each], [_extra(row) for row in each]))
    ends = [find(own, LENGTH, RIDGE, T=T) for T in (sizes[0], sizes[-1])]
    words = "Time grows with the length of the sequence."
    if ends[0] and ends[1]:
        words = (
            f"{count(sizes[-1] // sizes[0])} times as many tokens take {RIDGE} "
            f"{number(ends[1]['seconds'] / ends[0]['seconds'])} times as long; beyond its inputs it needs "
            f"{number(max(_extra(row) for row in own if row['contender'] == RIDGE))} times their memory at most."
        )
    return Figure(
        "length",
        (
            Panel("Time", "tokens T", "milliseconds", tuple(time), x_log=True, y_log=True, x_ticks=sizes),
            Panel("Memory", "tokens T", "extra bytes / bytes of q, k, v", tuple(memory), x_log=True, x_ticks=sizes),
        ),
        words,
        f"Left: median and quartiles of the runs, d = {own[0]['d']}, heads: {heads}, float64, NumPy. Right: most bytes "
        "of NumPy arrays alive at once beyond the inputs, the outputs among them, in multiples of q, k and v.",
        grid=_grid(own),
        interval="Times: the quartiles of the runs. Bytes: none, they repeat exactly.",
        theory="None drawn: a fixed number of flops a token would make both sides straight, times of slope one and "
        "bytes of slope zero.",
    )


def size_figure(rows: Rows) -> Figure:
    """Time against channels, and against heads."""
    panels = []
    for part, name, label in ((WIDTH, "d", "channels d = d_k = d_v"), (HEADS, "heads", "heads")):
        own = [row for row in rows if row["part"] == part]
        sizes = sorted({row[name] for row in own})
        lines = tuple(_lines(own, name, 1e3))
        title = f"Time against {label.split()[0]}"
        panels.append(Panel(title, label, "milliseconds", lines, x_log=True, y_log=True, x_ticks=sizes))
    own = [row for row in rows if row["part"] == WIDTH]
    found = []
    for d in sorted({row["d"] for row in own}):
        ours, unit = (find(own, WIDTH, each, d=d) for each in (RIDGE, REFERENCE_NAME))
        if ours and unit:
            found.append(f"{number(ours['seconds'] / unit['seconds'])} (d = {d})")
    first = own[0]
    return Figure(
        "size",
        tuple(panels),
        f"{RIDGE} costs {', '.join(found)} linear attention layers.",
        f"Median and quartiles of the runs, T = {count(first['T'])}, float64, NumPy; left {first['heads']} heads, "
        f"right d = {next(row['d'] for row in rows if row['part'] == HEADS)}.",
        grid=_grid([row for row in rows if row["part"] in (WIDTH, HEADS)]),
        interval="The quartiles of the runs.",
        theory="None drawn: flops by formula and as a share of the machine's peak are in the tables.",
    )


def _grid(rows: Rows) -> str:
    """The sizes of the problems, and how often each was timed."""
    timed = [row for row in rows if row.get("runs")]
    sizes = "; ".join(
        f"{words} {', '.join(map(count, sorted({row[name] for row in timed})))}"
        for name, words in (("T", "T ="), ("d", "d_k = d_v ="), ("heads", "heads:"))
    )
    runs = [row["runs"] for row in timed]
    return f"{sizes}; {min(runs)} to {max(runs)} runs each, in turns, on one thread."


def _lines(rows: Rows, along: str, unit: float) -> list[Series]:
    lines: list[Series] = []
    for name in dict.fromkeys(row["contender"] for row in rows):
        own = sorted((row for row in rows if row["contender"] == name), key=lambda row: row[along])
        y, low, high = ([unit * row[field] for row in own] for field in ("seconds", "low", "high"))
        lines.append(Measured(name, [row[along] for row in own], y, low, high))
    return lines


def _extra(row: dict[str, Any]) -> float:
    return float(row["extra_bytes"] / row["input_bytes"])
