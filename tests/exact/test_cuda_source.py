"""The CUDA kernels without a device: they compile for two architectures, and run as C++ they answer as the solvers."""

import subprocess

import array_api_compat.numpy
import numpy as np
import pytest

from tests.exact import cuda_on_cpu
from tests.exact.cuda_on_cpu import ADDRESS, SM_80, SM_90, THREAD, DeviceArray, Emulator, SmallDeviceArray
from tests.pairs.hostile import hostile
from tests.verdict.test_words import inputs
from ttr_numerics import exact, layers, tasks
from ttr_numerics.arrays import LinAlgError
from ttr_numerics.axes import Moments
from ttr_numerics.exact.cuda import correlation_prefixes_by_kernel, ridge_prefixes_by_kernel
from ttr_numerics.exact.cuda.correlation_prefixes import CORRELATION
from ttr_numerics.exact.cuda.launch import THREADS, Kernel
from ttr_numerics.exact.cuda.ridge_prefixes import INNOVATION
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

WIDTHS = [
    *("float, 16, 64, 64", "float, 16, 128, 128", "float, 8, 128, 128", "float, 16, 5, 3"),
    *("double, 16, 64, 64", "double, 4, 96, 96"),
]


def barriers(kernel):
    """The lines of a kernel's source where its threads wait for one another."""
    return [i for i, line in enumerate(kernel.source.splitlines(), 1) if line.strip() == "__syncthreads();"]


def by_kernel(kernel, rows):
    """Both kernels by name on random rows."""
    moved = {name: x.view(DeviceArray) for name, x in rows.items()}
    return (
        ridge_prefixes_by_kernel(**moved, ridge=0.1)
        if kernel is INNOVATION
        else correlation_prefixes_by_kernel(**moved)
    )


KERNELS = [pytest.param(INNOVATION, id="ridge"), pytest.param(CORRELATION, id="correlation")]
BARRIERS = [
    pytest.param(kernel, line, id=f"{kernel.name}-{line}")
    for kernel in (INNOVATION, CORRELATION)
    for line in barriers(kernel)
]


@pytest.fixture
def emulator(monkeypatch):
    """NumPy as if it were CuPy: its arrays on `DeviceArray.device`, its kernels run on the processor."""
    if cuda_on_cpu.COMPILER is None:
        pytest.skip("no g++ to run the kernel on a CPU")
    emulator = Emulator()
    monkeypatch.setattr(array_api_compat.numpy, "RawModule", emulator.RawModule, raising=False)
    return emulator


def ridge_kernel(arrays, ridge, device=DeviceArray, **state):
    """The launcher's answer for NumPy arrays."""
    moved = {name: x.view(device) for name, x in arrays.items()}
    return ridge_prefixes_by_kernel(**moved, ridge=ridge, **state)


def innovation(arrays, ridge):
    """Rounding of the innovation form in the dtype of the arrays."""
    wide = {name: x.astype(np.float64) for name, x in arrays.items()}
    form = FORMATS[str(arrays["q"].dtype)]
    return rounding(lambda **x: exact.ridge_prefixes_by_innovation(**x, ridge=ridge), wide, form)


