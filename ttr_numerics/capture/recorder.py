"""captured(model, input_ids, layers): the model reads once, its attention functions replaced by ones that write down.

A modeling file of transformers calls its attention by a name of the file; while the model reads, the name stands for
a function that calls the same one (without the compiled kernel that may wrap it) and keeps its arguments and result.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import torch

from ttr_numerics.capture.captured import Captured
from ttr_numerics.capture.functions import FUNCTIONS

__all__ = ["captured", "layers_of"]


def layers_of(model: torch.nn.Module) -> tuple[int, ...]:
    """Numbers of the layers that the model tells apart."""
    return tuple(sorted({number for module in model.modules() if (number := _number(module)) is not None}))


def captured(model: Any, input_ids: Any, layers: Sequence[int]) -> dict[int, Captured]:
    """What each of `layers` received and returned while `model`, of transformers, reads input_ids (T,) or (B, T).

    The model runs in evaluation mode, without a cache, by eager attention, and is left as it was. Arrays have the
    batch axis that input_ids has. Raises ValueError for a layer that there is not, or whose attention is none of those
    that `functions` reads.
    """
    there = layers_of(model)
    for number in layers:
        if number not in there:
            raise ValueError(f"layers: expected some of {_said(there)}, got {number}")
    ids = torch.as_tensor(input_ids, device=model.device)
    with torch.no_grad(), _as_it_was(model), _recording(model, set(layers)) as recorder:
        model(input_ids=ids if ids.ndim == 2 else ids[None], use_cache=False)
    for number in layers:
        if number not in recorder.found:
            raise ValueError(f"layers: expected layers that call one of {', '.join(FUNCTIONS)}, got {number}")
    ordered = {number: recorder.found[number] for number in layers}
    return ordered if ids.ndim == 2 else {number: _without_batch(layer) for number, layer in ordered.items()}


@dataclass
class _Recorder:
    """What was `found` so far, among the layers `asked` for; `now` is the layer that the model entered last."""

    asked: set[int]
    found: dict[int, Captured] = field(default_factory=dict)
    now: int | None = None

    def entered(self, module: torch.nn.Module, _: Any) -> None:
        """The hook before every layer."""
        self.now = _number(module)

    def around(self, name: str, function: Callable[..., Any], modeling: ModuleType) -> Callable[..., Any]:
        """`function` with its calls written down."""
        eager, signature = inspect.unwrap(function), inspect.signature(function)

        def recorded(*args: Any, **kwargs: Any) -> Any:
            returned = eager(*args, **kwargs)
            if self.now in self.asked:
                if self.now in self.found:
                    raise ValueError(f"layers: expected layers that attend once, got {self.now}, which did twice")
                given = signature.bind(*args, **kwargs).arguments
                self.found[self.now] = FUNCTIONS[name](given | given.pop("kwargs", {}), returned, modeling)
            return returned

        return recorded


@contextmanager
def _recording(model: torch.nn.Module, asked: set[int]) -> Iterator[_Recorder]:
    """The names of FUNCTIONS replaced in every file that defines a part of the model, and a hook before each layer."""
    recorder = _Recorder(asked)
    with ExitStack() as stack:
        for module in model.modules():
            if _number(module) is not None:
                stack.callback(module.register_forward_pre_hook(recorder.entered).remove)
        for modeling in {sys.modules[kind.__module__] for module in model.modules() for kind in type(module).__mro__}:
            for name in FUNCTIONS:
                function = getattr(modeling, name, None)
                if function is not None:
                    setattr(modeling, name, recorder.around(name, function, modeling))
                    stack.callback(setattr, modeling, name, function)
        yield recorder


@contextmanager
def _as_it_was(model: Any) -> Iterator[None]:
    """Evaluation mode and eager attention, both undone at the end."""
    training, attention = [(module, module.training) for module in model.modules()], model.config._attn_implementation
    model.eval().set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(attention)
        for module, mode in training:
            module.training = mode


def _number(module: torch.nn.Module) -> int | None:
    number = getattr(module, "layer_idx", None)
    return number if isinstance(number, int) else None


def _without_batch(layer: Captured) -> Captured:
    return replace(layer, arrays={name: x[0] for name, x in layer.arrays.items()})


def _said(numbers: Sequence[int]) -> str:
    """0 to 29, or the numbers where some are left out."""
    whole = numbers and tuple(numbers) == tuple(range(numbers[0], numbers[-1] + 1))
    return f"{numbers[0]} to {numbers[-1]}" if whole else ", ".join(map(str, numbers)) or "no layers at all"
