"""What the rows of a cell depend on besides the cell: seed, code, versions. A journal keeps it beside its rows."""

import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import dataclass

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


def configuration(study: str, seed: int, module: str) -> Configuration:
    """That of a study whose cells a function of `module` measures, here and now."""
    versions = {"python": platform.python_version()}
    for name in libraries(module):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # of the standard library, or not installed
            continue
    return Configuration(study, seed, modules(module), versions)
