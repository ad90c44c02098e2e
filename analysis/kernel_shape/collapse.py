"""Does one number, the effective dimension of the features, say how much a map holds? Fits and checks."""

from typing import NamedTuple

import numpy as np

from analysis.chance import BEYOND, expected_beyond
from analysis.kernel_shape.measured import LEAST, RANDOM
from analysis.kernel_shape.treatments import CENTRED, PLAIN, UNIT
from analysis.rows import Rows
from ttr_numerics.measure.fits import PowerLaw, line, power_law

__all__ = ["ADDED", "Checked", "Point", "Spread", "checked", "law", "points", "spread"]

ADDED = (PLAIN, UNIT, CENTRED)  # treatments whose memory is a sum


class Point(NamedTuple):
    """Pairs at half recall of one map, treatment and D, and the dimension its features are worth."""

    shape: str
    treatment: str
    source: str
    features: int
    dimension: float
    half: float
    low: float
    high: float


class Spread(NamedTuple):
    """The factor by which half recall misses a power law of the effective dimension, and one of D (1 σ)."""

    effective: float
    nominal: float


class Checked(NamedTuple):
    """Errors compared with the expected one, those beyond three standard errors, and how many chance gives."""

    points: int
    beyond: int
    expected: float

    def said(self) -> str:
        """In words; of a single head no error has a standard error."""
        if not self.points:
            return "of one draw no error has a standard error to be judged by"
        return (
            f"{self.beyond} of {self.points} errors lie beyond three standard errors of what the features' spectrum "
            f"predicts, where chance gives {self.expected:.1f}"
        )


def points(rows: Rows) -> list[Point]:
    """Every pair of a half-recall row and the effective dimension measured with it, for memories that are sums."""
    name = ("source", "shape", "features", "treatment")
    worth = {tuple(r[n] for n in name): r["dimension"] for r in rows if r["what"] == "error"}
    found = []
    for r in rows:
        if r["what"] == "half" and r["treatment"] in ADDED:
            dimension = worth[tuple(r[n] for n in name)]
            about = (r["shape"], r["treatment"], r["source"], r["features"])
            found.append(Point(*about, dimension, r["value"], r["low"], r["high"]))
    return found


def spread(rows: Rows) -> Spread:
    """Residual factors of the two power laws, over all points."""
    of = points(rows)
    half = np.log([p.half for p in of])
    factors = (np.exp(line(np.log([getattr(p, x) for p in of]), half).residual) for x in ("dimension", "features"))
    return Spread(*(float(f) for f in factors))


def law(rows: Rows) -> PowerLaw:
    """Pairs at half recall = constant · (effective dimension)^exponent, over all maps, treatments and D."""
    of = points(rows)
    return power_law(np.array([p.dimension for p in of]), np.array([p.half for p in of]))


def checked(rows: Rows) -> Checked:
    """Measured against expected errors for values that are independent of the keys."""
    of = [r for r in rows if r["what"] == "error" and r["values"] == RANDOM]
    gaps = [(r, abs(r["off"]) / r["off_error"] if r["off_error"] > LEAST else 0.0) for r in of if r["trials"] > 1]
    return Checked(len(gaps), sum(z > BEYOND for _, z in gaps), expected_beyond(r["trials"] for r, _ in gaps))
