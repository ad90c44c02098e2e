"""Balls contain the exact results of every operation, narrow with the bits, and answer only what they know."""

import sys
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from tests.exact.certified.rationals import DIGITS, contains, meets, rational, solution
from ttr_numerics.arrays import namespace
from ttr_numerics.arrays.arb import Exact, NoEnclosureError, UndecidedError, limited, precision
from ttr_numerics.arrays.balls import BallArray, as_balls, balls, solved
from ttr_numerics.arrays.enclosure import EnclosureError, enclosed, refined
from ttr_numerics.axes import Output

BITS = 128


@pytest.fixture(autouse=True)
def _bits() -> object:
    with precision(BITS):
        yield


def radii(x: BallArray) -> np.ndarray:
    return np.array([float(ball.rad()) for ball in x.x.flat])


def test_arithmetic_contains_the_rational_result(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((2, 3, 4))
    a, b, p, q = balls(x), balls(y), rational(x), rational(y)
    results = [
        (a + b, p + q),
        (a - b, p - q),
        (a * b, p * q),
        (a / b, p / q),
        (2 / a, 2 / p),
        (0.5 - a, Fraction(0.5) - p),
    ]
    results += [(a**3, p**3), (-a, -p), (abs(a), abs(p)), (a / 3, p / 3), (y * a, p * q)]
    for ball, truth in results:
        assert contains(ball, truth).all()


def test_sums_and_products_of_matrices_contain_the_rational_result(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((5, 7)) * 10.0 ** rng.integers(-9, 9, (5, 7)), rng.standard_normal((7, 6))
    a, p, xp = balls(x), rational(x), namespace(balls(x))
    assert contains(a @ balls(y), p @ rational(y)).all()
    assert contains(a[:, :2] @ balls(y)[:2, :], p[:, :2] @ rational(y)[:2]).all()
    assert contains(xp.sum(a, axis=-1), p.sum(axis=-1)).all()
    assert contains(xp.mean(a, axis=0), p.sum(axis=0) / 5).all()
    assert contains(xp.cumulative_sum(a, axis=1), np.cumsum(p, axis=1)).all()
    assert contains(xp.vecdot(a, a), (p * p).sum(axis=-1)).all()
    assert contains(xp.max(a, axis=-1), p.max(axis=-1)).all()
    assert contains(xp.sort(a, axis=0), np.sort(p, axis=0)).all()


def test_solutions_contain_the_rational_solution(rng: np.random.Generator) -> None:
    A, B = rng.standard_normal((2, 4, 4)), rng.standard_normal((2, 4, 3))
    truth = np.stack([solution(rational(a), rational(b)) for a, b in zip(A, B, strict=True)])
    assert contains(solved(balls(A), balls(B)), truth).all()
    L, xp = np.tril(A), namespace(balls(A))
    for transpose, M in ((False, L), (True, L.mT)):
        truth = np.stack([solution(rational(m), rational(b)) for m, b in zip(M, B, strict=True)])
        assert contains(xp.own_solve_triangular(balls(L), balls(B), transpose), truth).all()
    symmetric = balls(A) @ xp.matrix_transpose(balls(A))
    factor = xp.own_cholesky(symmetric)
    assert contains(factor @ xp.matrix_transpose(factor), rational(A) @ rational(A).swapaxes(-1, -2)).all()


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "sqrt", "tanh", "cos", "sin"])
def test_functions_contain_the_value_to_120_digits(name: str) -> None:
    x = np.array([1e-300, 1e-20, 0.1, 0.5, 1.0, 3.0, 700.0])
    with mpmath.workdps(2 * DIGITS + 600):  # log1p(1e-300) is 1 + ... inside
        truth = np.array([getattr(mpmath, name)(mpmath.mpf(y)) for y in x], dtype=object)
    value = getattr(namespace(balls(x)), name)(balls(x))
    assert meets(value, truth).all()
    assert not meets(value + value * 2.0**-100, truth)[truth != 0].any()


def test_a_gate_of_minus_infinity_is_an_exact_zero() -> None:
    gate, xp = balls(np.array([-np.inf, 0.0, -50.0])), namespace(balls(0.0))
    decay = xp.exp(gate)
    assert (decay == 0).tolist() == [True, False, False]
    assert (gate == -np.inf).tolist() == [True, False, False]
    assert radii(decay)[:2].tolist() == [0.0, 0.0]
    assert (xp.expm1(gate) == -1).tolist() == [True, False, False]


