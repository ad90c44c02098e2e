"""What a check concludes: one word, its reasons, and the figures behind them."""

import enum
from dataclasses import dataclass
from typing import Any

import numpy as np

from ttr_numerics.verdict.plain import plain
from ttr_numerics.verdict.statistics import Statistics

__all__ = ["EXIT_STATUS", "Verdict", "Word"]


class Word(enum.Enum):
    """The verdict words; the values are what the user reads."""

    ROUNDING = "rounding"
    ILL_CONDITIONED = "ill-conditioned"
    CONVENTION = "convention"
    OTHER_LAYER = "other layer"
    WRONG = "wrong"
    INCONCLUSIVE = "inconclusive"


EXIT_STATUS = {
    Word.ROUNDING: 0,
    Word.ILL_CONDITIONED: 0,
    Word.CONVENTION: 1,
    Word.OTHER_LAYER: 1,
    Word.WRONG: 1,
    Word.INCONCLUSIVE: 5,
}


@dataclass(frozen=True)
class Verdict:
    """The conclusion on one output.

    `error`, `tolerance` and `magnitude` (..., T) are ‖o_t - reference_t‖₂, its bound and ‖reference_t‖₂ per position
    (head and token); an output that is NaN or infinite has error inf. `reasons` are sentences, most important first;
    `cause` is the key of what explains a wrong output (`verdict.causes` has them all), None where nothing does, and
    `statistics` say what the error looks like.
    """

    word: Word
    layer: str
    arithmetic: str
    reasons: tuple[str, ...]
    error: np.ndarray
    tolerance: np.ndarray
    magnitude: np.ndarray
    predicted: np.ndarray
    condition: np.ndarray
    basis: str
    cause: str | None = None
    statistics: Statistics | None = None

    @property
    def status(self) -> int:
        """The exit status: 0 right, 1 wrong, 5 inconclusive."""
        return EXIT_STATUS[self.word]

    @property
    def ratio(self) -> np.ndarray:
        """Error over tolerance (..., T); a position is wrong above 1."""
        tolerance = np.where((self.tolerance > 0) & np.isfinite(self.error), self.tolerance, np.finfo(float).tiny)
        with np.errstate(over="ignore"):  # an error beyond a tolerance of almost zero
            ratio = np.where(np.isinf(self.error), np.inf, self.error / tolerance)
        return np.where((self.error == 0) | np.isinf(self.tolerance), 0.0, ratio)

    @property
    def wrong(self) -> np.ndarray:
        """Which positions (..., T) lie beyond the tolerance, which is infinite where the format itself overflows."""
        return self.error > self.tolerance

    @property
    def undecided(self) -> np.ndarray:
        """Positions where the tolerance is as large as the answer, or a head's answer is zero: zeros would pass."""
        silent = (self.magnitude == 0).all(axis=-1, keepdims=True)
        return (self.tolerance >= self.magnitude) & ((self.magnitude > 0) | silent)

    @property
    def first_wrong(self) -> tuple[int, ...] | None:
        """The earliest wrong token, as (head indices..., token); None if nothing is wrong."""
        places = np.argwhere(self.wrong)
        return tuple(int(i) for i in places[np.argmin(places[:, -1])]) if len(places) else None

    @property
    def worst(self) -> tuple[int, ...]:
        """The position with the largest error in units of its tolerance."""
        return tuple(int(i) for i in np.unravel_index(np.argmax(self.ratio), self.ratio.shape))

    @property
    def detectability(self) -> np.ndarray:
        """The smallest change of the output (..., T) that could not have passed: twice the tolerance.

        A fault of norm f on a sound output of error at most the tolerance leaves at least f - tolerance.
        """
        return 2 * self.tolerance

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain JSON values (infinities and NaN as strings)."""
        worst = self.worst
        return {
            "schema": 1,
            "verdict": self.word.value,
            "status": self.status,
            "cause": self.cause,
            "layer": self.layer,
            "arithmetic": self.arithmetic,
            "reasons": list(self.reasons),
            "basis": self.basis,
            "statistics": None if self.statistics is None else self.statistics.to_json(),
            "positions": self.error.size,
            "wrong": int(self.wrong.sum()),
            "undecided": int(self.undecided.sum()),
            "first_wrong": self.first_wrong,
            "worst": {"position": worst, **{n: plain(getattr(self, n)[worst]) for n in _FIGURES}},
            "heads": [self._head(index) for index in np.ndindex(self.error.shape[:-1])],
            "per_position": {n: plain(getattr(self, n)) for n in _FIGURES},
        }

    def _head(self, index: tuple[int, ...]) -> dict[str, Any]:
        """One head's summary; its fields are the columns of the printed table."""
        size = np.where(self.magnitude[index] > 0, self.magnitude[index], np.inf)
        decided = ~self.undecided[index]
        relative = (self.detectability[index] / size)[decided]
        return {
            "head": index,
            "wrong": int(self.wrong[index].sum()),
            "undecided": int(self.undecided[index].sum()),
            "error": plain(np.max(self.error[index])),
            "worst_ratio": plain(np.max(self.ratio[index])),
            "worst_token": int(np.argmax(self.ratio[index])),
            "median_predicted": plain(np.median(self.predicted[index] / size)),
            "median_detectable": plain(np.median(relative)) if relative.size else "inf",
            "condition": plain(self.condition[index]),
        }


_FIGURES = ("error", "tolerance", "magnitude", "predicted", "ratio", "detectability")
