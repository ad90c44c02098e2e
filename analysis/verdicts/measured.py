"""The rows: every drawn case and its sound twin before every judge."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from analysis.journal import measured_rows
from analysis.verdicts.judges import Said, audited, checked, effect, generic, output, ruled
from analysis.verdicts.kinds import Case, Kind, drawn, kinds
from ttr_numerics.probes.battery import PROBES
from ttr_numerics.study import Grid, Study

__all__ = ["as_row", "measure", "measure_cell", "of_case"]

TWINS = 8  # every eighth sound twin gets the full audit, all the quick one
Row = dict[str, Any]


def measure(progress: Callable[..., Iterable[Any]], seed: int, draws: int, only: Sequence[str] = ()) -> list[Row]:
    """The rows of `draws` cases a kind, in the order of the corpus. Raises RuntimeError where a cell failed."""
    names = tuple(kind.name for kind in kinds() if not only or kind.name in only)
    grid = Grid({"kind": names, "draw": tuple(range(draws)), "seed": (seed,)})
    return measured_rows(Study("verdicts", "What do judges catch?", measure_cell, (grid,), seed), progress)


def measure_cell(cell: dict[str, Any], rng: np.random.Generator) -> list[Row]:
    """The rows of one draw of one kind."""
    kind = next(k for k in kinds() if k.name == cell["kind"])
    return list(of_case(kind, cell["draw"], cell["seed"]))


def of_case(kind: Kind, draw: int, seed: int) -> Iterator[Row]:
    """One row a judge for the fault, and for its sound twin."""
    case = drawn(kind, seed, draw)
    given = generic(case)
    twin = output(case, case.sound, given.foreign)
    for faulty, function in ((True, case.faulty), (False, case.sound)):
        o = output(case, function, given.foreign)
        said = ruled(case, o, given) | {"check": checked(case, o, given)}
        whole = faulty or (kinds().index(kind) + draw) % TWINS == 0
        said |= audited(case, function, int(np.random.default_rng([seed, draw]).integers(2**31)), whole)
        for judge, what in said.items():
            yield as_row(case, draw, faulty, effect(o, twin), judge, what)


def as_row(case: Case, draw: int, faulty: bool, size: float, judge: str, said: Said) -> Row:
    """What one judge said of one function of a case, as it is stored."""
    return {
        "kind": case.kind.name,
        "draw": draw,
        "faulty": faulty,
        "layer": case.row.name,
        "dtype": case.dtype,
        "library": case.library,
        "chunk": case.chunk,
        "arithmetic": _arithmetic(case),
        "parameters": ", ".join(f"{n} {x}" for n, x in case.parameters.items()),
        "effect": size,
        "judge": judge,
        "said": said.word,
        "cause": said.cause,
        "named": faulty and said.word == "wrong" and _named(case, said),
        "probes": ", ".join(said.probes),
        "seconds": round(said.seconds, 4),
    }


def _arithmetic(case: Case) -> str:
    """What the subject computes in, and whether it promised more than its format."""
    inside = case.base.state or ("float64" if case.dtype == "float64" else "float32")
    return f"{inside} inside{', declared' if case.contract else ''}"


def _named(case: Case, said: Said) -> bool:
    """Whether the cause is among the right ones: the commonest key, or a probe whose claim it is.

    A regime's probe names it only where generic inputs come out right: else it is one of many that fail. A gradient's
    must name the array.
    """
    if said.cause in case.kind.causes:
        return True
    claims = {c.removeprefix("probe:") for c in case.kind.causes if c.startswith("probe:")} & set(said.probes)
    kinds_of = {p.name: p.kind for p in PROBES}
    told = {c for c in claims if kinds_of[c] != "regime" or "generic" not in said.probes}
    array = case.parameters.get("argument", "") if case.kind.shows == "gradients" else ""
    return bool(told) and f"by {array}" in said.reasons + "by "
