"""The answer from stored rows alone: nothing audited is imported to show what was found."""

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

from ttr_numerics.report import Section, Table

__all__ = ["FORMATS", "render"]

FORMATS = ("float64", "float32", "bfloat16", "float16")
FEW = 4
KINDS = ("defect", "restriction", "convention", "arithmetic", "unread")
BLANK = "⠀"  # an indentation that Markdown and HTML keep

Rows = Sequence[dict[str, Any]]


def render(rows: Rows) -> Section:
    """The defects and their reproductions, what else was accused, and every function, from stored rows alone."""
    audits = [row for row in rows if "asked" in row]
    accused = [row for row in rows if "accused" in row]
    scripts = [row for row in rows if "reproduction" in row and "holds" in row]
    return Section(
        name="ecosystem",
        title="Public implementations under audit",
        question="Do public implementations hold what they promise, in every regime and by every law of the audit?",
        answer=_answer(audits, accused, scripts),
        compared="Each function in its own convention, called in a process of its own with the quick probes of "
        "`ttr audit`, in each format it takes, with the float64 layer on the same rounded inputs.",
        figures=(),
        tables=(
            _defects(scripts, accused),
            _others(accused),
            _functions(audits, accused),
            *(_listing(script, rows) for script in scripts),
        ),
        limits=(
            "Functions on the CPU. Triton kernels ran through Triton's interpreter, which knows no chunked kernel of "
            "fla-core: a loop counter there is a Python int.",
            "A function outside the catalogue is not audited; where one of its promises fails by its own words, a "
            "reproduction alone says so.",
            "The committed rows were measured in pieces, some functions with a part of the probes; `make ecosystem` "
            "measures them in one run, each function in a process of its own.",
            "The kind of an accusation is our reading of the source, not the audit's.",
        ),
    )


def _answer(audits: Rows, accused: Rows, scripts: Rows) -> str:
    functions, packages = {row["name"] for row in audits}, {row["package"] for row in audits}
    blamed = {row["accused"] for row in accused if row["kind"] != "arithmetic"}
    held = [row for row in scripts if row["holds"]]
    unread = {row["accused"] for row in accused if row["kind"] == "unread"}
    kinds = {kind: {row["accused"] for row in accused if row["kind"] == kind} - unread for kind in KINDS}
    return (
        f"Of {len(functions)} functions of {len(packages)} packages, asked {sum(row['asked'] for row in audits)} "
        f"probes in all, {len(functions - blamed)} are right in everything asked of their own arithmetic. "
        f"{len(held)} of {len(scripts)} defects are reproduced without this library, in "
        f"{len({row['package'] for row in held})} packages; "
        f"{len(kinds['restriction'])} functions were accused at a restriction of theirs, {len(kinds['convention'])} of "
        f"another convention, {len(kinds['arithmetic'])} compute in fewer digits than float64 has; accusations of "
        f"{len(unread)} functions are not read up."
    )


def _defects(scripts: Rows, accused: Rows) -> Table:
    cells = []
    for script in scripts:
        name = script["reproduction"]
        own = [row for row in accused if row["reproduction"] == name]
        cells.append(
            (
                f"{script['package']} {script['version']}",
                script["says"].rstrip("."),
                _some(row["probe"] for row in own) or "read in the source",
                _list(row["dtype"] for row in own),
                max((row["ratio"] for row in own if row["ratio"] is not None and isfinite(row["ratio"])), default=None),
                f"`{name}.py`" if script["holds"] else f"`{name}.py` does not hold",
            )
        )
    columns = ("package", "what does not hold", "said by the probes", "in", "error over tolerance", "reproduction")
    note = (
        "The largest finite error over tolerance; a dash: NaN, or no probe. Scripts in "
        "`analysis/ecosystem/reproductions`: each needs its package alone, prints the figures, asserts."
    )
    return Table("Defects, each reproduced by itself", columns, cells, note)


def _others(accused: Rows) -> Table:
    """Accusations that are no defect, and those that are not read up, by sentence."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in accused:
        if row["kind"] != "defect":
            said = row["sentence"] or row["reason"]
            groups.setdefault((row["kind"], said), []).append(row)
    cells = [
        (
            kind,
            said,
            _some(row["accused"] for row in own),
            _some(row["probe"] for row in own),
            _list(row["dtype"] for row in own),
        )
        for (kind, said), own in sorted(groups.items(), key=lambda item: (KINDS.index(item[0][0]), item[0]))
    ]
    columns = ("what it is", "why", "functions", "said by the probes", "in")
    return Table("Accusations that are no defects", columns, cells)


def _functions(audits: Rows, accused: Rows) -> Table:
    lines: dict[str, dict[str, dict[str, Any]]] = {}
    for row in audits:
        lines.setdefault(row["name"], {})[row["dtype"]] = row
    cells = []
    for name, line in lines.items():
        first = next(iter(line.values()))
        function = first["function"] + (f", {first['how']}" if first["how"] else "")
        cells.append(
            (
                first["layer"],
                f"{first['package']} {first['version']}",
                function,
                *(_right(line.get(dtype)) for dtype in FORMATS),
                max(row["worst"] for row in line.values()),
                _list(row["kind"] for row in accused if row["accused"] == name),
                first["declares"],
                sum(row["seconds"] for row in line.values()),
            )
        )
    columns = ("layer", "package", "function", *FORMATS, "of the tolerance", "accused of", "declares", "seconds")
    note = (
        "Probes that say right of those that apply, by format; in float64 alone: whether it is computed in it. The "
        "largest error over tolerance is that of the probes that say right."
    )
    return Table("Every function", columns, cells, note)


def _right(row: dict[str, Any] | None) -> str | None:
    return None if row is None else f"{row['right']} of {row['asked'] + row['failed']}"


def _listing(script: dict[str, Any], rows: Rows) -> Table:
    lines = [row for row in rows if row.get("of") == script["reproduction"]]
    cells = [(row["what"], _code(row["text"])) for row in lines if row["text"]]
    return Table(f"{script['package']}: {script['says']}", ("", f"`{script['reproduction']}.py`"), cells)


def _code(text: str) -> str:
    indent = len(text) - len(text.lstrip(" "))
    return f"`{BLANK * indent}{text.lstrip(' ').replace('`', chr(39))}`"


def _some(words: Iterable[str]) -> str:
    """The first few, and how many more."""
    named = list(dict.fromkeys(words))
    return ", ".join(named) if len(named) <= FEW else f"{', '.join(named[: FEW - 1])} and {len(named) - FEW + 1} more"


def _list(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))
