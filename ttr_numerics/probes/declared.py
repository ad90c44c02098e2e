"""One call at exactly the declared sizes, at a cost that two heads have.

The heads are images of one or two: each declared axis d_k of every array rolled by as many channels, each d_v by as
many, values times ±2^j. A layer that cannot tell channels apart, and is linear in v, gives the rolled and multiplied
output, and so does its rounding: permuting channels changes the order of sums alone, and powers of two round nothing.
So the reference and the tolerance of the base heads serve all. Which maps a layer obeys is asked of it, at small sizes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ttr_numerics.arguments import Argument
from ttr_numerics.arrays import quiet
from ttr_numerics.pairs import Pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.probes.heads import keeps_tokens
from ttr_numerics.probes.inputs import solves_every_token
from ttr_numerics.probes.probe import Found, NotApplicable, Probe, bound_of, mutated, within
from ttr_numerics.probes.shape import Shape
from ttr_numerics.probes.subject import Subject
from ttr_numerics.verdict import Word

__all__ = ["DECLARED"]

Arrays = dict[str, Any]
MANY = 512  # tokens with a system of their own each
LARGE = 1 << 22  # tokens times entries of a state from which one base head serves for two


@dataclass(frozen=True)
class _Image:
    """One head: which base head it is the image of, by how many channels it is rolled, what its values are times."""

    source: int
    roll: int = 0
    factor: float = 1.0


def _declared(subject: Subject, rng: np.random.Generator) -> Found:
    if subject.shape is None:
        raise NotApplicable("no sizes were declared (--shape T=4096,heads=16,d=128)")
    row, shape = subject.row, subject.shape
    if solves_every_token(row) and shape.T > MANY:
        raise NotApplicable(f"the reference of {row.name} solves for all tokens seen at each: T up to {MANY} only")
    sizes = {n: min(getattr(shape, n), dict(row.lengths).get(n, getattr(shape, n))) for n in ("T", "d_k", "d_v")}
    heads = shape.batch * shape.heads
    large = keeps_tokens(row) or sizes["T"] * sizes["d_k"] * sizes["d_v"] > LARGE
    bases = min(heads, 1 if large else 2)
    base = row.example(rng, (1, bases), **sizes)
    bound = bound_of(subject, subject.case(base))
    if not (np.isfinite(bound.reference).all() and np.abs(bound.reference).max() <= FORMATS[subject.dtype].largest):
        raise NotApplicable(f"{row.name} itself leaves the range of {subject.dtype} here")
    images = _images(row, heads, bases, rng)
    case = subject.case(_imaged(row, base, images, shape))
    begun = time.perf_counter()
    answer = subject.unnoted.answer(case)
    seconds = time.perf_counter() - begun
    expected = _outputs(row, bound.reference, images, shape)
    allowed = np.stack([abs(i.factor) * bound.bound[0, i.source] for i in images])
    allowed = allowed.reshape(expected.shape[:-1])
    good, ratio, first = within(answer.o, expected, allowed)
    if not good:
        return Found(Word.WRONG, (_said(answer.o, expected, allowed, first), f"at {shape}"), ratio)
    if np.mean(allowed >= np.linalg.norm(expected, axis=-1)) > 0.5:
        return Found(Word.INCONCLUSIVE, (f"at {shape} the tolerance is as large as the answer",), ratio)
    return Found(Word.ROUNDING, (f"equals the layer at {shape}; the call took {seconds:.1f} s",), ratio)


def _images(row: Pairing, heads: int, bases: int, rng: np.random.Generator) -> list[_Image]:
    """The base heads themselves, then images under what maps the layer obeys."""
    rolls, scales = _obeys(row, _Image(0, 3)), _obeys(row, _Image(0, 0, -0.5))
    images = [_Image(h) for h in range(bases)]
    for h in range(bases, heads):
        factor = float(rng.choice([-1, 1]) * 2.0 ** rng.integers(-3, 4)) if scales else 1.0
        images.append(_Image(h % bases, int(rng.integers(1, 64)) if rolls else 0, factor))
    return images


def _obeys(row: Pairing, image: _Image) -> bool:
    """Whether the layer's output on the image is the image of its output, to half of all digits."""
    base, shape = row.example(np.random.default_rng(0), (1, 1), T=8, d_k=8, d_v=8), Shape(8)
    with quiet():
        expected = _outputs(row, np.asarray(row.layer(**base).o), [image], shape)
        o = np.asarray(row.layer(**_imaged(row, base, [image], shape)).o)
    return bool(np.abs(o - expected).max() <= np.sqrt(FORMATS["float64"].u) * np.abs(expected).max())


def _imaged(row: Pairing, base: Arrays, images: list[_Image], shape: Shape) -> Arrays:
    """The arrays of all heads (batch, heads, ...) from those of the base heads (1, bases, ...)."""
    arrays: Arrays = {}
    for x in (row.queries, *row.arguments):
        if not isinstance(base.get(x.name), np.ndarray) or base[x.name].ndim < 2:
            arrays |= {x.name: base[x.name]} if x.name in base else {}
            continue
        heads = [_rolled(x, base[x.name][0, i.source], i.roll) * (i.factor if x.name == "v" else 1.0) for i in images]
        stacked = np.stack(heads)
        arrays[x.name] = stacked.reshape(shape.batch, -1, *stacked.shape[1:])
    return arrays


def _rolled(x: Argument, array: np.ndarray, roll: int) -> np.ndarray:
    """One head's array with its channels rolled, along every axis that is declared to be of channels."""
    axes = [i for i, name in enumerate(x.shapes[0]) if name in ("d_k", "d_v")]
    return np.roll(array, [roll] * len(axes), axes) if roll and axes else array


def _outputs(row: Pairing, o: np.ndarray, images: list[_Image], shape: Shape) -> np.ndarray:
    """The outputs (batch, heads, T, d_v) of all heads from those of the base heads."""
    heads = np.stack([np.roll(o[0, i.source], i.roll, -1) * i.factor for i in images])
    return heads.reshape(shape.batch, -1, *heads.shape[1:])


def _said(o: np.ndarray, expected: np.ndarray, allowed: np.ndarray, first: tuple[int, ...]) -> str:
    """Where it is wrong: the first token, how many heads, from which channel on."""
    error = np.abs(o - expected)
    wrong = ~(np.linalg.norm(error, axis=-1) <= allowed)
    columns = np.flatnonzero((~(error <= allowed[..., None]) & wrong[..., None]).any(axis=(0, 1, 2)))
    heads = int(wrong.any(axis=-1).sum())
    channels = f", in channels {columns[0]} to {columns[-1]}" if len(columns) else ""
    return f"wrong in {heads} of {wrong[..., 0].size} heads{channels}, first at token {first[-1]} of head {first[:-1]}"


def _last_columns(row: Pairing) -> Callable[..., Any]:
    """The layer with the last eighth of its channels left out, as a kernel with a tile too few would."""

    def change(out: Any, arguments: Arrays) -> Any:
        o = np.array(out.o)
        o[..., -max(1, o.shape[-1] // 8) :] = 0.0
        return o

    return mutated(row, change)


DECLARED = (
    Probe("declared size", "equals the layer at the sizes declared", _declared, _last_columns, tags=("regime",)),
)
