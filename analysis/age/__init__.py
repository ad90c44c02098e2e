"""How does the error of a stored pair grow with its age, and is that curve the one that theory predicts?

Random unit keys and values are stored one after the other, six tokens a key dimension; then every pair is asked for
with its own key. Additive memories with gates, delta rules, momentum, mini-batches, recursive solvers, windows and
softmax each forget in their own way. A curve is compared with its closed form at every age.
"""

from collections.abc import Sequence
from typing import Any

from analysis.age.deviations import counted, half_age, of_layers, percent
from analysis.age.figures import figures
from analysis.age.measured import STUDY
from analysis.age.tables import tables
from ttr_numerics.report import Section

__all__ = ["STUDY", "render"]


def render(rows: Sequence[dict[str, Any]]) -> Section:
    """The section, from stored rows alone."""
    d = max(row["d"] for row in rows)
    found = of_layers(rows, d)
    exact = counted([row for row in rows if row["status"] == "exact"])
    other = counted([row for row in rows if row["status"] != "exact"])
    return Section(
        name="age",
        title="What a memory keeps of a pair as it ages",
        question=STUDY.question,
        answer=f"Of {exact.points} errors with an exact formula {exact.beyond} lie beyond three standard errors of it, "
        f"where chance alone gives {exact.expected:.1f}; of {other.points} with a limit or an approximation "
        f"{other.beyond} ({other.expected:.1f} by chance), none further off than {percent(other.worst_share)} of the "
        f"error. {_half_lives(found, d)}",
        compared="Outputs of every layer of the catalogue whose memory fades, by age of the pair, with its formula; "
        "nothing is fitted.",
        figures=figures(rows),
        tables=tables(rows),
        limits=(
            "Random isotropic keys and values of unit length, gates and steps constant in time: learned gates depend "
            "on the token, and captured keys are not isotropic.",
            "Errors of one sequence are dependent across ages, so the deviations counted are too; the expected number "
            "is right, its spread is larger than that of independent ones.",
            "Layers without a curve here, each with its reason, are listed in the last table.",
        ),
    )


def _half_lives(found: dict[str, list[dict[str, Any]]], d: int) -> str:
    """How far into the past the plain delta rules reach, in key dimensions."""
    said = []
    for layer in ("delta rule, β = 1", "delta rule, β = 1/2"):
        if layer in found:
            half = half_age(found[layer])
            if half is not None:
                said.append(f"{half.value / d:.2f} d for the {layer} (theory {half.theory / d:.2f} d)")
    flat = [layer for layer, rows in found.items() if half_age(rows) is None]
    many = f" Errors of {len(flat)} of {len(found)} layers do not depend on age." if flat else ""
    return (f"The error is halfway to its end after {' and '.join(said)}." if said else "") + many
