"""Grids and study: which layers, widths and depths are trained, and how often."""

from analysis.mqar_trained.cells import LAYERS, REASSIGNED, STORED, measure_cell
from ttr_numerics.study import Grid, Study

__all__ = ["SEED", "STUDY"]

SEED = 20276
SEEDS = (0, 1, 2)
WIDTHS = (4, 8, 16)
GATED_RLS = "gated recursive least squares"
ONE = tuple(name for name in LAYERS if name != GATED_RLS)
TWO = tuple(name for name in ONE if name != "normalised linear attention")


def grids(seed: int) -> tuple[Grid, ...]:
    """One repetition of everything, so that a run that is stopped has whole repetitions."""

    def grid(task: str, layers: tuple[str, ...], d: tuple[int, ...], depth: int, convolution: tuple[int, ...]) -> Grid:
        return Grid(
            {
                "seed": (seed,),
                "task": (task,),
                "d": d,
                "layers": (depth,),
                "convolution": convolution,
                "layer": layers,
            }
        )

    return (
        grid(STORED, ONE, (8,), 1, (2, 1)),
        grid(STORED, ONE, WIDTHS, 1, (2,)),
        grid(REASSIGNED, tuple(LAYERS), (16,), 1, (2,)),
        grid(STORED, TWO, (8,), 2, (2, 1)),
    )


STUDY = Study(
    "mqar_trained",
    "Trained on multi-query associative recall: do one short convolution and one test-time regression layer suffice?",
    measure_cell,
    tuple(grid for seed in SEEDS for grid in grids(seed)),
    SEED,
)
