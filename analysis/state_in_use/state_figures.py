"""Figures of the state: its size along the sequence, and what size says of recall."""

from analysis.rows import chosen
from analysis.sources import quantised
from analysis.state_in_use.memories import ATTENTION
from analysis.state_in_use.rows import Row, Rows, line, part, sources
from ttr_numerics.report import Cloud, Figure, Panel, Series, Theory

__all__ = ["profile_figure", "recall_figure", "sweep_figure"]

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
GROUPS = {
    "additive": ("linear attention", "gated linear attention"),
    "error-correcting": ("delta rule, β = 1", "delta rule, β = 1/2", "gated delta rule", "RWKV-7"),
    "solving": ("mesa, ridge 0.25", "RLS, forgetting"),
    "attention": ATTENTION,
}
RANDOM = "isotropic random keys"
SIZE = "entropic state size"


def profile_figure(rows: Rows) -> Figure:
    """Effective state size over the place in the sequence."""
    own = part(rows, "profile")
    memory = max(row["memory"] for row in own if row["memory"])
    kept = [row for row in own if row["memory"] in (None, memory)]
    panels = []
    for source in [RANDOM, *sources(own)[:2]]:
        here = chosen(kept, source=source)
        panels += [_ranks(here, source), _entropies(here, source)]
    above, checked = sum(row["above"] for row in own), sum(row["heads"] for row in own)
    middle = _middle(chosen(kept, source=RANDOM))
    used = "; ".join(f"{name} {middle[name]['entropic']:.1f}" for name in SHOWN)
    d, T = middle[SHOWN[0]]["d_k"], middle[SHOWN[0]]["tokens"]
    return Figure(
        name="profile",
        finding=f"Layers with a matrix state use all its d = {d} directions as soon as there are d tokens on either "
        f"side; β = 1 erases a direction at every token and keeps {middle['delta rule, β = 1']['size']:.0f}. "
        f"Attention has a state that grows with the sequence. By entropy, halfway through {T} random tokens: {used}. "
        f"The bounds min(d, i, T-i) and min(i, T-i) are passed in {above} of {checked} operators.",
        caption="Rank and entropic rank of A[i:, :i], A the layer's outputs for v = I: what outputs from token i on "
        "know of "
        f"the values before i. Unit keys and queries; attention with logits √d cos; gates and window of {memory} "
        f"tokens. "
        f"Stored keys with the model's own queries.{quantised(own)}",
        panels=tuple(panels),
        grid=f"T = {T}, d = {d}, {middle[SHOWN[0]]['heads']} draws; stored keys: at most 256 tokens, all heads.",
        interval="Mean and one standard error over draws or heads.",
        theory="Dashed: min(d, i, T-i) for a matrix state and min(i, T-i) for attention, proved; counted in the table.",
    )


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