@pytest.mark.parametrize("bits", [64, 128, 256, 512])
def test_radii_shrink_with_the_bits(bits: int, rng: np.random.Generator) -> None:
    x = rng.standard_normal((8, 8))

    def width(bits: int) -> np.ndarray:
        with precision(bits):
            a = balls(x)
            return radii(namespace(a).exp(a @ a @ a))

    # The same few roundings, of twice the bits; how flint groups a product's entries by size may cost a factor of 4.
    assert np.all(width(2 * bits) <= width(bits) * 2.0 ** (2 - bits))
    assert np.all(width(bits) > 0)


def test_what_overlaps_is_not_compared() -> None:
    third = balls(1.0) / 3
    for question in (lambda: third < third, lambda: third == third, lambda: third - third > 0):
        with pytest.raises(UndecidedError, match="comparison of balls that overlap"):
            question()
    with pytest.raises(UndecidedError, match="comparison"):
        assert balls(np.nan) > 0
    with pytest.raises(UndecidedError, match="comparison"):
        namespace(third).sort(balls(np.ones(2)) / 3)
    assert (balls(np.array([1.0, 2.0])) < 1.5).tolist() == [True, False]
    assert (balls(np.array([1.0, 2.0])) == 1).tolist() == [True, False]
    assert (third != 1 / 3).all()


def test_numbers_stay_exact_in_arithmetic() -> None:
    tenth = as_balls(0.1)
    inverse = 1 / tenth**2
    assert contains(balls(1.0) * inverse, 1 / rational([0.1]) ** 2).all()
    assert not contains(balls(1.0 / 0.1**2), 1 / rational([0.1]) ** 2).any()
    assert isinstance(as_balls(1.5) - 1, Exact)
    assert 1 / (as_balls(1.5) - 1) == 2.0
    assert {2: "two"}[1 / (as_balls(1.5) - 1)] == "two"


def test_what_has_no_enclosure_says_so() -> None:
    x, xp = balls(np.ones((2, 2))), namespace(balls(1.0))
    for call, words in (
        (lambda: xp.finfo(x.dtype), "roundoff of a dtype"),
        (lambda: xp.argsort(x), "argsort, which balls have not"),
        (lambda: xp.linalg.eigh(x), r"linalg\.eigh, which"),
        (lambda: float(x[0, 0]), "as a float"),
        (lambda: bool(x[0, 0]), "whether an array is true"),
    ):
        with pytest.raises(NoEnclosureError, match=words):
            call()


def test_operations_are_limited() -> None:
    x = balls(np.ones((20, 20)))
    with limited(8000 + 400), pytest.raises(NoEnclosureError, match=r"more than 8e\+03 operations"):
        x @ x @ x
    x @ x @ x


def test_an_answer_that_cannot_be_narrow_is_refused_with_the_reason() -> None:
    for answer, words in (
        (lambda: balls(1.0) / (balls(1.0) / 3 - balls(1.0) / 3), "256 bits: its balls stay wide"),
        (lambda: solved(balls(np.ones((2, 2))), balls(np.ones((2, 1)))), "a matrix that is singular, or not told"),
        (lambda: namespace(balls(1.0)).own_cholesky(balls(-np.eye(2))), "not positive definite"),
        (lambda: balls(float(bool(balls(1.0)))), "its code asks whether an array is true"),
    ):
        with pytest.raises(EnclosureError, match=words):
            refined(answer, most_bits=256)


def test_bits_are_doubled_until_a_cancellation_is_resolved() -> None:
    def cancelling(x: BallArray) -> Output:
        return Output((x / 3 + 2.0**200) - 2.0**200, None)

    found = enclosed(cancelling, {"x": np.ones((1, 2))})
    assert found.bits == 512  # 200 bits are lost and 64 asked for: 256 bits are not enough
    assert contains(found.balls, np.full((1, 2), Fraction(1, 3), dtype=object)).all()
    assert found.middle.tolist() == [[1 / 3, 1 / 3]]


def test_distances_are_bounded_from_both_sides(rng: np.random.Generator) -> None:
    x, o = rng.standard_normal((2, 5, 3))
    found = enclosed(lambda x: Output(x / 3, None), {"x": x})
    below, above = found.distance(o)
    squares = ((rational(o) - rational(x) / 3) ** 2).sum(axis=-1)
    assert all(rational(b) ** 2 <= s <= rational(a) ** 2 for b, a, s in zip(below, above, squares, strict=True))
    assert np.all(above - below <= 2 * np.spacing(above))
    error = rational(found.middle) - rational(x) / 3
    assert np.all(abs(error) <= rational(found.radius))
    assert np.isinf(found.distance(np.full((5, 3), np.nan))).all()


def test_without_the_library_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(ModuleNotFoundError, match=r"^python-flint: expected .* pip install 'ttr-numerics\[certify\]'$"):
        enclosed(lambda x: Output(x, None), {"x": np.ones((1, 1))})
