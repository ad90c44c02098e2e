"""Queries in blocks: every pair once, the same answers at every block length, memory linear in the sequence."""

import tracemalloc
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import softmax

from ttr_numerics import exact
from ttr_numerics.exact import blocks, kernels

U = 2.0**-53


@pytest.mark.parametrize(("n", "length"), [(0, 3), (1, 3), (6, 3), (7, 3), (7, 100)])
def test_spans_hold_every_index_once_in_order(n: int, length: int) -> None:
    spans = blocks.spans(n, length)
    assert [i for span in spans for i in range(n)[span]] == list(range(n))
    assert all(0 < span.stop - span.start <= length for span in spans)


@pytest.mark.parametrize("entries", [1, 40, 1 << 20])
@pytest.mark.parametrize(("T", "before"), [(1, 0), (7, 0), (7, 5)])
def test_blocks_see_every_earlier_key_once_and_no_later_one(
    T: int, before: int, entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "ENTRIES", entries)
    q, seen = np.zeros((2, T, 3)), np.zeros((T, T + before))
    for block in blocks.query_blocks(q, T + before, before + 1, T + before):
        seen[block.rows, block.keys] += block.visible
        rows = block.rows.stop - block.rows.start
        assert rows == 1 or rows * (T + before) * len(q) <= entries
    assert np.array_equal(seen, np.tri(T, T + before, before))


@pytest.mark.parametrize("entries", [1, 100, 1 << 20])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)
@pytest.mark.parametrize(("T", "d_k", "d_v"), [(0, 2, 1), (1, 3, 2), (11, 2, 3)])
def test_smoother_is_a_softmax_of_scipy_at_every_block_length(
    T: int, d_k: int, d_v: int, batch: tuple[int, ...], entries: int, rng: np.random.Generator, monkeypatch
) -> None:
    monkeypatch.setattr(blocks, "ENTRIES", entries)
    q, k = rng.standard_normal((2, *batch, T, d_k))
    v, w = rng.standard_normal((*batch, T, d_v)), rng.standard_normal((*batch, T))
    o = exact.kernel_smoother_prefixes(q, k, v, log_weights=w).o
    assert o.shape == v.shape
    logs = w[..., None, :] - np.sum((q[..., :, None, :] - k[..., None, :, :]) ** 2, axis=-1) / 2
    theirs = softmax(np.where(np.tri(T, dtype=bool), logs, -np.inf), axis=-1) @ v if T else v
    # A weight has the relative error of its logarithm's absolute one, (d + 4) u max|log|; its T terms add T u. Twice.
    bound = 4 * U * ((d_k + 4) * (1 + np.max(np.abs(logs), initial=0)) + T) * np.max(np.abs(v), initial=0)
    assert np.all(np.abs(o - theirs) <= bound)
    if T > 1:
        shifted = softmax(np.where(np.tri(T, k=-1, dtype=bool) | np.eye(T, dtype=bool)[0], logs, -np.inf), axis=-1) @ v
        assert not np.all(np.abs(o - shifted) <= bound), "a mask off by one would be seen"


@pytest.mark.parametrize("split", [0, 1, 4, 11])
def test_smoother_split_anywhere_is_the_whole_to_the_last_bit_of_its_sums(
    split: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "ENTRIES", 30)
    q, k, v = rng.standard_normal((3, 2, 11, 3))
    whole = exact.kernel_smoother_prefixes(q, k, v)
    head = exact.kernel_smoother_prefixes(q[:, :split], k[:, :split], v[:, :split])
    tail = exact.kernel_smoother_prefixes(q[:, split:], k[:, split:], v[:, split:], initial_state=head.state)
    # The same weights in sums of another order: T u for the sum, T u for the product with the values.
    assert np.all(np.abs(np.concatenate([head.o, tail.o], 1) - whole.o) <= 4 * 11 * U * np.max(np.abs(v)))
    assert np.array_equal(tail.state.k, whole.state.k)


@pytest.mark.parametrize(("n", "m", "d"), [(0, 3, 2), (3, 0, 2), (1, 1, 1), (127, 129, 3), (300, 5, 64), (5, 300, 64)])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)
def test_gaussian_keeps_small_distances_far_from_the_origin(
    batch: tuple[int, ...], n: int, m: int, d: int, rng: np.random.Generator
) -> None:
    X, Y = (1e6 + rng.standard_normal((*batch, rows, d)) / 1e3 for rows in (n, m))
    ours = kernels.Gaussian(0.5).log(X, Y)
    theirs = np.empty((*batch, n, m))
    for i in np.ndindex(*batch):
        theirs[i] = cdist(X[i], Y[i], "sqeuclidean") * -2.0
    assert ours.shape == theirs.shape
    # Sums of d squares of differences, each within 3u, in any order: (d + 3) u relative, theirs too.
    bound = 2 * (d + 3) * U * np.abs(theirs)
    assert np.all(np.abs(ours - theirs) <= bound)
    square = [np.sum(x * x, axis=-1) for x in (X, Y)]
    expanded = -2.0 * (square[0][..., :, None] + square[1][..., None, :] - 2 * X @ Y.mT)
    assert n * m == 0 or not np.all(np.abs(expanded - theirs) <= bound), "cancellation would be seen"


def extra_memory(solver: Callable[..., object], T: int) -> int:
    """The largest number of bytes held beyond the inputs while the solver runs."""
    q, k, v = np.random.default_rng(0).standard_normal((3, T, 2))
    tracemalloc.start()
    solver(q, k, v)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize(
    "solver",
    [
        exact.kernel_smoother_prefixes,
        exact.kernel_smoother,
        partial(exact.local_polynomial_prefixes, degree=1, ridge=1.0),
        partial(exact.local_polynomial, degree=1, ridge=1.0),
    ],
    ids=["smoother-prefixes", "smoother", "local-linear-prefixes", "local-linear"],
)
def test_extra_memory_grows_at_most_linearly(solver: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    # Blocks of fixed size and outputs make a + bT, so twice the tokens hold at most twice the memory; T by T is 4.
    monkeypatch.setattr(blocks, "ENTRIES", 1 << 14)
    extra_memory(solver, 8)  # what a first call imports and caches is not the solver's
    assert extra_memory(solver, 1024) <= 2 * extra_memory(solver, 512)
    monkeypatch.setattr(blocks, "ENTRIES", 1 << 40)
    assert extra_memory(solver, 1024) > 2 * extra_memory(solver, 512), "a matrix T by T would be seen"


@pytest.mark.parametrize("solver", [exact.kernel_smoother_prefixes, exact.kernel_smoother])
def test_4096_tokens_take_less_memory_than_their_mask(solver: Callable[..., object]) -> None:
    short, long = (extra_memory(solver, T) for T in (2048, 4096))
    assert long <= 2 * short
    assert long < 4096 * 4096  # one byte a pair
