"""Keys and values by name: those that are shipped, and those of a file, such as `ttr capture` writes."""

import hashlib
from pathlib import Path

import numpy as np

from ttr_numerics.tasks.captured import Captured, minilm, smollm2

__all__ = ["SHIPPED", "content_of", "stored"]

SHIPPED = ("smollm2_layer15", "minilm_layer0", "minilm_layer5")


def stored(name: str) -> Captured:
    """The arrays of one of `SHIPPED`, or of a file: PATH, or PATH#PREFIX for the arrays PREFIX.q, PREFIX.k, ...

    A file (.npz, .safetensors) needs k (..., T, d_k) and v (..., T, d_v); leading axes become heads, everything
    float64: of every real format, and of integers and truth values (0, 1). Without q the keys ask. Raises ValueError
    in one sentence.
    """
    if name == "smollm2_layer15":
        return smollm2()
    if name in SHIPPED:
        return minilm(int(name[-1]))
    path, _, prefix = name.partition("#")
    return _read(Path(path), prefix)


def content_of(name: str) -> str:
    """12 hexadecimal digits of what is stored under `name`: another file of the same name is another source."""
    found = stored(name)
    digest = hashlib.sha256()
    for x in (found.q, found.k, found.v):
        digest.update(repr((x.shape, x.dtype.str)).encode() + np.ascontiguousarray(x).tobytes())
    return digest.hexdigest()[:12]


def _read(path: Path, prefix: str) -> Captured:
    from ttr_numerics.problem import ProblemError, describe, read_arrays, rename_aliases, under

    arrays, _ = rename_aliases(under(read_arrays(path), prefix) if prefix else read_arrays(path))
    for name in ("k", "v"):
        if name not in arrays or arrays[name].ndim < 2 or 0 in arrays[name].shape:
            there = f" (for one of several: {path}#PREFIX)" if any("." in stored for stored in arrays) else ""
            raise ProblemError(f"{name}: expected (..., T, d) in {path}, got {describe(arrays)}{there}")
    k, v = _heads("k", arrays["k"]), _heads("v", arrays["v"])
    if v.shape[:2] != k.shape[:2]:
        raise ProblemError(f"v: expected the heads and tokens of k, {k.shape[:2]}, got {v.shape[:2]}")
    q = _heads("q", arrays["q"]) if "q" in arrays else k
    if q.shape[1:] != k.shape[1:] or q.shape[0] % k.shape[0]:
        raise ProblemError(f"q: expected a multiple of {k.shape[0]} heads, then {k.shape[1:]} as k, got {q.shape}")
    return Captured(f"{path.stem} {prefix}".strip(), q, k, v, None)


def _heads(name: str, x: np.ndarray) -> np.ndarray:
    """(heads, T, d) float64 of (..., T, d), all of it real and finite."""
    from ttr_numerics.problem import ProblemError

    if not np.can_cast(x.dtype, np.float64, "same_kind"):
        raise ProblemError(f"{name}: expected real numbers, got {x.dtype}")
    wide = np.asarray(x, dtype=np.float64).reshape(-1, *x.shape[-2:])
    if not np.all(np.isfinite(wide)):
        raise ProblemError(f"{name}: expected finite numbers, got {np.count_nonzero(~np.isfinite(wide))} others")
    return wide
