"""Ridge by square roots has the error of a dense QR of the keys, judged in ball arithmetic; what would lose it is seen.

Dense QR means: the rows [√λ I; k_1; ...; k_t] factored anew at each t by the same library's own routines in the same
precision. Both errors are the largest over all positions, relative to ‖o_t‖.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import flint
import numpy as np
import pytest
import torch

from ttr_numerics import exact
from ttr_numerics.arrays import LinAlgError, causal_products, concat, forward_substitution, to_numpy, triangularised
from ttr_numerics.axes import Moments
from ttr_numerics.exact import square_root
from ttr_numerics.exact.square_root import SquareRoot, square_root_prefixes

D_V, HEADS = 5, 2
LENGTHS = {16: 64, 32: 96, 64: 128}  # tokens by length of a key
LIMIT = 10.0  # times the error of the dense QR: the specification
LIBRARIES = {"numpy": np.asarray, "torch": torch.asarray}
SETTINGS = {"float64": (1e7, 1e-14), "float32": (1e4, 1e-8)}  # condition of the keys, ridge


def enclosed(q: np.ndarray, k: np.ndarray, v: np.ndarray, fixed: Any = 0, decaying: Any = 0, **more: Any) -> np.ndarray:
    """q_t (H_t + Λ + Γ_t Λ')⁻¹ G_t (T, d_v) of one head, as numbers within a rounding of their enclosing balls.

    Λ = diag(fixed), Λ' = diag(decaying); `more` are log_decay and weights (T,). 256 bits, and 3 for every nat of decay.
    """
    (T, d), log_decay = k.shape, more.get("log_decay", np.zeros(len(k)))
    weights, outputs = more.get("weights", np.ones(T)), []
    with flint.ctx.workprec(256 + 3 * int(-np.sum(log_decay[np.isfinite(log_decay)]))):
        ridge, H = (_diagonal(x, d) for x in (fixed, decaying))
        G = flint.arb_mat(d, v.shape[1])
        for t in range(T):
            gate = flint.arb(0) if np.isneginf(log_decay[t]) else flint.arb(float(log_decay[t])).exp()
            row, value = (flint.arb_mat([x[t].astype(float).tolist()]) for x in (k, v))
            weighted = row.transpose() * flint.arb(float(weights[t]))
            H, G = H * gate + weighted * row, G * gate + weighted * value
            solved = (H + ridge).solve(flint.arb_mat([q[t].astype(float).tolist()]).transpose(), algorithm="precond")
            balls = (solved.transpose() * G).tolist()[0]
            size = max(float(x.mid()) ** 2 for x in balls) ** 0.5
            assert all(float(x.rad()) <= 2.0**-53 * size for x in balls), "more bits are needed"
            outputs.append([float(x.mid()) for x in balls])
    return np.array(outputs)


def _diagonal(ridge: Any, d: int) -> Any:
    matrix, entries = flint.arb_mat(d, d), np.broadcast_to(ridge, d)
    for i in range(d):
        matrix[i, i] = flint.arb(float(entries[i]))
    return matrix


def keys(rng: np.random.Generator, T: int, d: int, cond: float) -> np.ndarray:
    """Gaussian rows (T, d), their covariance of condition cond²."""
    axes = np.linalg.qr(rng.standard_normal((d, d)))[0]
    return (rng.standard_normal((T, d)) * np.geomspace(1.0, 1.0 / cond, d)) @ axes


@dataclass(frozen=True)
class Problem:
    """q, k, v (HEADS, T, d) in `dtype`, and the regulariser; hashable by what it was made from."""

    d: int = 16
    dtype: str = "float64"
    recall: bool = False
    consistent: bool = False

    @property
    def ridge(self) -> float:
        """As the format holds it."""
        return float(np.dtype(self.dtype).type(SETTINGS[self.dtype][1]))

    @cached_property
    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """q, k, v, with a key twice in a row, one from long ago, and one of zero."""
        T, d, rng = LENGTHS[self.d], self.d, np.random.default_rng([self.d, self.recall, self.consistent])
        k = np.stack([keys(rng, T, d, SETTINGS[self.dtype][0]) for _ in range(HEADS)])
        k[:, T // 2], k[:, T // 2 + 1], k[:, T // 2 + 5] = k[:, T // 2 - 1], k[:, 3], 0.0
        q = k if self.recall else rng.standard_normal((HEADS, T, d))
        v = k @ rng.standard_normal((d, D_V)) if self.consistent else rng.standard_normal((HEADS, T, D_V))
        return q.astype(self.dtype), k.astype(self.dtype), v.astype(self.dtype)

    @cached_property
    def truth(self) -> np.ndarray:
        """The outputs, rounded once."""
        return np.stack([enclosed(q, k, v, self.ridge) for q, k, v in zip(*self.rows, strict=True)])

    @cached_property
    def dense(self) -> dict[str, float]:
        """Error of a QR of all rows at every position, by library."""
        d, (q, k, v) = self.d, self.rows
        root = np.sqrt(self.ridge).astype(self.dtype) * np.eye(d, dtype=self.dtype)
        errors = {}
        for name, solve in {"numpy": dense_numpy, "torch": dense_torch}.items():
            o = np.zeros_like(v)
            for head, t in np.ndindex(o.shape[:-1]):
                A = np.concatenate([k[head, : t + 1], root])
                B = np.concatenate([v[head, : t + 1], np.zeros((d, D_V), self.dtype)])
                o[head, t] = solve(q[head, t], A, B)
            errors[name] = error(o, self.truth)
        return errors


problem = cache(Problem)


def error(o: Any, truth: np.ndarray) -> float:
    """Largest relative error over heads and positions; an answer to a query of 0 is 0."""
    size = np.linalg.norm(truth, axis=-1)
    assert not to_numpy(o)[size == 0].any()
    return float(np.max(np.linalg.norm(to_numpy(o) - truth, axis=-1)[size > 0] / size[size > 0]))


def dense_numpy(q: np.ndarray, A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """q R⁻¹ (Q'B), all by NumPy."""
    Q, R = np.linalg.qr(A)
    return q @ np.linalg.solve(R, Q.T @ B)


def dense_torch(q: np.ndarray, A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """The same by torch."""
    Q, R = torch.linalg.qr(torch.asarray(A))
    return to_numpy(torch.asarray(q) @ torch.linalg.solve_triangular(R, Q.T @ torch.asarray(B), upper=True))


def ratio(library: str, case: Problem, chunk: int) -> float:
    """Our largest error over that of the dense QR."""
    q, k, v = (LIBRARIES[library](x.astype(np.float64)) for x in case.rows)  # as the public form does
    R = LIBRARIES[library](np.sqrt(case.ridge) * np.broadcast_to(np.eye(case.d), (HEADS, case.d, case.d)))
    o = square_root_prefixes(q, k, v, None, None, SquareRoot(R, 0 * R[..., :D_V]), chunk).o
    return error(to_numpy(o).astype(case.dtype), case.truth) / case.dense[library]


@pytest.mark.parametrize(("d", "chunk"), [(16, 8), (16, 16), (32, 24), (32, 32)])
@pytest.mark.parametrize("consistent", [False, True], ids=["random", "consistent"])
@pytest.mark.parametrize("recall", [False, True], ids=["q random", "q = k"])
@pytest.mark.parametrize("dtype", SETTINGS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_error_is_that_of_a_dense_qr_at_every_position(
    library: str, dtype: str, recall: bool, consistent: bool, d: int, chunk: int
) -> None:
    assert ratio(library, problem(d, dtype, recall, consistent), chunk) <= LIMIT


@pytest.mark.parametrize(("dtype", "d"), [("float64", 64), ("float32", 16), ("float64", 16)])
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_public_form_is_within_the_same_limit_and_stays_in_its_dtype(library: str, dtype: str, d: int) -> None:
    case = problem(d, dtype, recall=True)
    form = exact.choose_ridge_prefixes(case.rows[1], case.ridge)
    assert form is exact.ridge_prefixes_by_square_root
    out = form(*(LIBRARIES[library](x) for x in case.rows), ridge=case.ridge)
    assert to_numpy(out.o).dtype == to_numpy(out.state.H).dtype == np.dtype(dtype)
    assert error(out.o, case.truth) <= LIMIT * case.dense[library]


# Each fault with a case where it must be seen: queries that repeat keys, consistent values.


def split(rows: Any, joint: Any) -> tuple[Any, ...]:
    """K, V of a chunk, and R, F before it."""
    d = joint.shape[-2]
    return rows[..., :d], rows[..., d:], joint[..., :d], joint[..., d:]


def through_the_inverse(Q: Any, rows: Any, joint: Any, growth: None) -> tuple[Any, Any]:
    """I + K (R⁻¹R⁻ᵀ) K' for I + A'A: the condition number is squared."""
    K, V, R, F = split(rows, joint)
    half = np.linalg.inv(R)
    P, S = half @ half.mT, half @ F
    L = np.linalg.cholesky(np.eye(K.shape[-2]) + K @ P @ K.mT)
    Z, E = np.linalg.solve(L, K @ P), np.linalg.solve(L, V - K @ S)
    return Q @ S + np.tril(Q @ Z.mT) @ E, triangularised(concat([rows, joint], -2), R.shape[-1])


def gram_products(A: Any, B: Any, residual: Any) -> Any:
    """L⁻¹(A'B) for Q₂'B: what A'A has in common with I is lost where queries repeat keys."""
    L = causal_products(A, B)[0].mT
    return np.tril(forward_substitution(L, A.mT @ B).mT) @ forward_substitution(L, residual)


def projected_residuals(Q: Any, rows: Any, joint: Any, growth: None) -> tuple[Any, Any]:
    """Q₁'V - Q₂'F for L⁻¹(V - A'F): errors of the size of the values, however well they fit."""
    K, V, R, F = split(rows, joint)
    C, AB = K.shape[-2], forward_substitution(R.mT, np.concatenate([K, Q], -2).mT)
    A, B = AB[..., :C], AB[..., C:]
    both = np.linalg.qr(np.concatenate([np.broadcast_to(np.eye(C), (*A.shape[:-2], C, C)), A], -2))[0]
    Q1, Q2 = both[..., :C, :], both[..., C:, :]
    o = B.mT @ F + np.tril(B.mT @ Q2) @ (Q1.mT @ V - Q2.mT @ F)
    return o, triangularised(concat([rows, joint], -2), R.shape[-1])


def old_rows_on_top(stacked: Any, n: int) -> Any:
    """The QR of [R; K] for that of [K; R]: seen where R has decayed (`test_recursive`)."""
    return triangularised(np.concatenate([stacked[..., -n:, :], stacked[..., :-n, :]], -2), n)


FAULTS: dict[str, tuple[str, Callable[..., Any], bool, bool]] = {
    "inverse": ("_one_chunk", through_the_inverse, False, False),
    "Gram products": ("_by_reflectors", gram_products, True, False),
    "projected residuals": ("_one_chunk", projected_residuals, True, True),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_place_that_decides_the_accuracy_is_seen(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, planted, recall, consistent = FAULTS[fault]
    case = problem(16, "float64", recall, consistent)
    assert ratio("numpy", case, 16) <= LIMIT
    monkeypatch.setattr(square_root, name, planted)
    assert ratio("numpy", case, 16) > LIMIT


def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often either branch is taken from now on."""
    taken = {"_by_products": 0, "_by_reflectors": 0}

    def watched(name: str, form: Callable[..., Any]) -> Callable[..., Any]:
        def spy(*given: Any) -> Any:
            taken[name] += 1
            return form(*given)

        return spy

    for name in taken:
        monkeypatch.setattr(square_root, name, watched(name, getattr(square_root, name)))
    return taken


def test_reflectors_while_the_keys_do_not_span_and_products_after(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = counted(monkeypatch)
    assert ratio("numpy", problem(16), 8) <= LIMIT
    assert taken["_by_reflectors"] >= 2
    assert taken["_by_products"] >= 2
    assert sum(taken.values()) == LENGTHS[16] // 8


@pytest.mark.parametrize("recall", [False, True], ids=["q random", "q = k"])
@pytest.mark.parametrize(("small", "name"), [(-1.0, "_by_reflectors"), (np.inf, "_by_products")])
def test_either_branch_alone_is_as_accurate_where_both_are_sound(
    small: float, name: str, recall: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # ‖A‖² ≤ Σ‖k‖²/λ, about 10 a chunk of 8 here: both Cholesky factors are well conditioned throughout.
    q, k, v = (x[0] for x in problem(16, recall=recall).rows)
    ridge, truth = 1.0, enclosed(q, k, v, 1.0)
    A, B = np.concatenate([np.eye(16), k]), np.concatenate([np.zeros((16, D_V)), v])
    dense = error(np.stack([dense_numpy(q[t], A[: t + 17], B[: t + 17]) for t in range(len(q))]), truth)
    taken = counted(monkeypatch)
    monkeypatch.setattr(square_root, "SMALL", small)
    o = square_root_prefixes(q, k, v, None, None, SquareRoot(np.sqrt(ridge) * np.eye(16), np.zeros((16, D_V))), 8).o
    assert taken == {"_by_products": 0, "_by_reflectors": 0} | {name: 8}
    assert error(o, truth) <= LIMIT * dense


def test_products_where_rows_bring_much_news_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(square_root, "SMALL", np.inf)
    case = problem(16)
    try:
        lost = ratio("numpy", case, 16) > LIMIT
    except LinAlgError:
        lost = True
    assert lost


def test_zero_keys_and_zero_weights_leave_the_prior(rng: np.random.Generator) -> None:
    q, k, v = rng.standard_normal((3, 2, 7, 4))
    for K, w in ((0 * k, None), (k, np.zeros((2, 7)))):
        out = exact.ridge_prefixes_by_square_root(q, K, v, ridge=1e-12, weights=w)
        assert not out.o.any()
        assert not out.state.H.any()


@pytest.mark.parametrize("split_at", [0, 1, 7, 16, 64])
def test_the_state_handed_over_answers_as_the_whole(split_at: int) -> None:
    case, R = problem(16, recall=True), np.sqrt(problem(16).ridge) * np.eye(16)
    root = SquareRoot(np.broadcast_to(R, (HEADS, 16, 16)), np.zeros((HEADS, 16, D_V)))
    head = square_root_prefixes(*(x[:, :split_at] for x in case.rows), None, None, root, 16)
    tail = square_root_prefixes(*(x[:, split_at:] for x in case.rows), None, None, head.state, 16)
    assert error(np.concatenate([head.o, tail.o], 1), case.truth) <= LIMIT * case.dense["numpy"]
    # The state is a triangle with R'R = H + Λ and F = RS, S the solution after the last token.
    R = tail.state.R
    assert np.array_equal(R, np.triu(R))
    solved = np.linalg.solve(R, tail.state.F)
    last = error((case.rows[0][:, -1:] @ solved), case.truth[:, -1:])
    assert last <= LIMIT * case.dense["numpy"]


def test_initial_moments_enter_with_the_error_of_moments(rng: np.random.Generator) -> None:
    q, k, v = rng.standard_normal((3, 30, 6))
    truth = enclosed(q, k, v, 1e-3)[12:]
    before = Moments(k[:12].T @ k[:12], k[:12].T @ v[:12])
    out = exact.ridge_prefixes_by_square_root(q[12:], k[12:], v[12:], ridge=1e-3, initial_state=before)
    # Moments of 12 tokens carry 12 roundings, their factor 3d² (Higham, theorem 10.3), magnified by κ(H + Λ).
    kappa = np.linalg.cond(before.H + 1e-3 * np.eye(6))
    size = np.linalg.norm(q[12:], axis=-1) * np.linalg.norm(np.linalg.lstsq(k, v)[0])
    allowed = (12 + 3 * 36) * 2.0**-53 * kappa * size
    assert np.all(np.linalg.norm(out.o - truth, axis=-1) <= allowed)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
@pytest.mark.parametrize("T", [0, 1, 5])
def test_shapes_of_short_sequences_and_batches(T: int, batch: tuple[int, ...], rng: np.random.Generator) -> None:
    q, k, v = (rng.standard_normal((*batch, T, d)) for d in (3, 3, 2))
    out = exact.ridge_prefixes_by_square_root(q, k, v, ridge=np.array([1e-9, 1.0, 1e9]))
    assert out.o.shape == (*batch, T, 2)
    assert out.state.H.shape == (*batch, 3, 3)
    root = exact.recursive_least_squares_by_square_root(q, k, v, ridge=1e-9, log_decay=np.full((*batch, T), -9.0)).state
    assert root.R.shape == (*batch, 3, 3)
    assert root.F.shape == (*batch, 3, 2)


def test_a_ridge_of_zero_is_refused_by_slice(rng: np.random.Generator) -> None:
    q, k, v = rng.standard_normal((3, 2, 5, 3))
    with pytest.raises(LinAlgError, match=r"without zero pivots, got one in slices \(1,\)"):
        exact.ridge_prefixes_by_square_root(q, k, v, ridge=np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]]))


def test_forgetting_beside_a_fixed_ridge_is_refused(rng: np.random.Generator) -> None:
    q, k, v = rng.standard_normal((3, 5, 3))
    with pytest.raises(ValueError, match="^log_decay: expected None"):
        exact.ridge_prefixes_by_square_root(q, k, v, ridge=1.0, log_decay=np.zeros(5))
