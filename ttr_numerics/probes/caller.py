"""Calling a stranger's function: arrays of its library in, NumPy out, and whether it wrote into what it was given."""

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from ttr_numerics.arrays import cast, to_numpy
from ttr_numerics.arrays.tape import leaf, on_tape, vector_jacobian
from ttr_numerics.probes.target import resolve
from ttr_numerics.probes.views import Stored, as_view

__all__ = ["Caller", "Gradients", "Here", "ShapeError", "Raw", "SubjectError", "resolve"]

_PARTS = {"o": "output", "state": "final state"}
FINAL_STATE = "output_final_state"  # a flag of public code without which no final state comes back


class SubjectError(RuntimeError):
    """The subject raised, died or took too long: one sentence."""


class ShapeError(SubjectError):
    """The subject gave an output of another shape than the layer's."""


class Raw(NamedTuple):
    """What one call gave: o on NumPy in the layout and dtype it came in, a final state, the inputs it wrote into."""

    o: np.ndarray
    dtype: str
    state: Any
    changed: tuple[str, ...]


class Gradients(NamedTuple):
    """Σ c ∂y/∂x on NumPy in float64 by the name of x, None where y does not depend on it; or why there are none."""

    arrays: dict[str, np.ndarray | None]
    refusal: str = ""


class Caller(Protocol):
    """A function here or in another process."""

    def call(self, foreign: Mapping[str, Any], library: str, dtype: str, state: Any = None) -> Raw:
        """Call it on NumPy arrays (and numbers), cast to `dtype` of `library`, from `state` if not None.

        Whole numbers stay whole; what is `Stored` is handed over in that storage.
        """

    def gradients(
        self, foreign: Mapping[str, Any], library: str, dtype: str, part: str, upstream: np.ndarray
    ) -> Gradients:
        """By every array of a call, of Σ c y: y its output (`part` "o") or final state ("state"), c = `upstream`."""

    def numbers(self, state: Any) -> tuple[np.ndarray, ...]:
        """The arrays that a final state of its own consists of, on NumPy in float64."""

    def parameters(self) -> tuple[str, ...]:
        """Names of its parameters; "**" stands for any keyword."""


