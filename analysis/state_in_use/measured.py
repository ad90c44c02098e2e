"""The measurement, as a study: profiles of the operator, read-outs of the memory, and fits of a noisy map."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from analysis.directed import directed
from analysis.state_in_use.fitting import fitted
from analysis.state_in_use.memories import ATTENTION, GATED, MEMORIES, UNGATED
from analysis.state_in_use.memory import Memory, Tokens, check_linear
from analysis.state_in_use.others import FADING_OTHERS, PLAIN_OTHERS
from ttr_numerics import tasks
from ttr_numerics.measure import (
    condition_number,
    effective_state_size,
    entropic_rank,
    entropic_state_size,
    list_recall,
    mean_interval,
    numerical_rank,
    proportion_interval,
    rank_floor,
    ranks,
    unit_rows,
)
from ttr_numerics.study import Grid, Study

__all__ = ["FADING", "HALFWAY", "MEMORY", "PLAIN", "RANDOM", "STUDY", "measure_cell", "on_keys"]

Row = dict[str, Any]
TRIALS = 8
LENGTH, PROFILED, STORED_IN = 128, 16, 32  # tokens and channels of the operator; channels of the read-out
MEMORY, MEMORIES_SWEPT = 64, (8, 16, 32, 64, 128, 256)
PAIRS = (8, 16, 32, 64, 128, 256)
RANDOM = "isotropic random keys"
PLAIN, FADING = tuple(m.name for m in UNGATED), tuple(m.name for m in GATED)
OTHERS = ((tuple(m.name for m in PLAIN_OTHERS), None), (tuple(m.name for m in FADING_OTHERS), MEMORY))
HALFWAY = 4  # in eighths of the sequence


def profile(cell: Row, rng: np.random.Generator) -> list[Row]:
    """Effective state sizes at seven places of the sequence, or at one, and how often the bound is passed."""
    about, x, _ = _tokens(cell, rng)
    if x.k.shape[-2] < 2:
        return []
    memory = _linear(cell["layer"])
    A = memory.operator(x)
    T, d = x.k.shape[-2:]
    rows = []
    for i in sorted(
        {min(max(1, round(T * j / 8)), T - 1) for j in ([cell["place"]] if "place" in cell else range(1, 8))}
    ):
        bound = min(i, T - i) if cell["layer"] in ATTENTION else min(memory.matrices * d, i, T - i)
        heard = _more_than_rounding(A, i)
        size = effective_state_size(A, i) * heard
        line = about | {"d_k": d, "tokens": T, "i": i, "bound": bound, "heads": len(A)}
        line |= {"size": float(np.mean(size)), "largest": int(np.max(size)), "above": int(np.sum(size > bound))}
        rows.append(line | _interval("entropic", np.where(heard, entropic_state_size(A, i), 0.0)))
    return rows


def _linear(name: str) -> Memory:
    """The memory of that name; ValueError if it is not linear in v: then v = I says nothing of other values."""
    check_linear(MEMORIES[name])
    return MEMORIES[name]


def _more_than_rounding(A: np.ndarray, i: int) -> np.ndarray:
    """Whether A[i:, :i] (...) is more than the rounding of A: keys alike overwrite each other, and rounding has a rank.

    Rounding of T terms an entry, T eps ‖A‖.
    """
    size, whole = (np.linalg.norm(x, axis=(-2, -1)) for x in (A[..., i:, :i], A))
    return np.asarray(size > A.shape[-1] * np.finfo(float).eps * whole)


def read_out(cell: Row, rng: np.random.Generator) -> list[Row]:
    """The memory of n pairs read at its own keys: its rank, its error, the floor under it, and argmax recall."""
    about, x, V = _tokens(cell, rng)
    H = _linear(cell["layer"]).read(x)
    n, d = x.k.shape[-2:]
    rank = numerical_rank(H)
    errors = np.sum((H - np.eye(n)) ** 2, axis=(-2, -1)) / n
    floors = np.array([rank_floor(n, int(r)) for r in rank])
    # A rank that rounding hides, and the rounding of n entries a row: both below n times the cutoff.
    below = int(np.sum(errors < floors - 8 * n * n * float(np.finfo(float).eps)))
    shares = list_recall(ranks(H @ V, V), 1)
    line = about | {"d_k": d, "pairs": n, "heads": len(H), "floor": float(np.mean(floors)), "below": below}
    line |= {"size": float(np.mean(rank)), "condition": float(np.mean(condition_number(x.k)))}
    line |= _interval("entropic", entropic_rank(H)) | _interval("error", errors)
    recalled = proportion_interval(shares, n)
    return [line | {"recalled": recalled.value, "recalled_low": recalled.low, "recalled_high": recalled.high}]


Measure = Callable[[Row, np.random.Generator], list[Row]]
PARTS: dict[str, tuple[Measure, tuple[str, ...]]] = {  # and the axes that it asks for
    "profile": (profile, ("layer", "memory")),
    "read-out": (read_out, ("layer", "memory")),
    "fit": (fitted, ("noise", "d")),
}


def measure_cell(cell: Row, rng: np.random.Generator) -> list[Row]:
    """The rows of one cell; none where a grid restricted to another part lacks what that part asks for."""
    measure, axes = PARTS[cell["part"]]
    return measure(cell, rng) if all(name in cell for name in axes) else []


def on_keys(T: int, d: int) -> Sequence[Grid]:
    """What is asked of T stored keys of d channels."""
    n = min(T, max(PAIRS))
    pairs = tuple(sorted({m for m in (n // 8, n // 4, n // 2, n) if m > 0}))
    grids = []
    for names, memory in ((PLAIN, None), (FADING, MEMORY)):
        if n > 1:
            grids.append(Grid({"part": ("profile",), "layer": names, "memory": (memory,), "n": (n,)}))
        grids.append(Grid({"part": ("read-out",), "layer": names, "memory": (memory,), "n": pairs}))
    most = max((m for m in pairs if m <= 4 * d), default=pairs[0])
    return [*grids, *(Grid({"part": ("read-out",), "layer": o, "memory": (m,), "n": (most,)}) for o, m in OTHERS)]


def _grids() -> tuple[Grid, ...]:
    def random(part: str, names: Sequence[str], memory: Sequence[int | None], n: Sequence[int], **axes: Any) -> Grid:
        d = PROFILED if part == "profile" else STORED_IN
        return Grid({"part": (part,), "layer": names, "memory": memory, "n": n, "d": (d,)} | axes)

    found = []
    for names, memory in ((PLAIN, None), (FADING, MEMORY)):
        found.append(random("profile", names, (memory,), (LENGTH,), cond=(1.0,)))
        found.append(random("read-out", names, (memory,), PAIRS, cond=(1.0,)))
        found.append(random("read-out", names, (memory,), (64,), cond=(1e2, 1e4, 1e6)))
    found.append(random("profile", FADING, (16,), (LENGTH,), cond=(1.0,)))
    found.append(random("read-out", FADING, MEMORIES_SWEPT, (128,), cond=(1.0,)))
    for names, memory in OTHERS:
        found.append(random("profile", names, (memory,), (LENGTH,), cond=(1.0,), place=(HALFWAY,)))
        found.append(random("read-out", names, (memory,), (4 * STORED_IN,), cond=(1.0,)))
    counts = (4, 8, 16, 24, 28, 31, 32, 33, 36, 40, 48, 64, 128, 256, 512)
    found.append(Grid({"part": ("fit",), "noise": (0.0, 0.1, 1.0), "n": counts, "d": (STORED_IN,)}))
    return tuple(found)


def _tokens(cell: Row, rng: np.random.Generator) -> tuple[Row, Tokens, np.ndarray]:
    """Whose they are, unit queries and keys, and unit values to tell apart; the first query head of each key head."""
    if "keys" in cell:
        found, left_out = directed(cell["keys"])
        q = found.q[:: len(found.q) // len(found.k), : cell["n"]]
        q, k = unit_rows(q), unit_rows(found.k[:, : cell["n"]])
        about: Row = {"source": found.name, **left_out}
    else:
        shape = (TRIALS, cell["n"], cell["d"])
        spectrum = tasks.log_uniform_spectrum(cell["d"], cell["cond"])
        q, k = (unit_rows(tasks.gaussian_keys(rng, shape, spectrum)) for _ in range(2))
        about = {"source": RANDOM}
    rates = rng.uniform(size=k.shape)
    return about, Tokens(q, k, cell["memory"], rates), tasks.isotropic_unit_keys(rng, k.shape)


def _interval(name: str, values: np.ndarray) -> Row:
    found = mean_interval(values)
    low, high = (found.low, found.high) if found.trials > 1 else (None, None)
    return {name: found.value, f"{name}_low": low, f"{name}_high": high}


STUDY = Study(
    "state_in_use",
    "How much of its state does a layer use, and does what it uses say what it recalls and what it has learned?",
    measure_cell,
    _grids(),
    20270,
    on_keys,
    tasks.SHIPPED,
)
