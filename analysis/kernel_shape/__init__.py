"""At equal feature dimension, does it matter which feature map linear attention has?

Nine maps are brought to the same number D of features, and so to the same state: on random keys of as many channels
as each map needs, on random keys of 16 channels projected to them, and on captured keys. Gains and output scales are
tuned for each on other keys. Each is read as it is, divided by its normaliser, with features of unit length, centred,
and by an exact solver on the same features: is it the map, or what is done with it?
"""

from analysis.kernel_shape.collapse import checked, spread
from analysis.kernel_shape.figures import figures
from analysis.kernel_shape.gains import at_an_end
from analysis.kernel_shape.keys import FREE
from analysis.kernel_shape.measured import STUDY
from analysis.kernel_shape.ratios import Ratio, missing_ranks, ratios
from analysis.kernel_shape.tables import tables
from analysis.kernel_shape.treatments import CENTRED, EXACT, UNIT
from analysis.rows import Rows
from analysis.sources import left_out
from ttr_numerics.report import Section

__all__ = ["STUDY", "render"]


def render(rows: Rows) -> Section:
    """The section, from stored rows alone."""
    return Section(
        name="kernel_shape",
        title="Feature maps at equal feature dimension",
        question=STUDY.question,
        answer=f"{_answer(rows)}On random values {checked(rows).said()}.",
        compared="Feature maps with the identity (plain keys) of the same dimension D, and so with a state of the same "
        "size; gain and output scale tuned on other keys.",
        figures=figures(rows),
        tables=tables(rows),
        limits=(
            "Maps as published, without learned projections: a trained model can move a map's mean feature or "
            "its spectrum, and Hedgehog's and ReBased's parameters stand at their initial values.",
            "Feature dimensions are triangular and even numbers, so that every map has exactly D features. cosFormer "
            "is left out: its features depend on the position, so a key asked for later is another feature.",
            "Subtracting the mean feature needs it known before the first key is stored; here it is that of other keys "
            "of the same kind.",
            f"Gains are tuned by the expected error at {STUDY.grids[0].axes['features'][0]} to "
            f"{STUDY.grids[0].axes['features'][-1]} features and two keys a feature, not by recall.",
            *filter(None, [at_an_end(rows)]),
            *left_out(rows),
        ),
    )


def _answer(rows: Rows) -> str:
    """The range over maps of pairs at half recall, relative to plain keys of the same dimension, by treatment."""
    if not any(row["what"] == "half" for row in rows):
        return ""
    unit, centred, solved = (ratios(rows, FREE, treatment, None) for treatment in (UNIT, CENTRED, EXACT))
    full = {name for name, short in missing_ranks(rows, FREE).items() if not short}
    dependent = {name: ratio for name, ratio in solved.items() if name not in full}
    law = spread(rows)
    left = (
        f" ({_range(dependent)} for {', '.join(dependent)}, whose features are linearly dependent)" if dependent else ""
    )
    return (
        f"At the largest dimensions measured the maps, summed as features of unit length, hold {_range(unit)} of the "
        "pairs at half recall that plain keys of the same dimension hold; with their mean feature subtracted "
        f"{_range(centred)}; under least squares {_range({name: r for name, r in solved.items() if name in full})}"
        f"{left}.{_why(unit, centred)} Half recall follows the effective dimension of the features to a factor "
        f"{law.effective:.2f} and their number only to a factor {law.nominal:.2f}. "
    )


def _why(unit: dict[str, Ratio], centred: dict[str, Ratio]) -> str:
    """Said where the map that loses most regains more than half of that by centring."""
    if not unit:
        return ""
    worst = min(unit, key=lambda name: unit[name].value)
    if centred[worst].value - unit[worst].value <= (1 - unit[worst].value) / 2:
        return ""
    return f" What {worst}, the worst, loses is mostly its mean feature, which an exact solver does not see."


def _range(of: dict[str, Ratio]) -> str:
    if not of:
        return "nothing measured"
    low, high = (f"{pick(ratio.value for ratio in of.values()):.2f}" for pick in (min, max))
    return low if low == high else f"{low} to {high}"
