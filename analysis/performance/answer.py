"""The section: the figures to reach, all contenders side by side, growth, and the time over the machine's limits."""

from collections.abc import Sequence
from typing import Any

from analysis.performance.contender import OURS, THEIRS
from analysis.performance.figures import accuracy_figure, length_figure, size_figure
from analysis.performance.ours import REFERENCE_NAME
from analysis.performance.tables import PARTS, absent_table, contenders_table, limits_table, profile_table
from analysis.performance.targets import CHOLESKY, DTYPES, RIDGE, ROOT, Rows, find, headline, verdicts
from ttr_numerics.report import Section
from ttr_numerics.report.notation import number

__all__ = ["render"]


def render(rows: Sequence[dict[str, Any]]) -> Section:
    """Tables and figures from stored rows alone."""
    measured = [row for row in rows if "seconds" in row]
    cells = dict.fromkeys((row["part"], row["dtype"]) for row in measured if row["part"] in PARTS)
    tables = [headline(rows), *(contenders_table(measured, *cell) for cell in cells), limits_table(rows)]
    tables += [profile_table(rows, dtype) for dtype in DTYPES if any(row["part"] == "profile" for row in rows)]
    absent = absent_table(rows)
    return Section(
        name="performance",
        title="What the exact answer costs",
        question="What does the exact answer cost: the ridge solution at every position, against one linear attention "
        "layer and others?",
        answer=_answer(rows),
        compared="Our solvers and chunked layers on NumPy and torch, a plain chunked linear attention as the unit of "
        "cost, and the same answers by other libraries; one process, the same inputs, in turns, error beside time.",
        figures=(accuracy_figure(measured), length_figure(measured), size_figure(measured)),
        tables=tuple([*tables, absent] if absent.rows else tables),
        limits=_limits(rows),
    )


def _answer(rows: Rows) -> str:
    words = [word for _, _, word in verdicts(rows)]
    costs = []
    for dtype in DTYPES:
        ours, unit = (find(rows, "ridge", name, "numpy", dtype=dtype) for name in (RIDGE, REFERENCE_NAME))
        if ours and unit:
            ratio = number(ours["seconds"] / unit["seconds"])
            costs.append(f"{ratio} linear attention layers in {dtype} (error {number(ours['error'])})")
    cost = f"The ridge solution at every position costs {' and '.join(costs)}."
    return (
        f"{cost}{_with_forgetting(rows)} Of {len(words)} figures to reach, {words.count('met')} are met, "
        f"{words.count('missed')} missed and {words.count('not measured')} not measured."
    )


def _with_forgetting(rows: Rows) -> str:
    """The same problem with forgetting, where no factorisation is shared, against the quickest of the others."""
    own = [row for row in rows if row["part"] == "forgetting" and row.get("dtype") == "float64" and "seconds" in row]
    ours = min((row["seconds"] for row in own if row["side"] == OURS), default=None)
    others = min((row["seconds"] for row in own if row["side"] == THEIRS), default=None)
    if ours is None or others is None:
        return ""
    if ours <= others:
        return f" With forgetting and a fixed ridge the quickest other takes {number(others / ours)} times as long."
    return f" With forgetting and a fixed ridge it takes {number(ours / others)} times as long as the quickest other."


def _limits(rows: Rows) -> tuple[str, ...]:
    on_device = any(row["part"] == "device" for row in rows)
    return (
        "Times belong to this machine and its load, and do not repeat to the bit; ratios within one run do far better. "
        f"{_disturbance(rows)}",
        "One thread. Random unit keys and a ridge of 0.01: keys that are worse conditioned make "
        "`exact.ridge_prefixes` choose a slower form.",
        "A share multiplied up assumes that heads, columns and equal parts of the sequence cost alike. padasip and "
        "statsmodels have one output a filter: their users, too, would run one for every column and head.",
        "Memory counts NumPy's arrays, not the workspace inside LAPACK; flops are by formula, not by a counter.",
        "float32 names the type of the data; numpy.linalg factors it in float64 inside, as the tables say."
        + _square_root_in_float32(rows),
        *_errors_beside_cholesky(rows),
        "The delta rule of transformers is its PyTorch form, not the Triton kernels it calls on a GPU.",
        *([] if on_device else ["No accelerator was found: no row is of a GPU, and none is estimated."]),
    )


def _square_root_in_float32(rows: Rows) -> str:
    """Why its ratio doubles there: it computes in float64 on both types, and the unit of cost does not."""
    own = {dtype: find(rows, "ridge", ROOT, "numpy", dtype=dtype) for dtype in DTYPES}
    spent = {dtype: number(1e3 * row["seconds"]) for dtype, row in own.items() if row}
    if len(spent) < len(DTYPES):
        return ""
    by_type = " and ".join(f"{ms} ms for {dtype}" for dtype, ms in spent.items())
    return f" `{ROOT}` does so from end to end and takes {by_type}, of which only the unit of cost halves."


def _errors_beside_cholesky(rows: Rows) -> tuple[str, ...]:
    ours, theirs = (find(rows, "ridge", name, dtype="float64") for name in (RIDGE, CHOLESKY))
    if not ours or not theirs:
        return ()
    times = number(ours["error"] / theirs["error"])
    return (
        f"The error of `{RIDGE}` is {times} times that of torch's Cholesky at every position (float64); its time "
        "enters the ratios to the other libraries, so that what it misses of its own figure they miss too.",
    )


def _disturbance(rows: Rows) -> str:
    """How much of the timed seconds the machine gave to others."""
    shares = sorted(row["busy"] for row in rows if "busy" in row)
    return (
        f"This process had a processor for {100 * shares[len(shares) // 2]:.0f} % of the timed seconds (median over "
        f"the contenders; worst {100 * shares[0]:.0f} %); the rest went to others on the machine."
    )
