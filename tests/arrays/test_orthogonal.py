"""Blocks of reflectors: a triangle with the products of its rows kept, column by column, on every library."""

import numpy as np
import pytest
import scipy.linalg
import torch

from tests.conftest import Library
from ttr_numerics import arrays, backward
from ttr_numerics.arrays import like, to_numpy, unit_roundoff
from ttr_numerics.arrays.orthogonal import PANEL, causal_products, triangularised

# Rows, columns to reduce, columns that follow: square, tall, one row, nothing that follows, and no multiple of a panel.
SHAPES = [(1, 1, 0), (1, 1, 3), (3, 3, 2), (9, 4, 0), (PANEL, PANEL, 2), (40, PANEL + 1, 3), (3 * PANEL, 37, 5)]


def product_ratio(A: np.ndarray, RF: np.ndarray) -> float:
    """max_ij |R'R - A₁'A₁|, |R'F - A₁'A₂| over 2 ‖a_i‖ ‖a_j‖ max(rows, columns) eps.

    From (A + E) = Q [R F] with ‖e_j‖ ≤ c ‖a_j‖ (Higham, theorem 19.4) the products differ by at most 2c ‖a_i‖ ‖a_j‖:
    this is c in LAPACK's unit. Columns are scaled first, so that no product under- or overflows.
    """
    n, eps = RF.shape[-2], unit_roundoff(A)
    scale = np.max(np.abs(A), axis=-2, keepdims=True)
    scale = np.where(scale > 0, scale, 1.0)
    a, r = (x.astype(np.float64) / scale for x in (A, RF))
    norms = np.linalg.norm(a, axis=-2)
    size = 2 * norms[..., :n, None] * norms[..., None, :] * max(A.shape[-2:]) * eps
    apart = np.abs(r[..., :n].mT @ r - a[..., :n].mT @ a)
    return float(np.max(np.where(apart == 0, 0.0, apart / np.where(size > 0, size, 1.0)), initial=0.0))


@pytest.mark.parametrize("batch", [(), (3,), (2, 2)])
@pytest.mark.parametrize("shape", SHAPES)
def test_products_of_columns_are_kept_and_the_first_block_is_a_triangle(
    full_precision: Library, shape: tuple[int, int, int], batch: tuple[int, ...], rng: np.random.Generator
) -> None:
    rows, n, m = shape
    A = full_precision.asarray(rng.standard_normal((*batch, rows, n + m)))
    RF = triangularised(A, n)
    assert like(RF) == like(A)
    assert tuple(RF.shape) == (*batch, n, n + m)
    R = to_numpy(RF)[..., :n]
    assert np.array_equal(R, np.triu(R))
    assert product_ratio(to_numpy(A), to_numpy(RF)) < backward.THRESHOLD


def columns_path(x: np.ndarray) -> torch.Tensor:
    """A tensor with gradients, whose columns are reduced one by one."""
    return torch.tensor(x, requires_grad=True)


PATHS = {"packed": lambda x: x, "columns": columns_path}


@pytest.mark.parametrize("scale", [1e-160, 1e-30, 1.0, 1e150])
@pytest.mark.parametrize("path", PATHS)
def test_no_scale_under_or_overflows(path: str, scale: float, rng: np.random.Generator) -> None:
    A = scale * rng.standard_normal((2, 21, 20))
    assert product_ratio(A, to_numpy(triangularised(PATHS[path](A), 18))) < backward.THRESHOLD
    A[:, :, ::3] /= scale  # columns of both scales
    assert product_ratio(A, to_numpy(triangularised(PATHS[path](A), 18))) < backward.THRESHOLD


def test_idle_columns_stay_triangles_in_every_library(full_precision: Library, rng: np.random.Generator) -> None:
    A = rng.standard_normal((4, 24, 20))
    A[0] = 0.0  # nothing at all
    A[1, :, 3] = 0.0  # an empty column
    A[2, 1:, 0] = 0.0  # a column that is already reduced
    A[3] = np.triu(A[3])  # all of them
    A[3, 5, 5] = 0.0
    RF = to_numpy(triangularised(full_precision.asarray(A), 18))
    assert np.isfinite(RF).all()
    assert not RF[0].any()
    assert not RF[1, :, 3].any()
    assert np.array_equal(RF[..., :18], np.triu(RF[..., :18]))
    assert product_ratio(to_numpy(full_precision.asarray(A)), RF) < backward.THRESHOLD


