"""What was found: tables and figures from stored rows alone."""

from collections.abc import Sequence

from analysis.design_space.cases import MEASURES, Case, best_predictors, cases_of, ends_of_lists, model, ratio_of
from analysis.design_space.drawing import errors_figure, errors_table, with_interval
from analysis.design_space.measured import FEWEST, PREDICTION, STUDY
from analysis.rows import Rows, values
from analysis.sources import left_out
from ttr_numerics.report import Section

__all__ = ["render"]


def render(rows: Rows) -> Section:
    """Tables and figures from stored rows alone."""
    cases = cases_of(rows)
    new = [case for case in cases if not case.names]
    return Section(
        name="design-space",
        title="Combinations nobody has named",
        question=STUDY.question,
        answer=f"{_won(new)} {_best(cases)}" if cases else f"No stored keys of {FEWEST} tokens or more: not asked.",
        compared="Each contender with the best named one that stores no more numbers a head, on the same heads; named "
        "ones are recognised by the catalogue from the three choices.",
        figures=(errors_figure(cases),) if cases else (),
        tables=tuple(errors_table(cases, source) for source in values(rows, "source")),
        limits=(
            "One text a model; nothing is trained, and keys stand in for queries. Heads of one model are not "
            "independent: the intervals say how alike they are, not what another model would do.",
            f"{len(MEASURES) * len(new)} intervals are looked at; by chance alone about one in forty would lie below "
            "1.",
            "The best named contender is the best of the reported half, which favours what has a name.",
            *_ends(rows),
            "Steps, gates and ridges do not follow the data: every layer could learn them. On keys of equal norm an "
            "implicit step is a gradient step of another size.",
            "In Taylor features the same fit would store (1 + d + d(d+1)/2) d numbers at any length; here it keeps "
            "its keys.",
            *left_out(rows),
        ),
    )


def _won(new: Sequence[Case]) -> str:
    """Which unnamed contenders beat the best named one of no more numbers, with the whole interval below 1."""
    phrases = []
    for m in MEASURES:
        won = [c for c in new if m in c.ratios and c.ratios[m].high < 1]
        told = [f"{c.contender} ({model(c.source)}, {c.ratios[m].value:.2f} times {c.rivals[m]})" for c in won]
        phrases.append(f"in {m} {'; '.join(told) or 'none'}")
    return (
        f"Of {len(new)} unnamed cases (contender and model), these err less than the best named layer that stores no "
        f"more, with 95 % confidence over heads: {'; '.join(phrases)}."
    )


def _best(cases: Sequence[Case]) -> str:
    """The best predictor of every source, whatever it stores, and how far the next one is behind."""
    told = []
    for source, own in best_predictors(cases).items():
        first = own[0]
        named = "named" if first.names else "nobody has named it"
        behind = f", then {own[1].contender}, {with_interval(ratio_of(own[1], first, PREDICTION))} times it"
        told.append(
            f"{first.contender} on {model(source)} ({first.mean(PREDICTION).value:.2f}, "
            f"{named}{behind if len(own) > 1 else ''})"
        )
    return f"Whatever it stores, the best predictor is {' and '.join(told)}."


def _ends(rows: Rows) -> tuple[str, ...]:
    """How many of the chosen settings are ends of the lists that were tried."""
    found = ends_of_lists(rows)
    told = ", ".join(f"{name} {at} of {of}" for name, (at, of) in found.items())
    return (
        (
            f"Settings chosen at an end of the list tried, where a longer one might do better: {told}. A gate at its "
            "least hardly forgets, a step of 1 is the whole way to the value, a window at its most is the memory "
            "allowed, and keys kept at a great norm recall by looking up.",
        )
        if found
        else ()
    )
