"""The page of the switching study."""

from analysis.drift.found import Rows, on_the_edge, own
from analysis.switching import figures, tables
from analysis.switching.methods import LOCAL, MESA, METHODS, SOFTMAX
from analysis.switching.rate_figure import rate_figure
from ttr_numerics.report import Section

__all__ = ["render"]


def render(rows: Rows) -> Section:
    """Tables and figures from stored rows alone."""
    switched = own(rows, part="switching", kind="summary", d=8, segment=256)
    drawn = [
        figures.position_figure(rows) if own(rows, part="switching", kind="position") else None,
        figures.length_figure(rows) if own(rows, part="switching", kind="summary", d=8) else None,
        figures.advantage_figure(rows) if _dimensions(rows) > 2 else None,
        rate_figure(rows) if _sizes(rows) > 2 else None,
    ]
    listed = [
        tables.claims_table(rows) if switched and _dimensions(rows) > 2 else None,
        tables.rates_table(rows) if _sizes(rows) > 2 else None,
        tables.layers_table(rows) if switched else None,
        tables.stored_table(rows) if own(rows, part="stored keys") else None,
    ]
    return Section(
        name="switching",
        title="Maps that switch: which layers follow, and how fast local fits learn",
        question="Which layers follow a map that is linear only in pieces: of time, of key space, or of both?",
        answer=_answer(rows),
        compared="Softmax attention, sliding windows, local linear and local quadratic attention, Mesa, recursive "
        "least "
        "squares with forgetting, delta rules and linear attention, each tuned on other draws; claims of the local "
        "linear attention paper with what is measured here; fitted rates with stated ones.",
        figures=tuple(figure for figure in drawn if figure is not None),
        tables=tuple(table for table in listed if table is not None),
        limits=(
            "What switches is read in three ways, because the published process is not known in detail: the map "
            "alone, in "
            "time; the map and the region of the keys, in time; the region alone, tokens shuffled.",
            "Regions are clusters about centres at right angles, maps are independent and linear through the origin: "
            "no "
            "map is continuous across regions.",
            "Parameters are tuned for the mean over all positions, the first segment among them, on one sequence.",
            "Layers take the best of a grid, which may end before their best; " + _edges(rows) + ".",
            "No projection is learned: queries and keys are the regressors.",
            "The local quadratic fit is measured at d = 4 only.",
            "Rates: one function, noise and uniform keys, n up to 2048; bandwidths are chosen with the truth in hand.",
        ),
    )


def _edges(rows: Rows) -> str:
    return on_the_edge([(row["layer"], row["chosen"]) for row in rows if "chosen" in row], METHODS)


def _dimensions(rows: Rows) -> int:
    return len({row["d"] for row in own(rows, part="switching", kind="summary", segment=256)})


def _sizes(rows: Rows) -> int:
    return len({row["n"] for row in own(rows, part="rates")})


def _answer(rows: Rows) -> str:
    sentences = []
    for reading, title in figures.TITLES.items():
        found = own(rows, part="switching", kind="summary", d=8, segment=256, reading=reading)
        if found:
            by = {row["layer"]: row["later"] for row in found}
            best = min(by, key=lambda name: by[name])
            sentences.append(
                f"{title[0].upper()}{title[1:]}: {best} is best ({by[best]:.3f}; local linear {by[LOCAL]:.3f}, softmax "
                f"{by[SOFTMAX]:.3f}, Mesa without forgetting {by[MESA]:.3f})."
            )
    return " ".join(sentences) or "Only stored keys were asked."
