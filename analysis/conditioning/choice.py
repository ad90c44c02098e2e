"""Tables of the map of forms: what the automatic choice gives, what each chunk costs, recursive least squares."""

from collections.abc import Callable

import numpy as np

from analysis.conditioning import cells
from analysis.conditioning.cells import FORMS
from analysis.conditioning.forgetting import DIMENSION, RECURSIVE, T
from analysis.conditioning.forms import CONSTANT, EDGE, FIXED, INNOVATION, ROOT, TIED
from analysis.performance.counts import linear_attention, ridge_by_innovation
from analysis.rows import Rows, chosen, values
from ttr_numerics.report import Table, Value
from ttr_numerics.report.notation import number

__all__ = ["choice_table", "chunk_table", "recursive_table"]

TOKENS, WIDTH = 1024, 64  # of the flops, d_k = d_v


def choice_table(rows: Rows) -> Table:
    """What the automatic choice gives, by dtype and kind of ridge."""
    own = chosen(rows, part="forms")
    lines = []
    for dtype in values(own, "dtype"):
        for ridge in (TIED, EDGE, CONSTANT):
            each = chosen(cells.taken(own), dtype=dtype, ridge=ridge)
            if not each:
                continue
            factors = [cells.over_best(own, row) for row in each]
            forms = " and ".join(form for form in FORMS if any(row["form"] == form for row in each))
            near = sum(factor <= 10 for factor in factors)
            worst = max(row["value"] for row in each)
            lines.append((dtype, ridge, forms, len(each), worst, max(map(cells.in_roots, each)), near, max(factors)))
    return Table(
        "What the automatic choice gives",
        (
            "dtype",
            "ridge",
            "takes",
            "cells",
            "worst error",
            "in √u",
            "within 10 of the best form",
            "largest factor over the best",
        ),
        lines,
        f"A cell is one cond(K) and one kind of query. {EDGE.capitalize()}: the smallest ridge for which it still "
        "takes innovations, where it has least to spare. The best form is the most accurate of innovations, square "
        "roots and moments, whatever it costs. By square root √u is passed where κ nears 1/u.",
    )


def chunk_table(rows: Rows) -> Table:
    """Cost and error of each form and chunk."""
    own = [row for row in chosen(rows, part="forms") if row["form"] in FORMS]
    lines = []
    for form, chunk in dict.fromkeys((row["form"], row["chunk"]) for row in own):
        each = chosen(own, form=form, chunk=chunk)
        line: list[Value] = [form, chunk, _flops(form, chunk) / linear_attention(TOKENS, WIDTH, WIDTH)]
        for dtype in values(own, "dtype"):
            beside = chosen(each, dtype=dtype)
            solved = [row for row in beside if row["value"] is not None]
            line += [max(map(cells.in_law, solved)), _reach(beside)]
        lines.append(line)
    titles = [f"{dtype}: {what}" for dtype in values(own, "dtype") for what in ("worst error, law", "half kept to κ")]
    return Table(
        "Speed against conditioning: each form and chunk",
        ("form", "chunk", "flops, linear attention", *titles),
        lines,
        f"Flops by formula for T = {TOKENS}, d_k = d_v = {WIDTH}, in those of chunked linear attention (seconds are in "
        "the performance report); square roots by products, as once the keys span the space. Worst error in multiples "
        "of the form's law, √κ·u for square roots and κu for the others, all ridges and queries. Half kept to κ: the "
        "largest measured κ up to which no error exceeds √u.",
    )


def recursive_table(rows: Rows) -> Table:
    """Error of the three forms of recursive least squares by decay."""
    own = chosen(rows, part="recursive")
    dtypes, lines = values(own, "dtype"), []
    for decay in sorted({row["log_decay"] for row in own}, reverse=True):
        line: list[Value] = [f"{decay:g}".replace("-", "−")]
        for dtype in dtypes:
            for form in RECURSIVE:
                each = chosen(own, log_decay=decay, dtype=dtype, form=form)
                refused = any(row["refused"] for row in each)
                line.append("refused" if refused else number(max(row["value"] for row in each)))
        lines.append(line)
    return Table(
        "Recursive least squares with forgetting",
        ("log_decay", *(f"{dtype}: {form}" for dtype in dtypes for form in RECURSIVE)),
        lines,
        f"Largest relative error over all positions and both kinds of query; random unit keys, T = {T}, d = "
        f"{DIMENSION}, a ridge of {FIXED:g} that decays with the data, log_decay in nats a token. {_always_taken(own)}"
        "P, which token by token and innovation carry, grows as the data are forgotten, wherever no key has pointed "
        "yet; only overflow or a factor that fails is refused, a wrong answer is not.",
    )


def _by_square_root(T: int, d_k: int, d_v: int, c: int) -> float:
    """Flops by products, counted whole, a triangular solve as half a product; a chunk of c tokens:

    R⁻ᵀ[K' | Q'] 2cd_k², [A | B]'F 4cd_kd_v, A'A 2c²d_k with its factor c³/3 and substitution c²(d_k + d_v), B'Q₂
    2c²d_k, its product with E 2c²d_v, Q₂E 2cd_kd_v, AA' 2cd_k², its factor d_k³/3, M'[R | F + Q₂E] 2d_k²(d_k + d_v);
    and once the state that it returns, 2Td_k(d_k + d_v).
    """
    width = d_k + d_v
    token = 4 * d_k**2 + 6 * d_k * d_v + c * (5 * d_k + 3 * d_v) + c * c / 3 + 2 * d_k * width
    return T * (token + (d_k**3 / 3 + 2 * d_k**2 * width) / c)


def _by_moments(T: int, d: int) -> float:
    """Flops, a token: the outer product d², 17 of them weighted 34d², factor d³/3, solve 2d²; and linear attention."""
    return T * (37 * d * d + d**3 / 3) + linear_attention(T, d, d)


COUNTS: dict[str, Callable[[int, int, int, int], float]] = {INNOVATION: ridge_by_innovation, ROOT: _by_square_root}


def _flops(form: str, chunk: int | None) -> float:
    if chunk is None:
        return _by_moments(TOKENS, WIDTH)
    return COUNTS[form](TOKENS, WIDTH, WIDTH, chunk)


def _always_taken(rows: Rows) -> str:
    forms = {row["form"] for row in rows if row["taken"]}
    return f"The automatic choice takes {forms.pop()} for each of them. " if len(forms) == 1 else ""


def _reach(rows: Rows) -> float | None:
    """The largest κ below the smallest with an error above √u or a refusal."""
    bad = [row["kappa"] for row in rows if row["value"] is None or cells.in_roots(row) > 1]
    return max((row["kappa"] for row in rows if row["kappa"] < min(bad, default=np.inf)), default=None)
