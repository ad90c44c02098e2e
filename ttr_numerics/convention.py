"""Foreign conventions, translated once at the border: the layers themselves know none."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Convention", "repeat_heads"]


@dataclass(frozen=True)
class Convention:
    """How the arrays at hand differ from the layers' own convention.

    `scale` multiplies the logits (1/√d for most models). `grouped_heads`: k and v have fewer heads (axis -3) than q,
    and query head h reads key head h // (H_q / H_k).
    """

    scale: float = 1.0
    grouped_heads: bool = False

    def apply(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The same arrays in the layers' convention; a scaled q is float64, so that the scale adds no rounding."""
        result = dict(arrays)
        if self.scale != 1.0:
            result["q"] = np.asarray(arrays["q"], dtype=np.float64) * self.scale
        if self.grouped_heads:
            if arrays["q"].ndim < 3:
                raise ValueError(f"q: expected shape (..., heads, T, d) for grouped heads, got {arrays['q'].shape}")
            for name in ("k", "v"):
                result[name] = repeat_heads(arrays[name], arrays["q"].shape[-3], name)
        return result


def repeat_heads(x: np.ndarray, heads: int, name: str = "k") -> np.ndarray:
    """Repeat each of H_k heads (axis -3) heads/H_k times: (..., H_k, T, d) to (..., heads, T, d)."""
    if x.ndim < 3 or heads % x.shape[-3]:
        raise ValueError(f"{name}: expected a number of heads that divides {heads}, got shape {x.shape}")
    return np.repeat(x, heads // x.shape[-3], axis=-3)
