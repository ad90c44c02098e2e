"""Norms of rows, whatever their scale."""

import numpy as np

__all__ = ["row_norms"]


def row_norms(x: np.ndarray) -> np.ndarray:
    """‖x_t‖₂ over the last axis, without overflow or underflow of the squares."""
    scale = np.max(np.abs(x), axis=-1, keepdims=True, initial=0.0)
    scale = np.where((scale > 0) & np.isfinite(scale), scale, 1.0)
    return scale[..., 0] * np.sqrt(np.sum((x / scale) ** 2, axis=-1))
