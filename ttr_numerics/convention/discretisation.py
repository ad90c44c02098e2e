"""State-space parameters to keys, values and gates: log_decay = Δ A, values Δ x."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Discretisation"]


@dataclass(frozen=True)
class Discretisation:
    """h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t x_t': the rule of Mamba-2, Δ (..., T) per token and head, A (H,) negative.

    `step` and `rate` name the foreign arrays Δ (after its softplus) and A; `skip`, if there, is D (H,), y + D x, which
    is subtracted from the output. Reference: Dao and Gu, arXiv 2405.21060, section 2.
    """

    step: str = "dt"
    rate: str = "A"
    skip: str = "D"

    def ours(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """q, k, v, log_decay (..., H, T) from q, k, v, Δ (..., H, T) and A (H,)."""
        for name in (self.step, self.rate):
            if name not in arrays:
                raise ValueError(f"{name}: expected for this convention, got no such array")
        result = {n: x for n, x in arrays.items() if n not in (self.step, self.rate, self.skip)}
        step = np.asarray(arrays[self.step], dtype=np.float64)
        rate, v = np.asarray(arrays[self.rate], dtype=np.float64), np.asarray(arrays["v"], dtype=np.float64)
        result["log_decay"], result["v"] = step * rate[:, None], step[..., None] * v
        if self.skip in arrays and "o" in arrays:
            D = np.asarray(arrays[self.skip], dtype=np.float64)
            result["o"] = np.asarray(arrays["o"], dtype=np.float64) - D[:, None, None] * v
        return result

    def theirs(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Δ = -log_decay, A = -1 and x = v/Δ: one of many origins; gates of 0 have none."""
        gate = np.asarray(arrays["log_decay"], dtype=np.float64)
        if not (np.isfinite(gate) & (gate < 0)).all():
            raise ValueError("log_decay: expected finite and below 0 for a discretised convention, got a 0 or -inf")
        result = {n: x for n, x in arrays.items() if n != "log_decay"}
        return result | {
            "v": np.asarray(arrays["v"], dtype=np.float64) / -gate[..., None],
            self.step: -gate,
            self.rate: -np.ones(gate.shape[-2]),
        }
