"""A failing case as a short Python program that needs NumPy and the subject's own library, and nothing of ours.

It makes the calls, compares the last output with the expected one and its tolerance, prints both and ends with status
1 where they differ. Small arrays stand in the program, larger ones in an .npz file beside it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from ttr_numerics.convention import PRESETS, Convention, inverse_root
from ttr_numerics.probes.failure import Failure, Mode
from ttr_numerics.probes.findings import Audit
from ttr_numerics.probes.probe import Finding
from ttr_numerics.report import write_atomically

__all__ = ["command", "file_name", "program", "save"]

INLINE = 160  # numbers that a program holds itself
MARK = "# Replays what `ttr audit` found."
_DTYPES = {"float64": np.float64, "float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def command(audit: Audit, target: str, probe: str | None = None) -> str:
    """The command that draws the same cases again: all of them, or those of one probe."""
    words = ["ttr audit", _quoted(target), "--as", audit.layer, "--dtype", audit.dtype, "--library", audit.library]
    words += ["--contract", _quoted(audit.contract)] if audit.contract else []
    words += ["--shape", _quoted(audit.shape.replace(" ", ""))] if audit.shape else []
    words += [*_flags(audit.convention), "--seed", str(audit.seed)]
    return " ".join([*words, *(["--probe", _quoted(probe)] if probe else [])])


def file_name(probe: str) -> str:
    """The probe's name as that of a file."""
    return re.sub(r"[^A-Za-z0-9.^+-]+", "_", probe).strip("_")


def save(folder: Path, target: str, audit: Audit) -> list[Path]:
    """Write a program for every finding with a case, and its arrays as .npz; the paths of the programs.

    Raises ValueError where that would overwrite a file that is none of ours.
    """
    shown = [(f, f.case) for f in audit.findings if f.case is not None]
    paths = [folder / f"{file_name(f.probe)}.py" for f, _ in shown]
    for path in paths:
        ours = path.is_file() and path.read_text(encoding="utf-8", errors="replace").startswith(MARK)
        taken = [p for p in (path, path.with_suffix(".npz")) if p.exists() and not ours]
        if taken:
            raise ValueError(f"--save: expected a folder without other people's files, got one with {taken[0].name}")
    for path, (finding, case) in zip(paths, shown, strict=True):
        _write_arrays(path.with_suffix(".npz"), case, audit)
        write_atomically(path, program(finding, target, audit))
    return paths


def program(finding: Finding, target: str, audit: Audit) -> str:
    """The program of a finding with a case; it looks for its arrays beside itself where they are many."""
    case = finding.case
    if case is None:
        raise ValueError(f"finding: expected one with a case, got none for {finding.probe}")
    inline = case.size + case.expected.size <= INLINE
    lines = [
        MARK,
        f"# {command(audit, target, finding.probe)}",
        f"# {_summary(finding, audit)}",
        *_imports(target, case, audit, inline),
    ]
    for number, call in enumerate(case.calls):
        lines += [
            f"{_at(n, number, case)} = {_array(n, x, number, audit, inline)}" for n, x in _arrays(call.case.foreign)
        ]
        if case.mode is Mode.INPUTS and call is case.calls[-1]:
            lines.append(f"before = np.array({_numpy(_at(case.said.split(', ')[0], number, case), audit)})")
        lines.append(f"result{_index(number, case)} = {_call(number, case)}")
    return "\n".join([*lines, *_comparison(case, audit, inline)]) + "\n"


def _summary(finding: Finding, audit: Audit) -> str:
    case = finding.case
    assert case is not None
    what = f"{audit.layer}, {finding.probe}: {case.mode.value}"
    return what + (f" ({case.said.splitlines()[0]})" if case.said else "")


def _imports(target: str, case: Failure, audit: Audit, inline: bool) -> Iterator[str]:
    place, _, name = target.rpartition(":")
    path = place.endswith(".py")
    also = ", torch" if audit.library == "torch" else ", ml_dtypes" if audit.dtype == "bfloat16" else ""
    yield f"import {'runpy' if path else 'importlib'}, sys, numpy as np{also}"
    if inline and not all(np.isfinite(x).all() for x in _given(case)):
        yield "from math import inf"
    if not inline:
        yield "stored = np.load(__file__.removesuffix('.py') + '.npz')"
    yield f"sys.path.insert(0, {str(Path(place).resolve().parent if path else Path.cwd())!r})"
    head, *rest = name.split(".")
    module = f"importlib.import_module({place!r}).{head}"
    found = f"runpy.run_path({str(Path(place).resolve())!r})[{head!r}]" if path else module
    yield f"subject = {'.'.join([found, *rest])}"
    yield "subject = subject() if isinstance(subject, type) else subject"
    if audit.library == "torch":
        yield f"subject = subject.eval().to(torch.{audit.dtype}) if hasattr(subject, 'eval') else subject"


def _given(case: Failure) -> list[Any]:
    return [x for call in case.calls for _, x in _arrays(call.case.foreign)]


def _arrays(foreign: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(n, x) for n, x in foreign.items() if isinstance(x, np.ndarray)]


def _index(number: int, case: Failure) -> str:
    return str(number) if len(case.calls) > 1 else ""


def _at(name: str, number: int, case: Failure) -> str:
    return name + _index(number, case)


