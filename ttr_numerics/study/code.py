"""The version of a study's code: a hash of the syntax of every module of ours that it imports.

Comments, docstrings and layout do not count, so that a corrected sentence does not undo a night of measuring.

What a study takes from `ttr_numerics.study` is not followed there: `Grid`, `Study` and `placed` declare a question, and
what they promise of a cell (its parameters, its random numbers, the library of its arrays) is the protocol, one number.
A study that computes with NumPy alone is thus keyed by its own file. Tasks, layers and solvers of ours count by what
its own imports reach: `from ttr_numerics.tasks import mqar` takes the module of `mqar` and what that imports.
"""

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = ["PROTOCOL", "code_version", "libraries", "modules", "own_libraries"]

PROTOCOL = 1  # raised when a cell's parameters, its generator or `placed` come to mean something else
_DECLARING = "ttr_numerics.study"


def code_version(module: str) -> str:
    """16 hexadecimal digits of the module and of all modules of the same top-level packages that it reaches."""
    parts = [f"{name} {syntax}" for name, syntax in modules(module).items()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def modules(module: str) -> dict[str, str]:
    """A hash of the syntax of each module that code_version is made of, by name, and the protocol."""
    return {_DECLARING: f"protocol {PROTOCOL}"} | {name: _syntax(name) for name in sorted(_reached(module)[0])}


def libraries(module: str) -> list[str]:
    """The other top-level packages that these modules import."""
    return sorted({name.partition(".")[0] for name in _reached(module)[1]})


def own_libraries(module: str) -> list[str]:
    """Those of them that modules of the same package import themselves."""
    package = module.rpartition(".")[0] or module
    own = [name for name in _reached(module)[0] if name == module or name.startswith(f"{package}.")]
    tops = {found.partition(".")[0] for name in own for found in _imported(name, module)}
    return sorted(tops & set(libraries(module)))


def _reached(module: str) -> tuple[set[str], set[str]]:
    """Modules of the same packages, and full names of others."""
    waiting = [module]
    reached: set[str] = set()
    others: set[str] = set()
    while waiting:
        name = waiting.pop()
        if f"{name}.".startswith(f"{_DECLARING}."):
            continue
        if not _is_ours(name, module):
            others.add(name)
        elif name not in reached and _source(name) is not None:
            reached.add(name)
            waiting += _imported(name, module)
    return reached, others


@cache
def _source(name: str) -> Path | None:
    """The file of a module, found without importing it; a file that was loaded by its path is known to `sys`."""
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None):
        return Path(str(loaded.__file__))
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # no module: a name inside one
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


@cache
def _tree(name: str) -> ast.Module:
    path = _source(name)
    assert path is not None
    return ast.parse(path.read_bytes())


@cache
def _syntax(name: str) -> str:
    tree = ast.parse(ast.unparse(_tree(name)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _documented(node):
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def _documented(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return ast.get_docstring(node, clean=False) is not None


def _imported(name: str, module: str) -> Iterator[str]:
    """Full names of the modules whose names a module takes, wherever in it."""
    path = _source(name)
    package = name if path is not None and path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.Import):
            yield from (part for alias in node.names for part in _with_parents(alias.name))
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = importlib.util.resolve_name("." * node.level + base, package)
            yield from (_home(base, alias.name) if _is_ours(base, module) else base for alias in node.names)


def _is_ours(name: str, module: str) -> bool:
    """Whether a name is of the packages whose code counts: that of the study's module, and this one."""
    return name.partition(".")[0] in (module.partition(".")[0], "ttr_numerics")


def _home(base: str, name: str) -> str:
    """The module that `from base import name` takes: `base.name`, or the one from which `base` itself has the name.

    A package that only passes a name on takes nothing into the answer.
    """
    inside = f"{base}.{name}"
    if _source(inside) is not None or _source(base) is None:
        return inside if _source(inside) is not None else base
    for node in _tree(base).body:
        if isinstance(node, ast.ImportFrom) and not node.level and node.module != base:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _home(str(node.module), alias.name)
    return base


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]
