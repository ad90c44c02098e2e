"""The forms of the prefix ridge without forgetting: error at the worst position, by chunk, κ, dtype and query.

κ = 1 + ‖K'K‖_F/λ bounds the condition number of H_t + Λ at every t. Keys have prescribed cond(K) and values that do not
fit; the truth is `truth`. The ridge is 0.01/cond² (so that κ follows cond²), or fixed, or the smallest for which
`choose_ridge_prefixes` still takes innovations: there its rule is tightest.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from analysis.conditioning import truth
from ttr_numerics import exact, tasks
from ttr_numerics.arrays import Array, LinAlgError, diagonal_matrix, namespace, to_numpy, zeros
from ttr_numerics.exact import innovation, square_root
from ttr_numerics.study import placed

__all__ = ["Contenders", "Problem", "answered", "chosen_form", "errors_of", "form_rows", "kappa", "largest", "problem"]

T, DIMENSION, VALUES = 64, 16, 4
# t < d, t near d, t at the ends of chunks and between
POSITIONS = (1, 2, 4, 8, 12, 14, 15, 16, 17, 18, 19, 20, 22, 24, 28, 32, 33, 40, 48, 63, 64)
CHUNKS = (8, 16, 32, 64)
FIXED = 1e-2
INNOVATION, ROOT, MOMENTS, DENSE = "innovation", "square root", "moments", "dense QR"
CHEBYSHEV = "Chebyshev"
NAMED = {
    "ridge_prefixes_by_innovation": INNOVATION,
    "ridge_prefixes_by_square_root": ROOT,
    "ridge_prefixes_by_moments": MOMENTS,
    "ridge_prefixes_by_chebyshev": CHEBYSHEV,
}
DEFAULT_CHUNK = {INNOVATION: innovation.CHUNK, ROOT: square_root.CHUNK}
RANDOM, RECALL = "random q", "q = k"
TIED, EDGE, CONSTANT = "0.01/cond²", "edge of the choice", str(FIXED)


class Problem(NamedTuple):
    """k (T, d_k), v (T, d_v) and queries of both kinds, all of one dtype; ridge is a number of that dtype."""

    k: np.ndarray
    v: np.ndarray
    queries: dict[str, np.ndarray]
    ridge: float


Form = Callable[[Array, Array, Array, float], Array]  # o (T, d_v) of q, k, v and the ridge
Contenders = Mapping[tuple[str, int | None], Form]  # by name and chunk


def form_rows(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """The largest error of every form over `draws` problems, for both kinds of query, with the cell's kind of ridge."""
    problems = [problem(rng, cell["dtype"], cell["prescribed"], cell["ridge"]) for _ in range(cell["draws"])]
    largest_kappa = max(kappa(p.k, p.ridge) for p in problems)
    taken = [chosen_form(cell, p.k, p.ridge) for p in problems]
    solutions = [truth.prefix_solutions(p.k, p.v, POSITIONS, p.ridge) for p in problems]
    rows = []
    for (query, form, chunk), errors in errors_of(cell, CONTENDERS, problems, solutions, POSITIONS).items():
        default = chunk == DEFAULT_CHUNK.get(form, chunk)
        row = {"kappa": largest_kappa, "query": query, "form": form, "chunk": chunk}
        rows.append(row | {"taken": default * taken.count(form)} | largest(errors))
    return rows


def errors_of(
    cell: dict[str, Any],
    contenders: Contenders,
    problems: Sequence[Problem],
    solutions: Sequence[np.ndarray],
    positions: Sequence[int],
) -> dict[tuple[str, str, int | None], list[float | None]]:
    """The largest error over `positions` by query, form and chunk, one a problem; None where the form refuses."""
    found: dict[tuple[str, str, int | None], list[float | None]] = {}
    at = np.array(positions) - 1
    for p, S in zip(problems, solutions, strict=True):
        for query, q in p.queries.items():
            right = truth.answers(q[at], S)
            for (name, chunk), form in contenders.items():
                try:
                    error = truth.largest_error(answered(cell, form, q, p)[at], right)
                except LinAlgError:
                    error = None
                found.setdefault((query, name, chunk), []).append(error)
    return found


def answered(cell: dict[str, Any], form: Form, q: np.ndarray, p: Problem) -> np.ndarray:
    """o (T, d_v) of a form in the library of the cell; raises LinAlgError."""
    queries, keys, values = placed(cell, q, p.k, p.v)
    return to_numpy(form(queries, keys, values, p.ridge))


