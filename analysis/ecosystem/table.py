"""The functions under audit, and each by its name: what `Remote` resolves in a process of its own."""

from types import SimpleNamespace

from analysis.ecosystem import attention, by_peer, kernelised, kernels, memories, neural_memory, state_space
from analysis.ecosystem.implementation import Implementation

__all__ = ["IMPLEMENTATIONS", "NAMED", "target"]

GROUPS = (attention, by_peer, memories, state_space, kernelised, neural_memory, kernels)
IMPLEMENTATIONS: tuple[Implementation, ...] = tuple(one for group in GROUPS for one in group.IMPLEMENTATIONS)
NAMED = SimpleNamespace(**{one.name: one for one in IMPLEMENTATIONS})


def target(one: Implementation) -> str:
    """What `Remote` is told."""
    return f"{__name__}:NAMED.{one.name}"
