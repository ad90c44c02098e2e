"""A verdict, and the catalogue, as a person reads them on a terminal."""

import textwrap
from collections.abc import Sequence
from typing import Any

from ttr_numerics.pairs import Pairing
from ttr_numerics.verdict.verdict import Verdict, Word

__all__ = ["as_text", "catalogue_json", "catalogue_text"]

_WIDTH = 100
_MOST_HEADS = 12
_HEADLINE = {
    Word.ROUNDING: "right: the difference is rounding",
    Word.ILL_CONDITIONED: "right, but ill-conditioned",
    Word.CONVENTION: "wrong: another convention",
    Word.OTHER_LAYER: "wrong: another layer",
    Word.WRONG: "wrong",
    Word.INCONCLUSIVE: "inconclusive",
}
_COLUMNS = (
    ("head", "head"),
    ("wrong", "wrong"),
    ("undecided", "undecided"),
    ("largest error", "error"),
    ("error/tolerance", "worst_ratio"),
    ("at token", "worst_token"),
    ("predicted", "median_predicted"),
    ("detectable", "median_detectable"),
    ("cond(K)", "condition"),
)


def as_text(verdict: Verdict) -> str:
    """Headline, reasons, a table with a row a head, and how the tolerance was derived."""
    lines = [f"{verdict.layer} in {verdict.arithmetic}: {_headline(verdict)} [{verdict.word.value}]", ""]
    lines += [part for reason in verdict.reasons for part in _wrapped(f"- {reason}")]
    heads = sorted(verdict.to_json()["heads"], key=lambda h: -float(h["worst_ratio"]))
    shown = sorted(heads[:_MOST_HEADS], key=lambda h: h["head"])
    lines += ["", *_table([name for name, _ in _COLUMNS], [[_cell(h[key]) for _, key in _COLUMNS] for h in shown])]
    if len(heads) > len(shown):
        lines.append(f"({len(heads) - len(shown)} more heads, all with a smaller error/tolerance; --json has them)")
    lines += [
        "",
        *_wrapped(
            "predicted: the typical rounding error; detectable: the smallest change that cannot pass; both relative to "
            "a token's output, medians over tokens. Errors are Euclidean norms over d_v."
        ),
        *_wrapped(f"tolerance: {verdict.basis}."),
    ]
    return "\n".join(lines)


def _headline(verdict: Verdict) -> str:
    """The word, said of precision where that is the convention broken."""
    if (verdict.cause or "").startswith("contract."):
        return "wrong: less precise than declared"
    return _HEADLINE[verdict.word]


def catalogue_text(rows: Sequence[Pairing]) -> str:
    """Every layer with its choices, identity, target, domain and source."""
    blocks = []
    for row in rows:
        arrays = ", ".join(["q", "k", "v", *row.arrays, *(f"[{name}]" for name in row.optional)])
        fields = _fields(row) | ({"calls": "; ".join(map(str, row.calls))} if row.calls else {})
        block = [f"{row.name}({arrays})"]
        block += [part for name, text in fields.items() for part in _wrapped(f"{name + ':':<16}{text}", 2, 18)]
        blocks.append("\n".join(block))
    return "\n\n".join(blocks)


def catalogue_json(rows: Sequence[Pairing]) -> list[dict[str, Any]]:
    """The same as JSON values."""
    return [
        {"name": row.name, "arrays": list(row.arrays), "optional": list(row.optional), "causal": row.causal}
        | _fields(row)
        | {"calls": [vars(call) for call in row.calls]}
        for row in rows
    ]


def _fields(row: Pairing) -> dict[str, str]:
    choices = {name.replace("_", " "): str(x) for name, x in vars(row.choices).items()}
    targets = " or ".join(map(str, (row.target, *row.other_targets)))
    return choices | {"identity": row.identity, "target": targets, "domain": row.domain, "source": row.source}


def _wrapped(text: str, indent: int = 0, hanging: int = 2) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=" " * indent, subsequent_indent=" " * hanging)


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    return ["  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in [header, *rows]]


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "-"
    return f"{float(value):.2g}" if isinstance(value, float) else str(value)