def chosen_form(cell: dict[str, Any], k: np.ndarray, ridge: float, *log_decay: np.ndarray) -> str:
    """The form that `exact.ridge_prefixes` takes of itself."""
    keys, *gates = placed(cell, k, *log_decay)
    return NAMED[exact.choose_ridge_prefixes(keys, ridge, *gates).__name__]


def kappa(k: np.ndarray, ridge: float) -> float:
    """1 + ‖K'K‖_F/λ, in float64."""
    K = k.astype(float)
    return 1 + float(np.linalg.norm(K.T @ K)) / ridge


def largest(errors: Sequence[float | None]) -> dict[str, Any]:
    """How many refused, and the largest error, None as soon as one refuses."""
    kept = [error for error in errors if error is not None]
    return {"refused": len(errors) - len(kept), "value": max(kept) if len(kept) == len(errors) else None}


def problem(rng: np.random.Generator, dtype: str, cond: float, kind: str) -> Problem:
    """Keys of prescribed cond(K), values and queries standard normal, and a ridge of one of `RIDGES`."""
    k = tasks.conditioned_keys(rng, T, DIMENSION, cond).astype(dtype)
    v, q = (rng.standard_normal((T, n)).astype(dtype) for n in (VALUES, DIMENSION))
    return Problem(k, v, {RANDOM: q, RECALL: k}, float(k.dtype.type(RIDGES[kind](k, cond))))


def _edge(k: np.ndarray, cond: float) -> float:
    """The smallest ridge with innovations, to a thousandth, found by asking."""
    low, high = -60.0, 0.0  # of log10
    while high - low > 5e-4:
        middle = (low + high) / 2
        ridge = float(k.dtype.type(10**middle))
        takes = ridge > 0 and exact.choose_ridge_prefixes(k, ridge) is exact.ridge_prefixes_by_innovation
        low, high = (low, middle) if takes else (middle, high)
    return 10**high


RIDGES: dict[str, Callable[[np.ndarray, float], float]] = {
    TIED: lambda k, cond: 0.01 / cond**2,
    EDGE: _edge,
    CONSTANT: lambda k, cond: FIXED,
}


def by_innovation(q: Array, k: Array, v: Array, ridge: float, chunk: int) -> Array:
    """`exact.ridge_prefixes_by_innovation` with chunks of any length."""
    d = k.shape[-1]
    start = exact.Recursion(zeros(v, (d, v.shape[-1])), diagonal_matrix(1 / (zeros(k, (d,)) + ridge)))
    return innovation.innovation_prefixes(q, k, v, None, None, start, chunk).o


def by_square_root(q: Array, k: Array, v: Array, ridge: float, chunk: int) -> Array:
    """`exact.ridge_prefixes_by_square_root` with chunks of any length: in float64, the answer rounded."""
    xp = namespace(q, k, v)
    Q, K, V = (xp.astype(x, xp.float64) for x in (q, k, v))
    d = K.shape[-1]
    start = exact.SquareRoot(diagonal_matrix(xp.sqrt(zeros(K, (d,)) + ridge)), zeros(V, (d, V.shape[-1])))
    return xp.astype(square_root.square_root_prefixes(Q, K, V, None, None, start, chunk).o, q.dtype)


def by_moments(q: Array, k: Array, v: Array, ridge: float) -> Array:
    """`exact.ridge_prefixes_by_moments`."""
    return exact.ridge_prefixes_by_moments(q, k, v, ridge=ridge).o


def by_dense_qr(q: Array, k: Array, v: Array, ridge: float) -> Array:
    """`exact.ridge`, a QR factorisation of all rows so far at every position: the yardstick."""
    xp, n = namespace(q, k, v), k.shape[-2]
    prefix = xp.tril(zeros(k, (n, n)) + 1)
    K, V = (xp.broadcast_to(x, (n, *x.shape)) for x in (k, v))
    return (q[:, None, :] @ exact.ridge(K, V, ridge, prefix).S)[:, 0, :]


def _of_chunk(form: Callable[[Array, Array, Array, float, int], Array], chunk: int) -> Form:
    return lambda q, k, v, ridge: form(q, k, v, ridge, chunk)


CONTENDERS: Contenders = {
    **{(INNOVATION, chunk): _of_chunk(by_innovation, chunk) for chunk in CHUNKS},
    **{(ROOT, chunk): _of_chunk(by_square_root, chunk) for chunk in CHUNKS},
    (MOMENTS, None): by_moments,
    (DENSE, None): by_dense_qr,
}
