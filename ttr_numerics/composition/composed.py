"""`regression(weights, function_class, optimiser)`: a layer and its exact partner from the three choices."""

from dataclasses import dataclass, replace
from typing import Any

from ttr_numerics.arrays import Array, namespace
from ttr_numerics.axes import Output
from ttr_numerics.choices import Choices, FunctionClass, Geometric, Optimiser, Weights
from ttr_numerics.choices.weights import Product
from ttr_numerics.composition.fitting import fitted, needed, needed_by_class
from ttr_numerics.composition.refusals import check_choices
from ttr_numerics.composition.solved import solved
from ttr_numerics.composition.weighting import Arrays, Given, weighting
from ttr_numerics.pairs import catalogue

__all__ = ["Regression", "regression"]

STEP_SIZES = ("eta", "theta")  # what rows of the catalogue call beta, or half of it
IN_CHOICES = ("batch", "degree", "steps")  # numbers that rows take as arguments, and choices hold


def regression(weights: Weights, function_class: FunctionClass, optimiser: Optimiser) -> "Regression":
    """The layer that fits `function_class` to the associations as `weights` count them, by `optimiser`.

    Raises ValueError in one sentence where the three do not go together.

    >>> from ttr_numerics.choices import Linear, StochasticGradient, Uniform
    >>> r = regression(Uniform(), Linear(), StochasticGradient())
    >>> r.arrays, r.names
    (('beta',), ('delta_rule',))
    """
    choices = Choices(weights, function_class, optimiser)
    check_choices(choices)
    return Regression(choices)


@dataclass(frozen=True)
class Regression:
    """m_t ≈ argmin_{m ∈ class} ½Σ_{i≤t} γ_i^(t)‖v_i - m(k_i)‖², o_t = m_t(q_t), from the choices alone."""

    choices: Choices

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of the arrays that the layer takes beside q, k, v, all of them required."""
        c = self.choices
        named = (*weighting(c.weights).arrays, *needed(c.optimiser), *needed_by_class(c.function_class, c.optimiser))
        return tuple(dict.fromkeys(named))

    @property
    def names(self) -> tuple[str, ...]:
        """The layers of the catalogue that these choices make, up to what a paper calls its step size."""
        known = {*self.arrays, *STEP_SIZES, *IN_CHOICES}
        rows = [row for row in catalogue() if row.causal and known.issuperset(row.arrays)]
        return tuple(row.name for row in rows if _without(row.choices, {*row.optional} - known) == self.choices)

    def __call__(self, q: Array, k: Array, v: Array, *, initial_state: Any = None, **arrays: Any) -> Output:
        """The layer on q, k (..., T, d_k) and v (..., T, d_v) with the named arrays that it `arrays` says."""
        c = self.choices
        _check_names(arrays, self.arrays, self.arrays)
        return fitted(c.optimiser, c.function_class, Given(weighting(c.weights), q, k, v, arrays, initial_state))

    @property
    def problem(self) -> str:
        """What the partner solves, in a sentence."""
        c = self.choices
        return f"argmin over {c.function_class} functions m of ½Σ γ_i|v_i - m(k_i)|² + ½ ridge |m|², γ {self._aged}"

    def partner(self, q: Array, k: Array, v: Array, *, initial_state: Any = None, **arrays: Any) -> Output:
        """The argmin of the same weights and class at every position, by the solvers of `exact`, read at q.

        Takes the arrays of the layer and `ridge`, by default ridge_ratio ‖H_t‖_F where that is given, else the limit
        ridge → 0. What the optimiser forgets counts as a weight; a per-channel gate, which is no weight, by its
        channel mean. Step sizes, and a loss of the optimiser's own, have no part in it.
        """
        _check_names(arrays, self.arrays, (*self.arrays, "ridge"))
        rows, n = _one_by_one(q, k, v, _by_tokens(arrays, q))
        o, state = solved(self.choices.function_class, Given(weighting(self._aged), *rows, initial_state))
        return Output(o[..., n - 1 :: n, :], state)

    def gap(self, q: Array, k: Array, v: Array, **arrays: Any) -> Array:
        """Σ_t‖o_t - o*_t‖²/Σ_t‖v_t‖² (...): how far the layer's outputs o are from its partner's o*."""
        layer = self(q, k, v, **{name: arrays[name] for name in arrays if name in self.arrays})
        apart = layer.o - self.partner(q, k, v, **arrays).o
        return _square(apart, q.ndim - 2) / _square(v, q.ndim - 2)

    @property
    def _aged(self) -> Weights:
        weights, forgets = self.choices.weights, "log_decay" in needed(self.choices.optimiser)
        return weights * Geometric() if forgets else weights


def _without(choices: Choices, absent: set[str]) -> Choices:
    """The choices of a row whose optional weights `absent` are left out: each counts 1 by default."""
    weights = choices.weights
    factors = weights.factors if isinstance(weights, Product) else (weights,)
    kept = Product.of(*(f for f in factors if getattr(f, "array", None) not in absent))
    return replace(choices, weights=kept)


def _check_names(given: Arrays, required: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    """Raise ValueError naming the arrays that are missing, or that the choices do not have."""
    for name in required:
        if name not in given:
            raise ValueError(f"{name}: expected as a named array by these choices, got none")
    for name in given:
        if name not in allowed:
            raise ValueError(f"{name}: expected no array of this name but {', '.join(allowed) or 'none'}")


def _by_tokens(arrays: Arrays, q: Array) -> dict[str, Any]:
    """The arrays with a per-channel gate replaced by its channel mean."""
    gate = arrays.get("log_decay")
    if gate is None or gate.ndim < q.ndim:
        return dict(arrays)
    return {**arrays, "log_decay": namespace(gate).mean(gate, axis=-1)}


def _one_by_one(q: Array, k: Array, v: Array, arrays: Arrays) -> tuple[tuple[Array, Array, Array, Arrays], int]:
    """The sequence with one association a token, and how many there were: n tokens for one, which forgets once."""
    if k.ndim == q.ndim:
        return (q, k, v, arrays), 1
    xp, n = namespace(q), k.shape[-2]

    def told(first: Array, later: Array) -> Array:
        """n tokens (..., n T) for every one of (..., T)."""
        return xp.reshape(xp.stack([first, *[later] * (n - 1)], axis=-1), (*q.shape[:-2], q.shape[-2] * n))

    flat = [xp.reshape(x, (*q.shape[:-2], q.shape[-2] * n, x.shape[-1])) for x in (k, v)]
    single = {name: x for name, x in arrays.items() if getattr(x, "shape", None) == q.shape[:-1]}
    spread = {name: told(x, xp.zeros_like(x) if name == "log_decay" else x) for name, x in single.items()}
    queries = xp.reshape(xp.stack([q] * n, axis=-2), flat[0].shape)
    return (queries, *flat, {**arrays, **spread}), n


def _square(x: Array, batch: int) -> Array:
    """The sum of squares over all but the first `batch` axes."""
    xp = namespace(x)
    return xp.sum(xp.reshape(x * x, (*x.shape[:batch], -1)), axis=-1)
