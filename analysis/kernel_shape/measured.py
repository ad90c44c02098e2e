"""The measurement, as a study: a cell is one shape at one feature dimension, on keys of one kind."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from analysis.directed import directed
from analysis.kernel_shape.keys import FIXED, FREE, Draw, fixed, free, projected
from analysis.kernel_shape.shapes import SHAPES, Shape, shape_named
from analysis.kernel_shape.treatments import CENTRED, EXACT, PLAIN, SOLVED, TREATMENTS, UNIT, unevenness
from ttr_numerics import tasks
from ttr_numerics.measure import (
    bounds,
    geometric_interval,
    list_recall,
    mean_interval,
    proportion_interval,
    ranks,
    relative_squared_error,
    unit_rows,
)
from ttr_numerics.study import Grid, Study
from ttr_numerics.tasks import Captured

__all__ = ["LEAST", "LOAD", "OWN", "RANDOM", "STUDY", "VALUES", "measure_cell"]

VALUES = 32  # channels of a value
LOAD = 2  # pairs a feature, where errors are compared
SOLVABLE = 300  # features up to which the exact solvers are asked
HALVED = {PLAIN: 300, UNIT: 600, CENTRED: 600, EXACT: 136}  # features up to which the half-recall load is sought
TRIALS, STREAMS, TUNING, HEADS = 6, 5, 2, 4
RANDOM, OWN = "random", "captured"
LEAST = 1e-12  # an error below it is 0 but for rounding: the dimension it is worth is infinite
STEP = 2**0.5  # of the number of pairs, between two recalls


class Case(NamedTuple):
    """Inputs of a map to be tuned on and to be judged on (n, channels), values by their kind (n, d_v), and the map."""

    tuning: np.ndarray
    judged: np.ndarray
    values: dict[str, np.ndarray]
    map: Callable[[np.ndarray], np.ndarray]


class Tuned(NamedTuple):
    """The gain and the output scale that were best for a treatment on other keys."""

    gain: float
    scale: float


def measure_cell(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Errors and recalls by treatment; on random keys, the number of pairs at half recall too."""
    shape, D = shape_named(cell["shape"]), cell["features"]
    asked = [name for name in TREATMENTS if D <= SOLVABLE or name not in SOLVED]
    if "keys" in cell:
        found, left_out = directed(cell["keys"])
        cases = tuning = list(_stored(rng, shape, D, found))
        about = {"source": found.name} | left_out
    else:
        cases, about = [_random(rng, shape, D, cell["inputs"]) for _ in range(TRIALS)], {"source": cell["inputs"]}
        tuning = cases[:TUNING]
    tuned = _tuned(asked, shape, D, tuning)
    rows = [row | {"channels": shape.channels(D)} for name in asked for row in _rows(name, tuned[name], cases)]
    if "keys" not in cell:
        halved = [name for name in asked if HALVED.get(name, 0) >= D]
        rows += [_half(name, tuned[name].gain, rng, shape, D, cell["inputs"]) for name in halved]
    return [row | about for row in rows]


def _inputs(rng: np.random.Generator, shape: Shape, D: int, kind: str) -> Draw:
    return {FREE: free, FIXED: fixed}[kind](rng, shape.channels(D))


def _random(rng: np.random.Generator, shape: Shape, D: int, kind: str) -> Case:
    draw, n = _inputs(rng, shape, D, kind), LOAD * D
    values = {RANDOM: tasks.isotropic_unit_keys(rng, (n, VALUES))}
    return Case(draw(n), draw(n), values, shape.drawn(rng, D))