def _array(name: str, x: np.ndarray, number: int, audit: Audit, inline: bool) -> str:
    """The expression that makes one array in the subject's library and dtype."""
    whole = x.dtype.kind in "iu"
    dtype = "int64" if whole else audit.dtype
    constant = x.size > 4 and bool((x == x.flat[0]).all())
    library = "torch" if audit.library == "torch" else "np"
    of = f"dtype={'ml_dtypes' if (library, dtype) == ('np', 'bfloat16') else library}.{dtype}"
    if constant:
        return f"{library}.full({x.shape}, {_number(x.flat[0], dtype)}, {of})"
    numbers = _listed(x, dtype) if inline else f"stored[{f'{name}_{number}'!r}]"
    return f"{'torch.tensor' if library == 'torch' else 'np.array'}({numbers}, {of})"


def _listed(x: np.ndarray, dtype: str) -> str:
    if not x.ndim:
        return _number(x[()], dtype)
    return "[" + ", ".join(_listed(row, dtype) for row in x) + "]"


def _number(x: Any, dtype: str) -> str:
    """The shortest text that is `x` again in the dtype."""
    if dtype not in _DTYPES:
        return str(int(x))
    if not np.isfinite(x):
        return str(float(x))
    short = str(_DTYPES[dtype](x))
    return short if _DTYPES[dtype](float(short)) == _DTYPES[dtype](x) else repr(float(x))


def _call(number: int, case: Failure) -> str:
    call = case.calls[number]
    q, k, v, *others = call.case.foreign
    words = [_at(n, number, case) for n in (q, k, v)]
    for n in others:
        x = call.case.foreign[n]
        words.append(f"{n}={_at(n, number, case) if isinstance(x, np.ndarray) else repr(x)}")
    words += ["output_final_state=True"] if case.asks_state else []
    if call.source is not None:
        words.append(f"initial_state=result{_index(call.source, case)}[1]")
    return f"subject({', '.join(words)})"


def _comparison(case: Failure, audit: Audit, inline: bool) -> Iterator[str]:
    last = len(case.calls) - 1
    if case.mode is Mode.INPUTS:
        name = _at(case.said.split(", ")[0], last, case)
        yield f"after = np.array({_numpy(name, audit)})"
        yield "print('before:', before.ravel(), ' after:', after.ravel())"
        yield "sys.exit(not np.array_equal(before, after))"
        return
    expected, tolerance = _theirs(case, audit.convention)
    result = f"result{_index(last, case)}"
    first = f"({result}[0] if isinstance({result}, (tuple, list)) else getattr({result}, 'o', {result}))"
    yield f"o = {_numpy(first, audit)}"
    for name, x in (("expected", expected), ("tolerance", tolerance)):
        yield f"{name} = {'np.array(' + _plain(x) + ')' if inline else f'stored[{name!r}]'}"
    yield "wrong = o.shape != expected.shape or not (np.linalg.norm(o - expected, axis=-1) <= tolerance).all()"
    yield "print('output  ', o.ravel(), '\\nexpected', expected.ravel(), '\\nrows may differ by', tolerance.ravel())"
    yield "sys.exit(bool(wrong))"


def _numpy(name: str, audit: Audit) -> str:
    return f"{name}.detach().double().numpy()" if audit.library == "torch" else f"np.asarray({name}, dtype=float)"


def _plain(x: np.ndarray) -> str:
    return repr(x.tolist()).replace("inf", "np.inf")


def _theirs(case: Failure, convention: Convention) -> tuple[np.ndarray, np.ndarray]:
    """Expected output and tolerance in the layout in which the subject gives its output."""
    layout, at = convention.output_layout or convention.layout, case.expected.ndim - 3
    return layout.theirs(case.expected, at, "o"), _three_digits(
        layout.theirs(case.tolerance[..., None], at, "o")[..., 0]
    )


def _three_digits(x: np.ndarray) -> np.ndarray:
    """Every entry rounded up to three digits."""
    return np.array([float(f"{1.005 * entry:.2e}") for entry in x.ravel()]).reshape(x.shape)


def _write_arrays(path: Path, case: Failure, audit: Audit) -> None:
    expected, tolerance = _theirs(case, audit.convention)
    arrays: dict[str, Any] = {} if case.got is None else {"got": case.got}
    arrays |= {f"{n}_{number}": x for number, c in enumerate(case.calls) for n, x in _arrays(c.case.foreign)}
    temporary = path.with_name(f".{path.name}.part.npz")
    try:
        np.savez_compressed(temporary, **arrays, expected=expected, tolerance=tolerance)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _flags(convention: Convention) -> list[str]:
    """The command line's words for a convention; none for one it has no words for."""
    for name, preset in {"": Convention(), **PRESETS}.items():
        if replace(convention, scale=preset.scale, grouped_heads=preset.grouped_heads) != preset:
            continue
        words = ["--convention", name] if name else []
        if convention.scale != preset.scale:
            words += ["--scale", "'1/sqrt(d)'" if convention.scale is inverse_root else str(convention.scale)]
        return words + (["--grouped-heads"] if convention.grouped_heads and not preset.grouped_heads else [])
    return []


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w./:=,+^-]+", text) else "'" + text.replace("'", "'\\''") + "'"
