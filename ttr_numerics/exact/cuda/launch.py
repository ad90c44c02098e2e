"""One thread block a head: the chunk that fits in shared memory, and the launch of a kernel of this folder.

A kernel is a template of the number type, the chunk length C, d_k and d_v; its arguments are its arrays, those it
reads before those it writes, then the number of tokens. Its state lies in the block's shared memory, whose limit is
163 KB on sm_80 and 227 KB on sm_90.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

from ttr_numerics.arrays import Array, namespace

__all__ = ["CHUNKS", "Kernel", "check_on_device", "launch"]

CHUNKS = (16, 8, 4)  # the longest that fits is taken
THREADS = 256


@dataclass(frozen=True)
class Kernel:
    """A kernel of this folder by name; `numbers(C, K, V)` is its need of shared memory, for K, V multiples of 4."""

    name: str
    numbers: Callable[[int, int, int], int]

    @property
    def source(self) -> str:
        """CUDA C++: the products of tiles, then the kernel."""
        folder = resources.files(__package__)
        return "\n".join(folder.joinpath(f"{f}.cu").read_text(encoding="utf-8") for f in ("tiles", self.name))

    def shared_bytes(self, chunk: int, d_k: int, d_v: int, itemsize: int) -> int:
        """Bytes of shared memory of one block."""
        return itemsize * self.numbers(chunk, -(-d_k // 4) * 4, -(-d_v // 4) * 4)

    def longest_chunk(self, d_k: int, d_v: int, itemsize: int, limit: int) -> int:
        """The longest of `CHUNKS` that fits in `limit` bytes. Raises ValueError where none does."""
        need = [self.shared_bytes(chunk, d_k, d_v, itemsize) for chunk in CHUNKS]
        if need[-1] > limit:
            raise ValueError(
                f"k, v: expected d_k and d_v whose state fits in {limit} bytes of shared memory, got {d_k} and {d_v}, "
                f"which need {need[-1]}"
            )
        return next(chunk for chunk, size in zip(CHUNKS, need, strict=True) if size <= limit)


def check_on_device(q: Array) -> None:
    """Raise ValueError unless `q` is an array of CuPy, whose namespace compiles CUDA."""
    if not hasattr(namespace(q), "RawModule"):
        raise ValueError(f"q: expected a CuPy array on a CUDA device, got {type(q).__name__}")


def launch(kernel: Kernel, q: Array, v: Array, given: tuple[Array, ...], written: tuple[Array, ...]) -> None:
    """Run `kernel` on q's device: `given` are read, `written` (contiguous) are written; sizes are those of q and v."""
    xp, (*batch, T, d_k), d_v, itemsize = namespace(q), q.shape, v.shape[-1], q.dtype.itemsize
    heads = math.prod(batch)
    if 0 in (heads, T, d_k, d_v):
        return
    chunk = kernel.longest_chunk(d_k, d_v, itemsize, q.device.attributes["MaxSharedMemoryPerBlockOptin"])
    size = kernel.shared_bytes(chunk, d_k, d_v, itemsize)
    name = f"{kernel.name}<{'float' if itemsize == 4 else 'double'}, {chunk}, {d_k}, {d_v}>"
    contiguous = [xp.ascontiguousarray(x) for x in given]
    with q.device:
        module = xp.RawModule(code=kernel.source, options=("-std=c++17",), name_expressions=[name])
        function = module.get_function(name)
        function.max_dynamic_shared_size_bytes = size
        function((heads,), (THREADS,), (*contiguous, *written, T), shared_mem=size)