def _stored(rng: np.random.Generator, shape: Shape, D: int, found: Captured) -> Iterator[Case]:
    """Heads of stored keys: the first half of the tokens to tune on, the second to judge."""
    T, d = found.k.shape[-2:]
    for K, V in zip(found.k[:HEADS], found.v[:HEADS], strict=True):
        x = projected(rng, d, shape.channels(D))(unit_rows(K))
        values = {OWN: unit_rows(V[T // 2 :]), RANDOM: tasks.isotropic_unit_keys(rng, (T - T // 2, VALUES))}
        yield Case(x[: T // 2], x[T // 2 :], values, shape.drawn(rng, D))


def _tuned(names: Sequence[str], shape: Shape, D: int, cases: Sequence[Case]) -> dict[str, Tuned]:
    """By treatment the gain with the least expected error at its best scale, and that scale, on the keys to tune on.

    The error of least squares depends on the rank alone: among gains of the largest it has the most even leverages.
    """
    found: dict[str, list[tuple[Any, ...]]] = {name: [] for name in names}
    for gain in shape.gains(D):
        raw = [case.map(gain * case.tuning) for case in cases]
        if not all(_in_range(F) for F in raw):
            continue
        for name, tried in found.items():
            treatment = TREATMENTS[name]
            prepared = [treatment.prepared(F, np.mean(F, axis=0)) for F in raw]
            trace, square = np.sum([treatment.smoothed(F) for F in prepared], axis=0)
            uneven = sum(map(unevenness, prepared)) if name == EXACT and len(shape.gains(D)) > 1 else 0.0
            scale = float(trace / square) if square > 0 else 0.0
            tried.append((-trace * scale, uneven, gain, scale))
    return {name: Tuned(*min(tried)[2:]) for name, tried in found.items()}


def _in_range(F: np.ndarray) -> bool:
    """Whether sums of fourth powers of the features are float64 numbers: exponentials leave it at large gains."""
    return float(np.max(np.abs(F), initial=0.0)) < np.finfo(float).max ** (1 / 4) / max(F.shape)


def _rows(name: str, tuned: Tuned, cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Error and recall of values of each kind, beside the error that the features alone let expect; over cases."""
    judged = [_judged(name, tuned, case) for case in cases]
    expected, dimension = ([x[name] for x in judged] for name in ("expected", "dimension"))
    about = {
        "what": "error", "treatment": name, "n": len(cases[0].judged), "gain": tuned.gain,
        "expected": float(np.mean(expected)), "dimension": None if None in dimension else float(np.mean(dimension)),
    }  # fmt: skip
    rows = []
    for kind in cases[0].values:
        errors, recalls = (np.array([x[kind][i] for x in judged]) for i in (0, 1))
        off, recall = mean_interval(errors - np.array(expected)), proportion_interval(recalls, len(cases[0].judged))
        rows.append(about | {"values": kind, "value": float(np.mean(errors)), "trials": len(errors)} | {
            "off": off.value, "off_error": off.value - off.low if off.trials > 1 else None,
            "recall": recall.value, "recall_low": recall.low, "recall_high": recall.high,
        })  # fmt: skip
    return rows


def _judged(name: str, tuned: Tuned, case: Case) -> dict[str, Any]:
    """The expected error, the dimension these features are worth, and (error, recall) by kind of value.

    What a treatment subtracts is the mean feature of the keys to tune on.
    """
    treatment = TREATMENTS[name]
    mean = np.mean(case.map(tuned.gain * case.tuning), axis=0)
    F = treatment.prepared(case.map(tuned.gain * case.judged), mean)
    A, n = treatment.smoothed(F), len(F)
    best = bounds.smoothing_error(*A, n) if A.square > 0 else 1.0  # no feature of these keys: nothing is stored
    found: dict[str, Any] = {"expected": bounds.smoothing_error(*A, n, tuned.scale)}
    found["dimension"] = float(bounds.effective_dimension(best, n)) if best > LEAST else None
    for kind, V in case.values.items():
        O = treatment.recalled(F, V)
        error = float(relative_squared_error(tuned.scale * O, V))
        found[kind] = error, float(list_recall(ranks(O, V), 1))
    return found


def _half(name: str, gain: float, rng: np.random.Generator, shape: Shape, D: int, kind: str) -> dict[str, Any]:
    """The number of pairs of which half are ranked first, over streams of pairs."""
    found = []
    for _ in range(STREAMS):
        draw, map_ = _inputs(rng, shape, D, kind), shape.drawn(rng, D)
        mean = np.mean(map_(gain * draw(LOAD * D)), axis=0)
        found.append(_at_half(lambda n: TREATMENTS[name].prepared(map_(gain * draw(n)), mean), name, rng))  # noqa: B023
    return {"what": "half", "treatment": name, "gain": gain, **geometric_interval(np.array(found))._asdict()}


def _at_half(features: Callable[[int], np.ndarray], name: str, rng: np.random.Generator) -> float:
    """Where recall of ever more pairs of one stream falls through 1/2, linear in the logarithm of their number."""
    n, before = 4, (2.0, 1.0)  # of two pairs the right one is first unless they nearly coincide
    F, V = features(n), tasks.isotropic_unit_keys(rng, (n, VALUES))
    while True:
        share = float(list_recall(ranks(TREATMENTS[name].recalled(F, V), V), 1))
        if share < 0.5:
            (last, above), below = before, share
            return float(np.exp(np.log(last) + (np.log(n) - np.log(last)) * (above - 0.5) / (above - below)))
        before, more = (n, share), max(1, round(n * (STEP - 1)))
        F, V = np.concatenate([F, features(more)]), np.concatenate([V, tasks.isotropic_unit_keys(rng, (more, VALUES))])
        n += more


def on_keys(T: int, d: int) -> Sequence[Grid]:
    """Every shape at a small and a large feature dimension; nothing of one token, which leaves none to tune on."""
    return (Grid({"shape": tuple(s.name for s in SHAPES), "features": (66, 276)}),) if T > 1 else ()


STUDY = Study(
    "kernel_shape",
    "At equal feature dimension, does it matter which feature map linear attention has?",
    measure_cell,
    (
        Grid({"inputs": (FREE,), "shape": tuple(s.name for s in SHAPES), "features": (28, 66, 136, 276, 528)}),
        Grid({"inputs": (FIXED,), "shape": tuple(s.name for s in SHAPES), "features": (28, 136, 276)}),
    ),
    20272,
    on_keys,
    tasks.SHIPPED,
)
