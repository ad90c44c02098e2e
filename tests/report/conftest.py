"""One small study and section, with every kind of series, shared by the tests of the report."""

from __future__ import annotations

import math

import pytest

from ttr_numerics.report import (
    Cloud,
    Curve,
    Figure,
    Heatmap,
    Measured,
    Panel,
    Section,
    Study,
    Table,
    Theory,
)

HOSTILE = "<script>alert('1')</script> | *x* & \"y\""


@pytest.fixture
def panel() -> Panel:
    load = (0.25, 1.0, 4.0)
    series = (
        Measured("delta rule", load, (0.1, 0.3, 0.9), (0.0, 0.2, 0.8), (0.2, 0.4, 1.0)),
        Curve("mesa", load, (0.01, 0.02, 0.05), (0.005, 0.01, 0.04), (0.02, 0.03, 0.06)),
        Cloud("tokens", load, (0.5, 0.0, math.nan)),
        Theory("prediction", load, (0.1, 0.3, 0.8), of="delta rule"),
    )
    return Panel("Random keys", "load n/d", "relative squared error", series, x_log=True, y_log=True)


@pytest.fixture
def heatmap() -> Heatmap:
    return Heatmap("Heads", "load n/d", "head", (1, 2, 4), ("a", "b"), ((1, 2, 3), (4, 5, 6)), "error")


@pytest.fixture
def study() -> Study:
    rows = ({"n": 3, "error": 0.1}, {"n": 4, "error": math.nan})
    fixed = {"python": "3.11", "numpy": "2.1"}
    return Study("recall", "How far?", 7, "python -m analysis recall", fixed, rows, {"processors": "2"})


@pytest.fixture
def section(panel: Panel, heatmap: Heatmap) -> Section:
    figure = Figure("load", (panel, heatmap), "Errors grow with the load.", "Means and intervals.")
    table = Table("Checks", ("layer", "error", "within"), (("mesa", 1.23456e-8, True), (HOSTILE, None, False)))
    return Section(
        "recall", "Recall", "How far?", "As far as `predicted`.", HOSTILE, (figure,), (table,), ("No more.",)
    )
