"""Files of keys that a user may have and no model is shipped with: one token, more channels than tokens, keys alike."""

from pathlib import Path

import numpy as np

__all__ = ["ODD", "written"]

ODD = ("one token", "one channel", "few tokens", "keys alike", "keys twice", "zero keys", "zero values")
SHAPES = {"one token": (1, 1, 4), "one channel": (1, 2, 1), "few tokens": (1, 6, 16)}


def written(folder: Path, name: str) -> str:
    """The path of a float32 file of the keys of that name, 2 heads of 40 tokens unless the name says otherwise."""
    q, k, v = np.random.default_rng(0).standard_normal((3, *SHAPES.get(name, (2, 40, 8)))).astype(np.float32)
    if name == "keys alike":
        k[:] = k[:, :1]
    elif name == "keys twice":
        k[:, 20:] = k[:, :20]
    elif name == "zero keys":
        k[:, 3], k[1, 7] = 0, 0
    elif name == "zero values":
        v[:, 5] = 0
    path = folder / f"{name}.npz"
    np.savez(path, q=q, k=k, v=v)
    return str(path)
