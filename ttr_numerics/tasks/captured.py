"""Queries, keys, values and outputs captured from two real models (see `ttr_numerics/data/README.md`)."""

from dataclasses import dataclass
from importlib.resources import files

import numpy as np

__all__ = ["Captured", "captured", "minilm", "smollm2"]


@dataclass(frozen=True)
class Captured:
    """Arrays as the model holds them: q, o (H, T, d) and k, v (H_k, T, d); query head h reads h // (H/H_k).

    q is not scaled: the model's logits are q·k/√d. A user's file may lack o.
    """

    name: str
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    o: np.ndarray | None


def captured() -> tuple[Captured, ...]:
    """Everything that is shipped: `smollm2()`, `minilm(0)`, `minilm(5)`."""
    return smollm2(), minilm(0), minilm(5)


def smollm2() -> Captured:
    """Layer 15 of SmolLM2-135M-Instruct (4-bit weights, dequantised): causal, 9 query heads on 3 key heads, d = 64."""
    return _load("smollm2_layer15", "SmolLM2 layer 15 (4-bit weights)")


def minilm(layer: int = 5) -> Captured:
    """Layer 0 or 5 of all-MiniLM-L6-v2: bidirectional, 12 heads, d = 32."""
    if layer not in (0, 5):
        raise ValueError(f"layer: expected 0 or 5, got {layer}")
    return _load(f"minilm_layer{layer}", f"MiniLM layer {layer}")


def _load(file: str, name: str) -> Captured:
    with files("ttr_numerics.data").joinpath(f"{file}.npz").open("rb") as stream:
        arrays = np.load(stream, allow_pickle=False)
        return Captured(name, **{key: arrays[key] for key in ("q", "k", "v", "o")})
