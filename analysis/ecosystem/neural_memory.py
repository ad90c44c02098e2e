"""titans-pytorch's NeuralMemory with a linear memory, an update a token, and its projections taken away.

Its input is q, k, v and the gates side by side; what it would project is cut out of them.
"""

import importlib
from collections.abc import Mapping
from typing import Any

import torch

from analysis.ecosystem.implementation import Implementation, square
from analysis.peers.peer import Peer
from ttr_numerics.axes import Output
from ttr_numerics.convention import Convention

__all__ = ["IMPLEMENTATIONS"]


class Cut(torch.nn.Module):
    """Channels `start` to `stop` of the input, in the shape that the memory rearranges to."""

    def __init__(self, start: int, stop: int, shape: str) -> None:
        super().__init__()
        self.start, self.stop, self.shape = start, stop, shape

    def forward(self, x: Any) -> Any:
        """(b, n, d) of the whole as (b, n, d), (b, n), (b, n, 1) or (1, b, n, 1)."""
        part = x[..., self.start : self.stop]
        return {"b n d": part, "b n": part[..., 0], "b n 1": part, "o b n 1": part[None]}[self.shape]


def _logit(log_gate: Any) -> Any:
    """x with log σ(x) = log_gate."""
    wide = log_gate.double()
    return (wide - torch.log(-torch.expm1(wide))).to(log_gate.dtype)


def _memory(cls: Any, d: int, dtype: Any) -> Any:
    mlp = importlib.import_module("titans_pytorch.memory_models").MemoryMLP
    memory = cls(
        d,
        chunk_size=1,
        batch_size=1,
        model=mlp(d, depth=1),
        pre_rmsnorm=False,
        mem_model_norm_add_residual=False,
        adaptive_step_transform=lambda step: step,
    )
    for parameter in memory.memory_model_parameters:
        torch.nn.init.zeros_(parameter)
    for place, name in enumerate(("to_queries", "to_keys", "to_values")):
        setattr(memory, name, Cut(place * d, (place + 1) * d, "b n d"))
    memory.to_adaptive_step = Cut(3 * d, 3 * d + 1, "b n")
    memory.to_momentum = Cut(3 * d + 1, 3 * d + 2, "o b n 1")
    memory.to_decay_factor = Cut(3 * d + 2, 3 * d + 3, "b n 1")
    return memory.to(dtype)


def _titans(cls: Any, a: Mapping[str, Any]) -> Output:
    """Its loss is the mean over d channels: a step of d θ is ours of θ."""
    state = getattr(cls, "keywords", {}).get("state")
    heads = {n: x.flatten(0, 1) for n, x in a.items() if torch.is_tensor(x)}
    d = a["k"].shape[-1]
    kept = torch.log(-torch.expm1(heads["log_decay"].double())).to(a["q"].dtype) if "log_decay" in heads else None
    forgetting = torch.full_like(heads["theta"], -torch.inf) if kept is None else kept - heads["log_decay"]
    gates = (d * heads["theta"], _logit(heads["log_momentum"]), forgetting)
    whole = torch.cat([heads["q"], heads["k"], heads["v"], *(x[..., None] for x in gates)], dim=-1)
    o, state = _memory(getattr(cls, "func", cls), d, a["q"].dtype)(whole, state=state)
    return Output(o.reshape(a["q"].shape), state)


IMPLEMENTATIONS = (
    Implementation(
        Peer("titans", "titans-pytorch", "titans_pytorch.neural_memory:NeuralMemory", _titans, convention=Convention()),
        dtypes=("float64", "float32"),
        resume=lambda state: {"state": state},
        row=square("titans"),
        declares="a linear memory, chunk_size = batch_size = 1, no norms; a loss averaged over channels; d_v = d_k",
    ),
)
