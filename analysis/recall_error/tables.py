"""Tables: stored keys head by head, and random keys against an independent computation."""

from scipy import stats

from analysis.chance import BEYOND, expected_beyond
from analysis.recall_error.measured import DIMENSION, LOADS, RANDOM
from analysis.recall_error.readings import DELTA, DELTA_BEST, FORMULA, KALMA, LA, LA_SCALED, LS, MESA
from analysis.recall_error.rows import Rows, error_of, most_pairs, recall
from analysis.rows import chosen
from analysis.sources import quantised
from ttr_numerics.report import Table

__all__ = ["REFERENCE", "real_table", "reference_table"]

# Values computed beforehand by an independent program for the same experiment (d = 64), to three digits.
REFERENCE = {
    LA: (0.109, 0.234, 0.484, 0.984, 1.98, 3.98),
    LA_SCALED: (0.099, 0.190, 0.326, 0.496, 0.665, 0.799),
    DELTA: (0.060, 0.135, 0.292, 0.598, 1.06, 1.50),
    DELTA_BEST: (0.060, 0.132, 0.268, 0.466, 0.665, 0.811),
    KALMA: (0.004, 0.013, 0.053, 0.231, 0.542, 0.759),
    MESA: (0.050, 0.064, 0.106, 0.242, 0.525, 0.751),
    LS: (0.0, 0.0, 0.0, 0.0, 0.500, 0.750),
}


def real_table(rows: Rows, real: list[str]) -> Table:
    """Every layer on all tokens of every source."""
    return Table(
        "Squared recall error relative to the values over all stored pairs",
        ("keys", "pairs", "layer", "mean over heads", "standard error", "smallest head", "largest head", "heads"),
        [
            (
                source,
                row["n"],
                row["layer"],
                row["value"],
                error_of(row),
                row["smallest"],
                row["largest"],
                row["trials"],
            )
            for source in real
            for row in chosen(recall(rows, source), n=most_pairs(rows, source))
        ],
        f"Keys scaled to unit norm.{quantised(rows)}",
    )


def reference_table(rows: Rows) -> Table:
    """Random keys against the reference values and the formulas: how many standard errors apart."""
    cells = []
    for layer, references in REFERENCE.items():
        for load, reference in zip(LOADS, references, strict=True):
            found = chosen(recall(rows, RANDOM), layer=layer, n=load * DIMENSION)
            for row in found:
                error = row["high"] - row["value"]
                theory = FORMULA[layer](row["n"], row["d"]) if layer in FORMULA else None
                # The reference is rounded to three digits, the residual of solvable systems is rounding itself.
                known = 0.0005 if reference < 1 else 0.005
                excess = max(abs(row["value"] - reference) - known, 0.0)
                cells.append(
                    (layer, load, row["value"], error, theory, reference, excess / error if reference else 0.0)
                )
    trials = max((row["trials"] for row in recall(rows, RANDOM)), default=2)
    limit = float(stats.t.ppf(1 - 0.005 / max(len(cells), 1), trials - 1))
    outside = [f"{cell[0]} at {cell[1]:g}" for cell in cells if cell[-1] > limit]
    verdict = f"Outside: {', '.join(outside)}." if outside else "No cell lies outside."
    near = sum(cell[-1] <= BEYOND for cell in cells)
    chance = expected_beyond([trials] * len(cells))
    return Table(
        f"Random unit keys, d = {DIMENSION}: measured against an independent computation and against theory",
        ("layer", "n/d", "measured", "standard error", "theory", "reference", "standard errors beyond rounding"),
        cells,
        f"{trials} draws; {near} of {len(cells)} cells lie within {BEYOND:g} standard errors of the reference (by "
        f"chance {chance:.1f} would not). The last column is the distance to the reference, less its rounding, in "
        f"standard errors; {limit:.1f} is the limit for a false alarm in 1 % of such tables (Bonferroni). {verdict}",
    )
