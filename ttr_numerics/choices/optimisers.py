"""Optimisers: how far, and by which steps, the fit goes towards the argmin."""

from dataclasses import dataclass
from enum import Enum

__all__ = [
    "Chebyshev",
    "ConjugateGradient",
    "DiagonalImplicit",
    "DiagonalPreconditioner",
    "EraseWrite",
    "Exact",
    "ExponentiatedGradient",
    "GradientStep",
    "HeavyBall",
    "Implicit",
    "InfluenceGradient",
    "Leak",
    "Newton",
    "MeanShift",
    "NormalisedGradient",
    "NormalisedGradientStep",
    "Optimiser",
    "OutputFeedback",
    "ProbeStep",
    "RecursiveLeastSquares",
    "Start",
    "StateFeedback",
    "StochasticGradient",
    "WindowedGradient",
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
class NormalisedGradientStep(Optimiser):
    """`GradientStep` for the values over max(|the same for the value 1|, 1), both read at the query."""

    def __str__(self) -> str:
        return "one full-batch gradient step from zero, over that for the value 1 where it exceeds 1 in size"


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
    """S_t = argmin ½‖v_t - m(k_t)‖² + ‖S - S_{t-1}‖²/(2 beta_t): a proximal step; beta → ∞ is Kaczmarz.

    `leak` and `momentum` as of `StochasticGradient`: from leak(S_{t-1}), and moved by a velocity.
    """

    leak: Leak = Leak.NONE
    momentum: HeavyBall | None = None

    def __str__(self) -> str:
        parts = ["one pass of implicit (proximal) steps of size beta_t"]
        parts += [self.leak.value] if self.leak is not Leak.NONE else []
        return ", ".join(parts + ([str(self.momentum)] if self.momentum else []))


@dataclass(frozen=True)
class DiagonalImplicit(Optimiser):
    """`Implicit` with k'k replaced by its diagonal: a regression for every entry of S, beta_t per value channel."""

    def __str__(self) -> str:
        return "one pass of implicit steps with k'k replaced by its diagonal"


@dataclass(frozen=True)
class MeanShift(Optimiser):
    """Exact at q_t after `steps` - 1 mean shifts: each fits the keys themselves and moves the query to the fit."""

    def __str__(self) -> str:
        return "exact, at the query after mean shifts over the keys"


@dataclass(frozen=True)
class NormalisedGradient(Optimiser):
    """S ← leak(S) - step/(‖k_t‖² + eps) ∇ ½‖v_t - m(k_t)‖²: relaxed Kaczmarz."""

    def __str__(self) -> str:
        return "one pass of normalised gradient steps of size step/(|k_t|² + eps), leak before the error"


@dataclass(frozen=True)
class DiagonalPreconditioner(Optimiser):
    """S ← leak(S) - beta_t P_t ∇ ½‖v_t - m(k_t)‖², P_t a bounded function of the decayed diagonal of K'K."""

    def __str__(self) -> str:
        return "one pass of stochastic gradient steps preconditioned by a bounded diagonal, leak before the error"


@dataclass(frozen=True)
class EraseWrite(Optimiser):
    """S ← leak(S) + k_t'(w_t∘v_t - (b_t∘k_t) leak(S)): gates of their own for what is erased and what is written."""

    def __str__(self) -> str:
        return "one pass of corrections with gates of their own for erasing and writing, leak before the error"


@dataclass(frozen=True)
class OutputFeedback(Optimiser):
    """S ← leak(S) + beta_t k_t'(v_t - p_t S): the error of a row p_t given with the data, on the undecayed state."""

    def __str__(self) -> str:
        return "one pass of corrections by the error of a row p_t, leak after the error"


@dataclass(frozen=True)
class StateFeedback(Optimiser):
    """S ← leak(S) + b_t'(a_t S) + k_t'v_t: what a_t reads of the undecayed state is written along b_t."""

    def __str__(self) -> str:
        return "one pass with rank-one feedback b_t'a_t of the undecayed state"


@dataclass(frozen=True)
class InfluenceGradient(Optimiser):
    """S ← leak(S) - beta_t ∇ℓ(v_t - m(k_t)) at the unleaked S, ℓ a loss of the error: the influence ψ is its slope."""

    loss: type

    def __str__(self) -> str:
        return f"one pass of gradient steps of size beta_t on the loss {self.loss.__name__}, {Leak.AFTER_ERROR.value}"


@dataclass(frozen=True)
class ExponentiatedGradient(Optimiser):
    """S_t = argmin ⟨∇ℓ_t(S_{t-1}), S⟩ + KL(S, S_{t-1})/beta_t over distributions S: mirror descent of entropy."""

    def __str__(self) -> str:
        return "one pass of exponentiated gradient steps of size beta_t"


@dataclass(frozen=True)
class WindowedGradient(Optimiser):
    """S ← leak(S) - beta_t ∇J_t(S), J_t the weighted loss of the position itself and not of its newest pair alone."""

    momentum: HeavyBall | None = None

    def __str__(self) -> str:
        parts = [f"one gradient step of size beta_t a token on the whole weighted loss, {Leak.AFTER_ERROR.value}"]
        return ", ".join(parts + ([str(self.momentum)] if self.momentum else []))


@dataclass(frozen=True)
class ProbeStep(Optimiser):
    """The local slope's pull Cov(v, k) times a probe row given with the data, where the argmin has a solved one."""

    def __str__(self) -> str:
        return "one step on the slope along a probe given with the data"


@dataclass(frozen=True)
class RecursiveLeastSquares(Optimiser):
    """Exact at every position with a regulariser that is forgotten with the data (Sherman-Morrison)."""

    def __str__(self) -> str:
        return "exact, the regulariser decaying with the data (recursive least squares)"


@dataclass(frozen=True)
class Newton(Optimiser):
    """θ_t = -(∇²J_t)⁻¹ ∇J_t(0), regularised: one Newton step from zero, which on a quadratic loss is the argmin."""

    def __str__(self) -> str:
        return "one Newton step from zero"


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
