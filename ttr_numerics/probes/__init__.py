"""Probes: designed inputs that tell a sound implementation from a faulty one, and name what is wrong.

Each carries a fault of its own that it must catch; the tests plant it. `audit` runs the battery on a function,
`Remote` puts the function in a process of its own, which imports this package without the battery: names are imported
when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ttr_numerics.probes.battery import PROBES, Plan, audit, plan
    from ttr_numerics.probes.caller import Here, SubjectError, resolve
    from ttr_numerics.probes.findings import Audit
    from ttr_numerics.probes.isolated import Remote
    from ttr_numerics.probes.probe import Finding, NotApplicable, Probe
    from ttr_numerics.probes.subject import Subject

__all__ = [
    "PROBES",
    "Audit",
    "Finding",
    "Here",
    "NotApplicable",
    "Plan",
    "Probe",
    "Remote",
    "Subject",
    "SubjectError",
    "audit",
    "plan",
    "resolve",
]

_HOME = {
    "PROBES": "battery",
    "Audit": "findings",
    "Finding": "probe",
    "Here": "caller",
    "NotApplicable": "probe",
    "Plan": "battery",
    "Probe": "probe",
    "Remote": "isolated",
    "Subject": "subject",
    "SubjectError": "caller",
    "audit": "battery",
    "plan": "battery",
    "resolve": "caller",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ttr_numerics.probes' has no attribute {name!r}")
    return getattr(import_module(f"ttr_numerics.probes.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
