"""Figures as JSON can hold them."""

from typing import Any

import numpy as np

__all__ = ["plain"]


def plain(x: Any) -> Any:
    """Floats, nested lists of them for arrays; infinities and NaN as strings."""
    if isinstance(x, np.ndarray) and x.ndim:
        return [plain(y) for y in x]
    value = float(x)
    return value if np.isfinite(value) else str(value)
