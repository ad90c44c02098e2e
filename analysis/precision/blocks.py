"""Figure and table of gates inside a block: overflow, and what a difference of sums costs."""

from analysis.precision.gates import DIFFERENCES, FACTORED, PRODUCTS
from analysis.rows import Rows, chosen, values
from ttr_numerics.report import Figure, Measured, Panel, Series, Table, Theory
from ttr_numerics.report.notation import number

__all__ = ["gates_answer", "gates_figure", "overflow_gate_table"]


def gates_answer(rows: Rows) -> str:
    """Where the factored form ends, and whether the library's does."""
    own = chosen(rows, part="gates")
    ours = chosen(own, form=PRODUCTS)
    blocks = min(row["block"] for row in own)
    limits = {row["dtype"]: row["limit"] for row in own if row["block"] == blocks}
    words = ", ".join(f"{number(limit)} nats in {dtype}" for dtype, limit in limits.items())
    return (
        f"Factored over a block of {blocks} tokens, gates below {words} a token overflow; products of gates overflow "
        f"in {sum(row['overflows'] for row in ours)} of {len(ours)} blocks, and err by at most "
        f"{number(max(row['value'] / row['u'] for row in ours if row['value'] is not None))} u."
    )


def gates_figure(rows: Rows) -> Figure:
    """Errors by gate for one block, and by the length of the sums."""
    own = chosen(rows, part="gates")
    block = min(values(own, "block"))
    digits = chosen(rows, part="digits")
    lost = max((row for row in digits if row["form"] == DIFFERENCES), key=lambda row: row["value"])
    return Figure(
        name="gates",
        finding=f"{gates_answer(rows)} A difference of sums since the first token loses digits as the sums grow: "
        f"{number(lost['value'])} off in {lost['dtype']} after {lost['nats']:.0f} nats.",
        caption=f"First two panels: worst relative error of a block of {block} tokens with a constant gate; the "
        "factored form ends where it overflows. Last: the same for the last 64 of up to 4096 tokens with gates "
        "uniform in [-1, 0] nats, where sums run from the first token, and for products of gates.",
        grid="Gated linear attention, d = 16, 4 draws of random unit queries, keys and values, gates as stored in the "
        "format; float64 token by token is the truth. The chunks of products are the library's.",
        interval="None: a point is the worst of its draws.",
        theory="Dashed, upright: -ln(largest)/(C-1) nats a token. Dashed: u times the nats summed, the rounding of a "
        "sum, a rule and no bound.",
        panels=(*(_block(own, dtype, block) for dtype in ("float32", "float16")), _digits(digits)),
    )


def overflow_gate_table(rows: Rows) -> Table:
    """The mildest gate at which the factored form overflowed, beside the formula."""
    own = chosen(rows, part="gates", form=FACTORED)
    lines = []
    for dtype, block in dict.fromkeys((row["dtype"], row["block"]) for row in own):
        each = chosen(own, dtype=dtype, block=block)
        fine = min((row["gate"] for row in each if not row["overflows"]), default=None)
        over = max((row["gate"] for row in each if row["overflows"]), default=None)
        others = [r for r in chosen(rows, part="gates", dtype=dtype, block=block) if r["form"] != FACTORED]
        worst = max(row["value"] / row["u"] for row in others if row["value"] is not None)
        lines.append((dtype, block, each[0]["limit"], fine, over, sum(row["overflows"] for row in others), worst))
    columns = ("dtype", "block", "limit, nats a token", "last gate that is finite", "first that overflows")
    return Table(
        "Where exp(-sum of gates) overflows",
        (*columns, "overflows of the other forms", "their worst error, u"),
        lines,
        "Limit: -ln(largest)/(C-1). The gates tried are those of the figure.",
    )


def _block(own: Rows, dtype: str, block: int) -> Panel:
    series: list[Series] = []
    errors = []
    for form in (FACTORED, DIFFERENCES, PRODUCTS):
        line = [row for row in chosen(own, dtype=dtype, block=block, form=form) if row["value"] is not None]
        line.sort(key=lambda row: -row["gate"])
        errors += [row["value"] for row in line]
        series.append(Measured(form, [-row["gate"] for row in line], [row["value"] for row in line]))
    limit = -chosen(own, dtype=dtype, block=block)[0]["limit"]
    band = (min(errors) / 5, 20 * max(errors))
    series.append(Theory("limit", [limit, limit], band))
    title = f"{dtype}, block of {block}"
    return Panel(
        title, "−log gate, nats a token", "worst relative error", tuple(series), x_log=True, y_log=True, y_range=band
    )


def _digits(digits: Rows) -> Panel:
    series: list[Series] = []
    for dtype in values(digits, "dtype"):
        for form in (DIFFERENCES, PRODUCTS):
            line = chosen(digits, dtype=dtype, form=form)
            x, label = [row["nats"] for row in line], f"{form}, {dtype}"
            series.append(Measured(label, x, [row["value"] for row in line], layer=form))
            if form == DIFFERENCES:
                rule = [(row["nats"], row["nats"] * row["u"]) for row in line if row["nats"] * row["u"] < 1]
                series.append(Theory(f"u × nats, {dtype}", [n for n, _ in rule], [y for _, y in rule], of=label))
    return Panel("Sums over many tokens", "nats summed", "worst relative error", tuple(series), x_log=True, y_log=True)
