"""Probes: designed inputs that tell a sound implementation from a faulty one, and name what is wrong.

Each carries a fault of its own that it must catch; the tests plant it. `audit` runs the battery on a function,
`Remote` puts the function in a process of its own.
"""

from ttr_numerics.probes.battery import PROBES, Audit, audit
from ttr_numerics.probes.caller import Here, SubjectError, resolve
from ttr_numerics.probes.isolated import Remote
from ttr_numerics.probes.probe import Finding, NotApplicable, Probe
from ttr_numerics.probes.subject import Subject

__all__ = [
    "PROBES",
    "Audit",
    "Finding",
    "Here",
    "NotApplicable",
    "Probe",
    "Remote",
    "Subject",
    "SubjectError",
    "audit",
    "resolve",
]
