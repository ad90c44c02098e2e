"""The immutable problem: a layer, its arrays and an output somebody else computed; validated once.

Every refusal is a `ProblemError`: one sentence with the argument, what was expected and what was got.
"""

import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, deserialize

from ttr_numerics.pairs import Pairing
from ttr_numerics.precision import FORMATS

__all__ = ["Problem", "ProblemError", "check_dtypes", "describe", "read_arrays", "rename_aliases"]


class ProblemError(ValueError):
    """Bad input, in one sentence."""


_ALIASES = {
    "q": ("query", "queries", "Q"),
    "k": ("key", "keys", "K"),
    "v": ("value", "values", "V"),
    "o": ("out", "output", "outputs", "O", "context", "ctx", "attn_output"),
}
_OURS = {"log_decay", "beta", "ridge", "initial_state", *_ALIASES, *(a for names in _ALIASES.values() for a in names)}
# What zipfile, zlib, NumPy's header parser and safetensors raise on a damaged file.
_UNREADABLE = (OSError, EOFError, KeyError, RuntimeError, struct.error, zlib.error, zipfile.BadZipFile, SafetensorError)
_LOW = {np.dtype(ml_dtypes.bfloat16): "bfloat16"}


@dataclass(frozen=True)
class Problem:
    """`arrays` (q, k, v and the layer's own, float64) and the output `o` under test (float64, may hold NaN).

    `output_dtype` names the format in which `o` came.
    """

    row: Pairing
    arrays: Mapping[str, Any]
    o: np.ndarray
    output_dtype: str

    @classmethod
    def build(cls, row: Pairing, given: Mapping[str, Any]) -> "Problem":
        """Validate `given` (arrays as they came, `o` among them) for the layer of `row`."""
        wanted = ("q", "k", "v", *row.arrays, "o")
        for name in wanted:
            if given.get(name) is None:
                raise ProblemError(f"{name}: expected for {row.name}, got no such array; there are {describe(given)}")
        used = {n: given[n] for n in (*wanted, *row.optional) if given.get(n) is not None}
        output_dtype = dtype_name("o", np.asarray(used["o"]))
        arrays: dict[str, Any] = {name: _float64(name, x) for name, x in used.items()}
        _check_shapes(row, arrays)
        for name, x in arrays.items():
            _check_values(name, x)
        o = arrays.pop("o")
        if "ridge" in arrays:
            q = arrays["q"]
            full = (*q.shape[:-2], q.shape[-1])
            arrays["ridge"] = np.broadcast_to(arrays["ridge"], full) if arrays["ridge"].ndim else float(arrays["ridge"])
        return cls(row, arrays, o, output_dtype)


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz or .safetensors file; pickled arrays are never loaded."""
    path = Path(path)
    if not path.is_file():
        raise ProblemError(f"file: expected a readable .npz or .safetensors file, got {path}, which is not a file")
    try:
        if path.suffix == ".npz":
            return _read_npz(path)
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
    except ProblemError:
        raise
    except ValueError as error:
        raise ProblemError(f"file: expected a complete {path.suffix} file, got {path}: {_first_line(error)}") from error
    except _UNREADABLE as error:
        raise ProblemError(f"file: expected a complete {path.suffix} file, got {path}: {_first_line(error)}") from error
    raise ProblemError(f"file: expected a name ending in .npz or .safetensors, got {path.name}")


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    """The plain arrays of an archive; a pickled one is left out, or refused where its name is one of ours."""
    if not zipfile.is_zipfile(path):
        raise ProblemError(f"file: expected a complete .npz file, got {path}, which is not a zip archive")
    arrays = {}
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        for name in archive.files:
            try:
                arrays[name] = archive[name]
            except ValueError as error:
                if "pickle" not in str(error).lower():
                    raise
                if name in _OURS:
                    raise ProblemError(f"{name}: expected a plain array, got pickled objects, not loaded") from error
    return arrays


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The arrays of the file; those of a type NumPy has no name for are left out, or refused where they are ours."""
    kinds: dict[str, Any] = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": ml_dtypes.bfloat16, "BOOL": "?"}
    kinds |= {f"{sign}{8 * n}": f"<{code}{n}" for sign, code in (("I", "i"), ("U", "u")) for n in (1, 2, 4, 8)}
    arrays = {}
    for name, entry in deserialize(path.read_bytes()):
        if entry["dtype"] in kinds:
            arrays[name] = np.frombuffer(entry["data"], dtype=kinds[entry["dtype"]]).reshape(entry["shape"])
        elif name in _OURS:
            raise ProblemError(f"{name}: expected a real floating dtype, got {entry['dtype']}")
    return arrays


