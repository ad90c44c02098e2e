"""The measurement: cells of nine parts, each by the module that asks its question."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from analysis.precision import gates, iterations, recursion, storage
from analysis.precision.iterations import CG, CHEBYSHEV
from analysis.precision.systems import CLUSTERS, EARLY, LOG
from ttr_numerics import tasks
from ttr_numerics.study import Grid, Study

__all__ = ["STUDY", "measure_cell"]

SEED = 20271
PARTS: dict[str, Callable[[dict[str, Any], np.random.Generator], list[dict[str, Any]]]] = {
    "iterations": iterations.iteration_rows,
    "keys": iterations.key_rows,
    "kalmanet": iterations.kalmanet_rows,
    "decay": storage.decay_rows,
    "state": storage.state_rows,
    "recursion": recursion.recursion_rows,
    "overflow": recursion.overflow_rows,
    "gates": gates.gate_rows,
    "digits": gates.digit_rows,
}
SPECTRA = (LOG, CLUSTERS, EARLY)
KAPPAS = (1.0, 10.0, 51.0, 1e2, 1e3, 1e4, 1e5, 1e6)
DECAYS = (6.0, 7.0, 8.0, 8.125, 8.25, 8.5, 8.75, 9.0, 10.0, 11.0)  # binary digits of δ
LOG_GATES = (-0.1, -0.3, -0.5, -0.7, -1.0, -1.5, -2.0, -3.0, -4.0, -5.8, -6.1, -8.0, -12.0, -20.0)
SIXTEEN = ("float16", "bfloat16")


def measure_cell(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """The rows of one cell; those of stored keys are of the part "keys"."""
    return PARTS[cell["part"]](cell, rng)


def on_keys(T: int, d: int) -> Sequence[Grid]:
    """Prefixes of half as many tokens as channels, as many, and four times as many, as far as there are; or all T."""
    tokens = tuple(n for n in (d // 2, d, 4 * d) if 1 <= n <= T) or (T,)
    return (Grid({"part": ("keys",), "solver": (CG, CHEBYSHEV), "tokens": tokens}),)


STUDY = Study(
    "precision",
    "What does each number format cost: how many steps an iteration needs and what error it reaches, what a stored "
    "state forgets, when recursive least squares diverges, and when gates overflow?",
    measure_cell,
    (
        Grid({"part": ("iterations",), "solver": (CG,), "spectrum": SPECTRA, "kappa": KAPPAS}),
        Grid({"part": ("iterations",), "solver": (CHEBYSHEV,), "spectrum": SPECTRA, "kappa": (10.0, 51.0, 1e2, 1e3)}),
        Grid({"part": ("kalmanet",)}),
        Grid({"part": ("decay",), "bits": DECAYS}),
        Grid({"part": ("state",), "gate": (0.9, 0.99, 0.999, 0.9999, 1.0), "tokens": (4096,)}),
        Grid({"part": ("recursion",), "decay": (0.95, 0.98, 0.99)}),
        Grid({"part": ("overflow",), "decay": (0.9, 0.99), "dtype": ("float32", "float16")}),
        Grid({"part": ("gates",), "block": (16, 64), "dtype": ("float32", *SIXTEEN), "gate": LOG_GATES}),
        Grid({"part": ("digits",), "dtype": ("float32", *SIXTEEN), "tokens": (256, 1024, 4096)}),
    ),
    SEED,
    on_keys,
    tasks.SHIPPED,
)