def sequence(rng, dtype, T, d_k, d_v, batch=(2,)):
    """Random rows of about unit length."""
    q, k = rng.standard_normal((2, *batch, T, d_k)) / d_k**0.5
    return {n: x.astype(dtype) for n, x in (("q", q), ("k", k), ("v", rng.standard_normal((*batch, T, d_v))))}


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_source_compiles_without_a_warning_and_spills_no_register(kernel, architecture):
    pytest.importorskip("cuda.bindings", reason="no cuda-bindings to compile CUDA with")
    from cuda.bindings import nvrtc

    _, program = nvrtc.nvrtcCreateProgram(kernel.source.encode(), b"kernel.cu", 0, None, None)
    for widths in WIDTHS:
        nvrtc.nvrtcAddNameExpression(program, f"{kernel.name}<{widths}>".encode())
    # CuPy adds -ftz=true to what the launcher gives.
    options = [b"-std=c++17", b"-ftz=true", b"--ptxas-options=-v", f"-arch={architecture}".encode()]
    (result,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    text = b" " * size
    nvrtc.nvrtcGetProgramLog(program, text)
    log = text.decode()
    assert result == nvrtc.nvrtcResult.NVRTC_SUCCESS, log
    assert "warning" not in log
    assert log.count("0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads") == len(WIDTHS)


@pytest.mark.parametrize("case", ["unit keys", "repeated keys", "zero keys", "one token"])
@pytest.mark.parametrize(("dtype", "ridge"), [("float64", 1.0), ("float64", 1e-6), ("float32", 1.0), ("float32", 1e-2)])
def test_the_kernel_answers_as_the_objective_within_the_rounding_of_its_form(case, dtype, ridge, emulator):
    a = {n: x.astype(dtype) for n, x in hostile(pairing("gated_delta_rule"), case).items()}
    arrays = {"q": a["q"], "k": a["k"], "v": a["v"], "weights": a["beta"]}
    wide = {name: x.astype(np.float64) for name, x in arrays.items()}
    moments = rounding(lambda **x: exact.ridge_prefixes_by_moments(**x, ridge=ridge), wide, FORMATS["float64"])
    apart = row_norms(ridge_kernel(arrays, ridge).o - moments.reference)
    assert (apart <= innovation(arrays, ridge).bound + moments.bound).all()


@pytest.mark.parametrize("T", [1, 15, 16, 17, 48])
@pytest.mark.parametrize(("dtype", "d_k", "d_v"), [("float64", 5, 3), ("float32", 33, 20)])
def test_any_length_and_any_width_are_answered(dtype, d_k, d_v, T, emulator, rng):
    arrays = sequence(rng, dtype, T, d_k, d_v)
    bound = innovation(arrays, 0.1)
    assert (row_norms(ridge_kernel(arrays, 0.1).o - bound.reference) <= bound.bound).all()


@pytest.mark.parametrize("cond", [1e4, 1e6])
def test_ill_conditioned_keys_stay_within_the_rounding_of_the_form(cond, emulator, rng):
    k = tasks.conditioned_keys(rng, 48, 8, cond)
    arrays = {"q": k, "k": k, "v": k @ rng.standard_normal((8, 8))}
    bound = innovation(arrays, (np.linalg.norm(k, 2) / cond) ** 2)  # κ = cond² of the moments
    assert (
        row_norms(ridge_kernel(arrays, (np.linalg.norm(k, 2) / cond) ** 2).o - bound.reference) <= bound.bound
    ).all()
    assert (bound.bound < row_norms(bound.reference)).mean() > 0.5


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_every_head_of_a_batch_is_its_own_problem(batch, emulator, rng):
    arrays = sequence(rng, "float64", 19, 5, 3, batch)
    o, state = ridge_kernel(arrays, 0.1)
    alone = exact.ridge_prefixes_by_innovation(**arrays, ridge=0.1)
    assert o.shape == alone.o.shape
    assert all(x.shape == y.shape for x, y in zip(state, alone.state, strict=True))
    for head in np.ndindex(batch):
        assert (o[head] == ridge_kernel({name: x[head] for name, x in arrays.items()}, 0.1).o).all()


def test_a_split_anywhere_carries_the_moments(emulator, rng):
    arrays = sequence(rng, "float64", 48, 5, 3)
    head, tail = ({n: x[:, part] for n, x in arrays.items()} for part in (slice(20), slice(20, None)))
    first = ridge_kernel(head, 0.1)
    second = ridge_kernel(tail, 0.1, initial_state=first.state)
    bound = innovation(arrays, 0.1)
    apart = row_norms(np.concatenate([first.o, second.o], axis=-2) - bound.reference)
    assert (apart <= 2 * bound.bound).all()
    assert isinstance(second.state, Moments)


@pytest.mark.parametrize("shape", [(2, 0, 5), (0, 7, 5)])
def test_no_token_or_no_head_needs_no_kernel(shape, emulator):
    nothing = np.zeros(shape)
    assert ridge_kernel({"q": nothing, "k": nothing, "v": nothing}, 0.1).o.shape == shape
    assert emulator.launched == []


def test_only_the_head_that_lost_a_pivot_is_named(emulator, rng):
    arrays = sequence(rng, "float32", 20, 5, 3, (2, 2))
    arrays["k"][1, 0] = arrays["k"][1, 0, :1]  # one key twenty times: I + KPK' is 1 and 1e9, beyond float32
    ridge = np.full((2, 2, 5), 1e-2, np.float32)
    ridge[1, 0] = 1e-10
    with pytest.raises(LinAlgError, match=r"a pivot without digits in slices \(1, 0\);"):
        ridge_kernel(arrays, ridge)
    with pytest.raises(LinAlgError, match=r"in slices \(1, 0\);"):
        exact.ridge_prefixes_by_innovation(**arrays, ridge=ridge)


def test_what_the_other_forms_refuse_is_refused_in_the_same_words(emulator, rng):
    arrays = sequence(rng, "float64", 4, 5, 3)
    for name, fault in (("k", np.nan), ("v", np.inf)):
        spoilt = {n: np.where(np.arange(4)[:, None] == 2, fault, x) if n == name else x for n, x in arrays.items()}
        with pytest.raises(ValueError, match=f"^{name}: expected finite entries"):
            ridge_kernel(spoilt, 0.1)
    with pytest.raises(ValueError, match=r"^weights: expected shape \(2, 4\)"):
        ridge_kernel({**arrays, "weights": np.ones((2, 3))}, 0.1)


def test_arrays_that_are_not_on_a_device_are_refused(rng):
    with pytest.raises(ValueError, match="^q: expected a CuPy array on a CUDA device, got ndarray"):
        ridge_prefixes_by_kernel(**sequence(rng, "float64", 4, 5, 3), ridge=0.1)


@pytest.mark.parametrize(
    ("device", "dtype", "d", "chunk"),
    [(DeviceArray, "float32", 128, 16), (SmallDeviceArray, "float32", 128, 8), (SmallDeviceArray, "float64", 96, 4)],
)
def test_the_longest_chunk_that_fits_is_launched(device, dtype, d, chunk, emulator, rng):
    arrays = sequence(rng, dtype, 21, d, d)
    bound = innovation(arrays, 0.1)
    assert (row_norms(ridge_kernel(arrays, 0.1, device).o - bound.reference) <= bound.bound).all()
    assert emulator.launched == [f"ridge_prefixes<{'float' if dtype == 'float32' else 'double'}, {chunk}, {d}, {d}>"]


def test_the_table_of_chunks_that_fit_is_the_one_in_the_docstring():
    sizes = [(64, 4), (64, 8), (96, 8), (128, 4)]
    chunks = {limit: [INNOVATION.longest_chunk(d, d, size, limit) for d, size in sizes] for limit in (SM_80, SM_90)}
    assert chunks == {SM_80: [16, 16, 4, 8], SM_90: [16, 16, 16, 16]}
    assert INNOVATION.longest_chunk(144, 144, 4, SM_90) == 16


def test_a_state_that_does_not_fit_is_refused_with_its_bytes(emulator, rng):
    with pytest.raises(ValueError, match=f"^k, v: .* fits in {SM_90} bytes of shared memory, got 128 and 128"):
        ridge_kernel(sequence(rng, "float64", 4, 128, 128), 0.1)
    assert INNOVATION.shared_bytes(4, 144, 144, 4) > SM_80


@pytest.mark.parametrize("case", ["unit keys", "repeated keys", "zero keys", "one token"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_linear_attention_is_the_correlation_memory_within_the_rounding_of_its_recurrence(case, dtype, emulator):
    a = {n: x.astype(dtype) for n, x in hostile(pairing("gated_delta_rule"), case).items()}
    arrays = {n: a[n] for n in "qkv"}
    wide = {name: x.astype(np.float64) for name, x in arrays.items()}
    bound = rounding(layers.linear_attention, wide, FORMATS[dtype], forms=(exact.correlation_prefixes,))
    assert (row_norms(by_kernel(CORRELATION, arrays).o - bound.reference) <= bound.bound).all()


@pytest.mark.parametrize("split", [0, 1, 19, 37])
def test_linear_attention_carries_its_state_over_a_split(split, emulator, rng):
    arrays = sequence(rng, "float64", 37, 5, 3)
    head, tail = (
        {n: x[:, part].view(DeviceArray) for n, x in arrays.items()} for part in (slice(split), slice(split, None))
    )
    first = correlation_prefixes_by_kernel(**head)
    second = correlation_prefixes_by_kernel(**tail, initial_state=first.state)
    bound = rounding(layers.linear_attention, arrays, FORMATS["float64"])
    apart = row_norms(np.concatenate([first.o, second.o], axis=-2) - bound.reference)
    assert (apart <= 2 * bound.bound).all()


# The program against the sanitisers, and planted faults that they must see.


@pytest.mark.parametrize("kernel", KERNELS)
def test_all_threads_of_a_block_agree_with_one(kernel, emulator, rng):
    rows = sequence(rng, "float32", 37, 33, 20)
    alone = by_kernel(kernel, rows).o
    emulator.threads = 0
    assert (by_kernel(kernel, rows).o == alone).all()


@pytest.fixture
def fenced(emulator):
    """One thread a block under the address sanitiser."""
    if not cuda_on_cpu.sanitizer_runs(ADDRESS):
        pytest.skip("no address sanitiser on this machine")
    emulator.flags = ADDRESS
    return emulator


@pytest.mark.parametrize("kernel", KERNELS)
def test_no_address_outside_the_arrays_is_touched(kernel, fenced, rng):
    by_kernel(kernel, sequence(rng, "float64", 17, 5, 3))


@pytest.mark.parametrize(("guard", "wrong"), [("c < here ? c", "here > 0 ? c"), ("i + a < tokens", "tokens > 0")])
def test_a_dropped_guard_of_the_ragged_tail_is_seen(guard, wrong, fenced, rng, monkeypatch):
    assert guard in INNOVATION.source
    monkeypatch.setattr(Kernel, "source", INNOVATION.source.replace(guard, wrong))
    with pytest.raises(subprocess.CalledProcessError) as fault:
        by_kernel(INNOVATION, sequence(rng, "float64", 17, 5, 3))
    assert b"heap-buffer-overflow" in fault.value.stderr


@pytest.fixture
def watched(emulator):
    """Eight threads a block under the thread sanitiser."""
    if not cuda_on_cpu.sanitizer_runs(THREAD):
        pytest.skip("no thread sanitiser on this machine")
    emulator.flags, emulator.threads = THREAD, 8
    return emulator


@pytest.mark.parametrize("kernel", KERNELS)
def test_no_two_threads_meet_in_shared_memory(kernel, watched, rng):
    by_kernel(kernel, sequence(rng, "float32", 37, 8, 8))


@pytest.mark.parametrize(("kernel", "line"), BARRIERS)
def test_a_missing_barrier_is_a_race(kernel, line, watched, rng):
    watched.removed_barrier = line
    with pytest.raises(subprocess.CalledProcessError) as fault:
        by_kernel(kernel, sequence(rng, "float32", 37, 8, 8))
    assert b"data race" in fault.value.stderr


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_tests_see_every_barrier_and_the_source_the_threads_it_is_launched_with(kernel):
    assert len(barriers(kernel)) == kernel.source.count("__syncthreads")
    assert f"__launch_bounds__({THREADS}, 1)" in kernel.source


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("s <= c ? dot", "s < c ? dot"),  # a token that does not see itself
        ("/ pivot", "* (1 / pivot) * real(1.0001)"),
        ("joint[(i + a) * J + j + b] -= c[a][b]", "joint[(i + a) * J + j + b] -= c[a][b] * real(1.0001)"),
    ],
)
def test_a_planted_error_of_arithmetic_is_outside_the_bound(right, wrong, emulator, monkeypatch):
    a = inputs(dtype=np.float64)
    arrays = {n: a[n] for n in "qkv"}
    bound = innovation(arrays, 0.1)
    assert INNOVATION.source.count(right) == 1
    monkeypatch.setattr(Kernel, "source", INNOVATION.source.replace(right, wrong))
    assert (row_norms(ridge_kernel(arrays, 0.1).o - bound.reference) > bound.bound).any()
