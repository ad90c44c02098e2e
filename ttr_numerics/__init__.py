"""Sequence layers as regressors fitted at test time, each beside the exact solver it is or approximates.

Names are imported when first used, so that `import ttr_numerics` and `ttr --help` are quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ttr_numerics import border, choices, exact, features, gates, layers, measure, tasks, testing
    from ttr_numerics.composition import regression
    from ttr_numerics.convention import Convention
    from ttr_numerics.pairs import catalogue
    from ttr_numerics.probes import audit
    from ttr_numerics.verdict import certify, check

__version__ = "0.1.0"
__all__ = [
    "Convention",
    "audit",
    "border",
    "catalogue",
    "certify",
    "check",
    "choices",
    "exact",
    "features",
    "gates",
    "layers",
    "measure",
    "regression",
    "tasks",
    "testing",
]

_HOME = {
    "Convention": "ttr_numerics.convention",
    "audit": "ttr_numerics.probes",
    "catalogue": "ttr_numerics.pairs",
    "certify": "ttr_numerics.verdict",
    "check": "ttr_numerics.verdict",
    "regression": "ttr_numerics.composition",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'ttr_numerics' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name) if name in _HOME else import_module(f"ttr_numerics.{name}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
