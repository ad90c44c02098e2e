"""Errors against the numbers a head stores: a figure of all sources, a table of each."""

from collections.abc import Callable, Sequence

from analysis.design_space.cases import MEASURES, Case, best_predictors, model, ratio_of
from analysis.design_space.measured import PREDICTION
from analysis.sources import quantised
from ttr_numerics.measure import Interval
from ttr_numerics.report import Figure, Measured, Panel, Table, Value

__all__ = ["errors_figure", "errors_table", "with_interval"]

FLOOR = 0.001  # smaller errors are drawn there
PAIRS = (("kernel ridge in a window", "mesa"), ("delta rule in exp. space", "softmax"))  # of which the finding speaks


def errors_figure(cases: Sequence[Case]) -> Figure:
    """A panel a measure and source."""
    by_source = best_predictors(cases)
    heads = "; ".join(f"{source}: {len(own[0].errors[PREDICTION])} heads" for source, own in by_source.items())
    return Figure(
        name="errors",
        finding=_finding(by_source),
        caption="Squared error relative to the values on the second half of the text against the numbers a head "
        "stores at its end, settings chosen on the first half. The line joins named contenders that no smaller one "
        f"beats.{quantised([{'source': source} for source in by_source])} Errors below {FLOOR:g} are drawn at "
        f"{FLOOR:g}.",
        panels=tuple(_panel(own, source, m) for m in MEASURES for source, own in by_source.items()),
        grid=f"{heads}; {len({c.contender for c in cases})} contenders, each with the best of its settings.",
        interval="Drawn: mean and one standard error over heads. In the finding: geometric mean of the ratios by head "
        "and Student's 95 % interval.",
        theory="None: no formula is stated for these combinations on stored keys.",
    )


def errors_table(cases: Sequence[Case], source: str) -> Table:
    """Every contender on one source, its errors and the ratio to its rival."""
    own = [case for case in cases if case.source == source]
    errors = tuple(title for m in MEASURES for title in (m, f"standard error of {m}"))
    rival = ("best named that stores no more", "ratio of predictions", "low", "high")
    return Table(
        f"{source}: squared errors relative to the values, second half of the text",
        ("contender", "name in the catalogue", "numbers stored", *errors, *rival),
        [_line(case) for case in own],
        f"Mean and one standard error over {len(own[0].errors[PREDICTION])} heads. Ratios of prediction errors are "
        "geometric means over heads with Student's 95 % interval.",
    )


def with_interval(of: Interval) -> str:
    """A ratio and its interval, which one head has none of."""
    return f"{of.value:.2f} [{of.low:.2f}, {of.high:.2f}]" if of.trials > 1 else f"{of.value:.2f}"


def _line(case: Case) -> tuple[Value, ...]:
    means: list[Value] = []
    for m in MEASURES:
        mean = case.mean(m)
        means += [mean.value, mean.high - mean.value if mean.trials > 1 else None]
    ratio = case.ratios.get(PREDICTION)
    found: list[Value] = [None, None, None]
    if ratio is not None:
        found = [ratio.value, *([ratio.low, ratio.high] if ratio.trials > 1 else [None, None])]
    return case.contender, case.names or "—", case.numbers, *means, case.rivals.get(PREDICTION, "—"), *found


def _panel(own: Sequence[Case], source: str, m: str) -> Panel:
    title = f"{model(source)}: {m}"
    return Panel(title, "numbers stored a head", "relative squared error", _series(own, m), x_log=True, y_log=True)


def _series(own: Sequence[Case], m: str) -> tuple[Measured, ...]:
    """The best named contender within every memory, and each unnamed one by itself."""
    own = sorted(own, key=lambda c: (c.numbers, c.mean(m).value))
    named: list[Case] = []
    for case in own:
        if case.names and all(case.mean(m).value < other.mean(m).value for other in named):
            named.append(case)
    groups = {"best named": named} | {c.contender: [c] for c in own if not c.names}
    ends = tuple(_end(m, i) for i in range(3))
    return tuple(
        Measured(label, [float(c.numbers) for c in group], *([at(c) for c in group] for at in ends))
        for label, group in sorted(groups.items())
        if group
    )


def _end(m: str, i: int) -> Callable[[Case], float]:
    def end(case: Case) -> float:
        mean = case.mean(m)
        return max(mean[i] if mean.trials > 1 else mean.value, FLOOR)

    return end


def _finding(by_source: dict[str, list[Case]]) -> str:
    """Unnamed combinations against the named layer that shares their memory or their space."""
    told = [_beside(by_source, label, rival) for label, rival in PAIRS]
    return " ".join(t for t in told if t) or "Error against memory: too few contenders to compare."


def _beside(by_source: dict[str, list[Case]], label: str, rival: str) -> str:
    """The errors of one contender as multiples of another's, on every source where both are."""
    found = {source: {case.contender: case for case in own} for source, own in by_source.items()}
    pairs = {source: (by[label], by[rival]) for source, by in found.items() if label in by and rival in by}
    told = []
    for m in MEASURES:
        words = (f"{model(s)} {with_interval(ratio_of(one, other, m))}" for s, (one, other) in pairs.items())
        told.append(f"in {m} {', '.join(words)}")
    return f"Errors of {label} over those of {rival}: {'; '.join(told)}." if pairs else ""
