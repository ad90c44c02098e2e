"""What an error looks like: its growth, its sign, its size beside what rounding would make of the same problem.

    floor_t = ‖e_t‖ / (u_output ‖o_t‖)        multiples of one rounding of the output, by position
    sign    = (n₊ - n₋) / √(n₊ + n₋)          standard errors of a fair sign, were entries independent
    ‖e‖/‖o‖ = amplification × introduced      amplification = spread / (u ‖o‖), from the tolerance

An error of amplification κ is as large as if an error of ‖e‖/(κ‖o‖) had been introduced at each operation: one below
u is rounding, one above it something else. Medians over the positions where something was decided.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ttr_numerics.precision import Contract, Format
from ttr_numerics.tolerance import Rounding, row_norms
from ttr_numerics.verdict.plain import plain

__all__ = ["Statistics", "statistics"]

_BIASED = 5.0  # standard errors of the sign from which a sentence is said
_STEADY = 0.25  # exponents of t below which an error does not grow


@dataclass(frozen=True)
class Statistics:
    """Per head (...): `floor_first`, `floor_last` multiples of the output's rounding in the first and last tenth of
    tokens, `growth` the exponent in t of that multiple, `sign` standard errors of its sign, `rms_ratio` ‖e‖/‖o‖,
    `amplification` of rounding, and `introduced` = rms_ratio/amplification. `small` entries of the answer lie below
    `threshold` = u_output times the head's largest, `small_wrong` of them err by more than their token's tolerance.
    """

    floor_first: np.ndarray
    floor_last: np.ndarray
    growth: np.ndarray
    sign: np.ndarray
    rms_ratio: np.ndarray
    amplification: np.ndarray
    introduced: np.ndarray
    threshold: np.ndarray
    small: np.ndarray
    small_wrong: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """Lists over heads."""
        return {name: plain(x) for name, x in asdict(self).items()}

    def sentences(self, contract: Contract) -> tuple[str, ...]:
        """What a wrong output's reader wants to know of its error, of the worst head."""
        worst = np.unravel_index(int(np.argmax(np.nan_to_num(self.rms_ratio, nan=-1.0))), self.rms_ratio.shape)
        if not np.isfinite(self.rms_ratio[worst]):
            return ()
        return (*self._split(worst, contract), *self._growth(worst))

    def _split(self, head: tuple[Any, ...], contract: Contract) -> tuple[str, ...]:
        ratio, kappa, introduced = (x[head] for x in (self.rms_ratio, self.amplification, self.introduced))
        if not (np.isfinite(introduced) and introduced > 0):
            return ()
        return (
            f"the error is {ratio:.1e} of the answer, which amplifies rounding {kappa:.2g} times: as large as an error "
            f"of {introduced:.0e} introduced at every operation, where {contract.name} introduces {contract.u:.0e}",
        )

    def _growth(self, head: tuple[Any, ...]) -> tuple[str, ...]:
        first, last, growth, sign = (x[head] for x in (self.floor_first, self.floor_last, self.growth, self.sign))
        sentence = (
            f"in roundings of the output it is {first:.2g} over the first tenth of tokens, {last:.2g} over the last"
        )
        if np.isfinite(growth) and abs(growth) >= _STEADY:
            sentence += f" (like t^{growth:.1f})"
        if abs(sign) >= _BIASED:
            sentence += f"; its sign leans {'up' if sign > 0 else 'down'} by {abs(sign):.0f} standard errors"
        return (sentence,)


def statistics(o: np.ndarray, bound: Rounding, contract: Contract, output: Format) -> Statistics:
    """The error of `o` (..., T, d_v) against the reference of `bound`; outputs that are not finite are left out."""
    reference, finite = bound.reference, np.isfinite(o).all(axis=-1)
    error = np.where(finite[..., None], o, reference) - reference
    size = row_norms(reference)
    counted = finite & (size > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        floor = np.where(counted, row_norms(error) / (output.u * size), np.nan)
        kappa = np.where(counted & np.isfinite(bound.spread), bound.spread / (contract.u * size), np.nan)
        rms = _norm(error) / _norm(np.where(finite[..., None], reference, 0.0))
    up, down = (np.sum(x, axis=(-1, -2)) for x in (error > 0, error < 0))
    threshold = output.u * np.max(np.abs(reference), axis=(-1, -2), initial=0.0)
    small = (np.abs(reference) <= threshold[..., None, None]) & (reference != 0)
    tenth = max(1, o.shape[-2] // 10)
    amplification = _median(kappa)
    return Statistics(
        floor_first=_median(floor[..., :tenth]),
        floor_last=_median(floor[..., -tenth:]),
        growth=_exponent(floor),
        sign=(up - down) / np.sqrt(np.maximum(up + down, 1)),
        rms_ratio=rms,
        amplification=amplification,
        introduced=rms / np.where(amplification > 0, amplification, np.nan),
        threshold=threshold,
        small=np.sum(small, axis=(-1, -2)),
        small_wrong=np.sum(small & (np.abs(error) > bound.bound[..., None]), axis=(-1, -2)),
    )


def _norm(x: np.ndarray) -> np.ndarray:
    """The Frobenius norm of each head, without overflow."""
    scale = np.max(np.abs(x), axis=(-1, -2), keepdims=True, initial=0.0)
    scale = np.where(scale > 0, scale, 1.0)
    return scale[..., 0, 0] * np.sqrt(np.sum((x / scale) ** 2, axis=(-1, -2)))


def _median(x: np.ndarray) -> np.ndarray:
    """Median over the last axis of what is a number; NaN where nothing is."""
    known = np.isfinite(x)
    ordered = np.sort(np.where(known, x, np.inf), axis=-1)
    n = np.sum(known, axis=-1)
    low, high = (np.maximum(m, 0)[..., None] for m in ((n - 1) // 2, n // 2))
    both = [np.take_along_axis(ordered, np.minimum(m, x.shape[-1] - 1), axis=-1)[..., 0] for m in (low, high)]
    return np.where(n > 0, (both[0] + both[1]) / 2, np.nan)


def _exponent(floor: np.ndarray) -> np.ndarray:
    """The slope of log floor_t in log t by least squares over positions with an error, NaN for fewer than eight."""
    t = np.log(np.arange(1.0, floor.shape[-1] + 1))
    counted = np.isfinite(floor) & (floor > 0)
    weight = counted / np.maximum(np.sum(counted, axis=-1, keepdims=True), 1)
    y = np.log(np.where(counted, floor, 1.0))
    x = t - np.sum(weight * t, axis=-1, keepdims=True)
    below = np.sum(weight * x * x, axis=-1)
    return np.where(
        np.sum(counted, axis=-1) >= 8, np.sum(weight * x * y, axis=-1) / np.where(below > 0, below, 1.0), np.nan
    )
