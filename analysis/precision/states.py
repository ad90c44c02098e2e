"""Figure and table of a state stored in 16 bits."""

from analysis.precision.storage import FEEDBACK, NEAREST, ONCE, PRECISION, SINGLE, STOCHASTIC, TWICE
from analysis.rows import Rows, chosen, values
from ttr_numerics.measure import bounds
from ttr_numerics.report import Figure, Measured, Panel, Series, Table, Theory
from ttr_numerics.report.notation import number

__all__ = ["state_answer", "state_figure", "state_table"]

DECAYED, STORED = "gated linear attention", "gated delta rule"


def state_answer(rows: Rows) -> str:
    """Where a stored state is worst, and what helps."""
    worst = max(chosen(rows, part="state", storage=NEAREST, rounded=TWICE), key=lambda row: row["value"])
    at = chosen(rows, part="state", gate=worst["gate"])
    cures = {name: _percent(at, TWICE, name) for name in (STOCHASTIC, FEEDBACK)}
    return (
        f"A bfloat16 state whose decay is rounded by itself is worst at a gate of {worst['gate']:g}: "
        f"{_percent(at, TWICE, NEAREST)} off, against {_percent(at, ONCE, NEAREST)} where decay and write are rounded "
        f"together, {cures[STOCHASTIC]} with stochastic rounding and {cures[FEEDBACK]} with error feedback."
    )


def state_figure(rows: Rows) -> Figure:
    """What pure forgetting leaves, and the error of a delta rule's state by its gate."""
    decays = sorted(chosen(rows, part="decay"), key=lambda row: row["delta"])
    stuck = max((row["delta"] for row in decays if row["unchanged"] == 1), default=0.0)
    own = chosen(rows, part="state")
    tokens, d, trials = (max(row[name] for row in own) for name in ("tokens", "d", "trials"))
    return Figure(
        name="state",
        finding="A bfloat16 state cannot forget slowly: multiplied by 1 - δ every entry stays what it is up to δ = "
        f"{number(stuck)}, and {decays[0]['decays']} such decays that should leave "
        f"{number((1 - stuck) ** decays[0]['decays'])} leave all. {state_answer(rows)}",
        caption="First two panels: the share of entries of a bfloat16 state that one decay by 1 - δ leaves as they "
        f"were, and the norm that {decays[0]['decays']} decays leave. Last two: relative error of the state of a gated "
        f"delta rule (β = 1) after {tokens} tokens, computed in float32 and stored between tokens, once or also after "
        "the decay; error feedback keeps what the last rounding lost in a second bfloat16 number.",
        grid=f"Decays of {decays[0]['entries']} entries, logarithms uniform over eight binary orders. Delta rule: d = "
        f"{d}, {trials} heads of random unit keys and values; the gate 1 is in the table.",
        interval="One standard error over heads.",
        theory="Dashed: log₂(2⁻⁸/δ) between 0 and 1, exact for uniform logarithms and many digits; (1-δ)^n; "
        "u√(c/(1-γ²(1-1/d))), c = 1/(4 ln 2), for stochastic rounding once a token: independent errors, an "
        "approximation.",
        panels=(*_decay_panels(decays), _state_panel(own, ONCE), _state_panel(own, TWICE)),
    )


def state_table(rows: Rows) -> Table:
    """Errors of the state by gate and storage, in percent."""
    own = chosen(rows, part="state")
    kinds = list(dict.fromkeys((row["rounded"], row["storage"]) for row in own))
    lines = []
    for gate in values(own, "gate"):
        found = {(row["rounded"], row["storage"]): row for row in chosen(own, gate=gate)}
        lines.append((f"{gate:g}", *(100 * found[kind]["value"] for kind in kinds)))
    trials, errors = (max((each(row) for row in own), default=0) for each in (_trials, _standard_error))
    return Table(
        "Relative error of a stored state, percent",
        ("gate", *(storage if storage == SINGLE else f"{storage}, {rounded}" for rounded, storage in kinds)),
        lines,
        f"Gated delta rule, β = 1; mean over {trials} heads, standard errors up to {number(errors)} of the value. At a "
        "gate of 1 nothing decays, and rounding after the decay changes nothing.",
    )


def _decay_panels(decays: Rows) -> tuple[Panel, Panel]:
    x = [row["delta"] for row in decays]
    fine = [min(x) * (max(x) / min(x)) ** (i / 60) for i in range(61)]
    share = (
        Measured("bfloat16", x, [row["unchanged"] for row in decays], layer=DECAYED),
        Theory("log₂(2⁻⁸/δ)", fine, [bounds.unforgotten_share(delta, PRECISION) for delta in fine], of="bfloat16"),
    )
    left = (
        Measured("bfloat16", x, [row["left"] for row in decays], layer=DECAYED),
        Theory("exact arithmetic", x, [row["should"] for row in decays]),
    )
    label = "δ, decay 1 - δ a token"
    return (
        Panel("Entries that one decay leaves", label, "share unchanged", share, x_log=True),
        Panel("What a thousand decays leave", label, "share of the norm", left, x_log=True, y_log=True),
    )


def _state_panel(own: Rows, rounded: str) -> Panel:
    series: list[Series] = []
    for storage in (NEAREST, STOCHASTIC, FEEDBACK):
        line = [row for row in chosen(own, rounded=rounded, storage=storage) if row["gate"] < 1]
        line.sort(key=lambda row: row["gate"])
        y, low, high = ([row[name] for row in line] for name in ("value", "low", "high"))
        series.append(Measured(storage, [1 - row["gate"] for row in line], y, low, high, layer=STORED))
        if (rounded, storage) == (ONCE, STOCHASTIC):
            theory = [bounds.stored_state_error(row["gate"], row["d"], 2.0**-PRECISION) for row in line]
            series.append(Theory(f"theory, {storage}", [1 - row["gate"] for row in line], theory, of=storage))
    return Panel(f"Stored {rounded}", "1 - gate", "relative error", tuple(series), x_log=True, y_log=True)


def _percent(rows: Rows, rounded: str, storage: str) -> str:
    return f"{100 * chosen(rows, rounded=rounded, storage=storage)[0]['value']:.2g} %"


def _trials(row: dict[str, float]) -> float:
    return row["trials"]


def _standard_error(row: dict[str, float]) -> float:
    return (row["high"] - row["value"]) / row["value"]
