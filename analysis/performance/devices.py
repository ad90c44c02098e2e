"""The same contenders on an accelerator, where CuPy or torch has one; no row where none has.

B = 8 sequences of 16 heads as one batch of 128. The library waits for the device before the clock is read.
`fla` (Triton kernels, bfloat16) takes part where it can be imported.
"""

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from typing import Any

import numpy as np

from analysis.performance import layer_peers, ours, ridge_peers
from analysis.performance.contender import THEIRS, Contender, Library
from analysis.performance.problems import Sequence

__all__ = ["accelerators", "contenders"]

LAYERS = ("linear_attention", "delta_rule", "gated_delta_rule")


def accelerators() -> Iterator[Library]:
    """Every library that is installed and finds a device."""
    if importlib.util.find_spec("cupy") is not None:
        cupy = importlib.import_module("cupy")
        if cupy.is_available():
            name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
            yield Library("cupy", name, cupy.asarray, cupy.cuda.runtime.deviceSynchronize)
    if importlib.util.find_spec("torch") is not None:
        torch = importlib.import_module("torch")
        if torch.cuda.is_available():
            name = torch.cuda.get_device_name(0)
            yield Library("torch", name, lambda x: torch.from_numpy(x).cuda(), torch.cuda.synchronize)


def contenders(s: Sequence, ridge: float, library: Library) -> Iterator[Contender]:
    """Ours on `library`; beside them on torch: softmax attention, Cholesky a position (one head), and `fla`."""
    yield ours.solver(ours.AUTOMATIC, s, ridge, library)
    for name in LAYERS:
        yield ours.chunked_layer(name, s, library)
    if library.name == "torch":
        yield layer_peers.torch_attention(s, library)
        yield ridge_peers.torch_cholesky(s, ridge, library, heads=1)
        on_device = importlib.import_module("torch").cuda.is_available()
        if importlib.util.find_spec("fla") is not None and on_device:  # its kernels compile for nothing else
            yield from _fla(s, library)


def _fla(s: Sequence, library: Library) -> Iterator[Contender]:
    """Their convention: (B, T, H, D), a scale, gates as natural logarithms."""
    torch, version = importlib.import_module("torch"), f"fla-core {importlib.metadata.version('fla-core')}"
    q, k, v, gate, beta = (library.asarray(np.ascontiguousarray(x.swapaxes(0, 1)[None])).bfloat16() for x in s)
    calls: dict[str, tuple[str, str, dict[str, Any]]] = {
        "linear_attention": ("fla.ops.linear_attn", "chunk_linear_attn", {"normalize": False}),
        "delta_rule": ("fla.ops.delta_rule", "chunk_delta_rule", {"beta": beta}),
        "gated_delta_rule": ("fla.ops.gated_delta_rule", "chunk_gated_delta_rule", {"g": gate.float(), "beta": beta}),
    }
    for layer, (module, name, gates) in calls.items():
        function = getattr(importlib.import_module(module), name)

        def run(function: Any = function, gates: dict[str, Any] = gates) -> Any:
            with torch.no_grad():
                o = function(q=q, k=k, v=v, scale=1.0, **gates)[0][0].transpose(0, 1)
            library.synchronize()
            return o.float()

        yield Contender(f"fla {name}", THEIRS, version, "Triton kernels, bfloat16", layer, run, dtype="bfloat16")
