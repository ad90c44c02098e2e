"""What the rows say, in sentences: every number is computed from them."""

from collections.abc import Callable, Sequence

from analysis.mqar_trained import cells
from analysis.mqar_trained.runs import Setting, beyond, chance, find

__all__ = ["convolution_or_depth", "learned_keys", "second_values", "suffices", "tight", "widths"]

RECALLED = 0.95


def percent(x: float) -> str:
    """A share in words."""
    return f"{100 * x:.3g} %"


def listed(words: Sequence[str]) -> str:
    """a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def each(of: Sequence[Setting]) -> str:
    """Every layer with its accuracy, best first."""
    ordered = sorted(of, key=lambda s: -s.accuracy().value)
    return listed([f"{s.layer} {percent(s.accuracy().value)}" for s in ordered])


def suffices(of: Sequence[Setting]) -> str:
    """Whether one convolution and one layer recall, at the widest, and what is left without the convolution."""
    own = find(of, task=cells.STORED, layers=1, convolution=2)
    if not own:
        return "Nothing was trained with one layer and a convolution."
    d = max(s.d for s in own)
    widest = find(own, d=d)
    good = [s.layer for s in widest if s.accuracy().value >= RECALLED]
    left = [s for s in widest if s.layer not in good]
    said = (
        f"{'Yes' if 'linear attention' in good else 'Not for linear attention'}: with d = {d} channels for "
        f"{cells.PAIRS[cells.STORED]} pairs, {len(good)} of {len(widest)} layers answer at least {percent(RECALLED)} "
        "of the questions on average"
    )
    said += f", {listed(good)}" if good else ""
    said += f"; {each(left)} do less. " if len(left) > 1 else f"; {each(left)} does less. " if left else ". "
    return said + _without(of)


def _without(of: Sequence[Setting]) -> str:
    bare = find(of, task=cells.STORED, layers=1, convolution=1)
    if not bare:
        return ""
    best, share = max(s.accuracy().high for s in bare), chance(cells.STORED)
    runs = [row for s in bare for row in s.rows]
    above = sum(beyond(row, share) for row in runs)
    return (
        f"Without the convolution one layer of any kind answers at most {percent(best)}; guessing among the listed "
        f"values gives {100 * share:.1f} %, and {above} of {len(runs)} runs lie more than three standard errors "
        "above it."
    )


def widths(of: Sequence[Setting], random_keys: Callable[[int], float]) -> str:
    """The order of the layers where the memory is tight, and training against random keys."""
    own = find(of, task=cells.STORED, layers=1, convolution=2)
    d = tight(own)
    said = f"Where a memory is tight (d = {d} channels, {cells.PAIRS[cells.STORED]} pairs): {each(find(own, d=d))}. "
    linear = find(own, layer="linear attention")
    pairs = [f"{percent(s.accuracy().value)} against {percent(random_keys(s.d))} at d = {s.d}" for s in linear]
    if pairs:
        said += f"Trained keys of linear attention against random ones: {listed(pairs)}. "
    runs = [row for s in own for row in s.rows]
    stuck = sum(not beyond(row, chance(cells.STORED)) for row in runs)
    return said + f"{stuck} of {len(runs)} runs end no better than guessing among the listed values."


def convolution_or_depth(of: Sequence[Setting]) -> str:
    """What a second layer replaces, and what it adds."""
    two = find(of, task=cells.STORED, layers=2)
    bare, full = find(two, convolution=1), find(two, convolution=2)
    said = []
    if bare:
        said.append(f"Two layers without a convolution reach, within {cells.STEPS} steps, {each(bare)}.")
    if full:
        said.append(f"With it, a second layer changes {listed([_gain(of, s) for s in full])}.")
    return " ".join(said)


def _gain(of: Sequence[Setting], s: Setting) -> str:
    one = find(of, task=s.task, layer=s.layer, d=s.d, layers=1, convolution=s.convolution)
    before = percent(one[0].accuracy().value) if one else "what was not measured"
    return f"{s.layer} from {before} to {percent(s.accuracy().value)}"


def second_values(of: Sequence[Setting]) -> str:
    """Who tells the last value of a key from the one before."""
    own = find(of, task=cells.REASSIGNED)
    if not own:
        return ""
    better = [s for s in own if all(beyond(row, 0.5) for row in s.rows)]
    rest = [s for s in own if s not in better]
    said = "Where keys are given a second value, "
    if better:
        said += f"the last one wins, in every repetition beyond the half that is guessing, for {each(better)}"
    else:
        said += "no layer gets beyond one half in every repetition"
    return said + (f"; {each(rest)} do not get there." if rest else ".")


def learned_keys(of: Sequence[Setting]) -> str:
    """In how many runs training spread the keys over more directions, and for which layers at a tight width."""
    own = [s for s in find(of, task=cells.STORED, layers=1, convolution=2) if s.spread("before") and s.spread("after")]
    runs = [row for s in own for row in s.rows]
    more = sum(row["spread_after"] > row["spread_before"] for row in runs)
    d = tight(own)
    return (
        f"Training spreads the stored keys over more directions in {more} of {len(runs)} runs. Of {d} there are at "
        f"d = {d} before and after, by layer: {listed([_spread(s) for s in find(own, d=d)])}."
    )


def _spread(s: Setting) -> str:
    before, after = s.spread("before"), s.spread("after")
    return f"{s.layer} {before.value:.1f} and {after.value:.1f}" if before and after else s.layer


def tight(of: Sequence[Setting]) -> int:
    """The middle one of the widths."""
    d = sorted({s.d for s in of})
    return d[(len(d) - 1) // 2]
