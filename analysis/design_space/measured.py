"""The measurement, as a study of stored keys: a cell is a contender, with the best of its settings."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from analysis.design_space.contenders import CONTENDERS, LABELS, Contender, Settings
from analysis.directed import directed
from ttr_numerics import regression
from ttr_numerics.measure import relative_squared_error, unit_rows
from ttr_numerics.study import Grid, Study

__all__ = ["FEWEST", "PREDICTION", "READ", "RECALL", "STUDY", "TOKENS", "errors", "measure_cell"]

TOKENS = 256
READ = 16  # stored keys at most at which recall is read, evenly spaced in the half that is judged
FEWEST = 4  # tokens: two to choose by and two to judge
PREDICTION, RECALL = "prediction", "recall"


def measure_cell(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """For each measure the errors of every head on the second half, by the settings that are best on the first.

    Nothing where fewer than FEWEST tokens have a direction.
    """
    real, left_out = directed(cell["keys"])
    contender, tokens = next(c for c in CONTENDERS if c.label == cell["contender"]), cell["tokens"]
    if real.k.shape[1] < FEWEST:
        return []
    K, V = unit_rows(real.k[:, :tokens].astype(float)), real.v[:, :tokens].astype(float)
    tried = [(s, *errors(contender, s, K, V)) for s in contender.settings()]
    names = ", ".join(regression(*contender.choices(contender.settings()[0])).names)
    rows = []
    for name in (PREDICTION, RECALL):
        s, found, numbers = min(tried, key=lambda point: float(np.mean(point[1][name, 0])))
        said = ", ".join(f"{n} {x:g}" for n, x in s.items())
        row = {"source": real.name, "names": names, "measure": name, "numbers": numbers, "settings": said}
        row |= left_out
        rows += [row | {"head": head, "value": float(x)} for head, x in enumerate(found[name, 1])]
    return rows


def on_keys(T: int, d: int) -> Sequence[Grid]:
    """Every contender on the first TOKENS tokens; nothing of fewer than FEWEST."""
    tokens = min(TOKENS, T)
    return (Grid({"tokens": (tokens,), "contender": LABELS}),) if tokens >= FEWEST else ()


STUDY = Study(
    "design_space",
    "Do combinations of the three choices that nobody has named do better than the layers that have names?",
    measure_cell,
    seed=20264,  # no random number is drawn
    on_keys=on_keys,
    sources=("smollm2_layer15", "minilm_layer5"),
)


def errors(contender: Contender, s: Settings, K: np.ndarray, V: np.ndarray) -> tuple[dict[tuple[str, int], Any], int]:
    """Both errors (heads,) on either half of unit keys K and values V (heads, T, d), and the numbers a head stores."""
    r, K, half, state, found = regression(*contender.choices(s)), s.get("norm", 1.0) * K, K.shape[1] // 2, None, {}
    read = min(READ, half)
    for part, (first, last) in enumerate(((0, half - 1), (half - 1, 2 * half - 1))):
        ahead = slice(first + 1, last + 1)  # the fit of the tokens before t is asked for v_t
        o, state = run(r, contender, s, K[:, ahead], K[:, first:last], V[:, first:last], state)
        found[PREDICTION, part] = relative_squared_error(o, V[:, ahead])
        at = last - np.arange(read)[::-1] * (half // read)
        copies = mapped(state, lambda x: np.repeat(x[:, None], read, axis=1))  # a batch of queries to one fit
        k, v = (np.repeat(x[:, None, last : last + 1], read, axis=1) for x in (K, V))
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
