"""How a regime changes a generic example: each function takes the subject, its arrays and a generator.

q, k (1, heads, T, d_k), v (1, heads, T, d_v); all float64. What a layer has no array for is `NotApplicable`.
"""

from typing import Any

import numpy as np

from ttr_numerics.arguments import Argument, Domain
from ttr_numerics.choices import Reproducing
from ttr_numerics.pairs import Pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.probes.probe import NotApplicable
from ttr_numerics.probes.subject import Subject
from ttr_numerics.tasks import smollm2

__all__ = [
    "converged",
    "gates",
    "many",
    "mixed_gates",
    "mixed_heads",
    "optional",
    "parallel_keys",
    "real",
    "recalling",
    "repeated_keys",
    "resets",
    "same",
    "sized",
    "smallest",
    "solves_every_token",
    "some_zero_keys",
    "started",
    "steps",
]

Arrays = dict[str, Any]
FEW = 4  # keys of the converged regime


def same(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """The example as it is."""
    return arrays


def many(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """The example as it is, where a reference of thousands of tokens can be had."""
    if solves_every_token(subject.row):
        raise NotApplicable(f"the reference of {subject.row.name} solves for all tokens seen at each: too many here")
    return arrays


def solves_every_token(row: Pairing) -> bool:
    """Whether every token has a linear system of its own, as large as the sequence so far."""
    return row.causal and isinstance(row.choices.function_class, Reproducing)


def gates(subject: Subject, arrays: Arrays, value: Any) -> Arrays:
    """Every gate at one value; an optional one too, where the subject takes it."""
    row, shape = subject.row, arrays["q"].shape[:-1]
    all_gates = [x for x in row.arguments if x.domain is Domain.LOG_GATE]
    if not all_gates:
        raise NotApplicable(f"{row.name} has no gate")
    taken = [x.name for x in all_gates if x.name in arrays or subject.takes(x.name)]
    if not taken:
        raise NotApplicable(f"the gate of {row.name} is optional, and the subject takes none")
    return {**arrays, **{n: np.full(arrays[n].shape if n in arrays else shape, value) for n in taken}}


def mixed_gates(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """Gates of 1, and of e^-50 at a quarter of the tokens, other ones in each head."""
    closed = np.where(rng.random(arrays["q"].shape[:-1]) < 0.25, -50.0, 0.0)
    return _by_token(arrays, gates(subject, arrays, 0.0), closed)


def resets(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """The gates as drawn, and -inf at a sixth of the tokens: what was written before is gone."""
    reset = np.where(rng.random(arrays["q"].shape[:-1]) < 1 / 6, -np.inf, 0.0)
    return _by_token(arrays, gates(subject, arrays, -0.05), reset)


def _by_token(arrays: Arrays, gated: Arrays, added: np.ndarray) -> Arrays:
    """The gates that `gated` has set, plus `added` (1, heads, T) at each token."""
    changed = {n: x for n, x in gated.items() if x is not arrays.get(n)}
    return gated | {n: x + added.reshape(added.shape + (1,) * (x.ndim - added.ndim)) for n, x in changed.items()}


def steps(subject: Subject, arrays: Arrays, value: float) -> Arrays:
    """Step sizes at one value from the ninth token on: the first tokens write something to read."""
    if "beta" not in subject.row.arrays or np.ndim(arrays["beta"]) < arrays["q"].ndim - 1:
        raise NotApplicable(f"{subject.row.name} takes no step sizes called beta")
    beta = arrays["beta"].copy()
    beta[(slice(None),) * _axis(arrays) + (slice(8, None),)] = value
    return {**arrays, "beta": beta}


def _axis(arrays: Arrays) -> int:
    return arrays["q"].ndim - 2


def repeated_keys(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """One key at every token."""
    T, axis = arrays["q"].shape[-2], _axis(arrays)
    return {**arrays, "k": np.repeat(arrays["k"].take([0], axis), T, axis=axis)}


def parallel_keys(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """Unit keys that differ in the hundredths."""
    k = repeated_keys(subject, arrays, rng)["k"]
    k = k + 0.01 * rng.standard_normal(k.shape) / np.sqrt(k.shape[-1])
    return {**arrays, "k": k / np.linalg.norm(k, axis=-1, keepdims=True)}


def some_zero_keys(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """Every third key zero."""
    k, at = arrays["k"].copy(), np.arange(arrays["q"].shape[-2]) % 3 == 1
    k[(slice(None),) * _axis(arrays) + (at,)] = 0.0
    return {**arrays, "k": k}


def recalling(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """Queries that are the keys."""
    if arrays["k"].shape != arrays["q"].shape:
        raise NotApplicable("a token of this layer brings several keys")
    return {**arrays, "q": arrays["k"].copy()}


def sized(name: str, factor: float, subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """The array `name` times `factor`."""
    return {**arrays, name: arrays[name] * factor}


def smallest(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """Values next to the smallest numbers: those of float16 are in part subnormal, which its units keep.

    Other formats' units may flush subnormal numbers to zero, so their values stay 2^12 above what that loses.
    """
    return {**arrays, "v": arrays["v"] * (2.0**12 * FORMATS[subject.dtype].floor)}


def mixed_heads(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """Heads of well and of ill conditioned keys side by side, judged per head."""
    bad = parallel_keys(subject, arrays, rng)["k"]
    k = arrays["k"].copy()
    k[:, 1:] = bad[:, 1:]
    return {**arrays, "k": k}


def converged(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """A few keys, each always with the same value, many times over, nothing forgotten: residuals become tiny."""
    few = np.arange(arrays["q"].shape[-2]) % FEW
    arrays = recalling(subject, arrays, rng)
    arrays |= {n: arrays[n].take(few, _axis(arrays)) for n in "qkv"}
    kept = {x.name for x in subject.row.takes if x.domain is Domain.LOG_GATE and "momentum" not in x.name}
    return arrays | {n: np.zeros_like(arrays[n]) for n in kept & set(arrays)}


def real(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """Queries, keys and values of SmolLM2's layer 15: as many tokens from anywhere in its 256, the first d of 64
    channels, in the size that the layer's own examples have.
    """
    model, (heads, T, d) = smollm2(), arrays["q"].shape[1:]
    several = arrays["k"].shape[-2] if arrays["k"].ndim > arrays["q"].ndim else 1
    start = int(rng.integers(0, model.q.shape[-2] - several * T + 1))
    chosen = rng.choice(len(model.q), heads, replace=False)
    shared = chosen // (len(model.q) // len(model.k))
    taken = {"q": model.q[chosen, start : start + T, :d]}
    for name, source in (("k", model.k), ("v", model.v)):
        piece = source[shared, start : start + several * T, : arrays[name].shape[-1]]
        taken[name] = piece.reshape(arrays[name].shape[1:])
    return {**arrays, **{n: _alike(x.astype(np.float64)[None], arrays[n]) for n, x in taken.items()}}


def _alike(x: np.ndarray, example: np.ndarray) -> np.ndarray:
    """`x` as features at least 0 where the example is, as rows of its norm where all have one, else of its size."""
    norms = np.linalg.norm(example, axis=-1)
    if (example >= 0).all():
        x = np.where(x > 0, 1 + x, np.exp(np.minimum(x, 0)))
    if np.ptp(norms) <= np.sqrt(np.finfo(float).eps) * norms.max():
        return x / np.linalg.norm(x, axis=-1, keepdims=True) * norms.max()
    return x * np.sqrt(np.mean(example**2) / np.mean(x**2))


def started(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """An initial state, where the layer's is an array."""
    found = next((x for x in subject.row.may_take if x.name == "initial_state"), None)
    if found is None:
        raise NotApplicable(f"the state of {subject.row.name} is no array that could be given")
    if not subject.takes(found.name):
        raise NotApplicable("the subject takes no initial_state")
    return {**arrays, found.name: _drawn(found, arrays, rng)}


def optional(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """Every array that the layer may take and the subject takes too, the initial state apart."""
    named = [x for x in subject.row.may_take if subject.takes(x.name) and x.name != "initial_state"]
    if not named:
        raise NotApplicable(f"{subject.row.name} has no optional array that the subject takes")
    return {**arrays, **{x.name: _drawn(x, arrays, rng) for x in named}}


def _drawn(x: Argument, arrays: Arrays, rng: np.random.Generator) -> Any:
    lengths = {"T": arrays["q"].shape[-2], "d_k": arrays["q"].shape[-1], "d_v": arrays["v"].shape[-1]}
    shape = x.sizes(lengths)[0]
    return x.draw(rng, (*arrays["q"].shape[:-2], *shape) if shape else ())
