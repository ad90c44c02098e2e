"""The version of a study's code: a hash of the syntax of every module of ours that it imports.

Comments, docstrings and layout do not count, so that a corrected sentence does not undo a night of measuring.
"""

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = ["code_version", "libraries", "modules"]


def code_version(module: str) -> str:
    """16 hexadecimal digits of the module and of all modules of the same top-level packages that it reaches."""
    parts = [f"{name} {syntax}" for name, syntax in modules(module).items()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def modules(module: str) -> dict[str, str]:
    """A hash of the syntax of each module that code_version is made of, by name."""
    return {name: _syntax(name) for name in sorted(_reached(module)[0])}


def libraries(module: str) -> list[str]:
    """The other top-level packages that these modules import."""
    return sorted({name.partition(".")[0] for name in _reached(module)[1]})


def _reached(module: str) -> tuple[set[str], set[str]]:
    """Modules of the same packages, and full names of others."""
    own, waiting = {module.partition(".")[0], "ttr_numerics"}, [module]
    reached: set[str] = set()
    others: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name.partition(".")[0] not in own:
            others.add(name)
        elif name not in reached and _source(name) is not None:
            reached.add(name)
            waiting += _imported(name)
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


def _imported(name: str) -> Iterator[str]:
    """Full names of the modules whose names a module takes, wherever in it.

    A package counts where one of its own names is taken, not where it is only the way to a module inside.
    """
    path = _source(name)
    package = name if path is not None and path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.Import):
            yield from (part for alias in node.names for part in _with_parents(alias.name))
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = importlib.util.resolve_name("." * node.level + base, package)
            for alias in node.names:
                inside = f"{base}.{alias.name}"
                yield base if _source(inside) is None else inside


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]