@dataclass(frozen=True)
class Here:
    """A function of this process, or a torch module, whose weights are cast to the dtype of the arrays."""

    function: Callable[..., Any]

    def call(self, foreign: Mapping[str, Any], library: str, dtype: str, state: Any = None) -> Raw:
        """See `Caller`. q, k and v go by position, under whatever names, or as keywords where it takes no other."""
        given = {n: _handed(x, library, dtype) for n, x in foreign.items()}
        try:
            o, final = _parts(self._returned(given, state))
            if not hasattr(o, "dtype"):
                raise SubjectError(f"expected an array as output, got {type(o).__name__}")
            there = np.asarray(to_numpy(o))
        except SubjectError:
            raise
        except Exception as error:  # its own, or that of an output which is no plain array of numbers
            raise SubjectError(_sentence(error)) from error
        if there.dtype.kind == "c":
            raise SubjectError(f"expected real numbers as output, got {there.dtype}")
        changed = tuple(n for n, x in foreign.items() if _is_array(x) and _differ(given[n], x, library, dtype))
        return Raw(there, str(o.dtype).removeprefix("torch."), final, changed)

    def gradients(
        self, foreign: Mapping[str, Any], library: str, dtype: str, part: str, upstream: np.ndarray
    ) -> Gradients:
        """See `Caller`. What cannot be differentiated has no gradient, and is no failure."""
        given = {n: _handed(x, library, dtype) for n, x in foreign.items()}
        leaves = {n: leaf(x) for n, x in given.items() if _is_array(foreign[n])}
        try:
            y = _parts(self._returned({**given, **leaves}, None))[0 if part == "o" else 1]
            if not on_tape(y):
                return Gradients({}, f"its {_PARTS[part]} leads back to no input: it has no gradient")
            if tuple(y.shape) != upstream.shape:
                return Gradients({}, f"expected a {_PARTS[part]} of shape {upstream.shape}, got {tuple(y.shape)}")
            c = cast(upstream, library, str(y.dtype).removeprefix("torch."))
            found = vector_jacobian([y], [c], list(leaves.values()))
        except Exception as error:  # noqa: BLE001 (it ran before, and may raise anything when it is differentiated)
            return Gradients({}, f"it cannot be differentiated: {_sentence(error)}")
        wide = (None if g is None else np.asarray(to_numpy(g), dtype=np.float64) for g in found)
        return Gradients(dict(zip(leaves, wide, strict=True)))

    def numbers(self, state: Any) -> tuple[np.ndarray, ...]:
        """See `Caller`."""
        if isinstance(state, Mapping):
            state = tuple(state.values())
        if isinstance(state, tuple | list):
            return tuple(x for part in state for x in self.numbers(part))
        return (np.asarray(to_numpy(state), dtype=np.float64),) if hasattr(state, "dtype") else ()

    def parameters(self) -> tuple[str, ...]:
        """See `Caller`. A compiled function that does not say takes what goes by position."""
        return tuple("**" if p.kind is p.VAR_KEYWORD else p.name for p in self._signature())

    def _signature(self) -> list[inspect.Parameter]:
        try:
            return list(inspect.signature(getattr(self.function, "forward", self.function)).parameters.values())
        except (TypeError, ValueError):
            return []

    def _returned(self, given: dict[str, Any], state: Any) -> Any:
        """What the function returns, its final state asked for where it has a flag for that."""
        flag = {FINAL_STATE: True} if FINAL_STATE in self.parameters() else {}
        named = flag | dict(list(given.items())[3:]) | ({} if state is None else {"initial_state": state})
        with warnings.catch_warnings():  # a warning is no failure, whatever the caller's filters say
            warnings.simplefilter("ignore")
            return self._called(list(given.values())[:3], named)

    def _called(self, sequences: list[Any], named: dict[str, Any]) -> Any:
        if hasattr(self.function, "forward") and hasattr(self.function, "to") and hasattr(sequences[0], "device"):
            self.function.to(sequences[0].dtype)
        keywords = [p.name for p in self._signature() if p.kind is p.KEYWORD_ONLY]
        found = [next((x for x in keywords if x.lower().startswith(n)), None) for n in "qkv"]
        places = [p for p in self._signature() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        if len(places) < len(sequences) and None not in found:
            return self.function(**dict(zip(map(str, found), sequences, strict=True)), **named)
        return self.function(*sequences, **named)


def _sentence(error: Exception) -> str:
    """The first line of what it says, in letters that every terminal and file can hold."""
    try:
        words = str(error)
    except Exception:  # noqa: BLE001 (a stranger's __str__)
        words = ""
    first = (words.splitlines() or [""])[0].encode("utf-8", "backslashreplace").decode()
    return f"{type(error).__name__}: {first}"


def _is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray | Stored)


def _handed(x: Any, library: str, dtype: str) -> Any:
    """`x` as the subject gets it."""
    if isinstance(x, Stored):
        return as_view(_handed(x.values, library, dtype), x.view)
    return cast(x, library, "int64" if x.dtype.kind in "iu" else dtype) if isinstance(x, np.ndarray) else x


def _differ(after: Any, before: Any, library: str, dtype: str) -> bool:
    fresh = np.asarray(to_numpy(_handed(before, library, dtype)))
    return not np.array_equal(np.asarray(to_numpy(after)), fresh, equal_nan=fresh.dtype.kind == "f")


def _parts(result: Any) -> tuple[Any, Any]:
    if hasattr(result, "o"):
        return result.o, getattr(result, "state", None)
    if isinstance(result, tuple | list) and result:
        return result[0], result[1] if len(result) > 1 else None
    return result, None
