"""Stored rows as series, and the read-outs that the findings speak of."""

from typing import Any

from scipy import stats

from analysis.rows import Rows, chosen
from ttr_numerics.report import Measured

__all__ = ["Row", "at_four_loads", "line", "rank_correlation"]

Row = dict[str, Any]


def at_four_loads(plain: list[Row]) -> list[Row]:
    """The rows of the most pairs that are at most four a channel."""
    return chosen(plain, pairs=max(row["pairs"] for row in plain if row["pairs"] <= 4 * row["d_k"]))


def rank_correlation(own: list[Row]) -> float | None:
    """Spearman's, of entropic size and recall; None of fewer than four rows, or where either is constant."""
    sizes, recalls = ([row[name] for row in own] for name in ("entropic", "recalled"))
    if len(own) < 4 or len(set(sizes)) == 1 or len(set(recalls)) == 1:
        return None
    return float(stats.spearmanr(sizes, recalls).statistic)


def line(rows: Rows, label: str, x: str, y: str, scale: float = 1.0, factor: str = "") -> Measured:
    """y over x times `scale`, with the ends y_low and y_high where there are any; both times the row's `factor`."""
    own = sorted(rows, key=lambda row: row[x])

    def values(name: str) -> list[float]:
        found = [row[name] if row.get(name) is not None else row[y] for row in own]
        return [value * (row[factor] if factor else 1) for value, row in zip(found, own, strict=True)]

    return Measured(label, [row[x] * scale for row in own], values(y), values(f"{y}_low"), values(f"{y}_high"))
