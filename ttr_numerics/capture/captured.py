"""One captured layer, in the axes of `axes`: queries, keys, values and outputs (..., heads, T, d)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ttr_numerics.convention import Convention

__all__ = ["Captured"]


@dataclass(frozen=True)
class Captured:
    """The arrays of one layer, and the catalogue's `layer` that it is on them.

    `arrays` are q, k, v as the attention function received them, after rotary embedding and normalisation of queries
    and keys and before the `scale` of the logits; o as it returned, before gates, norms and the output projection;
    and what else the layer takes (log_decay, beta). `departures` says how the function is not that layer: a window,
    a soft cap, another mask.
    """

    layer: str
    arrays: Mapping[str, torch.Tensor]
    scale: float
    departures: tuple[str, ...] = ()

    @property
    def grouped_heads(self) -> bool:
        """Whether some of the arrays have fewer heads than others."""
        return len({self.arrays[name].shape[-3] for name in ("q", "k", "v")}) > 1

    @property
    def convention(self) -> Convention:
        """How the arrays differ from what the layers of the catalogue take: the scale, and grouped heads."""
        return Convention(scale=self.scale, grouped_heads=self.grouped_heads)
