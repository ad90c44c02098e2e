"""The figure of what the size of a state says of recall: size, error and pairs brought back as more are stored."""

from analysis.rows import Rows, chosen
from analysis.sources import quantised, stored_names
from analysis.state_in_use.measured import MEMORY, RANDOM
from analysis.state_in_use.memories import GROUPS
from analysis.state_in_use.rows import Row, at_four_loads, line
from analysis.state_in_use.state_figures import SHOWN, SIZE
from ttr_numerics.report import Cloud, Figure, Panel, Theory

__all__ = ["recall_figure"]

LOAD = "load n/d (pairs per key dimension)"


def recall_figure(rows: Rows) -> Figure:
    """State size, error, and pairs recalled as more pairs are stored."""
    own = chosen(rows, part="read-out")
    plain = [row for row in chosen(own, source=RANDOM, cond=1.0) if row["memory"] in (None, MEMORY)]
    panels = [*_over_load(plain), _cloud(chosen(own, source=RANDOM), "random keys, all gates and spectra")]
    if stored_names(own):
        panels.append(_cloud([row for row in own if "keys" in row], "stored keys"))
    return Figure(
        name="recall",
        finding=_finding(own, plain),
        caption="H (n, n): the memory of n pairs read at its own keys, for v = I. Entropic rank of H; mean squared "
        "error over independent unit-variance values, ‖H - I‖²/n; pairs whose own value is the nearest of n random "
        f"unit values. Gates and window of {MEMORY} tokens where there are any. The scale cuts linear attention's "
        f"error.{quantised(own)}",
        panels=tuple(panels),
        grid=f"d = {plain[0]['d_k']}, {plain[0]['heads']} draws a point; the clouds add memories of 8 to 256 tokens "
        "and cond(Σ) to 10⁶.",
        interval="Mean and one standard error over draws; pairs recalled with Wilson's 95 % interval.",
        theory="Dashed: 1 - d/n, the floor of every rank-d memory (Eckart-Young, proved), and recall of everything.",
    )


def _finding(own: Rows, plain: list[Row]) -> str:
    """The least and the most that memories of one rank bring back, and how often the floor is passed."""
    d, at = plain[0]["d_k"], at_four_loads(plain)
    full = [row for row in at if row["size"] == d]
    low, high = (choose(full, key=lambda row: row["recalled"]) for choose in (min, max))
    below, checked = sum(row["below"] for row in own), sum(row["heads"] for row in own)
    n = low["pairs"]
    return (
        f"The state's size bounds exact recall and does not decide argmax recall: of {n} pairs in memories whose rank "
        f"is {d} in every case, {low['layer']} brings back {low['recalled'] * n:.0f} and {high['layer']} "
        f"{high['recalled'] * n:.0f}; their entropic sizes are {low['entropic']:.1f} and {high['entropic']:.1f}. What "
        f"is left of the values is never less than 1 - rank/n ({below} of {checked} below)."
    )


def _over_load(plain: list[Row]) -> tuple[Panel, Panel, Panel]:
    """Size, error and pairs recalled of every memory against n/d."""
    d = plain[0]["d_k"]
    shown = [(name, chosen(plain, layer=name)) for name in SHOWN]
    floor = sorted({(row["pairs"], max(0.0, 1 - d / row["pairs"])) for row in plain})
    loads = [n / d for n, _ in floor]
    sizes = tuple(line(o, n, "pairs", "entropic", 1 / d) for n, o in shown)
    errors = [line(o, n, "pairs", "error", 1 / d) for n, o in shown]
    least = Theory("1 - d/n", loads, [value for _, value in floor], of=SHOWN[2])
    recalled = [line(o, n, "pairs", "recalled", 1 / d, factor="pairs") for n, o in shown]
    everything = Theory("all of them", loads, [n for n, _ in floor])
    return (
        Panel(SIZE, LOAD, SIZE, sizes, x_log=True, y_log=True),
        Panel("what is left of the values", LOAD, "‖H - I‖²/n", (*errors, least), x_log=True, y_range=(0.0, 2.0)),
        Panel("pairs recalled", LOAD, "pairs recalled by argmax", (*recalled, everything), x_log=True, y_log=True),
    )


def _cloud(own: list[Row], title: str) -> Panel:
    clouds = []
    for group, names in GROUPS.items():
        found = [row for row in own if row["layer"] in names]
        x, y = [row["entropic"] for row in found], [row["recalled"] * row["pairs"] for row in found]
        clouds.append(Cloud(group, x, y))
    return Panel(title, f"{SIZE} of H", "pairs recalled by argmax", tuple(clouds), x_log=True)
