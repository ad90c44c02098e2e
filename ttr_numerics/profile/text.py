"""A profile as a person reads it on a terminal."""

import textwrap
from collections.abc import Sequence

from ttr_numerics.profile.profile import HALF, Profile, Served

__all__ = ["as_text"]

_WIDTH = 100
_MOST_HEADS = 12


def as_text(profile: Profile) -> str:
    """Which layer would serve, a table of the layers, a table of the heads, and what was done."""
    values = "random unit values, for the file has none" if profile.random_values else "the file's values"
    lines = [
        *textwrap.wrap(f"{_recommended(profile)}", _WIDTH),
        "",
        *_table(
            ("layer", "settings", "recall error", "least", "most", "numbers", f"pairs at error {HALF:g}"),
            [_served(s) for s in profile.served],
        ),
        "",
        *_table(
            ("head", "norm", "spread", "mean key", "cond", "centred", "eff. rank", "centred", "PR", "linear att."),
            [_head(i, profile) for i in range(min(len(profile.keys), _MOST_HEADS))],
        ),
    ]
    if len(profile.keys) > _MOST_HEADS:
        lines.append(f"({len(profile.keys) - _MOST_HEADS} more heads; --json has them)")
    notes = (
        f"{len(profile.keys)} heads, {profile.tokens} tokens, d_k {profile.d_k}, d_v {profile.d_v}, {values}; keys are "
        "brought to norm 1. Settings are chosen on the first half of the tokens; recall error is the squared error of "
        "the second half's stored pairs relative to their values, mean, least and most over heads.",
        "mean key: its share of the keys' second moment. cond, eff. rank: of the keys, and of the keys less their "
        "mean. PR: participation ratio of K'K/n. linear att.: 1 - PR/n of the unit keys, the error of linear attention "
        "with its best scale expected of values that are independent of the keys.",
    )
    return "\n".join([*lines, "", *(part for note in notes for part in textwrap.wrap(note, _WIDTH))])


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
    fixed = [s for s in profile.served if s.numbers <= profile.d_k * profile.d_v]
    if fixed and fixed[0] is not best:
        sentence += f". Of those that store d_k d_v numbers, {fixed[0].layer}{_given(fixed[0])}: {fixed[0].mean:.3g}"
    return sentence + "."


def _given(s: Served) -> str:
    return f" ({_settings(s)})" if s.settings else ""


def _settings(s: Served) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in s.settings.items())


def _served(s: Served) -> tuple[str, ...]:
    errors = (f"{x:.3g}" for x in (s.mean, min(s.error), max(s.error)))
    return (s.layer, _settings(s), *errors, str(s.numbers), f"{'' if s.full else '≥ '}{s.capacity}")


def _head(i: int, profile: Profile) -> tuple[str, ...]:
    k = profile.keys[i]
    first = (k.norm, k.norm_spread, k.mean_share, k.condition, k.condition_centred)
    rest = (k.effective_rank, k.effective_rank_centred, k.participation_ratio, k.linear_attention)
    return (str(i), *(f"{x:.3g}" for x in (*first, *rest)))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    return ["  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in (header, *rows)]
