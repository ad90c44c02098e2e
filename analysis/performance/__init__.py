"""What does the exact answer cost: the ridge solution at every position, against one linear attention layer and others?

All contenders run in one process on the same inputs and take turns; beside every time stands the error against a
float64 truth from another algorithm (`problems`). Ours and the reference are in `ours`, others in `ridge_peers` and
`layer_peers`, an accelerator in `devices`; `clock` says how time and memory are taken, `counts` how flops and bytes are
counted. One BLAS thread for all. Times never repeat to the bit: this analysis is measured only when it is named.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from analysis.performance import clock, devices, layer_peers, ours, problems, ridge_peers
from analysis.performance.answer import render
from analysis.performance.contender import Contender, Library, numpy_cpu, torch_cpu
from analysis.performance.problems import RIDGE, Size, Truth
from analysis.performance.profile import profile_rows
from analysis.performance.trials import Makers, Row, Trial, processor, threads, timed_rows, tried

__all__ = ["SEED", "measure", "render"]

SEED = 20265
MAIN = Size(T=1024, d=64, heads=8)
KERNEL = Size(T=1024, d=64, heads=2)
DEVICE = Size(T=8192, d=64, heads=128)
DTYPES = ("float64", "float32")
LOG_DECAY = -0.02  # nats a token
LENGTHS, WIDTHS, HEADS = (1024, 4096, 16384, 65536), (16, 32, 64, 128, 256), (1, 2, 4, 8, 16, 32)
FEW_HEADS = 2  # in the scaling with T
CHECKED, CHECKED_IN_SCALING = 8, 2  # positions whose error is judged, in every head
FORGETTING = ("ridge_prefixes", "ridge_prefixes_by_moments")
SCALED = ("ridge_prefixes", "ridge_prefixes_by_square_root", "recursive_least_squares_by_square_root")


def measure(
    progress: Callable[..., Iterable[Any]],
    main: Size = MAIN,
    kernel: Size = KERNEL,
    lengths: Sequence[int] = LENGTHS,
    widths: Sequence[int] = WIDTHS,
    heads: Sequence[int] = HEADS,
) -> list[Row]:
    """The rows of the given grid."""
    _one_thread_for_torch()
    cells: list[Callable[[], Iterable[Row]]] = [_machine]
    cells += [partial(cell, main, dtype) for dtype in DTYPES for cell in (ridge_rows, forgetting_rows)]
    cells += [partial(_profile, main, dtype) for dtype in DTYPES]
    cells += [partial(delta_rows, main, name) for name in ("delta_rule", "gated_delta_rule")]
    cells += [partial(kernel_rows, kernel)]
    cells += [partial(scaling_rows, "scaling with T", [Size(T, main.d, FEW_HEADS) for T in lengths])]
    cells += [partial(scaling_rows, "scaling with d", [Size(main.T, d, main.heads) for d in widths])]
    cells += [partial(scaling_rows, "scaling with heads", [Size(main.T, main.d, h) for h in heads])]
    cells += [partial(device_rows, DEVICE, library) for library in devices.accelerators()]
    return [row for cell in progress(cells) for row in cell()]


def ridge_rows(size: Size, dtype: str) -> list[Row]:
    """The main cell: every solver of ours and of others, without forgetting."""
    s = _drawn(size, dtype)
    makers: Makers = [(ours.REFERENCE_NAME, lambda: ours.reference(s))]
    for library in (numpy_cpu, torch_cpu):
        makers += _on(library, [*ours.SOLVERS], lambda name, x: ours.solver(name, s, RIDGE, x), "exact.")
        makers += _on(library, ["linear_attention"], lambda name, x: ours.chunked_layer(name, s, x), ours.CHUNKED)
    makers += [
        ("torch batched Cholesky a position", lambda: ridge_peers.torch_cholesky(s, RIDGE, torch_cpu())),
        ("torch scaled_dot_product_attention", lambda: layer_peers.torch_attention(s, torch_cpu())),
        ("numpy.linalg.solve a position", lambda: ridge_peers.numpy_solve(s, RIDGE)),
        ("NumPy Sherman-Morrison loop", lambda: ridge_peers.numpy_sherman_morrison(s, RIDGE)),
        ("scipy.linalg.cho_solve a position", lambda: ridge_peers.scipy_cholesky(s, RIDGE)),
        ("scipy.linalg.lstsq a position", lambda: ridge_peers.scipy_lstsq(s, RIDGE)),
        ("scikit-learn Ridge a position", lambda: ridge_peers.sklearn_ridge(s, RIDGE)),
        ("statsmodels RecursiveLS", lambda: ridge_peers.statsmodels_rls(s, RIDGE)),
        ("padasip FilterRLS", lambda: ridge_peers.padasip_rls(s, RIDGE)),
    ]
    truths = {"ridge": problems.ridge_truth(s, RIDGE, 0.0)} | _layer_truths(s)
    return timed_rows(tried({"part": "ridge", "dtype": dtype}, size, makers, truths, CHECKED))


def forgetting_rows(size: Size, dtype: str) -> list[Row]:
    """The same with forgetting and a fixed ridge: no factorisation is shared by two positions."""
    s = _drawn(size, dtype)
    makers: Makers = []
    for library in (numpy_cpu, torch_cpu):
        makers += _on(library, FORGETTING, lambda name, x: ours.solver(name, s, RIDGE, x, forgets=True), "exact.")
    makers += [
        ("torch batched Cholesky a position", lambda: ridge_peers.torch_cholesky(s, RIDGE, torch_cpu(), LOG_DECAY)),
        ("numpy.linalg.solve a position", lambda: ridge_peers.numpy_solve(s, RIDGE, LOG_DECAY)),
    ]
    truths = {"ridge": problems.ridge_truth(s, RIDGE, LOG_DECAY)}
    return timed_rows(tried({"part": "forgetting", "dtype": dtype}, size, makers, truths, CHECKED))


def delta_rows(size: Size, name: str) -> list[Row]:
    """The delta rule and its gated form, float32, against the PyTorch form in transformers."""
    s = _drawn(size, "float32")
    makers = [
        *_on(numpy_cpu, [name], lambda name, x: ours.chunked_layer(name, s, x), ours.CHUNKED),
        *_on(torch_cpu, [name], lambda name, x: ours.chunked_layer(name, s, x), ours.CHUNKED),
        (
            "transformers torch_chunk_gated_delta_rule",
            lambda: layer_peers.transformers_delta_rule(name, s, torch_cpu()),
        ),
    ]
    cell = {"part": name.replace("_", " "), "dtype": "float32"}
    return timed_rows(tried(cell, size, makers, _layer_truths(s), CHECKED))


def kernel_rows(size: Size) -> list[Row]:
    """Gaussian kernel ridge regression at every position, float64."""
    s = _drawn(size, "float64")
    makers: Makers = [
        ("exact.kernel_ridge_prefixes", lambda: ours.kernel_ridge(s, RIDGE)),
        ("scipy.linalg.cho_solve a position", lambda: layer_peers.kernel_by_position(s, RIDGE)),
        ("scikit-learn KernelRidge a position", lambda: layer_peers.sklearn_kernel_ridge(s, RIDGE)),
    ]
    truths = {"kernel ridge": problems.kernel_truth(s, RIDGE)}
    return timed_rows(tried({"part": "kernel ridge", "dtype": "float64"}, size, makers, truths, CHECKED))


def scaling_rows(part: str, sizes: Sequence[Size]) -> list[Row]:
    """Ours and the reference, float64, with the extra memory of each; all sizes take turns too."""
    return timed_rows([trial for size in sizes for trial in _scaling_trials(part, size)])


def _scaling_trials(part: str, size: Size) -> list[Trial | Row]:
    s = _drawn(size, "float64")
    makers: Makers = [(ours.REFERENCE_NAME, lambda: ours.reference(s))]
    makers += _on(numpy_cpu, SCALED, lambda name, x: ours.solver(name, s, RIDGE, x), "exact.")
    makers += _on(numpy_cpu, ["linear_attention"], lambda name, x: ours.chunked_layer(name, s, x), ours.CHUNKED)
    truths = {"ridge": problems.ridge_truth(s, RIDGE, 0.0)} | _layer_truths(s)
    cell = {"part": part, "dtype": "float64"}
    return tried(cell, size, makers, truths, CHECKED_IN_SCALING, memory=clock.extra_memory)


def device_rows(size: Size, library: Library) -> list[Row]:
    """The contenders that run on an accelerator, float32; the errors of the first head."""
    s = _drawn(size, "float32")
    makers: Makers = [(each.name, partial(_itself, each)) for each in devices.contenders(s, RIDGE, library)]
    truths = {"ridge": problems.ridge_truth(s, RIDGE, 0.0)} | _layer_truths(s)
    cell = {"part": "device", "dtype": "float32", "device": library.device}
    return timed_rows(tried(cell, size, makers, truths, CHECKED_IN_SCALING, heads=1))


def _on(
    library: Callable[[], Library], names: Iterable[str], make: Callable[[str, Library], Contender], prefix: str
) -> Makers:
    """A maker for each name; the library is looked for when it is called, not before."""
    return [(f"{prefix}{name}", partial(_made, make, name, library)) for name in names]


def _made(make: Callable[[str, Library], Contender], name: str, library: Callable[[], Library]) -> Contender:
    return make(name, library())


def _itself(contender: Contender) -> Contender:
    return contender


def _layer_truths(s: problems.Sequence) -> dict[str, Truth]:
    names = ("linear_attention", "delta_rule", "gated_delta_rule", "softmax_attention")
    return {name: problems.layer_truth(s, name) for name in names}


def _drawn(size: Size, dtype: str) -> problems.Sequence:
    return problems.draw(np.random.default_rng([SEED, *size]), size, dtype, LOG_DECAY)


def _machine() -> Iterator[Row]:
    """What the machine can do: the limits that times are held against."""
    cell = {"part": "machine", "device": processor(), "threads": threads()}
    for dtype in DTYPES:
        yield cell | {"dtype": dtype, "quantity": "flops a second", "value": clock.peak_flop_rate(dtype)}
    yield cell | {"dtype": "float64", "quantity": "bytes a second", "value": clock.bandwidth()}


def _profile(size: Size, dtype: str) -> list[Row]:
    return profile_rows(_drawn(size, dtype), {"dtype": dtype})


def _one_thread_for_torch() -> None:
    try:
        importlib.import_module("torch").set_num_threads(threads())
    except ImportError:
        return
