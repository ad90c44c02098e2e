"""Studies: a function of one cell, a grid of cells, a store that survives a kill, and workers to run them on.

study = Study("recall", question, measure, (Grid({"n": (8, 16), "d": (4, 8)}),), seed=0)
run(study, Store(Path("rows.jsonl")))            # what is stored already is not computed again
"""

from ttr_numerics.study.engine import Summary, run
from ttr_numerics.study.store import Entry, Store
from ttr_numerics.study.study import Grid, Study, placed
from ttr_numerics.study.workers import Cluster, InProcess, Kept, Workers, WorkersError

__all__ = [
    "Cluster",
    "Entry",
    "Grid",
    "InProcess",
    "Kept",
    "Store",
    "Study",
    "Summary",
    "Workers",
    "WorkersError",
    "placed",
    "run",
]