def test_a_triangle_changes_signs_at_most(full_precision: Library, rng: np.random.Generator) -> None:
    A = np.triu(rng.standard_normal((20, 23)))
    A[4, 4] = 0.0
    RF = to_numpy(triangularised(full_precision.asarray(A), 20))
    stored = to_numpy(full_precision.asarray(A))
    u = unit_roundoff(stored)
    # Every reflector is I - 2ee'; T = I/2 doubled is exact, so that only the products of I - Y'TY round.
    assert np.all(np.abs(np.abs(RF) - np.abs(stored)) <= 4 * PANEL * u * np.abs(stored))


@pytest.mark.parametrize("path", PATHS)
def test_small_rows_below_large_ones_are_not_lost(path: str, rng: np.random.Generator) -> None:
    large, small = rng.standard_normal((4, 12)), 1e-25 * rng.standard_normal((12, 12))
    complement = scipy.linalg.null_space(large)
    # |det R| is the volume of four large directions times that of eight small ones, but for 1e-50 of either.
    truth = sum(np.sum(np.log(scipy.linalg.svdvals(x))) for x in (large, small @ complement))

    def lost(A: np.ndarray) -> float:
        """How far log |det R| is from that of A."""
        R = to_numpy(triangularised(PATHS[path](A), 12))
        return float(np.sum(np.log(np.abs(np.linalg.diagonal(R)))) - truth)

    kappa = np.linalg.cond(small @ complement) * np.linalg.cond(large)
    allowed = backward.THRESHOLD * 16 * 12 * 2.0**-53 * kappa
    assert abs(lost(np.concatenate([large, small]))) <= allowed
    assert abs(lost(np.concatenate([small, large]))) > allowed, "on top they are lost"


