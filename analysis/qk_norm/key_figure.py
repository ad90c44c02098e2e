"""Figure of stored keys: recall head by head, as the keys came and at unit norm."""

from analysis.qk_norm.readings import QK_NORM, SOFTMAX
from analysis.qk_norm.spread import GAINS, MODEL_GAIN, OWN_GAIN
from analysis.rows import Rows, chosen, values
from analysis.sources import quantised
from analysis.words import span
from ttr_numerics.report import Cloud, Figure, Panel
from ttr_numerics.report.notation import number, power

__all__ = ["keys_answer", "keys_figure"]

LEAST = 1e-6  # errors drawn


def keys_answer(rows: Rows) -> str:
    """What stored keys lose and gain, one sentence; empty without them."""
    own = chosen(rows, part="keys")
    if not own:
        return ""
    spreads = [row["norm_spread"] for row in own]
    means = {name: _mean(own, name) for name in _columns()}
    taken = sum(row["taken"] for row in own) / len(own)
    better = sum(row[f"{QK_NORM}, {OWN_GAIN}"] < row[f"{SOFTMAX}, {OWN_GAIN}"] for row in own)
    because = (
        f", for {100 * taken:.0f} % of the keys as they came have a larger inner product with another key, and a unit "
        "key has its largest with itself"
    )
    return (
        f"On {_heads_of(own)} of stored keys ln‖k‖ spreads by {span(spreads, number)}. The mean recall error at the "
        f"gain 1/√d is {means[f'{SOFTMAX}, {MODEL_GAIN}']} as the keys came and {means[f'{QK_NORM}, {MODEL_GAIN}']} "
        f"with QK-norm, at the best gain of each {means[f'{SOFTMAX}, {OWN_GAIN}']} and "
        f"{means[f'{QK_NORM}, {OWN_GAIN}']}: with its gain free QK-norm is better in {better} of "
        f"{len(own)}{because if better and taken else ''}."
    )


def keys_figure(rows: Rows) -> Figure | None:
    """Recall of stored keys by head; None without them."""
    own = chosen(rows, part="keys")
    if not own:
        return None
    return Figure(
        name="keys",
        finding=keys_answer(rows),
        caption="Σ‖o - v‖²/Σ‖v‖² where each key of a head asks for its own value, scaled to unit norm, against the "
        "standard deviation of the head's ln‖k‖: softmax as the keys came and of unit keys, at the gain 1/√d and at "
        f"the best of a list of gains, a point a head. Errors below {power(LEAST)} are drawn there.{quantised(own)}",
        grid=f"All tokens of every head; gains in steps of a factor two, from {GAINS[0]:g} to {GAINS[-1]:g} over the "
        "mean square norm.",
        interval="None: a point a head.",
        theory="None: keys that are not isotropic have no law here.",
        panels=tuple(_heads(chosen(own, source=source), source) for source in values(own, "source")),
    )


def _heads(own: Rows, source: str) -> Panel:
    x = [row["norm_spread"] for row in own]
    series = [
        Cloud(name, x, [max(row[name], LEAST) for row in own], layer=name.partition(",")[0]) for name in _columns()
    ]
    return Panel(source, "spread of ln‖k‖", "relative squared error", tuple(series), y_log=True)


def _columns() -> list[str]:
    return [f"{name}, {gain}" for name in (SOFTMAX, QK_NORM) for gain in (MODEL_GAIN, OWN_GAIN)]


def _heads_of(own: Rows) -> str:
    return f"{len(own)} heads" if len(own) > 1 else "one head"


def _mean(own: Rows, name: str) -> str:
    return number(sum(row[name] for row in own) / len(own))
