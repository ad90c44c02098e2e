"""Tables: second moments, recall by treatment, halves of a text, and what tracking adds."""

from typing import Any

from analysis.key_covariance.memories import BEST, DELTA, LEAST, LINEAR, OTHERS, RIDGE, UNIT, WHITENED
from analysis.key_covariance.recall import DESCRIPTION
from analysis.key_covariance.rows import described, mean_error, ratio
from analysis.key_covariance.tracking import (
    ANNEALED,
    BAYES,
    DELTA_FIXED,
    DELTA_OTHERS,
    DELTA_RAW,
    LINEAR_FIXED,
    LINEAR_RAW,
    RLS,
)
from analysis.rows import Rows, chosen
from analysis.sources import quantised
from ttr_numerics.report import Table

__all__ = ["description_table", "halves_table", "recall_table", "tracking_table"]


def description_table(rows: Rows) -> Table:
    """Mean key, ranks and condition number by keys and treatment."""
    keys, lines = chosen(rows, part="keys"), []
    for source, treatment in dict.fromkeys((row["source"], row["treatment"]) for row in keys):
        found = [described(keys, source, treatment, metric) for metric in DESCRIPTION]
        first = found[0]
        assert first is not None
        lines.append((source, treatment, first["d"], *(f["value"] if f else None for f in found), first["trials"]))
    columns = ("keys", "treatment", "d", "mean-key share", "participation ratio", "effective rank (entropy)", "cond(K)")
    return Table(
        f"Second moments of at most {max(row['n'] for row in keys)} unit keys",
        (*columns, "heads or draws"),
        lines,
        "Of K'K/n, not centred unless the treatment says so; means over heads or draws. Participation ratio "
        "(Σλ)²/Σλ²; effective rank exp(-Σ p ln p) of the eigenvalue shares. An isotropic mean key would carry 1/n."
        + quantised(keys),
    )


def recall_table(rows: Rows) -> Table:
    """Errors by keys, values and treatment."""
    recalls, lines = chosen(rows, part="keys", metric="recall error"), []
    for source, values, treatment in dict.fromkeys((r["source"], r["values"], r["treatment"]) for r in recalls):
        cells: list[Any] = [source, values, treatment]
        for layer in (LINEAR, DELTA, LEAST):
            mean = mean_error(recalls, source, treatment, layer, values)
            assert mean is not None
            cells += [mean.value, mean.high - mean.value if mean.trials > 1 else None]
        lines.append(tuple(cells))
    return Table(
        "Squared recall error relative to the values, by treatment",
        ("keys", "values", "treatment", *(part for layer in (LINEAR, DELTA, LEAST) for part in (layer, f"± {layer}"))),
        lines,
        "Mean and standard error over heads or draws; linear attention at its best scale. In-sample "
        f"treatments.{quantised(recalls)}",
    )


def halves_table(rows: Rows) -> Table:
    """The first half of a text written, read at itself and at the second half."""
    own, lines = chosen(rows, part="halves"), []
    order = {UNIT: 0, WHITENED: 1, OTHERS: 2}
    keys = dict.fromkeys((row["source"], row["queries"], row["treatment"], row["pairs"]) for row in own)
    for source, queries, treatment, pairs in sorted(keys, key=lambda k: (k[0], k[1], order[k[2]])):
        found = {r["layer"]: r for r in chosen(own, source=source, queries=queries, treatment=treatment)}
        values = [found[layer]["value"] for layer in (LINEAR, DELTA, BEST, LEAST, RIDGE)]
        lines.append((source, pairs, queries, treatment, *values))
    return Table(
        "A metric of other tokens: the first half of a text stored, read at its own keys and at the second half's",
        ("keys", "pairs", "queries", "metric", LINEAR, DELTA, BEST, LEAST, RIDGE),
        lines,
        "Squared error relative to the captured values, mean over heads. The metric of other keys is M^(-1/2) of the "
        "second half's keys, the whitened one of the stored keys themselves; a half with fewer tokens than channels "
        f"gives none. Scale, β and λ are the best for the values they are judged on.{quantised(own)}",
    )


def tracking_table(rows: Rows) -> Table:
    """Errors on unseen queries as multiples of RLS with the ridge of the prior."""
    own = [row for row in chosen(rows, part="unseen") if row["ratio"] is not None]
    lines = []
    shown = (LINEAR_RAW, LINEAR_FIXED, DELTA_RAW, DELTA_OTHERS, DELTA_FIXED, ANNEALED, RLS)
    for noise, cond, n in dict.fromkeys((row["noise"], row["cond"], row["n"]) for row in own):
        if cond not in (1.0, 1e4):
            continue
        found = {row["layer"]: row for row in chosen(own, noise=noise, cond=cond, n=n)}
        cells = [ratio(row) for row in map(found.get, shown) if row]
        lines.append((noise, cond, n / found[RLS]["d"], found[BAYES]["value"], *cells))
    return Table(
        "Does tracking help beyond a fixed metric? Errors on unseen queries as multiples of RLS with the prior's ridge",
        ("noise", "cond(Σ)", "n/d", "error of that RLS", *shown),
        lines,
        "Paired geometric means with 95 % intervals. Without noise RLS is exact from n = d on (no ratio). The other "
        "condition numbers are in the rows: through the population's metric errors do not depend on Σ.",
    )
