"""Figures of the state: its size along the sequence, and over gates and covariance."""

from analysis.rows import Rows, chosen
from analysis.sources import quantised, stored_names
from analysis.state_in_use.measured import RANDOM
from analysis.state_in_use.memories import ATTENTION, ERASING
from analysis.state_in_use.rows import Row, line
from analysis.words import short
from ttr_numerics.report import Figure, Panel, Series, Theory

__all__ = ["SHOWN", "SIZE", "profile_figure", "sweep_figure"]

RANKED = ("linear attention", "delta rule, β = 1", "RWKV-7", "softmax", "sliding window")
SHOWN = (
    "linear attention",
    "delta rule, β = 1",
    "mesa, ridge 0.25",
    "gated linear attention",
    "RWKV-7",
    "softmax",
    "sliding window",
    "forgetting attention",
)
SWEPT = ("gated linear attention", "gated delta rule", "RWKV-7", "RLS, forgetting", "forgetting attention")
COVARIED = ("linear attention", "delta rule, β = 1", "delta rule, β = 1/2", "mesa, ridge 0.25", "softmax")
SIZE = "entropic state size"


def profile_figure(rows: Rows) -> Figure:
    """Effective state size over the place in the sequence."""
    own = [row for row in chosen(rows, part="profile") if "place" not in row]
    memory = max(row["memory"] for row in own if row["memory"])
    kept = [row for row in own if row["memory"] in (None, memory)]
    panels = []
    for source in [RANDOM, *stored_names(own)[:2]]:
        here = chosen(kept, source=source)
        panels += [_ranks(here, source), _entropies(here, source)]
    above, checked = sum(row["above"] for row in own), sum(row["heads"] for row in own)
    middle = _middle(chosen(kept, source=RANDOM))
    used = "; ".join(f"{name}: {middle[name]['entropic']:.1f}" for name in SHOWN)
    d, T = middle[SHOWN[0]]["d_k"], middle[SHOWN[0]]["tokens"]
    return Figure(
        name="profile",
        finding="Layers with a matrix state use all its d directions as soon as there are d tokens on either side (at "
        f"{_full(own)} places); β = 1 erases a direction at every token and keeps, of {d}, "
        f"{middle['delta rule, β = 1']['size']:.0f}. Attention has a state that grows with the sequence, up to a "
        f"window where there is one. By entropy, halfway through {T} random tokens: {used}. The bounds min(d, i, T-i) "
        f"and min(i, T-i) are passed in {above} of {checked} operators.",
        caption="Rank and entropic rank of A[i:, :i], A the layer's outputs for v = I: what outputs from token i on "
        "know of the values before i. Unit keys and queries; attention with logits √d cos; gates and window of "
        f"{memory} tokens. Stored keys with the model's own queries.{quantised(own)}",
        panels=tuple(panels),
        grid=f"T = {T}, d = {d}, {middle[SHOWN[0]]['heads']} draws; stored keys: at most 256 tokens, all heads.",
        interval="Mean and one standard error over draws or heads.",
        theory="Dashed: min(d, i, T-i) for a matrix state and min(i, T-i) for attention, proved; counted in the table.",
    )


def _full(own: list[Row]) -> str:
    """At how many places the rank is the bound min(d, i, T-i), of layers with a matrix state that erase nothing."""
    matrix = [row for row in own if row["layer"] not in (*ATTENTION, *ERASING)]
    return f"{sum(row['size'] == row['bound'] for row in matrix)} of {len(matrix)}"


def _ranks(own: list[Row], source: str) -> Panel:
    lines: list[Series] = [line(chosen(own, layer=name), name, "i", "size") for name in RANKED]
    T, d = own[0]["tokens"], own[0]["d_k"]
    x = list(range(1, T))
    lines.append(Theory("min(d, i, T-i)", x, [min(d, i, T - i) for i in x], of=RANKED[0]))
    lines.append(Theory("min(i, T-i)", x, [min(i, T - i) for i in x], of="softmax"))
    return Panel(f"{source}: rank", "place i (tokens)", "effective state size", tuple(lines))


def _entropies(own: list[Row], source: str) -> Panel:
    lines = tuple(line(chosen(own, layer=name), name, "i", "entropic") for name in SHOWN)
    return Panel(f"{source}: entropy", "place i (tokens)", SIZE, lines)


def _middle(own: list[Row]) -> dict[str, Row]:
    place = sorted({row["i"] for row in own})[len({row["i"] for row in own}) // 2]
    return {row["layer"]: row for row in chosen(own, i=place)}


def sweep_figure(rows: Rows) -> Figure:
    """State size and recall over the gate's memory and over the keys' covariance."""
    own = chosen(rows, part="read-out", source=RANDOM)
    gated = [row for row in own if row["memory"] and row["pairs"] == 128 and row["cond"] == 1.0]
    gated = list({(row["layer"], row["memory"]): row for row in gated}.values())
    coloured = [row for row in own if row["pairs"] == 64 and row["layer"] in COVARIED]
    panels = []
    for found, names, x, label in (
        (gated, SWEPT, "memory", "memory of the gate (tokens)"),
        (coloured, COVARIED, "cond", "condition number of Σ"),
    ):
        for y, factor, what in (("entropic", "", f"{SIZE} of H"), ("recalled", "pairs", "pairs recalled by argmax")):
            lines = tuple(line(chosen(found, layer=name), name, x, y, factor=factor) for name in names)
            title = f"{found[0]['pairs']} pairs"
            panels.append(Panel(title, label, what, lines, x_log=True))
    ends = sorted({row["memory"] for row in gated})
    spread = sorted({row["cond"] for row in coloured})
    words = "; ".join(_change(chosen(gated, layer=name), "memory", ends[0], ends[-1], name) for name in SWEPT)
    colours = "; ".join(_change(chosen(coloured, layer=name), "cond", spread[0], spread[-1], name) for name in COVARIED)
    return Figure(
        name="sweep",
        finding="Gates and covariance shrink what is used, not the rank. Entropic size and pairs recalled from a "
        f"memory of {ends[0]} tokens to {ends[-1]}: {words}. From cond(Σ) = {short(spread[0])} to {short(spread[-1])}: "
        f"{colours}.",
        caption="Entropic rank of the read-out H and pairs recalled by argmax among random unit values. First two "
        "panels: gates of 1 - 1/memory a token. Last two: keys N(0, Σ) scaled to unit norm, log-uniform Σ.",
        panels=tuple(panels),
        grid=f"d = {gated[0]['d_k']}, {gated[0]['heads']} draws a point.",
        interval="Mean and one standard error; pairs recalled with Wilson's 95 % interval.",
        theory="None: no formula is stated for the entropic size under gates or spread spectra.",
    )


def _change(own: list[Row], x: str, first: float, last: float, name: str) -> str:
    found = [chosen(own, **{x: end})[0] for end in (first, last)]
    sizes = " to ".join(f"{row['entropic']:.0f}" for row in found)
    pairs = " to ".join(f"{row['recalled'] * row['pairs']:.0f}" for row in found)
    return f"{name}: {sizes} and {pairs}"
