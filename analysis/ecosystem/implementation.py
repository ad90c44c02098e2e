"""A public function under audit: a peer, called as an audit calls, from a state of its own where it takes one."""

import importlib
import inspect
import os
import re
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, field, replace
from functools import partial
from io import StringIO
from typing import Any

from analysis.peers.peer import Peer
from ttr_numerics.axes import Output
from ttr_numerics.pairs import Pairing, pairing

__all__ = ["LOW", "Arrays", "Implementation", "channels", "square"]

Arrays = dict[str, Any]
LOW = ("float32", "bfloat16")


def _same(arrays: Arrays) -> Arrays:
    return arrays


def channels(a: Arrays) -> Arrays:
    """A gate a key channel, all of them the token's."""
    gate = a["log_decay"]
    return a if gate.ndim == a["q"].ndim else a | {"log_decay": gate[..., None].repeat_interleave(a["q"].shape[-1], -1)}


def square(layer: str) -> Pairing:
    """The row at d_k = d_v = 4, for functions whose values are as wide as their keys."""
    return replace(pairing(layer), lengths=(("d_k", 4), ("d_v", 4)))


@dataclass(frozen=True, eq=False)
class Implementation:
    """`peer` in the formats `dtypes`; it is called on torch arrays by position q, k, v and by name.

    `prepare` makes of the layer's arrays, under our names in the peer's convention, those that the peer's call wants.
    `resume(state)` are the keywords by which the function goes on from a state that the call returned; None where it
    takes none. `optional` are the layer's optional arrays that it takes. `declares` says in words which convention and
    restrictions its documentation or source states. `row` is the layer where it is not the catalogue's own. `contract`
    is the arithmetic in words of `contract_named`, by format; `environment` is set before it is imported; `limit` is
    the seconds a call may take.
    """

    peer: Peer
    dtypes: tuple[str, ...] = LOW
    prepare: Callable[[Arrays], Arrays] = _same
    resume: Callable[[Any], Arrays] | None = None
    optional: tuple[str, ...] = ()
    declares: str = ""
    row: Pairing | None = None
    contract: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    limit: float = 60.0

    @property
    def layer(self) -> Pairing:
        """What it claims to be."""
        return self.row or pairing(self.peer.layer)

    @property
    def name(self) -> str:
        """An identifier: package, function and how it is called."""
        function = self.peer.path.partition(":")[2]
        module = self.peer.path.partition(":")[0].rpartition(".")[2] if self.peer.package == "transformers" else ""
        words = (self.peer.package, module.removeprefix("modeling_"), function, self.peer.how, self.peer.layer)
        return re.sub(r"\W+", "_", " ".join(word for word in words if word)).strip("_")

    @property
    def __signature__(self) -> inspect.Signature:
        """q, k, v, the layer's arrays, and an initial state where it goes on from one."""
        names = ["q", "k", "v", *self.layer.arrays, *self.optional, *(["initial_state"] if self.resume else [])]
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return inspect.Signature([inspect.Parameter(name, kind) for name in names])

    def __call__(self, q: Any, k: Any, v: Any, **named: Any) -> Output:
        """The peer's output in its own layout, and its last state."""
        state = named.pop("initial_state", None)
        ours = dict(self.peer.convention.names)
        arrays = {"q": q, "k": k, "v": v, **{ours.get(n, n): x for n, x in named.items()}}
        function = self.function()
        if state is not None and self.resume is not None:
            function = partial(function, **self.resume(state))
        return self.peer.call(function, self.prepare(arrays))

    def function(self) -> Any:
        """Theirs; what it says on import goes nowhere."""
        os.environ.update(self.environment)
        module, _, name = self.peer.path.partition(":")
        with redirect_stderr(StringIO()):
            # Unwrapped: a decorator may put a compiled kernel in the function's place where another package is there.
            return inspect.unwrap(getattr(importlib.import_module(module), name))
