"""Which engine runs an optimiser, and which arrays it needs beside those of the weights."""

from functools import singledispatch

from ttr_numerics import exact
from ttr_numerics.axes import Output, check_sequence
from ttr_numerics.choices import (
    MLP,
    Chebyshev,
    ConjugateGradient,
    Exact,
    ExponentiatedGradient,
    FunctionClass,
    GradientStep,
    Implicit,
    InfluenceGradient,
    LayerNormLinear,
    LocalPolynomial,
    Newton,
    NormalisedGradient,
    NormalisedGradientStep,
    Optimiser,
    RecursiveLeastSquares,
    StochasticGradient,
    WindowedGradient,
)
from ttr_numerics.composition.accumulated import accumulated
from ttr_numerics.composition.descent import arrays_of_descent, descent
from ttr_numerics.composition.models import MirrorModel, model
from ttr_numerics.composition.online import arrays_of, one_pass
from ttr_numerics.composition.rules import rule
from ttr_numerics.composition.solved import scalar_weights, solved
from ttr_numerics.composition.weighting import Given

__all__ = ["fitted", "needed", "needed_by_class", "runs"]


@singledispatch
def fitted(optimiser: Optimiser, function_class: FunctionClass, given: Given) -> Output:
    """o_t = m_t(q_t) by the optimiser."""
    raise TypeError(f"optimiser: expected one that runs on its own, got {optimiser}")


@singledispatch
def needed(optimiser: Optimiser) -> tuple[str, ...]:
    """Names of the arrays that the optimiser takes."""
    raise TypeError(f"optimiser: expected one that runs on its own, got {optimiser}")


def runs(optimiser: Optimiser) -> bool:
    """Whether the engine runs the optimiser."""
    return fitted.dispatch(type(optimiser)) is not fitted.dispatch(object)


@fitted.register(StochasticGradient)
@fitted.register(Implicit)
@fitted.register(NormalisedGradient)
@fitted.register(InfluenceGradient)
def _(optimiser: Optimiser, function_class: FunctionClass, given: Given) -> Output:
    return one_pass(rule(optimiser), model(function_class, given.arrays), given)


@needed.register(StochasticGradient)
@needed.register(Implicit)
@needed.register(NormalisedGradient)
@needed.register(InfluenceGradient)
@needed.register(ExponentiatedGradient)
def _(optimiser: Optimiser) -> tuple[str, ...]:
    return arrays_of(rule(optimiser))


@fitted.register
def _(optimiser: ExponentiatedGradient, function_class: FunctionClass, given: Given) -> Output:
    mirrored = MirrorModel(model(function_class, given.arrays).rows)
    return one_pass(rule(optimiser), mirrored, given)


@fitted.register
def _(optimiser: WindowedGradient, function_class: FunctionClass, given: Given) -> Output:
    return descent(optimiser, model(function_class, given.arrays), given)


@needed.register
def _(optimiser: WindowedGradient) -> tuple[str, ...]:
    return arrays_of_descent(optimiser)


@fitted.register(GradientStep)
@fitted.register(NormalisedGradientStep)
@fitted.register(Newton)
@fitted.register(ConjugateGradient)
@fitted.register(Chebyshev)
def _(optimiser: Optimiser, function_class: FunctionClass, given: Given) -> Output:
    check_sequence(given.q, given.k, given.v)
    return accumulated(optimiser, model(function_class, given.arrays), given)


@needed.register
def _(optimiser: Chebyshev) -> tuple[str, ...]:
    return ("ridge_ratio",)


@needed.register(ConjugateGradient)
@needed.register(Newton)
@needed.register(RecursiveLeastSquares)
def _(optimiser: Optimiser) -> tuple[str, ...]:
    return ("ridge",)


@fitted.register
def _(optimiser: Exact, function_class: FunctionClass, given: Given) -> Output:
    check_sequence(given.q, given.k, given.v)
    return solved(function_class, given)


@needed.register(GradientStep)
@needed.register(NormalisedGradientStep)
@needed.register(Exact)
def _(optimiser: Optimiser) -> tuple[str, ...]:
    return ()


def needed_by_class(function_class: FunctionClass, optimiser: Optimiser) -> tuple[str, ...]:
    """Names of the arrays that the function class takes: the ridge of an exact fit belongs to the class."""
    own: tuple[str, ...] = ()
    if isinstance(function_class, LayerNormLinear):
        own = ("gain", "shift", "epsilon")
    elif isinstance(function_class, MLP):
        own = ("W_1", "W_2")
    elif function_class == LocalPolynomial(None):
        own = ("degree",)
    ridge = isinstance(optimiser, Exact) and function_class != LocalPolynomial(0)
    return (*own, "ridge") if ridge else own


@fitted.register
def _(optimiser: RecursiveLeastSquares, function_class: FunctionClass, given: Given) -> Output:
    check_sequence(given.q, given.k, given.v)
    rows, start = model(function_class, given.arrays).rows, given.initial_state
    first = {"ridge": given.arrays["ridge"]} if start is None else {"initial_state": start}
    return exact.recursive_least_squares(rows(given.q), rows(given.k), given.v, **first, **scalar_weights(given))
