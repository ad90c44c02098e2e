"""The forms of the prefix ridge without forgetting: error at the worst position, by chunk, κ, dtype and query.

κ = 1 + ‖K'K‖_F/λ bounds the condition number of H_t + Λ at every t. Keys have prescribed cond(K) and values that do not
fit; the truth is `truth`. The ridge is 0.01/cond² (so that κ follows cond²), or fixed, or the smallest for which
`choose_ridge_prefixes` still takes innovations: there its rule is tightest.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from analysis.conditioning import truth
from analysis.conditioning.solvers import SEED
from ttr_numerics import exact, tasks
from ttr_numerics.arrays import LinAlgError
from ttr_numerics.exact import innovation, square_root

__all__ = ["Contenders", "Problem", "errors_of", "form_rows", "kappa", "largest", "problem"]

T, DIMENSION, VALUES = 64, 16, 4
# t < d, t near d, t at the ends of chunks and between
POSITIONS = (1, 2, 4, 8, 12, 14, 15, 16, 17, 18, 19, 20, 22, 24, 28, 32, 33, 40, 48, 63, 64)
CHUNKS = (8, 16, 32, 64)
CONDITIONS = {
    "float64": (*(10.0 ** (e / 2) for e in range(11)), *(10.0**e for e in range(6, 11))),
    "float32": tuple(10.0 ** (e / 2) for e in range(11)),
}
DECADES = {"float64": tuple(10.0**e for e in range(9)), "float32": tuple(10.0**e for e in range(4))}
DRAWS = 2
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
TIED, EDGE = "0.01/cond²", "edge of the choice"


class Problem(NamedTuple):
    """k (T, d_k), v (T, d_v) and queries of both kinds, all of one dtype; ridge is a number of that dtype."""

    k: np.ndarray
    v: np.ndarray
    queries: dict[str, np.ndarray]
    ridge: float


Contenders = Mapping[tuple[str, int | None], Callable[[np.ndarray, Problem], np.ndarray]]  # by form and chunk


def form_rows(dtype: str, cond: float, kind: str | float, draws: int = DRAWS) -> list[dict[str, Any]]:
    """The largest error of every form over `draws` problems, for both kinds of query; `kind` is of the ridge."""
    problems = [problem(dtype, cond, kind, draw) for draw in range(draws)]
    cell = {"part": "forms", "dtype": dtype, "prescribed": cond, "ridge": str(kind), "draws": draws}
    cell["kappa"] = max(kappa(p.k, p.ridge) for p in problems)
    taken = [NAMED[exact.choose_ridge_prefixes(p.k, p.ridge).__name__] for p in problems]
    solutions = [truth.prefix_solutions(p.k, p.v, POSITIONS, p.ridge) for p in problems]
    rows = []
    for (query, form, chunk), errors in errors_of(_contenders(), problems, solutions, POSITIONS).items():
        default = chunk == DEFAULT_CHUNK.get(form, chunk)
        row = cell | {"query": query, "form": form, "chunk": chunk, "taken": default * taken.count(form)}
        rows.append(row | largest(errors))
    return rows


def errors_of(
    contenders: Contenders,
    problems: Sequence[Problem],
    solutions: Sequence[np.ndarray],
    positions: Sequence[int],
) -> dict[tuple[str, str, int | None], list[float | None]]:
    """The largest error over `positions` by query, form and chunk, one a problem; None where the form refuses."""
    found: dict[tuple[str, str, int | None], list[float | None]] = {}
    at = np.array(positions) - 1
    for problem, S in zip(problems, solutions, strict=True):
        for query, q in problem.queries.items():
            right = truth.answers(q[at], S)
            for (form, chunk), answer in contenders.items():
                try:
                    error = truth.largest_error(answer(q, problem)[at], right)
                except LinAlgError:
                    error = None
                found.setdefault((query, form, chunk), []).append(error)
    return found


def kappa(k: np.ndarray, ridge: float) -> float:
    """1 + ‖K'K‖_F/λ, in float64."""
    K = k.astype(float)
    return 1 + float(np.linalg.norm(K.T @ K)) / ridge


def largest(errors: Sequence[float | None]) -> dict[str, Any]:
    """How many refused, and the largest error, None as soon as one refuses."""
    kept = [error for error in errors if error is not None]
    return {"refused": len(errors) - len(kept), "value": max(kept) if len(kept) == len(errors) else None}


def problem(dtype: str, cond: float, kind: str | float, draw: int) -> Problem:
    rng = np.random.default_rng([SEED, int(dtype[-2:]), round(2 * np.log10(cond)), draw])
    k = tasks.conditioned_keys(rng, T, DIMENSION, cond).astype(dtype)
    v, q = (rng.standard_normal((T, n)).astype(dtype) for n in (VALUES, DIMENSION))
    ridge = _edge(k) if kind == EDGE else 0.01 / cond**2 if kind == TIED else kind
    return Problem(k, v, {RANDOM: q, RECALL: k}, float(k.dtype.type(ridge)))


def _edge(k: np.ndarray) -> float:
    """The smallest ridge with innovations, to a thousandth, found by asking."""
    low, high = -60.0, 0.0  # of log10
    while high - low > 5e-4:
        middle = (low + high) / 2
        ridge = float(k.dtype.type(10**middle))
        takes = ridge > 0 and exact.choose_ridge_prefixes(k, ridge) is exact.ridge_prefixes_by_innovation
        low, high = (low, middle) if takes else (middle, high)
    return 10**high


def _contenders() -> Contenders:
    def by(form: Callable[[np.ndarray, Problem, int], np.ndarray], chunk: int) -> Any:
        return lambda q, p: form(q, p, chunk)

    return {
        **{(INNOVATION, chunk): by(by_innovation, chunk) for chunk in CHUNKS},
        **{(ROOT, chunk): by(by_square_root, chunk) for chunk in CHUNKS},
        (MOMENTS, None): lambda q, p: exact.ridge_prefixes_by_moments(q, p.k, p.v, ridge=p.ridge).o,
        (DENSE, None): by_dense_qr,
    }


def by_innovation(q: np.ndarray, p: Problem, chunk: int) -> np.ndarray:
    """`exact.ridge_prefixes_by_innovation` with chunks of any length."""
    P = np.diag(1 / np.full(DIMENSION, p.ridge, dtype=q.dtype))
    start = exact.Recursion(np.zeros((DIMENSION, VALUES), dtype=q.dtype), P)
    return innovation.innovation_prefixes(q, p.k, p.v, None, None, start, chunk).o


def by_square_root(q: np.ndarray, p: Problem, chunk: int) -> np.ndarray:
    """`exact.ridge_prefixes_by_square_root` with chunks of any length: in float64, the answer rounded."""
    start = exact.SquareRoot(np.diag(np.sqrt(np.full(DIMENSION, p.ridge))), np.zeros((DIMENSION, VALUES)))
    Q, K, V = (x.astype(np.float64) for x in (q, p.k, p.v))
    return square_root.square_root_prefixes(Q, K, V, None, None, start, chunk).o.astype(q.dtype)


def by_dense_qr(q: np.ndarray, p: Problem) -> np.ndarray:
    """`exact.ridge`, a QR factorisation of all rows so far at every position: the yardstick."""
    prefix = np.tril(np.ones((T, T), dtype=q.dtype))
    K, V = (np.broadcast_to(x, (T, *x.shape)) for x in (p.k, p.v))
    return (q[:, None, :] @ exact.ridge(K, V, p.ridge, prefix).S)[:, 0]
