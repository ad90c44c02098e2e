"""Kinds of fault, read from the corpus, and cases drawn from them: layer, format, library, form, sizes, site, seed."""

import inspect
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from analysis.verdicts.faults import INSIDE, OUTSIDE, Run
from analysis.verdicts.layers import TABLE
from analysis.verdicts.rules import Rules, stored, widened
from ttr_numerics.arrays import namespace
from ttr_numerics.convention import Convention, L2Norm, inverse_root
from ttr_numerics.pairs import Pairing, pairing

__all__ = ["BORDERS", "CORPUS", "Case", "Kind", "drawn", "kinds"]

CORPUS = Path(__file__).with_name("corpus.toml")
FORMATS = ("float64", "float32", "bfloat16", "float16")
LIBRARIES = ("numpy", "torch")
PROMISE = "operands=float32,state=float32,residual=float32,gate=float32"  # as the sound twins compute in 16-bit formats
BORDERS = {
    "": Convention(),
    "l2norm": Convention(normalise=L2Norm(1e-6)),
    "l2norm of 1e-3": Convention(normalise=L2Norm(1e-3)),
    "scale": Convention(scale=inverse_root),
    "grouped": Convention(grouped_heads=True),
}


@dataclass(frozen=True)
class Kind:
    """One entry of the corpus: its fields are explained there."""

    name: str
    sentence: str
    operator: str
    parameters: Mapping[str, Any]
    control: Mapping[str, Any]
    causes: tuple[str, ...]
    shows: str = "outputs"
    needs: tuple[str, ...] = ()
    give: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    form: str = ""
    formats: tuple[str, ...] = FORMATS
    libraries: tuple[str, ...] = LIBRARIES
    contract: str = ""
    border: str = ""
    axes: Mapping[str, int] = field(default_factory=dict)
    batch: tuple[int, ...] = ()

    def choices(self) -> list[tuple[str, str]]:
        """Layers that have what the fault needs, each with an argument that it changes ("" if it names none)."""
        named = self.parameters.get("argument", "")
        names = named if isinstance(named, list) else [named]
        found = []
        for layer, own in TABLE.items():
            row = pairing(layer)
            taken = {"q", "k", "v", *row.arrays, *self.give} & {"q", "k", "v", *row.arrays, *own.optional}
            if (self.layers and layer not in self.layers) or layer in self.never or not taken >= set(self.give):
                continue
            timed = {x.name for x in row.arguments if "T" in x.shapes[0]} | {"q"}
            fits = [n for n in names if not n or (n in taken and (len(names) == 1 or n in timed))]
            if taken >= set(self.needs) and fits and (not self.form or 0 in own.chunks):
                found += [(layer, n) for n in fits]
        return found


@dataclass(frozen=True)
class Case:
    """A drawn fault and its sound twin, the same construction without it.

    `faulty` and `sound` take arrays of `library` in `dtype` as `convention` says, and return (o, state); sound ones
    compute by the rules of `base`. `arrays` are generic ones, in float64.
    """

    kind: Kind
    row: Pairing
    dtype: str
    library: str
    chunk: int
    base: Rules
    parameters: Mapping[str, Any]
    convention: Convention
    contract: str | None
    faulty: Callable[..., Any]
    sound: Callable[..., Any]
    arrays: Mapping[str, Any]


@cache
def kinds() -> tuple[Kind, ...]:
    """The corpus, in order."""
    entries = tomllib.loads(CORPUS.read_text("utf-8"))["kind"]
    return tuple(_kind(entry) for entry in entries)


def _kind(entry: dict[str, Any]) -> Kind:
    fields: dict[str, Any] = {n: tuple(x) if isinstance(x, list) else x for n, x in entry.items()}
    return Kind(**fields)


def drawn(kind: Kind, seed: int, draw: int) -> Case:
    """Draw number `draw` of a kind: nothing of it is fixed but what the corpus says."""
    rng = np.random.default_rng([seed, draw, *kind.name.encode()])
    choices = kind.choices()
    layer = str(rng.choice(list(dict.fromkeys(name for name, _ in choices))))
    argument = str(rng.choice([x for name, x in choices if name == layer]))
    row, own = pairing(layer), TABLE[layer]
    dtype, library = (str(rng.choice(x)) for x in (kind.formats, kind.libraries))
    chunk = 0 if kind.form == "token" else int(rng.choice(own.chunks))
    parameters = {n: argument if n == "argument" else _value(x, rng) for n, x in kind.parameters.items()}
    takes = ("q", "k", "v", *row.arrays, *own.optional)
    base, contract = _arithmetic(kind, dtype, rng)
    return Case(
        kind,
        row,
        dtype,
        library,
        chunk,
        base,
        parameters,
        BORDERS[kind.border],
        contract,
        _subject(layer, takes, chunk, base, kind.operator, parameters),
        _subject(layer, takes, chunk, base, kind.operator, {**parameters, **kind.control}),
        _generic(kind, row, rng),
    )