def recall_figure(rows: Rows) -> Figure:
    """State size, error, and pairs recalled as more pairs are stored."""
    own = part(rows, "read-out")
    plain = [row for row in chosen(own, source=RANDOM, cond=1.0) if row["memory"] in (None, 64)]
    d = plain[0]["d_k"]
    shown = [(name, chosen(plain, layer=name)) for name in SHOWN]
    floor = sorted({(row["pairs"], max(0.0, 1 - d / row["pairs"])) for row in plain})
    least = Theory("1 - d/n", [n / d for n, _ in floor], [value for _, value in floor], of=SHOWN[2])
    everything = Theory("all of them", [n / d for n, _ in floor], [n for n, _ in floor])
    load = "load n/d (pairs per key dimension)"
    panels = [
        Panel(
            SIZE, load, SIZE, tuple(line(o, n, "pairs", "entropic", 1 / d) for n, o in shown), x_log=True, y_log=True
        ),
        Panel(
            "what is left of the values",
            load,
            "‖H - I‖²/n",
            (*(line(o, n, "pairs", "error", 1 / d) for n, o in shown), least),
            x_log=True,
            y_range=(0.0, 2.0),
        ),
        Panel(
            "pairs recalled",
            load,
            "pairs recalled by argmax",
            (*(line(o, n, "pairs", "recalled", 1 / d, factor="pairs") for n, o in shown), everything),
            x_log=True,
            y_log=True,
        ),
        _cloud(chosen(own, source=RANDOM), "random keys, all gates and spectra"),
    ]
    if sources(own):
        panels.append(_cloud([row for row in own if "keys" in row], "stored keys"))
    n = max(row["pairs"] for row in plain if row["pairs"] <= 4 * d)
    at = {row["layer"]: row for row in chosen(plain, pairs=n)}
    full = {name: row for name, row in at.items() if row["size"] == d}
    low, high = (choose(full.values(), key=lambda row: row["recalled"]) for choose in (min, max))
    below, checked = sum(row["below"] for row in own), sum(row["heads"] for row in own)
    return Figure(
        name="recall",
        finding=f"The state's size bounds exact recall and does not decide argmax recall: of {n} pairs in memories "
        f"whose "
        f"rank is {d} in every case, {low['layer']} brings back {low['recalled'] * n:.0f} and {high['layer']} "
        f"{high['recalled'] * n:.0f}; their entropic sizes are {low['entropic']:.1f} and "
        f"{high['entropic']:.1f}. What is left of the values is never less than 1 - rank/n ({below} of {checked} "
        f"below).",
        caption="H (n, n): the memory of n pairs read at its own keys, for v = I. Entropic rank of H; mean squared "
        "error "
        "over independent unit-variance values, ‖H - I‖²/n; pairs whose own value is the nearest of n random unit "
        f"values. Gates and window of 64 tokens where there are any. The scale cuts linear attention's error."
        f"{quantised(own)}",
        panels=tuple(panels),
        grid=f"d = {d}, {plain[0]['heads']} draws a point; the clouds add memories of 8 to 256 tokens and cond(Σ) to "
        f"1e6.",
        interval="Mean and one standard error; pairs recalled with Wilson's 95 % interval.",
        theory="Dashed: 1 - d/n, the floor of every rank-d memory (Eckart-Young, proved), and recall of everything.",
    )


def _cloud(own: list[Row], title: str) -> Panel:
    clouds = []
    for group, names in GROUPS.items():
        found = [row for row in own if row["layer"] in names]
        x, y = [row["entropic"] for row in found], [row["recalled"] * row["pairs"] for row in found]
        clouds.append(Cloud(group, x, y))
    return Panel(title, f"{SIZE} of H", "pairs recalled by argmax", tuple(clouds), x_log=True)


def sweep_figure(rows: Rows) -> Figure:
    """State size and recall over the gate's memory and over the keys' covariance."""
    own = chosen(part(rows, "read-out"), source=RANDOM)
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
        finding=f"Gates and covariance shrink what is used, not the rank. Entropic size and pairs recalled from a "
        f"memory "
        f"of {ends[0]} tokens to {ends[-1]}: {words}. From cond(Σ) = {spread[0]:g} to {spread[-1]:g}: {colours}.",
        caption="Entropic rank of the read-out H and pairs recalled by argmax among random unit values. First two "
        "panels: gates of 1 - 1/memory a token. Last two: keys N(0, Σ) scaled to unit norm, log-uniform Σ.",
        panels=tuple(panels),
        grid=f"d = {gated[0]['d_k']}, {gated[0]['heads']} draws a point.",
        interval="Mean and one standard error; pairs recalled with Wilson's 95 % interval.",
    )


def _change(own: list[Row], x: str, first: float, last: float, name: str) -> str:
    found = [chosen(own, **{x: end})[0] for end in (first, last)]
    sizes = " to ".join(f"{row['entropic']:.0f}" for row in found)
    pairs = " to ".join(f"{row['recalled'] * row['pairs']:.0f}" for row in found)
    return f"{name} {sizes} and {pairs}"
