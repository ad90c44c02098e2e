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

from ttr_numerics.arguments import QUERIES, Argument, Domain
from ttr_numerics.pairs import Pairing, catalogue
from ttr_numerics.precision import DTYPES

__all__ = ["Problem", "ProblemError", "check_dtypes", "describe", "read_arrays", "rename_aliases", "under"]


class ProblemError(ValueError):
    """Bad input, in one sentence."""


_ALIASES = {
    "q": ("query", "queries", "Q"),
    "k": ("key", "keys", "K"),
    "v": ("value", "values", "V"),
    "o": ("out", "output", "outputs", "O", "context", "ctx", "attn_output"),
}
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
        _check_values(QUERIES, arrays["q"])
        for x in row.arguments:
            if x.name in arrays:
                _check_values(x, arrays[x.name])
                arrays[x.name] = _as_taken(x, arrays[x.name], arrays["q"].shape[:-2])
        return cls(row, arrays, arrays.pop("o"), output_dtype)


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


def under(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """PREFIX.q, PREFIX.k, ... as q, k, ...; those are the names `ttr capture` stores a layer by."""
    start = prefix.removesuffix(".") + "."
    found = {name.removeprefix(start): x for name, x in arrays.items() if name.startswith(start)}
    if found:
        return found
    there = sorted({name.rpartition(".")[0] for name in arrays if "." in name})
    if not there:
        raise ProblemError(f"--prefix: expected names with a prefix such as layer0.k, got {', '.join(arrays)}")
    raise ProblemError(f"--prefix: expected one of {', '.join(there)}, got {prefix}")


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
                if name in _ours():
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
        elif name in _ours():
            raise ProblemError(f"{name}: expected a real floating dtype, got {entry['dtype']}")
    return arrays


def _ours() -> set[str]:
    """Every name under which an array of some layer, or an alias of it, may be stored."""
    named = {x.name for row in catalogue() for x in row.arguments}
    return {*named, *_ALIASES, *(alias for names in _ALIASES.values() for alias in names)}


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
    if name == "o" and name_of not in DTYPES:
        raise ProblemError(f"o: expected one of {', '.join(DTYPES)}, got {name_of}")
    return name_of


def check_dtypes(arrays: Mapping[str, Any]) -> None:
    """Refuse integers, complex numbers and the rest before anything is computed with them."""
    for name in ("q", "k", "v", "o"):
        if arrays.get(name) is not None:
            dtype_name(name, np.asarray(arrays[name]))


def _float64(name: str, x: Any) -> np.ndarray:
    array = np.asarray(x)
    if array.ndim == 0 and array.dtype.kind in "iu":  # a number: a ridge, a count
        return array.astype(np.float64)
    dtype_name(name, array)
    return array.astype(np.float64)


def _check_shapes(row: Pairing, arrays: Mapping[str, np.ndarray]) -> None:
    """Shapes as the row's arguments declare them, after q's batch axes, which arrays below T may leave out."""
    q = arrays["q"]
    for name in ("q", "k", "v", "o"):
        if arrays[name].ndim < 2 or 0 in arrays[name].shape:
            raise ProblemError(f"{name}: expected shape (..., T, d) without an empty axis, got {arrays[name].shape}")
    batch, axes = q.shape[:-2], {"T": q.shape[-2], "d_k": q.shape[-1]}
    for x in row.arguments:
        if x.name in arrays:
            _bind(x, arrays[x.name].shape, len(batch), axes)
            if not any(_fits(arrays[x.name].shape, batch, shape, x) for shape in x.sizes(axes)):
                raise ProblemError(_misfit(x, [(*batch, *s) for s in x.sizes(axes)], arrays[x.name].shape, q.shape))
    expected = (*q.shape[:-1], arrays["v"].shape[-1])
    if arrays["o"].shape != expected:
        raise ProblemError(f"o: expected shape {expected}, got {arrays['o'].shape}")


def _as_taken(x: Argument, array: np.ndarray, batch: tuple[int, ...]) -> Any:
    """A number as a number (a count as an int); an array without a time axis over the whole batch."""
    if not array.ndim:
        return int(array) if x.domain is Domain.COUNT else float(array)
    if "T" in x.shapes[0]:
        return array
    own = len(next(shape for shape in reversed(x.shapes)))
    return np.broadcast_to(array, (*batch, *array.shape[array.ndim - own :]))


def _bind(x: Argument, got: tuple[int, ...], batch: int, axes: dict[str, int]) -> None:
    """Lengths of the axes that `x` is the first to have, from its last axes (without time, it may lack a batch)."""
    for shape in x.shapes:
        if len(got) == batch + len(shape) or ("T" not in shape and len(shape) <= len(got) < batch + len(shape)):
            for name, length in zip(shape, got[len(got) - len(shape) :], strict=True):
                axes.setdefault(name, length)
        for name in shape:
            axes.setdefault(name, 1)


def _fits(got: tuple[int, ...], batch: tuple[int, ...], shape: tuple[int, ...], x: Argument) -> bool:
    """Exactly the batch axes and `shape`; what has no time axis broadcasts over the batch, counts excepted."""
    if "T" in x.shapes[0]:
        return got == (*batch, *shape)
    if not shape and (len(x.shapes) > 1 or x.domain is Domain.COUNT):  # one a head would read as one a channel
        return not got
    leading = got[: len(got) - len(shape)]
    broadcasts = all(n in (1, m) for n, m in zip(leading[::-1], batch[::-1], strict=False))
    return got[len(leading) :] == shape and broadcasts and len(leading) <= len(batch)


def _misfit(x: Argument, shapes: list[tuple[int, ...]], got: tuple[int, ...], q: tuple[int, ...]) -> str:
    """The sentence of a wrong shape, with a hint where grouped heads would explain it."""
    wanted = " or ".join(["a number"] * x.is_number + ["shape " + str(s) for s in shapes[x.is_number :]])
    grouped = x.name in ("k", "v") and len(got) >= 3 and len(q) >= 3 and got[-3] < q[-3]
    hint = "; if heads are grouped, say so (--grouped-heads)" if grouped else ""
    return f"{x.name}: expected {wanted}, got {got}{hint}"


def _check_values(x: Argument, array: np.ndarray) -> None:
    """Entries as the argument's domain allows them."""
    bad = x.domain.outside(array)
    if not bad.any():
        return
    where = _first(bad)
    hint = ""
    if x.domain is Domain.LOG_GATE and bool(np.all((array >= 0) & (array <= 1))):
        hint = "; all lie in [0, 1]: linear gates? give their natural logarithm"
    finite = "finite entries" if not np.isfinite(array[where]) else x.domain.value
    raise ProblemError(
        f"{x.name}: expected {finite}, got {array[where]:.6g} first at {where} ({int(bad.sum())} in all){hint}"
    )


def _first(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(mask)[0])


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
