"""Do combinations of the three choices that nobody has named do better than the layers that have names?

Real keys at a common norm, with their values. Every contender is `regression(weights, function_class, optimiser)` and
nothing else; the catalogue says which have names. Two squared errors relative to the values: *prediction*, v_t from
k_t by the fit of the tokens before t; *recall*, the fit after the last token read at stored keys. What a contender
leaves open (step, gate, ridge, window, norm of the keys) is chosen for each measure and model on the first half of the
text, all heads together, from the grid below; the second half is reported. The heads are the repetitions.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from ttr_numerics import features, regression, tasks
from ttr_numerics.choices import (
    ConjugateGradient,
    Exact,
    FeatureMap,
    Geometric,
    GradientStep,
    HeavyBall,
    Implicit,
    Leak,
    Linear,
    LocalPolynomial,
    QueryKernel,
    Reproducing,
    Sample,
    StochasticGradient,
    Uniform,
    Window,
)
from ttr_numerics.exact.kernels import Exponential, Polynomial
from ttr_numerics.measure import geometric_interval, mean_interval, relative_squared_error, unit_rows
from ttr_numerics.report import Figure, Measured, Panel, Section, Table

SEED = 20264  # no random number is drawn
TOKENS = 256
READ = 16  # stored keys at which recall is read, evenly spaced in the half that is judged
PREDICTION, RECALL = "prediction", "recall"

Settings = Mapping[str, float]


def _one(s: Settings) -> float:
    return 1.0


def _exponential(s: Settings) -> float:
    return float(np.exp(s["norm"] ** 2))


def _taylor(s: Settings) -> float:
    return 1 + s["norm"] ** 2 + s["norm"] ** 4 / 2


@dataclass(frozen=True)
class Contender:
    """Three choices, the grid of what they leave open, and κ(k, k), the unit of its steps and ridges."""

    label: str
    choices: Callable[[Settings], tuple[Any, Any, Any]]
    grid: Mapping[str, tuple[float, ...]]
    unit: Callable[[Settings], float] = field(default=_one)

    def settings(self) -> list[dict[str, float]]:
        """Every point of the grid."""
        return [dict(zip(self.grid, point, strict=True)) for point in product(*self.grid.values())]


Grid = dict[str, tuple[float, ...]]
STEP: Grid = {"step": (0.03, 0.1, 0.3, 1.0)}
GATE: Grid = {"gate": (2.0**-10, 2.0**-8, 2.0**-6)}  # nats forgotten a token
RIDGE: Grid = {"ridge": (0.003, 0.03)}
WINDOW: Grid = {"window": (32.0, 64.0)}  # tokens
SHARP: Grid = {"norm": (2.0, 4.0)}  # of the keys: exp(k·k') of two of them lies within exp(±norm²)
MILD: Grid = {"norm": (2.0,)}
LEAKY, NEAR, SPACE = StochasticGradient(leak=Leak.BEFORE_ERROR), QueryKernel(Exponential()), Reproducing(Exponential())
BALL = Implicit(leak=Leak.BEFORE_ERROR, momentum=HeavyBall())
CONTENDERS = (
    Contender(
        "linear attention, scaled", lambda s: (Uniform(), Linear(), GradientStep()), {"scale": (0.003, 0.01, 0.03)}
    ),
    Contender("gated delta rule", lambda s: (Uniform(), Linear(), LEAKY), STEP | GATE),
    Contender("mesa", lambda s: (Sample("beta") * Geometric(), Linear(), Exact()), {"ridge": (0.03, 0.3, 3.0)} | GATE),
    Contender("softmax in a window", lambda s: (NEAR * Window(), LocalPolynomial(0), Exact()), SHARP | WINDOW),
    Contender("softmax", lambda s: (NEAR, LocalPolynomial(0), Exact()), SHARP),
    Contender("forgetting attention", lambda s: (NEAR * Geometric(), LocalPolynomial(0), Exact()), SHARP | GATE),
    Contender("kernel ridge", lambda s: (Uniform(), SPACE, Exact()), SHARP | RIDGE, _exponential),
    Contender(
        "local linear", lambda s: (NEAR, LocalPolynomial(1), Exact()), SHARP | {"ridge": (0.03, 0.3)}, _exponential
    ),
    Contender(
        "delta rule in exp. space", lambda s: (Uniform(), SPACE, StochasticGradient()), SHARP | STEP, _exponential
    ),
    Contender("gated delta rule in exp. space", lambda s: (Uniform(), SPACE, LEAKY), SHARP | STEP | GATE, _exponential),
    Contender(
        "gated delta rule in Taylor space",
        lambda s: (Uniform(), Reproducing(Polynomial()), LEAKY),
        SHARP | STEP | {"gate": (2.0**-10,)},
        _taylor,
    ),
    Contender("kernel ridge in a window", lambda s: (Window(), SPACE, Exact()), MILD | RIDGE | WINDOW, _exponential),
    Contender(
        "local linear in a window",
        lambda s: (NEAR * Window(), LocalPolynomial(1), Exact()),
        MILD | {"ridge": (0.03, 0.3)} | WINDOW,
        _exponential,
    ),
    Contender(
        "4 CG steps on ELU features, gated",
        lambda s: (Geometric(), FeatureMap(features.elu_plus_one), ConjugateGradient(4)),
        {"norm": (1.0,), "ridge": (0.03, 0.3, 3.0)} | GATE,
    ),
    Contender(
        "implicit heavy ball, gated",
        lambda s: (Uniform(), Linear(), BALL),
        {"step": (0.03, 0.1, 0.3), "inertia": (0.3, 0.7)} | GATE,
    ),
)


LABELS = tuple(contender.label for contender in CONTENDERS)


def measured(contender: Contender, s: Settings, K: np.ndarray, V: np.ndarray) -> tuple[dict[tuple[str, int], Any], int]:
    """Both errors (heads,) on either half of unit keys K and values V (heads, T, d), and the numbers a head stores."""
    r, K, half, state, found = regression(*contender.choices(s)), s.get("norm", 1.0) * K, K.shape[1] // 2, None, {}
    for part, (first, last) in enumerate(((0, half - 1), (half - 1, 2 * half - 1))):
        ahead = slice(first + 1, last + 1)  # the fit of the tokens before t is asked for v_t
        o, state = run(r, contender, s, K[:, ahead], K[:, first:last], V[:, first:last], state)
        found[PREDICTION, part] = relative_squared_error(o, V[:, ahead])
        at = last - np.arange(READ)[::-1] * (half // READ)
        copies = mapped(state, lambda x: np.repeat(x[:, None], READ, axis=1))  # a batch of queries to one fit
        k, v = (np.repeat(x[:, None, last : last + 1], READ, axis=1) for x in (K, V))
        o = run(r, contender, s, K[:, at, None], k, v, copies)[0][..., 0, :]
        found[RECALL, part] = relative_squared_error(o, V[:, at])
    return found, sum(x.size for x in arrays_in(state)) // len(K)


def run(r: Any, c: Contender, s: Settings, q: np.ndarray, k: np.ndarray, v: np.ndarray, state: Any) -> tuple[Any, Any]:
    """The composed layer, the same numbers at every token."""
    unit = c.unit(s)
    values = {"beta": s.get("step", 1.0) / unit, "log_decay": -s.get("gate", 0.0), "ridge": s.get("ridge", 0.0) * unit}
    values["log_momentum"] = float(np.log(s.get("inertia", 1.0)))
    numbers: dict[str, Any] = {"ridge": values["ridge"], "window": int(s.get("window", TOKENS))}
    arrays = {n: numbers[n] if n in numbers else np.full(q.shape[:-1], values[n]) for n in r.arrays}
    o, state = r(q, k, v, **arrays, initial_state=state)
    return s.get("scale", 1.0) * o, state


def arrays_in(state: Any) -> list[np.ndarray]:
    """The arrays of a state, whatever its kind."""
    parts = state if isinstance(state, tuple) else ()
    return [state] if isinstance(state, np.ndarray) else [x for part in parts for x in arrays_in(part)]


def mapped(state: Any, change: Callable[[np.ndarray], np.ndarray]) -> Any:
    """The state with every array changed."""
    if isinstance(state, np.ndarray):
        return change(state)
    return type(state)(*(mapped(x, change) for x in state)) if isinstance(state, tuple) else state


def measure(
    progress: Callable[..., Iterable[Any]],
    contenders: Sequence[str] = LABELS,
    tokens: int = TOKENS,
) -> list[dict[Any, Any]]:
    """The rows of the given grid; fewer contenders give the same rows, fewer of them."""
    rows: list[dict[Any, Any]] = []
    chosen = [c for c in CONTENDERS if c.label in contenders]
    for real, contender in progress([(real, c) for real in (tasks.smollm2(), tasks.minilm(5)) for c in chosen]):
        K, V = unit_rows(real.k[:, :tokens].astype(float)), real.v[:, :tokens].astype(float)
        tried = [(s, *measured(contender, s, K, V)) for s in contender.settings()]
        names = regression(*contender.choices(contender.settings()[0])).names
        for name in (PREDICTION, RECALL):
            s, found, numbers = min(tried, key=lambda point: float(np.mean(point[1][name, 0])))
            said = ", ".join(f"{n} {x:g}" for n, x in s.items())
            cell = {"source": real.name, "contender": contender.label, "names": ", ".join(names), "measure": name}
            cell |= {"tokens": tokens, "numbers": numbers, "settings": said}
            rows += [cell | {"head": head, "value": float(x)} for head, x in enumerate(found[name, 1])]
    return rows


def render(rows: Sequence[dict[Any, Any]]) -> Section:
    """Tables and figures from stored rows alone."""
    sources = list(dict.fromkeys(row["source"] for row in rows))
    cells = [cell for source in sources for cell in _cells(rows, source)]
    new = [cell for cell in cells if not cell["names"]]
    best = {
        source: min((c for c in cells if c["source"] == source), key=lambda c: c[PREDICTION].value)
        for source in sources
    }
    heads = {c["source"]: c[PREDICTION].trials for c in cells}
    return Section(
        name="design-space",
        title="Combinations nobody has named",
        question=QUESTION,
        answer=f"{_won(new)} {_lost(best)}",
        compared="Each contender with the best named one that stores no more numbers a head, on the same heads; named "
        "ones are recognised by the catalogue from the three choices.",
        figures=(_figure(cells, sources),),
        tables=tuple(_table(cells, source, heads[source]) for source in sources),
        limits=(
            "Two models, one text of 256 tokens; nothing is trained, and keys stand in for queries. Heads of one model "
            "are not independent: the intervals say how alike they are, not what another model would do.",
            f"{2 * len(new)} intervals are looked at; by chance alone about one in forty would lie below 1.",
            "The best named contender is the best of the reported half, which favours what has a name.",
            "Steps, gates and ridges do not follow the data: every layer could learn them. On keys of equal norm an "
            "implicit step is a gradient step of another size.",
            "In Taylor features the same fit would store (1 + d + d(d+1)/2) d numbers at any length; here it keeps its "
            "keys.",
        ),
    )


def _cells(rows: Sequence[dict[Any, Any]], source: str) -> list[dict[Any, Any]]:
    """One dict a contender: its interval by measure, and the ratios to the best named one that stores no more."""
    own = [row for row in rows if row["source"] == source]
    labels = list(dict.fromkeys(row["contender"] for row in own))
    values = {
        (label, m): np.array([row["value"] for row in own if row["contender"] == label and row["measure"] == m])
        for label in labels
        for m in (PREDICTION, RECALL)
    }
    first = {label: next(row for row in own if row["contender"] == label) for label in labels}
    cells = []
    for label in labels:
        cell: dict[Any, Any] = {"source": source, "contender": label, "names": first[label]["names"]}
        cell["numbers"] = max(row["numbers"] for row in own if row["contender"] == label)
        for m in (PREDICTION, RECALL):
            cell[m] = mean_interval(values[label, m])
            rivals = [x for x in labels if first[x]["names"] and x != label and first[x]["numbers"] <= cell["numbers"]]
            if rivals:
                rival = min(rivals, key=lambda x: float(np.mean(values[x, m])))
                cell[m, "rival"] = rival
                cell[m, "ratio"] = geometric_interval(values[label, m] / values[rival, m])
        cells.append(cell)
    return cells


QUESTION = " ".join((__doc__ or "").partition("\n\n")[0].split())


def _won(new: Sequence[dict[Any, Any]]) -> str:
    """Which unnamed contenders beat the best named one of no more numbers, with the whole interval below 1."""
    phrases = []
    for m in (PREDICTION, RECALL):
        won = [c for c in new if (m, "ratio") in c and c[m, "ratio"].high < 1]
        told = [
            f"{c['contender']} ({_model(c['source'])}, {c[m, 'ratio'].value:.2f} times {c[m, 'rival']})" for c in won
        ]
        phrases.append(f"in {m} {'; '.join(told) or 'none'}")
    return (
        f"Of {len(new)} unnamed cases (contender and model), these err less than the best named layer that stores no "
        f"more, with 95 % confidence over heads: {'; '.join(phrases)}."
    )


def _lost(best: Mapping[str, dict[Any, Any]]) -> str:
    told = [
        f"{cell['contender']} on {_model(source)} ({cell[PREDICTION].value:.2f}, "
        f"{'named' if cell['names'] else 'nobody has named it'})"
        for source, cell in best.items()
    ]
    return f"Whatever it stores, the best predictor is {' and '.join(told)}."


def _model(source: str) -> str:
    return source.partition(" ")[0]


def _table(cells: Sequence[dict[Any, Any]], source: str, heads: int) -> Table:
    errors = (PREDICTION, "standard error", RECALL, "standard error of recall")
    rival = ("best named that stores no more", "ratio of predictions", "low", "high")
    rows = []
    for c in cells:
        if c["source"] == source:
            means = [x for m in (PREDICTION, RECALL) for x in (c[m].value, c[m].high - c[m].value)]
            ratio = c.get((PREDICTION, "ratio"), (None, None, None, None))[:3]
            rows.append(
                (c["contender"], c["names"] or "—", c["numbers"], *means, c.get((PREDICTION, "rival"), "—"), *ratio)
            )
    return Table(
        f"{source}: squared errors relative to the values, second half of the text",
        ("contender", "name in the catalogue", "numbers stored", *errors, *rival),
        rows,
        f"Mean and one standard error over {heads} heads. Ratios of prediction errors are geometric means over heads "
        "with Student's 95 % interval.",
    )


def _figure(cells: Sequence[dict[Any, Any]], sources: Sequence[str]) -> Figure:
    pairs = [(s, m) for m in (PREDICTION, RECALL) for s in sources]
    return Figure(
        name="errors",
        finding=_figure_finding(cells),
        caption="Squared error relative to the values on the second half of the text against the numbers a head stores "
        "at its end; mean and one standard error over heads (3 and 12), settings chosen on the first half. The line "
        "joins named contenders that no smaller one beats. SmolLM2's weights are 4-bit dequantised. Errors below 0.01 "
        "are drawn at 0.01.",
        panels=tuple(
            Panel(
                f"{_model(source)}: {m}",
                "numbers stored a head",
                "relative squared error",
                _series(cells, source, m),
                x_log=True,
                y_log=True,
            )
            for source, m in pairs
        ),
    )


def _series(cells: Sequence[dict[Any, Any]], source: str, m: str) -> tuple[Measured, ...]:
    """The best named contender within every memory, and each unnamed one by itself."""
    own = sorted((c for c in cells if c["source"] == source), key=lambda c: (c["numbers"], c[m].value))
    named: list[dict[Any, Any]] = []
    for cell in own:
        if cell["names"] and all(cell[m].value < other[m].value for other in named):
            named.append(cell)
    groups = {"best named": named} | {c["contender"]: [c] for c in own if not c["names"]}
    return tuple(
        Measured(label, *([at(c) for c in group] for at in (_numbers, *(_end(m, i) for i in range(3)))))
        for label, group in sorted(groups.items())
        if group
    )


def _numbers(cell: Mapping[Any, Any]) -> float:
    return float(cell["numbers"])


def _end(m: str, i: int) -> Callable[[Mapping[Any, Any]], float]:
    return lambda cell: max(float(cell[m][i]), 0.01)


def _figure_finding(cells: Sequence[dict[Any, Any]]) -> str:
    """Two unnamed combinations against the named layer that shares their memory or their space."""
    told = [_beside(cells, "kernel ridge in a window", "mesa"), _beside(cells, "delta rule in exp. space", "softmax")]
    return "; ".join(t for t in told if t) or "Error against memory: too few contenders to compare."


def _beside(cells: Sequence[dict[Any, Any]], label: str, rival: str) -> str:
    """Both errors of the two contenders on every source where both are: in words, then in numbers."""
    found = {c["source"]: {x["contender"]: x for x in cells if x["source"] == c["source"]} for c in cells}
    pairs = [(by[label], by[rival]) for by in found.values() if label in by and rival in by]
    words = [f"{_comparative(m, pairs)} in {m}" for m in (PREDICTION, RECALL)]
    numbers = [
        f"{_model(a['source'])} {', '.join(f'{a[m].value:.2f} for {b[m].value:.2f}' for m in (PREDICTION, RECALL))}"
        for a, b in pairs
    ]
    return f"{label} is {' and '.join(words)} than {rival} ({'; '.join(numbers)})" if pairs else ""


def _comparative(m: str, pairs: Sequence[tuple[dict[Any, Any], dict[Any, Any]]]) -> str:
    """What the errors of all pairs say alike."""
    better = [a[m].value < b[m].value for a, b in pairs]
    return "better" if all(better) else "better here and worse there" if any(better) else "worse"