def rename_aliases(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Arrays under our names, and a sentence for each that was taken under another: only where one alias fits."""
    renamed, notes = dict(arrays), []
    for name, aliases in _ALIASES.items():
        found = [alias for alias in aliases if alias in renamed]
        if name not in renamed and len(found) == 1:
            renamed[name] = renamed.pop(found[0])
            notes.append(f"{found[0]} is read as {name}")
    return renamed, notes


def describe(arrays: Mapping[str, Any]) -> str:
    """Name, shape, dtype, range and NaN count of every array, for a sentence."""
    return "; ".join(_describe_one(name, np.asarray(x)) for name, x in arrays.items() if x is not None) or "none"


def _describe_one(name: str, x: np.ndarray) -> str:
    text = f"{name} {x.shape} {x.dtype}"
    if not _is_real_floating(x) or not x.size:
        return text
    wide = x.astype(np.float64)
    finite = wide[np.isfinite(wide)]
    span = f" in [{finite.min():.3g}, {finite.max():.3g}]" if finite.size else ""
    nans = int(np.isnan(wide).sum())
    return text + span + (f", {nans} NaN" if nans else "")


def _is_real_floating(x: np.ndarray) -> bool:
    return x.dtype.kind == "f" or x.dtype in _LOW


def dtype_name(name: str, x: np.ndarray) -> str:
    """The format's name, or a refusal of integers, complex numbers and the rest."""
    if not _is_real_floating(x):
        raise ProblemError(f"{name}: expected a real floating dtype, got {x.dtype}")
    name_of = _LOW.get(x.dtype, x.dtype.newbyteorder("=").name)
    if name == "o" and name_of not in FORMATS:
        raise ProblemError(f"o: expected one of {', '.join(FORMATS)}, got {name_of}")
    return name_of


def check_dtypes(arrays: Mapping[str, Any]) -> None:
    """Refuse integers, complex numbers and the rest before anything is computed with them."""
    for name in ("q", "k", "v", "o"):
        if arrays.get(name) is not None:
            dtype_name(name, np.asarray(arrays[name]))


def _float64(name: str, x: Any) -> np.ndarray:
    array = np.asarray(x)
    if name == "ridge" and array.ndim == 0 and array.dtype.kind in "iu":
        return array.astype(np.float64)
    dtype_name(name, array)
    return array.astype(np.float64)


def _check_shapes(row: Pairing, arrays: Mapping[str, np.ndarray]) -> None:
    q, v = arrays["q"], arrays["v"]
    for name in ("q", "k", "v", "o"):
        if arrays[name].ndim < 2 or 0 in arrays[name].shape:
            raise ProblemError(f"{name}: expected shape (..., T, d) without an empty axis, got {arrays[name].shape}")
    batch, d_k, d_v = q.shape[:-1], q.shape[-1], v.shape[-1]
    expected = {
        "k": [q.shape],
        "v": [(*batch, d_v)],
        "o": [(*batch, d_v)],
        "beta": [batch],
        "log_decay": [batch] if row.name == "mesa" else [batch, q.shape],
        "initial_state": [(*batch[:-1], d_k, d_v)],
    }
    for name, shapes in expected.items():
        if name in arrays and arrays[name].shape not in shapes:
            wanted = " or ".join(str(tuple(int(n) for n in s)) for s in shapes)
            hint = ""
            if name in ("k", "v") and arrays[name].ndim >= 3 and q.ndim >= 3 and arrays[name].shape[-3] < q.shape[-3]:
                hint = "; if heads are grouped, say so (--grouped-heads)"
            raise ProblemError(f"{name}: expected shape {wanted}, got {arrays[name].shape}{hint}")
    if "ridge" in arrays and arrays["ridge"].ndim:
        full, got = (*batch[:-1], d_k), arrays["ridge"].shape
        fits = len(got) <= len(full) and got[-1] == d_k
        if not fits or any(n not in (1, m) for n, m in zip(got[::-1], full[::-1], strict=False)):
            raise ProblemError(f"ridge: expected a number or shape {full} (batch axes may be left out), got {got}")


def _check_values(name: str, x: np.ndarray) -> None:
    """Inputs are finite (log_decay may be -inf, at most 0; ridge is not negative). The output may be anything."""
    if name == "o":
        return
    bad = np.isnan(x) | (x == np.inf) if name == "log_decay" else ~np.isfinite(x)
    if bad.any():
        where = _first(bad)
        raise ProblemError(
            f"{name}: expected finite entries, got {x[where]} first at {where} ({int(bad.sum())} in all)"
        )
    if name == "log_decay" and (x > 0).any():
        where, linear = _first(x > 0), bool(np.all((x >= 0) & (x <= 1)))
        hint = "; all lie in [0, 1]: linear gates? give their natural logarithm" if linear else ""
        raise ProblemError(f"log_decay: expected at most 0 (a natural logarithm), got {x[where]:.6g} at {where}{hint}")
    if name == "ridge" and (x < 0).any():
        raise ProblemError(f"ridge: expected at least 0, got {x.min():.6g}")


def _first(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(mask)[0])


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
