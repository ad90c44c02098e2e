"""Rows that grow instead of a state that decays: the same weights, in pieces that end where the decay says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Library
from ttr_numerics import exact
from ttr_numerics.arrays import to_numpy, unit_roundoff
from ttr_numerics.exact.growth import Growth, pieces

GATES = st.lists(st.sampled_from([0.0, -0.02, -0.5, -1.0, -5.0, -50.0, -np.inf]), min_size=1, max_size=30)


def decay(gates: np.ndarray, piece: slice) -> float:
    """Nats after the first token of a piece, in the head that forgets most token by token."""
    return -float(np.sum(np.min(gates, axis=0)[piece.start + 1 : piece.stop]))


@given(st.lists(GATES, min_size=1, max_size=3), st.integers(1, 9), st.sampled_from([0.5, 1.0, 2.0, 10.0]))
def test_pieces_cover_all_tokens_and_are_as_long_as_chunk_and_decay_allow(
    heads: list[list[float]], chunk: int, nats: float
) -> None:
    T = min(map(len, heads))
    gates = np.array([head[:T] for head in heads])
    found = list(pieces(T, chunk, gates[..., None], nats))
    assert [t for piece in found for t in range(piece.start, piece.stop)] == list(range(T))
    rounded = 30 * T * 2.0**-53 * nats  # sums of at most T gates, in another order
    for piece in found:
        assert 1 <= piece.stop - piece.start <= chunk
        assert decay(gates, piece) <= nats + rounded
        longer = slice(piece.start, piece.stop + 1)
        full = piece.stop - piece.start == chunk or piece.stop == T
        assert full or decay(gates, longer) > nats - rounded, "a longer piece was allowed"


@pytest.mark.parametrize("T", [0, 1, 7, 8, 9])
def test_without_gates_pieces_are_chunks(T: int) -> None:
    assert [p.stop - p.start for p in pieces(T, 4, None, 1.0)] == [4] * (T // 4) + [T % 4] * (T % 4 > 0)
    assert list(pieces(T, 4, np.zeros((2, T, 1)), 1.0)) == list(pieces(T, 4, None, 1.0))
    assert list(pieces(T, 4, np.zeros((0, T, 1)), 1.0)) == list(pieces(T, 4, None, 1.0))


def test_a_chunk_of_no_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^chunk: expected at least 1, got 0$"):
        list(pieces(3, 0, None, 1.0))


@pytest.mark.parametrize("C", [1, 2, 6])
def test_growth_and_end_are_the_roots_of_the_weights(full_precision: Library, C: int, rng: np.random.Generator) -> None:
    gates = -rng.exponential(0.5, (2, C))
    gates[:, 0] = [-50.0, -np.inf]
    stored = full_precision.asarray(gates)
    factors = Growth(stored[..., None])
    gates, u = to_numpy(stored).astype(np.float64), unit_roundoff(stored)
    weights = exact.prefix_weights(gates)[..., -1, :]
    seen = (to_numpy(factors.rows) * to_numpy(factors.end))[..., 0] ** 2
    # Sums of C gates and two exponentials: C u Σ|gate| of an exponent each, 2u of a value, doubled by the square.
    size = 4 * C * u * (2 + np.sum(np.abs(gates[:, 1:]), axis=-1, keepdims=True))
    assert np.all(np.abs(seen - weights) <= size * weights)
    first = to_numpy(factors.first)[:, 0, 0]
    assert first[1] == 0
    assert abs(first[0] - np.exp(-25.0)) <= 4 * u * np.exp(-25.0)
    assert np.all(to_numpy(factors.rows) >= 1)
    if C > 1:
        assert np.any(np.abs(to_numpy(factors.rows)[..., 0] ** 2 - weights) > size * weights), "end would be missed"
