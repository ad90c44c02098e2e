"""The CUDA kernel compiled as C++ and run on this machine's processor, behind the calls that the launcher makes.

`RawModule` and `Device` have the parts of CuPy's that the launcher uses, on NumPy arrays: what a device would be
given, the program compiled from the same source is given.
"""

import functools
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

COMPILER = shutil.which("g++")
HERE = Path(__file__).parent
ADDRESS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
THREAD = ("-fsanitize=thread",)
SM_80, SM_90 = 163 * 1024, 227 * 1024  # bytes of shared memory that a block may have
STATE = {"ridge_prefixes": "Innovation", "correlation_prefixes": "Correlation"}  # what a block shares


@functools.cache
def program(source: str, name: str, flags: tuple[str, ...] = ()) -> str:
    """The path of the executable of one template instantiation, such as 'ridge_prefixes<float, 16, 8, 8>'."""
    kernel, arguments = re.fullmatch(r"(\w+)<(.*)>", name).groups()
    folder = Path(_folder().name) / f"{len(os.listdir(_folder().name))}"
    folder.mkdir()
    (folder / "kernel.cu").write_text(source, encoding="utf-8")
    words = {
        "KERNEL_SOURCE": f'"{folder / "kernel.cu"}"',
        "KERNEL": name,
        "SHARED_BYTES": f"sizeof({arguments.split(',')[0]}) * {STATE[kernel]}<{arguments}>::size",
    }
    command = [COMPILER, "-std=c++20", "-O1", "-pthread", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", *flags]
    command += [f"-D{word}={meaning}" for word, meaning in words.items()]
    command += [str(HERE / "cuda_on_cpu.cpp"), "-o", str(folder / "kernel")]
    compiled = subprocess.run(command, capture_output=True, text=True)
    assert compiled.returncode == 0, compiled.stderr
    return str(folder / "kernel")


@functools.cache
def sanitizer_runs(flags: tuple[str, ...]) -> bool:
    """Whether an empty program compiled with these flags ends well."""
    path = Path(_folder().name) / "empty"
    command = [COMPILER, *flags, "-x", "c++", "-", "-o", str(path)]
    built = subprocess.run(command, input=b"int main() {}", capture_output=True).returncode == 0
    return built and subprocess.run([str(path)], capture_output=True).returncode == 0


@functools.cache
def _folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory()


@dataclass
class Emulator:
    """How kernels run: compiler flags, threads of a block (0: as launched), the line of a barrier to remove."""

    flags: tuple[str, ...] = ()
    threads: int = 1
    removed_barrier: int = 0
    launched: list[str] = field(default_factory=list)

    def RawModule(self, *, code: str, options: tuple[str, ...], name_expressions: list[str]) -> Any:
        """CuPy's class of this name."""
        assert options == ("-std=c++17",)
        self.code, self.names = code, name_expressions
        return self

    def get_function(self, name: str) -> Any:
        assert name in self.names
        return Function(self, name)


@dataclass
class Function:
    """A kernel as `RawModule.get_function` returns it."""

    emulator: Emulator
    name: str
    max_dynamic_shared_size_bytes: int = 48 * 1024

    def __call__(self, grid: tuple[int], block: tuple[int], args: tuple[Any, ...], *, shared_mem: int) -> None:
        assert shared_mem <= self.max_dynamic_shared_size_bytes
        *arrays, tokens = args
        assert all(x.flags.c_contiguous for x in arrays)
        assert type(tokens) is int
        command = [program(self.emulator.code, self.name, self.emulator.flags), grid[0], tokens]
        command += [self.emulator.threads or block[0], shared_mem, self.emulator.removed_barrier]
        run = subprocess.run(
            [str(x) for x in (*command, *(x.nbytes for x in arrays))],
            input=b"".join(x.tobytes() for x in arrays),
            capture_output=True,
            check=True,
            env={**os.environ, "TSAN_OPTIONS": "halt_on_error=1"},
        )
        start = 0
        for x in arrays:
            after = np.frombuffer(run.stdout, x.dtype, x.size, offset=start).reshape(x.shape)
            start += x.nbytes
            if not np.array_equal(after, x):  # the kernel reads most of its arrays, and may not own their memory
                x[...] = after
        self.emulator.launched.append(self.name)


class Device:
    """CuPy's class of this name: a context, and attributes by name."""

    def __init__(self, shared_memory: int) -> None:
        self.attributes = {"MaxSharedMemoryPerBlockOptin": shared_memory}

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *exception: object) -> None:
        pass


class DeviceArray(np.ndarray):
    """A NumPy array that says which device it lies on."""

    device = Device(SM_90)


class SmallDeviceArray(np.ndarray):
    """The same on a device of the generation before."""

    device = Device(SM_80)
