"""A profile as a person reads it on a terminal."""

import textwrap
from collections.abc import Sequence

import numpy as np

from ttr_numerics.profile.keys import directions
from ttr_numerics.profile.profile import HALF, Profile, Served
from ttr_numerics.profile.ridges import Ridged

__all__ = ["as_text"]

_WIDTH = 100
_MOST_HEADS = 12
_PARTS = (0.5, 0.9, 0.99)


def as_text(profile: Profile) -> str:
    """Which layer and ridge would serve; tables of the layers, the ridges, the heads, the spectra; what was done."""
    shown = range(min(len(profile.keys), _MOST_HEADS))
    layers = ("layer", "settings", "recall error", "least", "most", "expected", "numbers", f"pairs at error {HALF:g}")
    heads = ("head", "norm", "spread", "mean key", "cond", "centred", "eff. rank", "centred", "PR", "linear att.")
    ridges = ("ridge", "recall error", "pair left out", "least", "most", "cond at most")
    tables = (
        _table(layers, [_served(s) for s in profile.served]),
        _table(ridges, [_ridge(r) for r in profile.ridges]),
        _table(heads, [_head(i, profile) for i in shown]),
        _table(_spectrum_header(profile), [_spectrum(i, profile) for i in shown]),
    )
    more = len(profile.keys) - len(shown)
    lines = [*textwrap.wrap(_recommended(profile), _WIDTH), *(line for table in tables for line in ("", *table))]
    lines += [f"({more} more heads; --json has them)"] * (more > 0)
    return "\n".join([*lines, "", *(part for note in _notes(profile) for part in textwrap.wrap(note, _WIDTH))])


def _recommended(profile: Profile) -> str:
    best, second = profile.served[:2]
    mean, low, high = profile.lead(best, second)
    sentence = f"{best.layer}{_given(best)} recalls these keys best: error {best.mean:.3g}, "
    sentence += f"{mean:.2g} below {second.layer}"
    if low != low:
        sentence += "; a single head gives no interval"
    else:
        sure = "sure" if low > 0 else "not sure: the interval holds 0"
        sentence += f" (95 % interval over heads {low:.2g} to {high:.2g}: {sure})"
        others = len(best.untold) - 1
        sentence += f", and {others} of the {len(best.tried) - 1} other settings tried cannot be told from it" * (
            others > 0
        )
    fixed = [s for s in profile.served if s.numbers <= profile.d_k * profile.d_v]
    if fixed and fixed[0] is not best:
        sentence += f". Of those that store d_k d_v numbers, {fixed[0].layer}{_given(fixed[0])}: {fixed[0].mean:.3g}"
    return f"{sentence}. {_ridge_recommended(profile)}"


def _ridge_recommended(profile: Profile) -> str:
    """By the pair left out, for recall of stored pairs asks for the least ridge whatever the keys are."""
    best = min(profile.ridges, key=lambda r: float(np.mean(r.leave_one_out)))
    means = [x.ridge for x in profile.ridges]
    end = {means[0]: ", the least tried", means[-1]: ", the most tried"}.get(best.ridge, "")
    by_head = [means[int(i)] for i in np.argmin([r.leave_one_out for r in profile.ridges], axis=0)]
    sentence = f"A pair not stored is told best by the others at ridge {best.ridge:g}{end}"
    if len(by_head) > 1:
        same = min(by_head) == max(by_head)
        sentence += " (in every head)" if same else f" (head by head {min(by_head):g} to {max(by_head):g})"
    left, kept = float(np.mean(best.leave_one_out)), float(np.mean(best.error))
    return f"{sentence}: error {left:.3g}, of stored pairs {kept:.3g}, cond(K'K + ridge) {max(best.condition):.2g}."


