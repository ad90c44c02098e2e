"""The tables: every setting with its spread, and the keys before and after."""

from collections import Counter
from collections.abc import Sequence

from analysis.mqar_trained import cells
from analysis.mqar_trained.findings import tight
from analysis.mqar_trained.runs import Setting, find
from ttr_numerics.report import Table

__all__ = ["tables"]

VALUES = {cells.STORED: 1, cells.REASSIGNED: 2}
CHOICES = {  # weights, all of them learned; function class; optimiser
    "linear attention": ("uniform", "linear", "one gradient step"),
    "gated linear attention": ("geometric", "linear", "one gradient step"),
    "delta rule": ("uniform", "linear", "a gradient step a token"),
    "gated delta rule": ("geometric", "linear", "a gradient step a token"),
    "recursive least squares": ("of the token", "linear", "exact"),
    "gated recursive least squares": ("token × geometric", "linear", "exact"),
    "normalised linear attention": ("feature kernel", "locally constant", "exact"),
    "softmax attention": ("exponential kernel", "locally constant", "exact"),
}


def tables(of: Sequence[Setting]) -> tuple[Table, ...]:
    """The three choices side by side, the keys of one layer, then all settings."""
    return (*_choices(of), *_keys(of), _accuracy(of))


def _choices(of: Sequence[Setting]) -> list[Table]:
    own = find(of, layers=1, convolution=2)
    one, two = (find(own, task=task) for task in VALUES)
    if not one or not two:
        return []
    d, wide = tight(one), max(s.d for s in two)
    lines = [
        (layer, *choices, _mean(find(one, layer=layer, d=d)), _mean(find(two, layer=layer, d=wide)))
        for layer, choices in CHOICES.items()
    ]
    columns = ("layer", "weights", "function class", "optimiser", f"one value, d = {d}", f"second value, d = {wide}")
    note = (
        "Weights that are not uniform are learned. One layer behind a convolution; mean accuracy over the repetitions, "
        "a dash where nothing was trained."
    )
    return [Table("What the three choices change", columns, lines, note)]


def _mean(of: Sequence[Setting]) -> float | None:
    return of[0].accuracy().value if of else None


def _accuracy(of: Sequence[Setting]) -> Table:
    setting = ("keys", "values of a key", "layers", "convolution", "d", "layer")
    found = ("runs", "mean accuracy", "lowest", "highest", "learning rate kept", "failed")
    return Table(
        "Every setting that was trained",
        (*setting, *found),
        [(*_setting(s), len(s.rows), *s.accuracy(), _rates(s), s.stopped()) for s in of],
        f"Accuracy on {cells.TEST} fresh sequences a run. Both learning rates were tried for {cells.TRIAL} steps, "
        f"and the one with the smaller validation loss went on to {cells.STEPS}.",
    )


def _setting(s: Setting) -> tuple[int, int, int, bool, int, str]:
    return cells.PAIRS[s.task], VALUES[s.task], s.layers, s.convolution > 1, s.d, s.layer


def _rates(s: Setting) -> str:
    counts = Counter(row["rate"] for row in s.rows)
    return ", ".join(f"{rate:g} ({n})" for rate, n in sorted(counts.items()))


def _keys(of: Sequence[Setting]) -> list[Table]:
    own = find(of, task=cells.STORED, layers=1, convolution=2)
    lines = [
        (s.layer, s.d, before.value, after.value, after.value / s.d, s.accuracy().value)
        for s in own
        if (before := s.spread("before")) and (after := s.spread("after"))
    ]
    columns = ("layer", "d", "before training", "after", "after, share of d", "mean accuracy")
    note = (
        "Means over the repetitions. The second moment is not centred: keys that share a mean lie in few directions, "
        "however they differ besides."
    )
    return [Table("Participation ratio of the stored keys", columns, lines, note)] if lines else []
