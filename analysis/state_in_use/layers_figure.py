"""Every layer that is linear in v beside every other: what of its state it uses, and what it recalls."""

from analysis.rows import Rows, chosen, values
from analysis.sources import quantised, stored_names
from analysis.state_in_use.measured import HALFWAY, MEMORY, RANDOM
from analysis.state_in_use.memories import ATTENTION, GROUPS, MEMORIES
from analysis.state_in_use.rows import Row, at_four_loads, rank_correlation
from analysis.state_in_use.state_figures import SIZE
from ttr_numerics.report import Cloud, Figure, Panel, Table

__all__ = ["at_one_setting", "layers_figure", "layers_table"]


def at_one_setting(rows: Rows, source: str) -> list[Row]:
    """The read-out of every layer of n ≤ 4d pairs: gates of `MEMORY` tokens, no spread of the spectrum."""
    own = [row for row in chosen(rows, part="read-out", source=source) if row["memory"] in (None, MEMORY)]
    own = [row for row in own if row.get("cond", 1.0) == 1.0]
    return at_four_loads(own) if own else []


def layers_figure(rows: Rows) -> Figure:
    """Pairs recalled over entropic size, a point a layer."""
    found = {name: at_one_setting(rows, name) for name in [RANDOM, *stored_names(rows)]}
    own = found[RANDOM]
    matrix = [row for row in own if row["layer"] not in ATTENTION]
    low, high = (choose(matrix, key=lambda row: row["recalled"]) for choose in (min, max))
    n = own[0]["pairs"]
    return Figure(
        name="layers",
        finding=f"{len(matrix)} layers with a matrix state, each in one setting, and {len(own) - len(matrix)} "
        f"attentions. Of {n} random pairs {low['layer']} brings back {low['recalled'] * n:.0f} with an entropic size "
        f"of {low['entropic']:.1f}, {high['layer']} {high['recalled'] * n:.0f} with {high['entropic']:.1f}. "
        f"{_orders(found)}",
        caption="A point a layer: entropic rank of the read-out H, and pairs recalled by argmax among as many random "
        f"unit values. Gates and windows of {MEMORY} tokens; the settings are in the table.{quantised(rows)}",
        panels=tuple(_panel(at, name) for name, at in found.items() if at),
        grid=f"{n} pairs, d = {own[0]['d_k']}, {own[0]['heads']} draws; stored keys: the most pairs that are at most "
        "4d, all heads.",
        interval="None drawn: they are in the rows.",
        theory="None: no formula says what the entropic size makes of argmax recall.",
    )


def _orders(found: dict[str, list[Row]]) -> str:
    """How far entropic size orders recall: among the layers with a matrix state by source, and inside each family."""
    matrix = {name: [row for row in at if row["layer"] not in ATTENTION] for name, at in found.items()}
    among = [(name, rank_correlation(at)) for name, at in matrix.items()]
    families = [(group, [row for row in matrix[RANDOM] if row["layer"] in names]) for group, names in GROUPS.items()]
    inside = [(f"{group} ({len(at)})", rank_correlation(at)) for group, at in families]
    first, second = ("; ".join(f"{name} {x:.2f}" for name, x in by if x is not None) for by in (among, inside))
    return (
        f"Rank correlation of entropic size and pairs recalled among the layers with a matrix state: {first}. Inside "
        f"a family, on random keys: {second}."
    )


def _panel(own: list[Row], title: str) -> Panel:
    clouds = []
    for group, names in GROUPS.items():
        found = [row for row in own if row["layer"] in names]
        clouds.append(Cloud(group, [r["entropic"] for r in found], [r["recalled"] * r["pairs"] for r in found]))
    return Panel(title, f"{SIZE} of H", f"recalled of {own[0]['pairs']} pairs", tuple(clouds), x_log=True)


def layers_table(rows: Rows) -> Table:
    """One line a layer, the families one after the other, each by what it recalls of random pairs."""
    names = [RANDOM, *stored_names(rows)]
    outs = {name: {row["layer"]: row for row in at_one_setting(rows, name)} for name in names}
    halfway, first = _halfway(rows), outs[RANDOM]
    ordered = [
        layer
        for members in GROUPS.values()
        for layer in sorted((m for m in members if m in first), key=lambda m: -first[m]["recalled"])
    ]
    lines = [_line(layer, halfway.get(layer, {}), [outs[name].get(layer) for name in names]) for layer in ordered]
    headers = ["H by entropy", *(f"recalled, {name}" for name in names)]
    sizes = {name: next(iter(outs[name].values())) for name in names if outs[name]}
    said = "; ".join(f"{name}: {row['pairs']} pairs, d = {row['d_k']}" for name, row in sizes.items())
    used = next(iter(halfway.values()))
    return Table(
        "Every layer that is linear in v, in one setting",
        ("layer", "state", "size used", "by entropy", *headers, "setting"),
        lines,
        "State: numbers a value channel, or a list of tokens. Size used: rank of A[i:, :i] halfway through "
        f"{used['tokens']} random tokens, d = {used['d_k']}; by entropy beside it. Then the entropic rank of the "
        f"read-out H of random keys, and pairs recalled by argmax. {said}. A gate is 1 - 1/{MEMORY} a token, a gate by "
        "channel between none and twice that. Momentum has two matrices, both used; the state of TTT-Linear is two "
        "inside a mini-batch and one at its border, where halfway is. MesaNet, Gated KalmaNet and preconditioned delta "
        "rules keep numbers of the keys too, which no value enters."
        f"{quantised(rows)}",
    )


def _line(layer: str, halfway: Row, outs: list[Row | None]) -> tuple[str | float | None, ...]:
    """The layer, the size of its state, what it uses halfway, and what it recalls of each source; None where unknown.

    "tokens": the state is a list of keys and values.
    """
    memory = MEMORIES[layer]
    state = "tokens" if layer in ATTENTION else {1: "d", 2: "2d"}[memory.matrices]
    used = halfway.get("size"), halfway.get("entropic"), outs[0]["entropic"] if outs[0] else None
    recalled = (row["recalled"] * row["pairs"] if row else None for row in outs)
    return layer, state, *used, *recalled, memory.setting


def _halfway(rows: Rows) -> dict[str, Row]:
    """Of every layer the row of the profile that is nearest to the middle of random tokens."""
    own = [row for row in chosen(rows, part="profile", source=RANDOM) if row["memory"] in (None, MEMORY)]
    found = {}
    for layer in values(own, "layer"):
        found[layer] = min(chosen(own, layer=layer), key=lambda row: abs(8 * row["i"] - HALFWAY * row["tokens"]))
    return found
