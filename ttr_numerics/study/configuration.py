"""What the rows of a cell depend on besides the cell: seed, code, versions. A journal keeps it beside its rows."""

import importlib.metadata
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from ttr_numerics.study.code import libraries, modules

__all__ = ["Configuration", "configuration"]


@dataclass(frozen=True)
class Configuration:
    """A study's seed, a hash of each module of its code, and the version of each library at hand."""

    study: str
    seed: int
    code: Mapping[str, str]
    versions: Mapping[str, str]

    def differences(self, here: "Configuration") -> list[str]:
        """What is not the same `here`, a clause each. A library that only one of the two has does not count."""
        found = [f"seed {self.seed} there, {here.seed} here"] if self.seed != here.seed else []
        both = self.versions.keys() & here.versions.keys()
        for name in sorted(both):
            if self.versions[name] != here.versions[name]:
                found.append(f"{name} {self.versions[name]} there, {here.versions[name]} here")
        names = sorted(self.code.keys() | here.code.keys())
        changed = [name for name in names if self.code.get(name) != here.code.get(name)]
        if changed:
            more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
            found.append(f"other code in {', '.join(changed[:_NAMED])}{more}")
        return found


_NAMED = 4  # changed modules that a sentence names


def configuration(study: str, seed: int, module: str, library: str = "numpy") -> Configuration:
    """That of a study whose cells a function of `module` measures with arrays of `library`, here and now.

    NumPy is always among its versions: it draws the random numbers.
    """
    versions = {"python": platform.python_version()}
    for name in sorted({"numpy", library, *libraries(module)}):
        versions |= _version(name)
    return Configuration(study, seed, modules(module), versions)


def _version(name: str) -> dict[str, str]:
    """Of the distribution that brings a package, under the package's name; none of the standard library."""
    for distribution in () if name in sys.stdlib_module_names else _distributions(name):
        try:
            return {name: importlib.metadata.version(distribution)}
        except importlib.metadata.PackageNotFoundError:
            continue
    return {}


def _distributions(name: str) -> Iterator[str]:
    """Of the package's own name, or of others: cupy is of cupy-cuda12x, cupy-cuda13x, ..."""
    yield name
    yield from _all_distributions().get(name, ())


@cache
def _all_distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()
