"""Choices at an end of the values tried: others beyond it might have served better, or there are none beyond it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from analysis.drift.excess import words

__all__ = ["Edges", "Grids", "edges", "said"]

Grids = Mapping[str, tuple[Any, Mapping[str, Sequence[float]]]]


class Edges(NamedTuple):
    """Of one method: how many choices, how many at an open end, and how many at natural ends alone."""

    method: str
    choices: int
    open: int
    natural: int


def edges(chosen: Iterable[tuple[str, str]], methods: Grids, natural: Mapping[str, str]) -> list[Edges]:
    """One a method with anything to choose; `chosen` pairs a method with its `excess.words`, `natural` names ends.

    >>> edges([("rule", "beta 1"), ("rule", "beta 3")], {"rule": (None, {"beta": (1.0, 2.0, 3.0)})}, {"beta 3": "all"})
    [Edges(method='rule', choices=2, open=1, natural=1)]
    """
    of: dict[str, list[set[str]]] = {}
    for method, choice in chosen:
        of.setdefault(method, []).append(set(choice.split(", ")))
    found = []
    for method, choices in of.items():
        grid = methods[method][1] if method in methods else {}
        ends = {words({name: end}) for name, tried in grid.items() for end in (min(tried), max(tried))}
        beyond = [bool(choice & ends - natural.keys()) for choice in choices]
        alone = [bool(choice & natural.keys()) and not out for choice, out in zip(choices, beyond, strict=True)]
        if ends:
            found.append(Edges(method, len(choices), sum(beyond), sum(alone)))
    return found


def said(found: Sequence[Edges], natural: Mapping[str, str]) -> str:
    """A sentence for the page: open ends by method, and what the natural ones mean."""
    if not found:
        return "No layer had a parameter to choose."
    counts = ", ".join(f"{of.method} {of.open} of {of.choices}" for of in found)
    ends = "; ".join(f"{end}: {meaning}" for end, meaning in natural.items())
    alone = sum(of.natural for of in found)
    choices = "choice" if alone == 1 else "choices"
    return (
        f"Layers take the best of a grid, which may end before their best: at an end of it lie {counts}. Not counted "
        f"{'is' if alone == 1 else 'are'} {alone} {choices} at natural ends, beyond which there is nothing ({ends})."
    )