def _arithmetic(kind: Kind, dtype: str, rng: np.random.Generator) -> tuple[Rules, str | None]:
    """How a sound 16-bit subject computes, and the contract it declares: its format throughout, or float32 inside.

    The latter is declared or not; a fault that breaks a contract has one to break.
    """
    if dtype not in ("bfloat16", "float16"):
        return Rules(), None
    throughout = Rules(state=dtype, residual=dtype, gates=dtype, operands=dtype)
    choice = 2 if kind.contract else int(rng.integers(3))
    return ((throughout, dtype), (Rules(), None), (Rules(), f"{dtype},{kind.contract or PROMISE}"))[choice]


def _value(x: Any, rng: np.random.Generator) -> Any:
    if isinstance(x, tuple | list):
        return x[rng.integers(len(x))]
    if isinstance(x, Mapping):
        low, high = x["low"], x["high"]
        return float(np.exp(rng.uniform(np.log(low), np.log(high))) if high > 10 * low else rng.uniform(low, high))
    return x


def _generic(kind: Kind, row: Pairing, rng: np.random.Generator) -> dict[str, Any]:
    """Arrays in our layout, as the convention wants them, of drawn sizes; rows to be normalised have every length."""
    sizes = {"T": int(rng.integers(70, 120)), "d_k": int(rng.choice([8, 16, 24])), "d_v": int(rng.choice([8, 16, 24]))}
    limits = dict(row.lengths)
    axes = {n: min(x, limits.get(n, x)) for n, x in (sizes | dict(kind.axes)).items()}
    grouped = kind.border == "grouped"
    batch = tuple(kind.batch) or (1, 4 if grouped else int(rng.integers(2, 4)))
    arrays = row.example(rng, batch, False, False, **axes)
    for name in kind.give:
        argument = next(x for x in row.may_take if x.name == name)
        shape = argument.sizes({"n": 2, "d_h": 6} | axes)[0]
        arrays[name] = argument.draw(rng, (*batch, *shape) if shape else ())
    if kind.border.startswith("l2norm"):
        lengths = {n: np.exp(rng.standard_normal((*arrays[n].shape[:-1], 1))) for n in "qk"}
        arrays |= {n: arrays[n] * x for n, x in lengths.items()}
    if grouped:
        arrays |= {n: arrays[n][:, ::2] for n in "kv"}
    return arrays


def _subject(
    layer: str, takes: tuple[str, ...], chunk: int, base: Rules, operator: str, parameters: Mapping[str, Any]
) -> Any:
    """The function under audit: widen, compute with the fault, round to what came in."""
    rules = replace(base, **parameters) if operator == "rule" else base

    def wide(a: dict[str, Any]) -> tuple[Any, Any]:
        return TABLE[layer].compute(a, rules, chunk)

    inside: Run = INSIDE[operator](wide, **parameters) if operator in INSIDE else wide

    def plain(a: dict[str, Any]) -> tuple[Any, Any]:
        dtype = a["q"].dtype
        o, state = inside({n: widened(x) if hasattr(x, "dtype") else x for n, x in a.items()})
        return namespace(o).astype(stored(o, rules.output), dtype), state

    run: Run = OUTSIDE[operator](plain, **parameters) if operator in OUTSIDE else plain

    def subject(q: Any, k: Any, v: Any, **named: Any) -> tuple[Any, Any]:
        with np.errstate(all="ignore"):
            return run({"q": q, "k": k, "v": v, **named})

    subject.__signature__ = inspect.Signature(list(_parameters(takes)))  # type: ignore[attr-defined]
    return subject


def _parameters(takes: tuple[str, ...]) -> Iterator[inspect.Parameter]:
    for name in takes:
        place = inspect.Parameter.POSITIONAL_OR_KEYWORD if name in ("q", "k", "v") else inspect.Parameter.KEYWORD_ONLY
        yield inspect.Parameter(name, place)