def _notes(profile: Profile) -> tuple[str, ...]:
    values = "random unit values, for the file has none" if profile.random_values else "the file's values"
    return (
        f"{len(profile.keys)} heads, {profile.tokens} tokens, d_k {profile.d_k}, d_v {profile.d_v}, {values}; keys are "
        "brought to norm 1. Settings are chosen on the first half of the tokens; recall error is the squared error of "
        "the second half's stored pairs relative to their values, mean, least and most over heads. Intervals are over "
        "heads of this text; other texts are not in them.",
        "expected: the same error by the exact formula ‖H - I‖²/n, H the outputs for v = I, for random values that are "
        f"independent of the keys; what real values leave less, they share with the keys. pairs at error {HALF:g}: of "
        "the file's first pairs, settings chosen for each number; geometric mean over heads and its 95 % interval; "
        "≥: all heads, or those that are counted, hold the whole file. *: at an end of what was tried.",
        "ridge: of least squares (mesa) on the second half, where recall of stored pairs asks for the least whatever "
        "the keys are; pair left out: each pair's error by the memory of all the others, exact; cond: of K'K + ridge, "
        "the worst head.",
        "mean key: its share of the keys' second moment. cond, eff. rank: of the keys, and of the keys less their "
        "mean. PR: participation ratio of K'K/n. linear att.: 1 - PR/n of the unit keys, the error of linear attention "
        "with its best scale expected of values that are independent of the keys.",
        "directions 50 %: how many eigenvectors of K'K/n hold half of its trace; then of the keys less their mean. "
        "λ1, λ2, λ4, ...: those eigenvalues' shares of the trace.",
    )


def _given(s: Served) -> str:
    return f" ({_settings(s)})" if s.settings else ""


def _settings(s: Served) -> str:
    ends = {name: f", the {end} tried" for name, end in s.edges.items()}
    return ", ".join(f"{name} {value:.3g}{ends.get(name, '')}" for name, value in s.settings.items())


def _served(s: Served) -> tuple[str, ...]:
    settings = ", ".join(f"{name} {value:.3g}{'*' * (name in s.edges)}" for name, value in s.settings.items())
    errors = (f"{x:.3g}" for x in (s.mean, min(s.error), max(s.error), float(np.mean(s.expected))))
    return (s.layer, settings, *errors, str(s.numbers), _stores(s))


def _stores(s: Served) -> str:
    """How many pairs, and how sure."""
    found, heads = s.stores.interval, len(s.stores.heads)
    if s.stores.open == heads:
        return f"≥ {found.value:.3g}"
    if s.stores.open:
        return f"≥ {found.value:.3g} ({s.stores.open} of {heads} heads)"
    return f"{found.value:.3g} ({found.low:.2g} to {found.high:.2g})" if heads > 1 else f"{found.value:.3g} (one head)"


def _ridge(r: Ridged) -> tuple[str, ...]:
    left = r.leave_one_out
    errors = (float(np.mean(r.error)), float(np.mean(left)), min(left), max(left))
    return (f"{r.ridge:g}", *(f"{x:.3g}" for x in errors), f"{max(r.condition):.2g}")


def _head(i: int, profile: Profile) -> tuple[str, ...]:
    k = profile.keys[i]
    first = (k.norm, k.norm_spread, k.mean_share, k.condition, k.condition_centred)
    rest = (k.effective_rank, k.effective_rank_centred, k.participation_ratio, k.linear_attention)
    return (str(i), *(f"{x:.3g}" for x in (*first, *rest)))


def _ordinals(profile: Profile) -> list[int]:
    """1, 2, 4, ... and the last."""
    d = len(profile.keys[0].spectrum)
    return [*(2**i for i in range(d.bit_length()) if 2**i < d), d]


def _spectrum_header(profile: Profile) -> tuple[str, ...]:
    parts = [f"{100 * part:g} %" for part in _PARTS]
    first = ("head", f"directions {parts[0]}", *parts[1:], f"centred {parts[0]}", *parts[1:])
    return (*first, *(f"λ{i}" for i in _ordinals(profile)))


def _spectrum(i: int, profile: Profile) -> tuple[str, ...]:
    k = profile.keys[i]
    counts = (directions(shares, part) for shares in (k.spectrum, k.spectrum_centred) for part in _PARTS)
    return (str(i), *map(str, counts), *(f"{k.spectrum[j - 1]:.2g}" for j in _ordinals(profile)))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    return ["  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in (header, *rows)]
