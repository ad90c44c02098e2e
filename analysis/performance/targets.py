"""The figures to reach, each a ratio of two stored rows of one run or one number of a row, beside what was measured."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from analysis.performance.ours import AUTOMATIC, CHUNKED, REFERENCE_NAME
from ttr_numerics.report import Table
from ttr_numerics.report.notation import number

__all__ = ["DTYPES", "TARGETS", "Target", "find", "headline", "right", "verdicts"]

DTYPES = ("float64", "float32")
ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-9}
RIDGE, ROOT, LENGTH = f"exact.{AUTOMATIC}", "exact.ridge_prefixes_by_square_root", "scaling with T"
DELTA, GATED = f"{CHUNKED}delta_rule", f"{CHUNKED}gated_delta_rule"
CHOLESKY, HUGGING = "torch batched Cholesky a position", "transformers torch_chunk_gated_delta_rule"
KERNEL = "exact.kernel_ridge_prefixes"
Rows = Sequence[dict[str, Any]]
Measure = Callable[[Rows, str], float | None]


class Target(NamedTuple):
    """`measure(rows, dtype)` against `limit[dtype]`, an upper one unless `at_least`."""

    what: str
    limit: dict[str, float]
    at_least: bool
    measure: Measure

    def met(self, dtype: str, value: float) -> bool:
        return value >= self.limit[dtype] if self.at_least else value <= self.limit[dtype]


def find(rows: Rows, part: str, contender: str, library: str = "", **wanted: Any) -> dict[str, Any] | None:
    """The row of one contender that was measured, None where there is none."""
    for row in rows:
        named = row["part"] == part and row.get("contender") == contender and "seconds" in row
        if named and row["library"].startswith(library) and all(row[name] == x for name, x in wanted.items()):
            return row
    return None


def right(row: dict[str, Any]) -> bool:
    """Whether at least half of the digits are right; NaN is not."""
    return bool(row["error"] <= ROUNDOFF[row["dtype"]] ** 0.5)


def _over(part: str, above: tuple[str, str], below: tuple[str, str]) -> Measure:
    """Time of `above` over time of `below`, (contender, library); None where one is missing or answers wrongly."""

    def measure(rows: Rows, dtype: str) -> float | None:
        pair = [find(rows, part, *each, dtype=dtype) for each in (above, below)]
        if any(row is None or not right(row) for row in pair):
            return None
        return float(pair[0]["seconds"] / pair[1]["seconds"])  # type: ignore[index]

    return measure


def _error(rows: Rows, dtype: str) -> float | None:
    row = find(rows, "ridge", RIDGE, "numpy", dtype=dtype)
    return None if row is None else float(row["error"])


def _growth(rows: Rows, dtype: str) -> float | None:
    lengths = sorted({row["T"] for row in rows if row["part"] == LENGTH})
    ends = [find(rows, LENGTH, RIDGE, dtype=dtype, T=T) for T in lengths[:: max(1, len(lengths) - 1)]]
    if len(ends) < 2 or None in ends:
        return None
    return float(ends[1]["seconds"] / ends[0]["seconds"])  # type: ignore[index]


def _memory(rows: Rows, dtype: str) -> float | None:
    found = [row for row in rows if row["part"] == LENGTH and row["contender"] == RIDGE and "seconds" in row]
    shares = [row["extra_bytes"] / row["input_bytes"] for row in found if row["dtype"] == dtype]
    return max(shares, default=None)


def _both(limit: float) -> dict[str, float]:
    return dict.fromkeys(DTYPES, limit)


_NUMPY, _UNIT = (RIDGE, "numpy"), (REFERENCE_NAME, "numpy")
TARGETS = (
    Target(f"{RIDGE}: time over linear attention", _both(3.0), False, _over("ridge", _NUMPY, _UNIT)),
    Target(f"{RIDGE}: error", {"float64": 1e-12, "float32": 5e-5}, False, _error),
    Target(f"{ROOT}: time over linear attention", _both(8.0), False, _over("ridge", (ROOT, "numpy"), _UNIT)),
    Target(f"torch batched Cholesky: time over {RIDGE}", _both(20.0), True, _over("ridge", (CHOLESKY, ""), _NUMPY)),
    Target(f"padasip: time over {RIDGE}", _both(500.0), True, _over("ridge", ("padasip FilterRLS", ""), _NUMPY)),
    Target(
        f"statsmodels: time over {RIDGE}",
        _both(2000.0),
        True,
        _over("ridge", ("statsmodels RecursiveLS", ""), _NUMPY),
    ),
    Target(f"{RIDGE}: growth of time from the shortest to the longest sequence", {"float64": 70.0}, False, _growth),
    Target(f"{RIDGE}: most extra memory over that of the inputs", {"float64": 4.0}, False, _memory),
    *(
        Target(
            f"transformers: time over {name} on {library}",
            {"float32": 2.0},
            True,
            _over(name.removeprefix(CHUNKED).replace("_", " "), (HUGGING, ""), (name, library)),
        )
        for name in (DELTA, GATED)
        for library in ("numpy", "torch")
    ),
    Target(
        f"separate Cholesky solves: time over {KERNEL}",
        {"float64": 50.0},
        True,
        _over("kernel ridge", ("scipy.linalg.cho_solve a position", ""), (KERNEL, "")),
    ),
)


def verdicts(rows: Rows) -> list[tuple[Target, dict[str, float | None], str]]:
    """Every target with what was measured by dtype, and one word: met, missed, or not measured."""
    found = []
    for target in TARGETS:
        values = {dtype: target.measure(rows, dtype) if dtype in target.limit else None for dtype in DTYPES}
        judged = [target.met(dtype, value) for dtype, value in values.items() if value is not None]
        missing = len(judged) < len(target.limit)
        word = "missed" if not all(judged) else "not measured" if missing else "met"
        found.append((target, values, word))
    return found


def headline(rows: Rows) -> Table:
    """Figure to reach, and measured."""
    cells = []
    for target, values, word in verdicts(rows):
        limits = " and ".join(dict.fromkeys(number(limit) for limit in target.limit.values()))
        to_reach = f"at {'least' if target.at_least else 'most'} {limits}"
        cells.append((target.what, to_reach, *(values[dtype] for dtype in DTYPES), word))
    return Table(
        "Figures to reach, and measured",
        ("figure", "to reach", "float64", "float32", "word"),
        cells,
        "Ratios of medians of one run, in which the two took turns. Met: every number named by the figure reaches it, "
        "before it is rounded for this table. "
        "A dash: not part of the figure, or a contender is absent or answers wrongly (next tables). Linear attention "
        "is the plain chunked loop, the unit of the tables below.",
    )
