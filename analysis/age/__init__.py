"""How does the error of a stored pair grow with its age, and is that curve the one that theory predicts?

Random unit keys and values are stored one after the other, six tokens a key dimension; then every pair is asked for
with its own key. Additive memories with gates, delta rules, momentum, mini-batches, recursive solvers, windows and
softmax each forget in their own way. A curve is compared with its closed form at every age. On stored keys, of a model
or a user's, the same layers write windows of the text, with the values that belong to the keys and with random ones;
what is then expected of the latter is known exactly from the keys.
"""

from collections.abc import Sequence
from typing import Any

from analysis.age.comparisons import counted_given_keys
from analysis.age.deviations import counted, half_age, of_layers, percent, statuses
from analysis.age.figures import figures
from analysis.age.measured import STUDY
from analysis.age.stored_curves import stored_figures
from analysis.age.stored_table import stored_tables
from analysis.age.tables import tables
from ttr_numerics.report import Section

__all__ = ["STUDY", "render"]

Rows = Sequence[dict[str, Any]]


def render(rows: Rows) -> Section:
    """The section, from stored rows alone: of random keys, of stored keys, or of both."""
    random = [row for row in rows if "keys" not in row]
    stored = [row for row in rows if "keys" in row]
    return Section(
        name="age",
        title="What a memory keeps of a pair as it ages",
        question=STUDY.question,
        answer=" ".join(said for said in (_random_words(random), _stored_words(stored)) if said),
        compared="Outputs of every layer of the catalogue whose memory fades, by age of the pair, with its formula; "
        "nothing is fitted.",
        figures=(*figures(random), *stored_figures(stored)),
        tables=(*tables(random), *stored_tables(stored)),
        limits=(
            "Gates and steps are constant in time, on stored keys too: learned gates depend on the token.",
            "Errors of one sequence are dependent across ages, so the deviations counted are too; the expected number "
            "is right, its spread is larger than that of independent ones.",
            "RWKV-4, RG-LRU and HGRN take numbers a channel for keys and are not asked on stored keys. A window starts "
            "from an empty memory and is at most half of the text; windows overlap, and heads of one text are no "
            "independent samples.",
            "Layers without a curve here, each with its reason, are listed in a table.",
        ),
    )


def _random_words(rows: Rows) -> str:
    if not rows:
        return ""
    d, status = max(row["d"] for row in rows), statuses(rows)
    exact = counted([row for row in rows if status[row["layer"]] == "exact"])
    other = counted([row for row in rows if status[row["layer"]] != "exact"])
    return (
        f"Of {exact.points} errors with an exact formula {exact.beyond} lie beyond three standard errors of it, "
        f"where chance alone gives {exact.expected:.1f}; of {other.points} with a limit or an approximation "
        f"{other.beyond} ({other.expected:.1f} by chance), none further off than {percent(other.worst_share)} of the "
        f"error. {_half_lives(of_layers(rows, d), d)}"
    )


def _stored_words(rows: Rows) -> str:
    if not rows:
        return ""
    count = counted_given_keys(rows)
    return (
        f"On stored keys with random values the weights of the pairs give the expected error exactly: of "
        f"{count.points} errors {count.beyond} lie beyond three standard errors of it ({count.expected:.1f} by chance)."
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
