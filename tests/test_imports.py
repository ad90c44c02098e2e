"""One direction: which room of the package may import which, and who may name an array library."""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import ttr_numerics

ROOT = Path(ttr_numerics.__file__).parent

# Every room (a module or a package of ttr_numerics), and the rooms to its left that it may import. Nothing else.
MAY_IMPORT = {
    "arrays": "",
    "axes": "arrays",
    "backward": "arrays",
    "border": "arrays axes",
    "precision": "arrays",
    "arguments": "",
    "data": "",
    "convention": "arguments",
    "recurrence": "arrays axes",
    "features": "arrays",
    "gates": "arrays",
    "tolerance": "arrays precision",
    "layers": "arrays axes recurrence",
    "exact": "arrays axes backward recurrence",
    "choices": "exact",
    "derivations": "arrays axes exact features layers",
    "pairs": "arguments arrays axes choices derivations exact features layers",
    "composition": "arrays axes choices exact pairs recurrence",
    "problem": "arguments arrays convention pairs precision",
    "tasks": "problem",
    "verdict": "arguments arrays axes backward convention exact pairs precision problem tolerance",
    "report": "",
    "named": "",
    "probes": "arguments arrays axes backward choices convention named pairs precision problem report tasks tolerance "
    "verdict",
    "measure": "arrays backward exact layers pairs tasks",
    "profile": "exact layers measure",
    "capture": "convention",
    "nn": "arguments axes border composition pairs",
    "progress": "",
    "study": "arrays named tasks",
    "testing": "convention probes report verdict",
    "publish": "pairs progress report study",
    "cli": "capture convention derivations pairs precision probes problem profile progress publish report study tasks "
    "verdict",
    "__init__": "border choices composition convention exact features gates layers measure pairs probes problem tasks "
    "testing verdict",
}
# `exact.kernels` is all the verdict may know of the exact solvers: it judges layers, it does not solve.
ONLY_PART = {("verdict", "exact"): "ttr_numerics.exact.kernels"}

# Rooms that may name a library, a prefix of a room's own name. No row: nobody may.
LIBRARIES = {
    "torch": "arrays capture nn",
    "transformers": "capture",
    "cupy": "arrays",
    "cupyx": "arrays",
    "array_api_compat": "arrays",
    "array_api_extra": "arrays",
    "sympy": "arrays derivations tasks",
    "scipy": "arrays tolerance verdict measure profile",
    "gfloat": "arrays precision",
    "flint": "arrays",
    "numpy": "arguments arrays derivations pairs precision tolerance tasks problem convention "
    "probes profile verdict measure report study testing nn cli",
    "matplotlib": "report",
    "jinja2": "report probes",
    "hypothesis": "probes",
    "sklearn": "",
    "significantdigits": "",
    "statsmodels": "",
    "padasip": "",
    "pytest": "testing",
}


def rooms(root: Path) -> Iterator[tuple[str, Path]]:
    """Every module with the name of its room."""
    for path in sorted(root.rglob("*.py")):
        first = path.relative_to(root).parts[0]
        yield first.removesuffix(".py"), path


def imported(path: Path) -> Iterator[str]:
    """The full names a module imports, wherever in the file: `from a import b` gives a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def violations(root: Path) -> list[str]:
    """Sentences, one an import that the tables above do not allow."""
    found = []
    for room, path in rooms(root):
        if room not in MAY_IMPORT:
            found.append(f"{path.name}: room {room} is not in the table")
            continue
        for name in imported(path):
            package, _, rest = name.partition(".")
            target = rest.split(".")[0]
            if package == "":
                found.append(f"{path.name}: relative import {name}")
            elif package == "ttr_numerics":
                part = ONLY_PART.get((room, target), "")
                if target != room and (target not in MAY_IMPORT[room].split() or not name.startswith(part)):
                    found.append(f"{path.name}: {room} imports {name}")
            elif package in LIBRARIES and room not in LIBRARIES[package].split():
                found.append(f"{path.name}: {room} names {package}")
    return found


def test_every_import_points_from_right_to_left() -> None:
    assert violations(ROOT) == []


def test_the_table_itself_has_no_arrow_to_the_right() -> None:
    order = list(MAY_IMPORT)
    for room, allowed in MAY_IMPORT.items():
        assert all(order.index(other) < order.index(room) for other in allowed.split()), room


def test_layers_and_exact_solvers_never_meet() -> None:
    assert "exact" not in MAY_IMPORT["layers"].split()
    assert "layers" not in MAY_IMPORT["exact"].split()


def test_every_room_in_the_table_exists() -> None:
    assert set(MAY_IMPORT) == {room for room, _ in rooms(ROOT)}


@pytest.mark.parametrize(
    ("file", "line", "sentence"),
    [
        ("layers/delta.py", "from ttr_numerics.exact import ridge", "layers imports ttr_numerics.exact.ridge"),
        ("exact/ridge.py", "from ttr_numerics import layers", "exact imports ttr_numerics.layers"),
        ("report/rows.py", "import ttr_numerics.measure", "report imports ttr_numerics.measure"),
        ("axes.py", "from ttr_numerics.recurrence import sequential", "axes imports ttr_numerics.recurrence.seque"),
        ("layers/mesa.py", "import numpy as np", "layers names numpy"),
        ("verdict/judge.py", "def f():\n    import torch", "verdict names torch"),
        ("exact/ridge.py", "from . import weights", "relative import"),
        ("helpers.py", "", "room helpers is not in the table"),
    ],
)
def test_a_planted_wrong_import_is_caught(file: str, line: str, sentence: str, tmp_path: Path) -> None:
    root = tmp_path / "ttr_numerics"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns("*.npz", "__pycache__"))
    assert violations(root) == []
    with (root / file).open("a", encoding="utf-8") as module:
        module.write(f"\n{line}\n")
    found = violations(root)
    assert len(found) == 1
    assert sentence in found[0]
