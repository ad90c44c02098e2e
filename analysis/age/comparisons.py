"""What stored keys change: errors over the isotropic curve, the order of the layers, distances from the exact mean."""

from typing import Any, NamedTuple

import numpy as np

from analysis.age.deviations import Count, rounding
from analysis.chance import BEYOND, expected_beyond
from analysis.rows import Rows, chosen, values

__all__ = ["Move", "Ratio", "counted_given_keys", "deviation_given_keys", "moves", "of_age", "places", "ratios"]

Row = dict[str, Any]


class Ratio(NamedTuple):
    """An error over that of isotropic keys, of one layer on one source."""

    value: float
    layer: str
    source: str


class Move(NamedTuple):
    """A layer's place by error among the layers of a source, 1 the least: on isotropic keys, and on these."""

    layer: str
    source: str
    isotropic: int
    stored: int


def of_age(rows: Rows, source: str, old: bool) -> list[Row]:
    """Of each layer on a source its oldest band, or the youngest behind the newest token, in the order of layers."""
    found = []
    for layer in values(chosen(rows, source=source), "layer"):
        own = sorted(chosen(rows, source=source, layer=layer), key=lambda row: row["last"])
        found.append(own[-1] if old else own[min(1, len(own) - 1)])
    return found


def ratios(rows: Rows, old: bool, name: str = "value") -> list[Ratio]:
    """Of every layer on every source, where an isotropic error is known and is none of rounding."""
    found = [row for source in values(rows, "source") for row in of_age(rows, source, old)]
    return [Ratio(row[name] / row["isotropic"], row["layer"], row["source"]) for row in found if _comparable(row)]


def places(rows: Rows, source: str, old: bool = True) -> list[Move]:
    """The layers of a source that have an isotropic error, in the order of the rows."""
    found = [row for row in of_age(rows, source, old) if _comparable(row)]
    orders = [np.argsort(np.argsort([row[name] for row in found], kind="stable")) for name in ("isotropic", "value")]
    pairs = zip(found, *orders, strict=True)
    return [Move(row["layer"], source, int(before) + 1, int(after) + 1) for row, before, after in pairs]


def moves(rows: Rows) -> list[Move]:
    """Of each source the layer that moves most, old pairs."""
    found = [places(rows, source) for source in values(rows, "source")]
    return [max(of, key=lambda move: abs(move.stored - move.isotropic)) for of in found if of]


def deviation_given_keys(row: Row) -> float:
    """(measured - expected)/standard error with random values; 0 where both are rounding."""
    gap, error = row["random"] - row["given_keys"], row["random_error"]
    if abs(gap) <= rounding(row["n"], max(1.0, row["given_keys"])):
        return 0.0
    return float(gap / error) if error > 0 else float(np.copysign(np.inf, gap))


def counted_given_keys(rows: Rows) -> Count:
    """Over the rows whose layer is linear in the values: windows draw their values independently."""
    known = [row for row in rows if row["given_keys"] is not None]
    z = np.array([abs(deviation_given_keys(row)) for row in known])
    share = [abs(row["random"] / row["given_keys"] - 1) for row in known if deviation_given_keys(row)]
    expected = expected_beyond(row["windows"] * (row["draws"] - 1) + 1 for row in known)
    worst = float(np.max(z, initial=0.0))
    return Count(len(known), int(np.sum(z > BEYOND)), expected, worst, max(share, default=0.0))


def _comparable(row: Row) -> bool:
    return row["isotropic"] is not None and row["isotropic"] > rounding(row["n"])
