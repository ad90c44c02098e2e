"""The answer from stored rows alone: rates with their intervals, and every run that was accused or passed."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ttr_numerics.measure import proportion_interval
from ttr_numerics.report import Section, Table

__all__ = ["render"]

Rows = Sequence[dict[str, Any]]
FORMATS = ("float64", "float32", "float16", "bfloat16")


def render(rows: Rows) -> Section:
    """Four tables from stored rows alone."""
    cells = [row for row in rows if "runs" in row]
    lower = [row for row in rows if "lower" in row]
    return Section(
        name="soundness",
        title="The derived tolerance, measured",
        question="Does the derived tolerance accuse sound code, and does it let faults pass?",
        answer=f"{_sound(cells)} {_sharp(cells)} {_lower(lower)}",
        compared="Outputs of sound forms, and of the layer on changed arguments in its own format, with the tolerance "
        "that `check` derives; nothing is tuned to the draws.",
        figures=(),
        tables=(_rates(cells), _sharpness(cells), _one_lower(lower), *_accusations(cells)),
        limits=(
            "Sound forms are the layers' own code in other libraries, chunk lengths and orders, and with float32 "
            "inside of 16-bit arrays; implementations by others are in the ecosystem's report.",
            "The token-by-token run of NumPy is among what the tolerance of float32 and float64 is made of: it can "
            "hardly be accused, and is one run of about six.",
            "Quick regimes alone: the policy for long inputs is tested elsewhere, not measured here.",
            "Sizes stay below 96 tokens (a regime may ask for more) and 16 channels.",
            "No bound can catch all that is above ten times one sound error: another sound form may err as much at a "
            "token where the first was lucky. What `check` prints as detectable is always caught.",
        ),
    )


def _total(rows: Rows, name: str) -> int:
    return sum(row[name] for row in rows)


def _sound(cells: Rows) -> str:
    runs, accused, inconclusive = (_total(cells, name) for name in ("runs", "accused", "inconclusive"))
    return (
        f"Of {runs} sound runs of {len({row['layer'] for row in cells})} layers {accused} are accused "
        f"({_over_cells(cells, 'accused')}) and {inconclusive} are inconclusive "
        f"({_over_cells(cells, 'inconclusive')})."
    )


def _sharp(cells: Rows) -> str:
    names = ("owed", "caught", "typical", "typical_caught", "passed_above_limit")
    owed, caught, typical, typical_caught, above = (_total(cells, name) for name in names)
    return (
        f"Of {owed} graded faults above ten times the errors that the sound forms made at a token {caught} are caught "
        f"({_share(caught, owed)}), of {typical} above ten times a typical error there {typical_caught} "
        f"({_share(typical_caught, typical)}); {above} passed with an effect above the printed detectability limit."
    )


def _lower(rows: Rows) -> str:
    caught = sum(row["probe"] is not None for row in rows)
    return f"One precision lower, {caught} of {len(rows)} layers and formats fail a probe."


def _share(count: int, of: int) -> str:
    """A rate with its 95 % interval."""
    rate, low, high, _ = proportion_interval(np.array([count / max(of, 1)]), max(of, 1))
    return f"{100 * rate:.2g} %, 95 % interval {100 * low:.2g} to {100 * high:.2g} %"


def _over_cells(cells: Rows, name: str) -> str:
    """The rate of sound runs, with an interval over cells: the forms of one cell see the same arrays."""
    shares = np.array([row[name] / row["runs"] for row in cells if row["runs"]])
    rate, low, high, _ = proportion_interval(shares, 1)
    return f"{100 * rate:.2g} %, 95 % interval over cells {100 * low:.2g} to {100 * high:.2g} %"


def _by_format(rows: Rows, line: Callable[[Rows], tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    groups = [(name, [row for row in rows if row["format"] == name]) for name in FORMATS]
    return [(name, *line(group)) for name, group in [*groups, ("all", list(rows))] if group]


def _rates(cells: Rows) -> Table:
    def line(group: Rows) -> tuple[Any, ...]:
        counts = [_total(group, name) for name in ("runs", "accused", "inconclusive")]
        return (len(group), *counts, max(row["worst_ratio"] for row in group))

    columns = ("format", "cells", "sound runs", "accused", "inconclusive", "largest error/tolerance")
    note = "A cell is a layer, a format and a regime with arrays drawn for it; a run is one sound form on them."
    return Table("Sound code", columns, _by_format(cells, line), note)


def _sharpness(cells: Rows) -> Table:
    names = ("owed", "caught", "typical", "typical_caught", "small", "passed_above_limit")
    columns = (
        *("format", "above ten errors", "of them caught", "above ten typical errors", "of them caught "),
        *("smaller than ten errors", "passed above the limit"),
    )
    note = (
        "One array changed by a relative ε from 1e-9 to 1, at one token or at all; effects are in float64. Errors: "
        "the largest of the sound forms at the token, all of which may be small there by luck; typical ones are at "
        "least the spread of the replicas."
    )
    lines = _by_format(cells, lambda group: tuple(_total(group, name) for name in names))
    return Table("Graded faults", columns, lines, note)


def _one_lower(rows: Rows) -> Table:
    def line(group: Rows) -> tuple[Any, ...]:
        missed = [row["layer"] for row in group if row["probe"] is None]
        first = [row["asked"] for row in group if row["probe"] is not None]
        return (len(group), len(first), max(first, default=None), ", ".join(missed))

    columns = ("format", "layers", "fail a probe", "probes asked until then, at most", "layers that pass all")
    note = "float64 as float32; float32 with operands, state, gates and residual in tf32; 16-bit formats likewise."
    return Table("The same computation one precision lower", columns, _by_format(rows, line), note)


def _accusations(cells: Rows) -> list[Table]:
    found = [row for row in cells if row["accused"]]
    names = ("layer", "format", "regime", "tokens", "accused", "runs", "worst_ratio", "worst_form")
    lines = [tuple(row[name] for name in names) for row in found]
    return [Table("Sound runs that are accused", names, lines, "All of them.")] if found else []
