"""Graded faults: one array of a layer changed by a relative ε, so that its effect can be any multiple of rounding."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ttr_numerics.arguments import Domain
from ttr_numerics.pairs import Pairing
from ttr_numerics.probes.probe import timed

__all__ = ["Fault", "drawn"]


@dataclass(frozen=True)
class Fault:
    """`name` changed by `size` (relative; a log gate: added), at `token`, or everywhere where that is None."""

    name: str
    size: float
    token: int | None

    def made(self, row: Pairing, arrays: dict[str, Any]) -> dict[str, Any]:
        """The arguments with the fault in."""
        x = np.array(arrays[self.name])
        place = (slice(None),) * (arrays["q"].ndim - 2) + (slice(None) if self.token is None else self.token,)
        if any(a.name == self.name and a.domain is Domain.LOG_GATE for a in row.arguments):
            x[place] = np.minimum(x[place] - self.size, 0.0)
        else:
            x[place] = x[place] * (1 + self.size)
        return {**arrays, self.name: x}


def drawn(row: Pairing, arrays: dict[str, Any], rng: np.random.Generator) -> Fault:
    """A fault in any array that has tokens; ε from 1e-9 to 1, each decade as likely."""
    names = sorted(n for n in timed(row) if isinstance(arrays.get(n), np.ndarray))
    token = int(rng.integers(arrays["q"].shape[-2])) if rng.random() < 0.5 else None
    return Fault(str(rng.choice(names)), float(10 ** rng.uniform(-9, 0)), token)
