"""Tables: identities and bounds over all rows, errors by spread, stored keys by source."""

import numpy as np

from analysis.qk_norm.gain import ERROR
from analysis.qk_norm.readings import QK_NORM, SOFTMAX
from analysis.qk_norm.spread import ENDS, KEPT, MODEL_GAIN, NEAR_GAIN, OWN_GAIN
from analysis.rows import Rows, chosen, values
from analysis.sources import quantised
from ttr_numerics.report import Table, Value

__all__ = ["claims_answer", "claims_table", "keys_table", "needed_table", "spread_table"]


def claims_table(rows: Rows) -> Table:
    """How often each statement was tested, and failed."""
    lines: list[tuple[Value, ...]] = []
    # One row of each cell carries the comparison: its readings share it.
    first = chosen(rows, part="spread", reading=SOFTMAX)
    for own, keys in ((first, "random"), (chosen(rows, part="keys"), "stored")):
        if own:
            counts = (sum(row[name] for row in own) for name in ("compared", "violated"))
            worst = max(row["ratio"] for row in own)
            lines.append((f"softmax is the weighted mean of its partner, {keys} keys", *counts, worst))
    gains, needed = chosen(rows, part="gain"), chosen(rows, part="needed")
    broken = sum(row["violated"] for row in gains)
    worst = max(row["ratio"] for row in gains)
    lines.append(("‖o - v‖ ≤ 2(n-1)exp(-βΔ)", sum(row["items"] for row in gains), broken, worst))
    mild = [row for row in gains if "attention" in row]
    share = max(row["attention"] * (1 + (row["n"] - 1) * np.exp(-2 * row["gain"])) for row in mild)
    items, broken = (sum(row[name] for row in mild) for name in ("items", "attention_violated"))
    lines.append(("attention to the own key ≤ 1/(1 + (n-1)exp(-2β))", items, broken, float(share)))
    draws, broken = (sum(row[name] for row in needed) for name in ("draws", "violated"))
    worst = max(row["needed"] / row["sufficient"] for row in needed)
    lines.append((f"a gain of ln(2(n-1)/ε)/Δ recalls all pairs to ε = {ERROR:g}", draws, broken, worst))
    return Table(
        "Statements held against every row",
        ("statement", "rows", "violated", "largest part of what it allows"),
        lines,
        "The identity is allowed (exp(2η) - 1 + (2n + 8)u) max‖v‖, η = (2d + 10) u β (‖q‖ + max‖k‖)²: the roundings "
        "of both sides, counted. The bounds are proved, and have the same slack. Rows of the last line are draws; its "
        "largest part is that of the mean gains at one n and d.",
    )


def claims_answer(rows: Rows) -> str:
    """How many rows the identity held in, one sentence."""
    own = chosen(rows, part="spread", reading=SOFTMAX) + chosen(rows, part="keys")
    compared, violated = (sum(row[name] for row in own) for name in ("compared", "violated"))
    return (
        f"Softmax is Nadaraya-Watson with sample weights exp(β‖k‖²/2): beyond rounding they differ in {violated} of "
        f"{compared} rows."
    )


def spread_table(rows: Rows) -> Table:
    """Errors of every reading by task, gain and spread, with the weights."""
    own = chosen(rows, part="spread")
    lines = []
    for task, gain, spread in dict.fromkeys((row["task"], row["gain"], row["spread"]) for row in own):
        found = {row["reading"]: row for row in chosen(own, task=task, gain=gain, spread=spread)}
        one = found[SOFTMAX]
        lines.append((task, gain, f"{spread:g}", *(found[n]["value"] for n in KEPT), one["size"], one["captured"]))
    return Table(
        "Relative squared error by the spread of norms",
        ("task", "gain", "spread of ln‖k‖", *KEPT, "effective sample size / n", "attention of the longest tenth"),
        lines,
        f"Means over {own[0]['trials']} draws. Without spread all weights are equal.",
    )


def needed_table(rows: Rows) -> Table:
    """The gain needed by n and d."""
    own = chosen(rows, part="needed")
    return Table(
        f"The gain that unit keys need to recall every pair to {ERROR:g}",
        ("d", "n", "mean smallest gap Δ", "least gain", "ln(2(n-1)/ε)/Δ", "ratio", "1/√d", "draws"),
        [
            (*(row[n] for n in ("d", "n", "gap", "needed", "sufficient", "value")), row["d"] ** -0.5, row["draws"])
            for row in own
        ],
        "Means over draws of random unit keys.",
    )


def keys_table(rows: Rows) -> Table | None:
    """Stored keys: mean over heads by source; None without them."""
    own = chosen(rows, part="keys")
    if not own:
        return None
    errors = [f"{name}, {gain}" for name in (SOFTMAX, QK_NORM) for gain in (MODEL_GAIN, OWN_GAIN)]
    fields = ("norm_spread", "logit", "size", "captured", "taken", *errors)
    lines = []
    for source in values(own, "source"):
        heads = chosen(own, source=source)
        means = (float(np.mean([row[name] for row in heads])) for name in fields)
        near = [row[NEAR_GAIN] for row in heads]
        least = None if None in near else float(np.median(near))
        lines.append((source, heads[0]["d"], heads[0]["n"], len(heads), *means, least))
    titles = ("spread of ln‖k‖", "mean ‖k‖²/√d", "effective sample size / n", "attention of the longest tenth", "taken")
    return Table(
        "Stored keys, mean over heads",
        ("keys", "d", "tokens", "heads", *titles, *(f"error: {name}" for name in errors), f"{NEAR_GAIN}, median"),
        lines,
        "Attention and weights at the model's gain 1/√d, attention of the model's own queries; errors where keys ask "
        "for their own value. Taken: share of keys whose largest inner product is with another key. Gains are of a "
        f"list in steps of a factor two. {_ends(own)}{quantised(own)}",
    )


def _ends(own: Rows) -> str:
    """In how many heads the best gain is the least or the greatest that was tried."""
    softmax, unit = (sum(row[f"{name}, {ENDS}"] for row in own) for name in (SOFTMAX, QK_NORM))
    return (
        f"The best one is at an end of it in {softmax} of {len(own)} heads as the keys came and in {unit} with "
        "QK-norm, whose error falls towards 0 as the gain grows, unless a key is stored twice."
    )