def thin(A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L' and triu(Q₂'B) by SciPy, of one matrix, and with diagonal above 0."""
    C = A.shape[-1]
    Q, R = scipy.linalg.qr(np.concatenate([np.eye(C), A]), mode="economic")
    sign = np.sign(np.diagonal(R))[:, None]
    return sign * R, np.triu(sign * (Q[C:].T @ B))


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (3, 5), (8, PANEL), (20, 2 * PANEL + 3), (50, 37)])
def test_causal_products_are_those_of_scipys_factor(
    full_precision: Library, shape: tuple[int, int], size: float, rng: np.random.Generator
) -> None:
    given = {"A": size * rng.standard_normal((2, *shape)), "B": size * rng.standard_normal((2, *shape))}
    a = full_precision.arrays(given)
    factor, products = causal_products(**a)
    assert like(factor) == like(products) == like(a["A"])
    L, P = to_numpy(factor).astype(np.float64), to_numpy(products).astype(np.float64)
    assert np.array_equal(L, np.triu(L))
    u, m = unit_roundoff(a["A"]), sum(shape)
    for head in range(2):
        A, B = (to_numpy(a[n])[head].astype(np.float64) for n in "AB")
        theirs, wanted = thin(A, B)
        sign = np.sign(np.diagonal(L[head]))[:, None]
        # Both triangles are those of a matrix within c of [I; A], c = 30 m roundoffs a column; Q moves by κ times that,
        # κ ≤ √(1 + ‖A‖²), and its products by ‖b‖ times that.
        moved = backward.THRESHOLD * m * u * np.linalg.cond(theirs)
        column = np.linalg.norm(np.concatenate([np.eye(shape[1]), A]), axis=0)
        assert np.all(np.abs(sign * L[head] - theirs) <= moved * column)
        assert np.all(np.abs(np.triu(sign * P[head]) - wanted) <= moved * np.linalg.norm(B, axis=0))


def test_queries_that_repeat_keys_keep_what_the_gram_form_loses(rng: np.random.Generator) -> None:
    # With B = A the matrix Q₂'A is L' - L⁻¹: the answer to a repeated key differs from its value by what L⁻¹ holds.
    A = 1e9 * rng.standard_normal((20, 12))
    column = np.linalg.norm(A, axis=0)
    allowed = backward.THRESHOLD * 32 * 2.0**-53 * column * np.linalg.cond(A)
    factor, products = causal_products(A, A)
    assert np.all(np.abs(np.triu(products) - np.triu(factor - np.linalg.inv(factor).T)) <= allowed)


def test_zero_keys_have_the_identity_for_factor_and_no_products(full_precision: Library) -> None:
    zero = full_precision.asarray(np.zeros((2, 6, PANEL + 2)))
    one = full_precision.asarray(np.ones((2, 6, PANEL + 2)))
    factor, products = causal_products(zero, one)
    assert np.array_equal(np.abs(to_numpy(factor)), np.broadcast_to(np.eye(PANEL + 2), (2, PANEL + 2, PANEL + 2)))
    assert not np.triu(to_numpy(products)).any()


@pytest.mark.parametrize("shape", [(5, 3), (9, PANEL + 2)])
def test_gradients_of_both_are_those_of_finite_differences(shape: tuple[int, int], rng: np.random.Generator) -> None:
    A, B = (torch.tensor(rng.standard_normal(shape), requires_grad=True) for _ in range(2))
    n = min(shape)
    # fast_mode: along random directions, a few runs in place of one for every entry.
    assert torch.autograd.gradcheck(lambda x: triangularised(x, n), (A,), fast_mode=True)
    both = (lambda x, y: tuple(torch.triu(z) for z in causal_products(x, y))), (A, B)
    assert torch.autograd.gradcheck(*both, fast_mode=True)


def test_both_paths_of_torch_agree_but_for_signs(rng: np.random.Generator) -> None:
    A = rng.standard_normal((3, 30, 25))
    plain, traced = (to_numpy(triangularised(x, 20)) for x in (torch.tensor(A), columns_path(A)))
    sign = np.sign(np.linalg.diagonal(plain[..., :20]) * np.linalg.diagonal(traced[..., :20]))[..., None]
    # R is as sensitive as A is ill-conditioned (Higham, theorem 19.2 and section 19.9).
    allowed = 2 * backward.THRESHOLD * 30 * 2.0**-53 * np.max(np.linalg.cond(A[..., :20])) * np.linalg.norm(A)
    assert np.linalg.norm(sign * traced - plain) <= allowed


@pytest.mark.parametrize("fault", ["lost row", "scaled column", "wrong sign of one row"])
def test_the_ratio_sees_a_fault(fault: str, rng: np.random.Generator) -> None:
    A = rng.standard_normal((30, 22))
    RF = triangularised(A, 20)
    if fault == "lost row":
        RF = triangularised(A[:-1], 20)
    elif fault == "scaled column":
        RF[:, 21] *= 1 + 1e-11
    else:
        RF[3, 5:] *= -1
    assert product_ratio(A, RF) > backward.THRESHOLD


@pytest.mark.parametrize("n", [1, 8, 19])
def test_the_inverse_of_a_posdef_matrix_is_symmetric_and_an_inverse_to_rounding(
    full_precision: Library, n: int, rng: np.random.Generator
) -> None:
    A = rng.standard_normal((2, 2 * n, n))
    a = full_precision.asarray(A.mT @ A)
    inverse = arrays.inverse_posdef(a)
    assert like(inverse) == like(a)
    X, H, u = to_numpy(inverse).astype(np.float64), to_numpy(a).astype(np.float64), unit_roundoff(a)
    # L⁻ᵀL⁻¹ of a computed factor: ‖XH - I‖ ≤ c n u κ (Higham, section 14.3, method D), c in LAPACK's unit.
    left = np.linalg.norm(X @ H - np.eye(n), 2, axis=(-1, -2))
    assert np.all(left <= backward.THRESHOLD * n * u * np.linalg.cond(H))
    # Entries (i, j) and (j, i) are the same n products of L⁻¹, added in whatever order: 2 n u ‖l_i‖ ‖l_j‖.
    size = np.sqrt(np.linalg.diagonal(X))
    assert np.all(np.abs(X - X.mT) <= 2 * (n + 1) * u * size[..., :, None] * size[..., None, :])


def test_the_inverse_is_refused_where_there_is_none(full_precision: Library) -> None:
    with pytest.raises(arrays.LinAlgError, match=r"^H: expected positive definite, got .* in slices \(1,\)"):
        arrays.inverse_posdef(full_precision.asarray(np.stack([np.eye(3), np.diag([1.0, 0.0, 1.0])])), "H")
