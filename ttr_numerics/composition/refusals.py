"""Triples that make no sense, each with the sentence that says what would."""

from collections.abc import Iterator

from ttr_numerics.choices import (
    MLP,
    Chebyshev,
    Choices,
    ConjugateGradient,
    Exact,
    ExponentiatedGradient,
    FeatureMap,
    GradientStep,
    Implicit,
    InfluenceGradient,
    LayerNormLinear,
    Leak,
    Linear,
    LocalPolynomial,
    Newton,
    NormalisedGradient,
    RecursiveLeastSquares,
    Reproducing,
    StochasticGradient,
    WindowedGradient,
)
from ttr_numerics.composition.fitting import runs
from ttr_numerics.composition.weighting import weighting

__all__ = ["check_choices"]

ONE_PASS = (StochasticGradient, Implicit, NormalisedGradient, InfluenceGradient, ExponentiatedGradient)
SOLVES = (Newton, ConjugateGradient, Chebyshev, RecursiveLeastSquares)
DESCENTS = (StochasticGradient, WindowedGradient, GradientStep)


def check_choices(choices: Choices) -> None:
    """Raise ValueError in one sentence where the three choices do not go together."""
    for refusal in _refusals(choices):
        raise ValueError(refusal)


def _refusals(choices: Choices) -> Iterator[str]:
    weights, function_class, optimiser = choices.weights, choices.function_class, choices.optimiser
    factors = weighting(weights)
    if not runs(optimiser):
        yield (
            f"optimiser: expected one that follows from a gradient, sums or a solve of the fit (such as "
            f"StochasticGradient, GradientStep or Exact), got {optimiser}: it runs in its own layer only"
        )
    if not isinstance(function_class, (Linear, FeatureMap, LayerNormLinear, Reproducing, LocalPolynomial, MLP)):
        yield f"function_class: expected one with a value and a derivative, or an exact solver, got {function_class}"
    online, moments = isinstance(optimiser, ONE_PASS), isinstance(optimiser, SOLVES)
    if online and factors.kernels:
        yield (
            "optimiser: expected Exact() or GradientStep() with weights that follow the query, got one pass, which "
            "has left its associations behind when the query comes"
        )
    if online and factors.ages:
        yield (
            "weights: expected no Geometric factor with one pass, which meets every association at age 0; to forget, "
            "give the optimiser leak=Leak.BEFORE_ERROR"
        )
    if online and factors.windows:
        yield "optimiser: expected GradientStep(), ConjugateGradient or Exact() with a Window, got one pass"
    if isinstance(function_class, LocalPolynomial) and not isinstance(optimiser, Exact):
        yield f"optimiser: expected Exact() with a local polynomial, fitted anew at every query, got {optimiser}"
    if isinstance(function_class, Reproducing) and moments:
        yield (
            f"optimiser: expected Exact(), Implicit(), StochasticGradient() or GradientStep() in a reproducing kernel "
            f"space, which has no moments of finite size, got {optimiser}; with a FeatureMap it has"
        )
    if isinstance(function_class, (MLP, LayerNormLinear)) and not isinstance(optimiser, DESCENTS):
        yield (
            "optimiser: expected StochasticGradient, WindowedGradient or GradientStep on a class that is not linear in "
            f"its parameters, {function_class}, got {optimiser}"
        )
    if isinstance(optimiser, ExponentiatedGradient) and function_class != Linear():
        yield f"function_class: expected Linear() for memories that are distributions, got {function_class}"
    if isinstance(optimiser, WindowedGradient) and (factors.kernels or factors.ages):
        yield (
            "weights: expected products of Window and Sample with a gradient step a token on them, got "
            f"{weights}; log_decay is its leak, and with weights that follow the query take GradientStep()"
        )
    if (
        isinstance(optimiser, StochasticGradient)
        and optimiser.batch > 1
        and (optimiser.leak is not Leak.NONE or optimiser.steps != 1)
    ):
        yield "optimiser: expected no leak and one step a token with mini-batches, whose gradients share one point"
    if isinstance(optimiser, StochasticGradient) and optimiser.steps != 1 and optimiser.leak is Leak.AFTER_ERROR:
        yield "optimiser: expected leak=Leak.BEFORE_ERROR or none with several steps a token"
    if online and any(f.array in ("beta", "step") for f in factors.samples):
        yield "weights: expected another name for the sample weights of one pass, whose step sizes are beta"
    if isinstance(optimiser, RecursiveLeastSquares) and not factors.recursive:
        yield (
            "weights: expected products of Uniform, Geometric and Sample for recursive least squares, which removes "
            "no association; with a Window or a QueryKernel take Exact()"
        )
