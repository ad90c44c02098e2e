"""What is trained: the tasks and layers by name, every size, and the cell's door to the training.

Nothing here needs torch, so that stored rows are drawn without it.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = [
    "BATCH",
    "CHECKS",
    "LAYERS",
    "LENGTH",
    "PAIRS",
    "RATES",
    "REASSIGNED",
    "SHORTER",
    "STEPS",
    "STORED",
    "TEST",
    "TRIAL",
    "VALIDATION",
    "VOCABULARY",
    "WARMING",
    "WIDTH",
    "Trained",
    "measure_cell",
]

Row = dict[str, Any]

VOCABULARY, LENGTH, WIDTH = 64, 32, 32
BATCH, STEPS, TRIAL, WARMING = 32, 400, 150, 20
SHORTER = {60: 4, 120: 2}  # until these steps lists and sequences are a quarter, then half as long
RATES = (0.01, 0.03)
CHECKS = tuple(range(50, STEPS + 1, 50))
VALIDATION, TEST = 128, 1024  # sequences

STORED, REASSIGNED = "every key has one value", "every key is given a second value"
PAIRS = {STORED: 8, REASSIGNED: 4}  # so that either list has 8 pairs


@dataclass(frozen=True)
class Trained:
    """A layer of the catalogue, the numbers that are learned, where they start, and the optional arrays it has."""

    name: str
    numbers: dict[str, float] = field(default_factory=dict)
    optional: tuple[str, ...] = ()


_RIDGE = {"ridge": 0.1}
LAYERS = {
    "linear attention": Trained("linear_attention"),
    "normalised linear attention": Trained("normalized_linear_attention"),
    "gated linear attention": Trained("gated_linear_attention"),
    "delta rule": Trained("delta_rule"),
    "gated delta rule": Trained("gated_delta_rule"),
    "recursive least squares": Trained("original_mesa", _RIDGE, ("beta",)),
    "gated recursive least squares": Trained("original_mesa", _RIDGE, ("beta", "log_decay")),
    "softmax attention": Trained("softmax_attention"),
}


def measure_cell(cell: Row, rng: np.random.Generator) -> list[Row]:
    """One trained model, in one row."""
    from analysis.mqar_trained.training import train_cell  # torch: two seconds that drawing need not wait for

    return train_cell(cell, rng)
