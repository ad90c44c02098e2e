"""The page of the switching study."""

from analysis.drift.edges import edges, said
from analysis.rows import Rows, chosen, values
from analysis.switching import figures, tables
from analysis.switching.exponents import bandwidths_said, exponent_figure
from analysis.switching.methods import LARGEST_QUADRATIC, LOCAL, MESA, METHODS, NATURAL_ENDS, SOFTMAX
from analysis.switching.rate_figure import rate_figure
from ttr_numerics.report import Figure, Section, Table

__all__ = ["render"]


def render(rows: Rows) -> Section:
    """Tables and figures from stored rows alone."""
    return Section(
        name="switching",
        title="Maps that switch: which layers follow, and how fast local fits learn",
        question="Which layers follow a map that is linear only in pieces: of time, of key space, or of both?",
        answer=_answer(rows),
        compared="Softmax attention, sliding windows, local linear and local quadratic attention, Mesa, recursive "
        "least squares with forgetting, delta rules and linear attention, each tuned on other draws; claims of the "
        "local linear attention paper with what is measured here; fitted rates with stated ones.",
        figures=_figures(rows),
        tables=_tables(rows),
        limits=(
            "What switches is read in three ways, because the published process is not known in detail: the map "
            "alone, in time; the map and the region of the keys, in time; the region alone, tokens shuffled.",
            "Regions are clusters about centres at right angles, maps are independent and linear through the origin: "
            "no map is continuous across regions.",
            "Parameters are tuned for the mean over all positions, the first segment among them, on one sequence.",
            _edges(rows),
            "No projection is learned: queries and keys are the regressors.",
            f"The local quadratic fit is measured up to d = {LARGEST_QUADRATIC}: at d = 16 it has "
            "152 monomials for 44, twelve times the flops.",
            "Rates: one function, noise and uniform keys; bandwidths are chosen with the truth in hand. "
            + bandwidths_said(rows),
        ),
    )


def _figures(rows: Rows) -> tuple[Figure, ...]:
    """Those for which there are rows."""
    switched = chosen(rows, part="switching")
    drawn = (
        figures.position_figure(rows) if chosen(switched, kind="position") else None,
        figures.length_figure(rows) if chosen(switched, kind="summary", d=8) else None,
        figures.advantage_figure(rows) if _dimensions(rows) > 2 else None,
        rate_figure(rows) if _sizes(rows) > 2 else None,
        exponent_figure(rows) if _sizes(rows) > 2 else None,
    )
    return tuple(figure for figure in drawn if figure is not None)


def _tables(rows: Rows) -> tuple[Table, ...]:
    """Those for which there are rows."""
    switched = chosen(rows, part="switching", kind="summary", d=8, segment=256)
    listed = (
        tables.claims_table(rows) if switched and _dimensions(rows) > 2 else None,
        tables.rates_table(rows) if _sizes(rows) > 2 else None,
        tables.layers_table(rows) if switched else None,
        tables.stored_table(rows) if chosen(rows, part="stored keys") else None,
    )
    return tuple(table for table in listed if table is not None)


def _edges(rows: Rows) -> str:
    tuned = [(row["layer"], row["chosen"]) for row in rows if "chosen" in row]
    return said(edges(tuned, METHODS, NATURAL_ENDS), NATURAL_ENDS)


def _dimensions(rows: Rows) -> int:
    return len({row["d"] for row in chosen(rows, part="switching", kind="summary", segment=256)})


def _sizes(rows: Rows) -> int:
    return len({row["n"] for row in chosen(rows, part="rates")})


def _answer(rows: Rows) -> str:
    sentences = []
    for reading, title in figures.TITLES.items():
        found = chosen(rows, part="switching", kind="summary", d=8, segment=256, reading=reading)
        if found:
            by = {row["layer"]: row["later"] for row in found}
            best = min(by, key=lambda name: by[name])
            beside = {LOCAL: "local linear", SOFTMAX: "softmax", MESA: "Mesa without forgetting"}
            others = ", ".join(f"{words} {by[layer]:.3f}" for layer, words in beside.items() if layer != best)
            sentences.append(f"{title[0].upper()}{title[1:]}: {best} is best ({by[best]:.3f}; {others}).")
    return " ".join(sentences) or _of_stored(rows)


def _of_stored(rows: Rows) -> str:
    """Where only stored keys were asked: the layer of least error, by what switches."""
    found = chosen(rows, part="stored keys")
    least = [
        (source, reading, min(chosen(found, source=source, reading=reading), key=lambda row: row["value"]))
        for source in values(found, "source")
        for reading in values(chosen(found, source=source), "reading")
    ]
    words = [
        f"{source}, switching by {name}: {row['layer']} is best ({row['value']:.3f})" for source, name, row in least
    ]
    return "; ".join(words) + "." if words else "Nothing was asked."
