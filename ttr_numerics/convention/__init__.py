"""Foreign conventions, translated once at the border: the layers themselves know none."""

from ttr_numerics.convention.convention import Convention, repeat_heads
from ttr_numerics.convention.discretisation import Discretisation
from ttr_numerics.convention.parts import Gate, L2Norm, Layout, Read, StateLayout, inverse_root, mean_square
from ttr_numerics.convention.presets import PRESETS, fla, mamba, torch_sdpa, transformers, transformers_attention

__all__ = [
    "PRESETS",
    "Convention",
    "Discretisation",
    "Gate",
    "L2Norm",
    "Layout",
    "Read",
    "StateLayout",
    "fla",
    "inverse_root",
    "mamba",
    "mean_square",
    "repeat_heads",
    "torch_sdpa",
    "transformers",
    "transformers_attention",
]
