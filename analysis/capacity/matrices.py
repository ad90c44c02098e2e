"""Cells of one memory, n random pairs and d channels: three notions of recall of the items that are ranked.

Pairs are drawn by NumPy; memories, outputs and ranks are computed in the library of the cell.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.capacity.memories import MEMORIES
from analysis.capacity.notions import ALL, ARGMAX, EXACT, LIST, THRESHOLD, list_length
from ttr_numerics import tasks
from ttr_numerics.arrays import Array, namespace, to_numpy, zeros
from ttr_numerics.measure import proportion_interval
from ttr_numerics.study import placed

__all__ = ["all_rows", "draws_of", "matrix_rows", "ranks_among"]

DOUBLE = 2**19  # up to so many numbers a matrix everything is in float64, and float32 is compared with it
BUDGET = 2**21  # numbers a matrix over all draws
ONCE = 2**24  # beyond so many numbers one draw has to do
DRAWS = (2, 12, 64)  # at least, at most, and at most where a draw has only few pairs
LEAST_ITEMS = 1024  # what makes pairs few
ITEMS = 512  # items ranked of a draw
LAST_EXACT = 1.25  # up to this n/d values are asked for themselves
COMPARED = 2  # draws that are ranked in float32 too
ALL_DRAWS = ((128, 48), (256, 24), (2**20, 6))  # up to this d, so many draws of which all pairs are asked for
BLOCK = 4096  # rows drawn at once: they stay in cache


def draws_of(n: int, d: int) -> int:
    """Draws of n pairs: so that their keys are about `BUDGET` numbers and at least `LEAST_ITEMS` items."""
    least, most, few = DRAWS
    most = min(few, max(most, -(-LEAST_ITEMS // n)))
    return min(most, max(1 if n * d > ONCE else least, BUDGET // (n * d)))


def matrix_rows(cell: Mapping[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """A row a notion: the shares of the ranked items that are recalled, over draws.

    Up to `DOUBLE` numbers a matrix in float64, and the answers of a few draws that float32 would change are counted.
    """
    n, d, layer = cell["n"], cell["d"], cell["layer"]
    double, items = n * d <= DOUBLE, min(n, ITEMS)
    shares, compared, changed = [], 0, 0
    for draw in range(draws_of(n, d)):
        K, V = (_unit_rows(rng, n, d, np.float64 if double else np.float32) for _ in range(2))
        K, V, asked = placed(cell, K, V, rng.choice(n, items, replace=False))
        right = _recalled(layer, K, V, asked)
        shares.append({notion: float(np.mean(yes)) for notion, yes in right.items()})
        if double and draw < COMPARED:
            single = _recalled(layer, _single(K), _single(V), asked)
            compared += sum(len(yes) for yes in single.values())
            changed += sum(int(np.count_nonzero(right[notion] != yes)) for notion, yes in single.items())
    found = {notion: np.array([share[notion] for share in shares]) for notion in shares[0]}
    rows = [
        {"notion": name, "items": items, **proportion_interval(share, items)._asdict()} for name, share in found.items()
    ]
    counted = {"float32_compared": compared, "float32_changed": changed}
    return [row | counted if compared and row["notion"] == ARGMAX else row for row in rows]


def all_rows(cell: Mapping[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Whether all n pairs rank first, in each of many draws, and how many do not."""
    n, d = cell["n"], cell["d"]
    draws = next(draws for widest, draws in ALL_DRAWS if d <= widest)
    misses = []
    for _ in range(draws):
        K, V = _unit_rows(rng, n, d, np.float32), _unit_rows(rng, n, d, np.float32)
        K, V, every = placed(cell, K, V, np.arange(n))
        O = K @ MEMORIES[cell["layer"]](K, V)
        misses.append(int(np.count_nonzero(to_numpy(ranks_among(O, every, V)))))
    shares = np.array([float(m == 0) for m in misses])
    row = {"notion": ALL, "items": n, "misses": float(np.mean(misses))}
    return [row | proportion_interval(shares, 1)._asdict()]


def ranks_among(O: Array, items: Array, V: Array) -> Array:
    """#{j ≠ i : o_i·v_j ≥ o_i·v_i} (m,) for outputs O (m, d_v) of `items` (m,) among all values V (n, d_v).

    As `measure.ranks`, for some of the pairs: ties count against recall, what is not finite ranks last.
    """
    xp, n, own = namespace(O, V), V.shape[0], zeros(V, (O.shape[0],))
    firsts = range(0, n, BLOCK)
    blocks = [O @ xp.matrix_transpose(V[first : min(first + BLOCK, n), :]) for first in firsts]
    for first, scores in zip(firsts, blocks, strict=True):
        # The own score from the same product: rounding cannot put it behind itself.
        here = (items >= first) & (items < first + BLOCK)
        place = xp.where(here, items - first, xp.zeros_like(items))
        own = xp.where(here, xp.take_along_axis(scores, place[:, None], axis=-1)[:, 0], own)
    return sum(xp.count_nonzero(~(scores < own[:, None]), axis=-1) for scores in blocks) - 1


def _recalled(layer: str, K: Array, V: Array, items: Array) -> dict[str, np.ndarray]:
    """Whether each of the items is recalled, by notion; the value itself in float64 alone."""
    xp, (n, d) = namespace(K), K.shape
    O, values = xp.take(K, items, axis=0) @ MEMORIES[layer](K, V), xp.take(V, items, axis=0)
    rank = to_numpy(ranks_among(O, items, V))
    right = {ARGMAX: rank < 1, LIST: rank < list_length(n)}
    if K.dtype == xp.float64 and n <= LAST_EXACT * d:
        off, size = xp.linalg.vector_norm(O - values, axis=-1), xp.linalg.vector_norm(values, axis=-1)
        right[EXACT] = to_numpy(off <= THRESHOLD * size)
    return right


def _single(x: Array) -> Array:
    """x in float32."""
    xp = namespace(x)
    return xp.astype(x, xp.float32)


def _unit_rows(rng: np.random.Generator, n: int, d: int, dtype: Any) -> np.ndarray:
    """n rows uniform on the unit sphere, drawn in float64 a block at a time and kept in `dtype`."""
    rows = np.empty((n, d), dtype)
    for first in range(0, n, BLOCK):
        rows[first : first + BLOCK] = tasks.isotropic_unit_keys(rng, (min(BLOCK, n - first), d))
    return rows
