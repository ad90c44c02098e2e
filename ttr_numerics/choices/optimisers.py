"""Optimisers: how far, and by which steps, the fit goes towards the argmin."""

from dataclasses import dataclass
from enum import Enum

__all__ = [
    "Chebyshev",
    "ConjugateGradient",
    "Exact",
    "GradientStep",
    "HeavyBall",
    "Implicit",
    "Leak",
    "Optimiser",
    "RecursiveLeastSquares",
    "Start",
    "StochasticGradient",
]


@dataclass(frozen=True)
class Optimiser:
    """A rule that moves the fit when an association arrives, or solves for it at the query."""


class Leak(Enum):
    """Where weight decay enters a stochastic gradient step."""

    NONE = "no leak"
    BEFORE_ERROR = "leak before the error"
    AFTER_ERROR = "leak after the error"


class Start(Enum):
    """Where an iterative solve of (H + Λ) x = q begins: the start belongs to the optimiser."""

    ZERO = "zero"
    QUERY = "the query"


@dataclass(frozen=True)
class HeavyBall:
    """A velocity U_t = exp(log_momentum_t) U_{t-1} + the step; `log_momentum` is given with the data."""

    def __str__(self) -> str:
        return "heavy-ball momentum"


@dataclass(frozen=True)
class GradientStep(Optimiser):
    """S_t = -size ∇J_t(0): one full-batch gradient step from zero."""

    size: float = 1.0

    def __str__(self) -> str:
        return f"one full-batch gradient step of size {self.size:g} from zero"


@dataclass(frozen=True)
class StochasticGradient(Optimiser):
    """S ← leak(S) - beta_t ∇ ½‖v_t - m(k_t)‖², beta given with the data: one pass.

    `leak` says where log_decay enters, `steps` how many associations a token brings one after the other (None: as
    many as the data have), `batch` how many tokens share the point at which their gradients are taken.
    """

    leak: Leak = Leak.NONE
    momentum: HeavyBall | None = None
    steps: int | None = 1
    batch: int = 1

    def __str__(self) -> str:
        parts = [f"one pass of stochastic gradient steps of size beta_t, {self.leak.value}"]
        parts += [str(self.momentum)] if self.momentum else []
        parts += [f"{self.steps or 'several'} steps a token"] if self.steps != 1 else []
        parts += [f"mini-batches of {self.batch}"] if self.batch > 1 else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Implicit(Optimiser):
    """S_t = argmin ½‖v_t - m(k_t)‖² + ‖S - S_{t-1}‖²/(2 beta_t): a proximal step; beta → ∞ is Kaczmarz."""

    def __str__(self) -> str:
        return "one pass of implicit (proximal) steps of size beta_t"


@dataclass(frozen=True)
class RecursiveLeastSquares(Optimiser):
    """Exact at every position with a regulariser that is forgotten with the data (Sherman-Morrison)."""

    def __str__(self) -> str:
        return "exact, the regulariser decaying with the data (recursive least squares)"


@dataclass(frozen=True)
class ConjugateGradient(Optimiser):
    """`steps` conjugate gradient steps on (H + Λ) x = q from x = 0, or from x = q."""

    steps: int
    start: Start = Start.ZERO

    def __str__(self) -> str:
        return f"{self.steps} conjugate gradient steps from {self.start.value}"


@dataclass(frozen=True)
class Chebyshev(Optimiser):
    """`steps` Chebyshev steps on (H + Λ) x = q from x = 0 over bounds of the spectrum."""

    steps: int

    def __str__(self) -> str:
        return f"{self.steps} Chebyshev steps"


@dataclass(frozen=True)
class Exact(Optimiser):
    """The argmin itself, with a fixed regulariser `ridge` given with the data where the class needs one."""

    def __str__(self) -> str:
        return "exact"
