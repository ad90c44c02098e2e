"""The scores from stored rows alone: caught, missed, undecided, false alarms, causes named, seconds."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ttr_numerics.report import Section, Table

__all__ = ["JUDGES", "render", "score"]

JUDGES = (
    *("torch assert_close", "numpy assert_allclose 1e-5", "RMS ratio 0.005", "FlashAttention 2x", "attention-gym"),
    *("check", "quick audit", "full audit"),
)
OURS = JUDGES[-3:]
Rows = Sequence[dict[str, Any]]


def render(rows: Rows) -> Section:
    """Scores by judge, kinds by judge, and what was missed."""
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    return Section(
        name="verdicts",
        title="Verdicts scored",
        question="Which judge tells faulty implementations from sound ones, on the same cases?",
        answer=_answer(rows, kinds),
        compared="Every rule gets the same generic output and the float64 layer on the same rounded inputs; two also "
        "get a reference of the same format, the layer with every operation rounded to nearest in it (in float64 "
        "another sound form, where there is one). The audits call the function on inputs of their own.",
        figures=(),
        tables=(_scores(rows, kinds), _by_kind(rows, kinds), *(t for t in (_missed(rows), _accused(rows)) if t.rows)),
        limits=(
            "Faults are planted by us: they are the corpus' kinds, not a sample of the faults that people make.",
            "A fault that shows only in gradients, in the state handed over or in how the function is called cannot be "
            "seen by any rule on one output; it counts as missed by all of them.",
            "Undecided counts as missed. A kind is caught if every case of it is, and named if every case is.",
            "Once eight probes have said wrong, an audit asks no further regimes and gradients.",
            "Every sound twin gets the quick audit, every eighth one the full.",
            "A cause is named by the key that most probes give, or by a probe whose claim is the cause; of a regime's "
            "probe only where generic inputs come out right.",
            "FlashAttention's and attention-gym's rules say nothing in float64 of a layer without a second form.",
            "Every layer is called at small sizes on a CPU; sound twins are plain loops and chunked forms.",
        ),
    )


def score(rows: Rows, judge: str) -> dict[str, Any]:
    """Counts of one judge: kinds and cases caught, cases missed and undecided, false alarms, causes named, seconds."""
    own = [row for row in rows if row["judge"] == judge]
    faulty, sound = ([row for row in own if row["faulty"] is side] for side in (True, False))
    kinds = list(dict.fromkeys(row["kind"] for row in faulty))
    caught = {k: all(row["said"] == "wrong" for row in faulty if row["kind"] == k) for k in kinds}
    named = {k: all(row["named"] for row in faulty if row["kind"] == k) for k in kinds}
    return {
        "kinds": len(kinds),
        "kinds caught": sum(caught.values()),
        "kinds named": sum(named.values()),
        "cases": len(faulty),
        "caught": _count(faulty, "wrong"),
        "missed": _count(faulty, "right"),
        "undecided": len(faulty) - _count(faulty, "wrong") - _count(faulty, "right"),
        "false alarms": _count(sound, "wrong"),
        "twins": len(sound),
        "twins undecided": len(sound) - _count(sound, "wrong") - _count(sound, "right"),
        "seconds": float(np.median([row["seconds"] for row in own])) if own else 0.0,
    }


def _count(rows: Iterable[dict[str, Any]], word: str) -> int:
    return sum(row["said"] == word for row in rows)


def _answer(rows: Rows, kinds: Sequence[str]) -> str:
    full, one = score(rows, "full audit"), score(rows, "check")
    quiet = [(j, score(rows, j)) for j in JUDGES[:-3]]
    sound = [(j, s) for j, s in quiet if not s["false alarms"]]
    best = max(sound, key=lambda x: x[1]["kinds caught"], default=None)
    beside = (
        f"the best rule without one, {best[0]}, {best[1]['kinds caught']}"
        if best
        else "no rule beside it is without one"
    )
    seen = sum(_visible(rows, kind) for kind in kinds)
    return (
        f"Of {len(kinds)} kinds of fault in {full['cases']} cases the full audit catches {full['kinds caught']} and "
        f"names the cause of {full['kinds named']}, with {full['false alarms']} false alarms on {full['twins']} sound "
        f"twins. On one generic output, which {seen} kinds change, `check` catches {one['kinds caught']} with "
        f"{one['false alarms']} false alarms; {beside}."
    )


def _visible(rows: Rows, kind: str) -> bool:
    """Whether every case of the kind changes its generic output."""
    return all(row["effect"] != 0 for row in rows if row["kind"] == kind and row["faulty"])


def _scores(rows: Rows, kinds: Sequence[str]) -> Table:
    columns = (
        *("judge", "kinds caught", "kinds whose cause is named", "cases caught", "missed", "undecided"),
        *("sound twins", "false alarms", "sound twins undecided", "median seconds"),
    )
    cells = []
    for judge in JUDGES:
        s = score(rows, judge)
        named = s["kinds named"] if judge in OURS else None
        counts = (s["caught"], s["missed"], s["undecided"], s["twins"], s["false alarms"], s["twins undecided"])
        cells.append((judge, s["kinds caught"], named, *counts, s["seconds"]))
    seen = sum(_visible(rows, kind) for kind in kinds)
    note = f"{len(kinds)} kinds, {seen} of which change the generic output. Undecided is counted as missed."
    return Table("Scores by judge", columns, cells, note)


def _by_kind(rows: Rows, kinds: Sequence[str]) -> Table:
    """A line a kind: which share of its cases each judge catches, how large the fault is, the cause that is named."""
    cells = []
    for kind in kinds:
        faulty = [row for row in rows if row["kind"] == kind and row["faulty"]]
        shares = []
        for judge in JUDGES:
            own = [row for row in faulty if row["judge"] == judge]
            shares.append(f"{_count(own, 'wrong')}/{len(own)}")
        audits = [row for row in faulty if row["judge"] == "full audit"]
        causes = dict.fromkeys(f"{row['cause'] or row['probes']}{'' if row['named'] else ' (?)'}" for row in audits)
        where = dict.fromkeys(f"{row['layer']} {row['dtype']}" for row in audits)
        sizes = ", ".join(dict.fromkeys(_size(row["effect"]) for row in audits))
        cells.append((kind, ", ".join(where), sizes, *shares, "; ".join(causes) or "—"))
    note = (
        "Effect: the largest change of a row of the generic output, relative to it; 0 where the fault shows only "
        "elsewhere. The cause is the key that most of the audit's probes name, or the probes that say wrong where none "
        "names a key; (?) marks what is not counted as the right one."
    )
    return Table("Cases caught, kind by judge", ("kind", "where", "effect", *JUDGES, "cause named"), cells, note)


def _size(effect: Any) -> str:
    return "0" if effect == 0 else f"{float(effect):.1e}"


def _missed(rows: Rows) -> Table:
    cells = [
        (row["kind"], row["layer"], row["dtype"], row["library"], row["parameters"], _size(row["effect"]), row["said"])
        for row in rows
        if row["judge"] == "full audit" and row["faulty"] and row["said"] != "wrong"
    ]
    columns = ("kind", "layer", "format", "library", "parameters", "effect", "said")
    return Table(
        "Faults that the full audit does not call wrong",
        columns,
        cells,
        "Every one is a defect of ours, or too small for its format.",
    )


def _accused(rows: Rows) -> Table:
    cells = [
        (row["judge"], row["layer"], row["dtype"], row["library"], row["chunk"], row["kind"], row["probes"] or "—")
        for row in rows
        if row["judge"] in OURS and not row["faulty"] and row["said"] != "right"
    ]
    columns = ("judge", "layer", "format", "library", "tokens of a chunk", "twin of", "probes")
    return Table("Sound twins that ours do not call right", columns, cells, "Every one is a defect of ours.")
