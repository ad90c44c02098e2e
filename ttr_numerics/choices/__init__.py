"""The three choices that define a layer, as small frozen objects: weights, function class, optimiser.

They describe; `ttr_numerics.composition` runs them. Two layers made by equal triples are the same layer.
"""

from ttr_numerics.choices.choices import Choices
from ttr_numerics.choices.function_classes import MLP, FeatureMap, FunctionClass, Linear, LocalPolynomial, Reproducing
from ttr_numerics.choices.optimisers import (
    Chebyshev,
    ConjugateGradient,
    Exact,
    GradientStep,
    HeavyBall,
    Implicit,
    Leak,
    Optimiser,
    RecursiveLeastSquares,
    Start,
    StochasticGradient,
)
from ttr_numerics.choices.weights import Geometric, QueryKernel, Sample, Uniform, Weights, Window

__all__ = [
    "MLP",
    "Chebyshev",
    "Choices",
    "ConjugateGradient",
    "Exact",
    "FeatureMap",
    "FunctionClass",
    "Geometric",
    "GradientStep",
    "HeavyBall",
    "Implicit",
    "Leak",
    "Linear",
    "LocalPolynomial",
    "Optimiser",
    "QueryKernel",
    "RecursiveLeastSquares",
    "Reproducing",
    "Sample",
    "Start",
    "StochasticGradient",
    "Uniform",
    "Weights",
    "Window",
]
