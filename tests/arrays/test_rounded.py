"""Rounded arithmetic charges each operation what it claims to, and nothing for what is exact."""

from itertools import permutations

import gfloat
import ml_dtypes
import numpy as np
import pytest
from scipy import stats

from ttr_numerics import arrays
from ttr_numerics.arrays.arithmetic import Nearest, Serial, Shortened, Stochastic
from ttr_numerics.arrays.nearest import to_nearest
from ttr_numerics.arrays.rounded import RoundedArray, rounded
from ttr_numerics.arrays.sums import Products, Summands
from ttr_numerics.precision import FORMATS, MAGNIFIED

FALSE_ALARM = 1e-9  # the chance that a sampling test below fails by bad luck: seeds are fixed, so once and for all
CASTS = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def stochastic(u: float = 2.0**-8, u_sum: float = 2.0**-8) -> Stochastic:
    """Errors large enough to see."""
    return Stochastic(u, u_sum, np.random.default_rng(1))


def plausible(sample: np.ndarray, variance: float) -> bool:
    """Whether bounded draws have mean 0 and the claimed variance, by the central limit of 10⁵ draws.

    Var of a squared draw is at most that of a normal (kurtosis 3), which uniform draws undercut.
    """
    z = stats.norm.isf(FALSE_ALARM / 2)
    n = sample.size
    mean_fits = abs(sample.mean()) <= z * np.sqrt(variance / n)
    return bool(mean_fits and abs(np.mean(sample**2) / variance - 1) <= z * np.sqrt(2 / n))


@pytest.mark.parametrize("name", CASTS)
def test_nearest_is_the_cast(name: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal(20_000) * 2.0 ** rng.integers(-30, 15, 20_000)
    x = np.concatenate([x, [0.0, -0.0, np.inf, -np.inf, 1 + FORMATS[name].u, 1 + 3 * FORMATS[name].u]])
    with np.errstate(over="ignore"):
        assert np.array_equal(Nearest(FORMATS[name].info).store(x), x.astype(CASTS[name]).astype(np.float64))


def test_nearest_in_float64_changes_nothing(rng: np.random.Generator) -> None:
    x = rng.standard_normal(100)
    assert np.array_equal(FORMATS["float64"].nearest(x), x)


def test_fewer_bits_than_float64_are_a_cast_within_the_range_of_the_narrower_format(rng: np.random.Generator) -> None:
    x = rng.standard_normal(20_000) * 2.0 ** rng.integers(-100, 100, 20_000)
    x = np.concatenate([x, [0.0, np.inf, -np.inf, 1.7e308]])
    shortened = Shortened(53 - 24).store(x)
    assert np.array_equal(shortened[:-1], x[:-1].astype(np.float32).astype(np.float64))
    assert shortened[-1] == 1.7e308


@pytest.mark.parametrize("value", [1.0, 1.5, 512.0, 2.0 - 2.0**-52])
def test_replicas_of_float64_lose_no_error_next_to_a_power_of_two(value: float) -> None:
    noise = FORMATS["float64"].replicas(np.random.default_rng(1))
    error = (noise.store(np.full(100_000, value)) - value) / value
    # Rounding to spacings adds a part in (16 m)² to the variance, m the significand: far below what 10⁵ draws show.
    assert plausible(error, (MAGNIFIED * FORMATS["float64"].u) ** 2 / 3)


def test_stored_values_have_independent_uniform_relative_errors() -> None:
    noise = stochastic()
    error = noise.store(np.full(100_000, 3.0)) / 3.0 - 1.0
    assert np.all(np.abs(error) <= noise.u)
    assert plausible(error, noise.u**2 / 3)


def test_a_sum_has_the_variance_of_recursive_summation_over_all_orders(rng: np.random.Generator) -> None:
    # Every order enumerated: partial sums m = 2..n are rounded, and so are the n products.
    for n in (2, 3, 5, 6):
        x = rng.standard_normal(n) + 0.5
        orders = np.cumsum(np.array(list(permutations(x))), axis=1)[:, 1:]
        variance = np.mean(np.sum(orders**2, axis=1)) + np.sum(x**2)
        claimed = SummationSpy().variance(x)
        assert abs(claimed / variance - 1) <= 30 * n * np.finfo(float).eps


class SummationSpy(Stochastic):
    """Reads the standard deviation that `contract` multiplies its draws by."""

    def __init__(self) -> None:
        super().__init__(0.0, 1.0, np.random.default_rng(0))

    def draws(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.ones(shape)

    def variance(self, x: np.ndarray) -> float:
        """The variance of the sum of x in units of that of one rounding, u²/3."""
        shift = self.contract(Summands(x[None, :], -1, False)) - np.sum(x)
        return float(shift[0] ** 2)


def test_a_matrix_product_has_the_error_its_formula_says(rng: np.random.Generator) -> None:
    x, n = rng.standard_normal(5), 100_000
    noise = stochastic(u=0.0)
    sums = (rounded(np.broadcast_to(x, (n, 1, 5)), noise) @ rounded(np.ones((n, 5, 1)), noise)).x.ravel()
    assert plausible(sums - np.sum(x), noise.u_sum**2 / 3 * SummationSpy().variance(x))


def test_equal_arguments_get_equal_errors_of_exp_until_renewed() -> None:
    noise = stochastic()
    xp = arrays.namespace(rounded(np.ones(1), noise))
    constant = rounded(np.full((4, 50), -0.3), noise)
    first, again = xp.exp(constant).x, xp.exp(constant).x
    assert np.array_equal(first, again)
    assert np.all(first == first[:, :1]), "one error per replica"
    assert len(set(first[:, 0])) == 4, "replicas differ"
    noise.renew()
    assert not np.array_equal(first, xp.exp(constant).x)


def test_errors_of_exp_are_uniform_within_two_roundoffs(rng: np.random.Generator) -> None:
    noise, argument = stochastic(), rng.standard_normal((10, 10_000))
    error = noise.function(argument, np.ones_like(argument)) - 1.0
    assert np.all(np.abs(error) <= 2 * noise.u)
    assert plausible(error, (2 * noise.u) ** 2 / 3)


def test_errors_of_expm1_are_relative_to_its_own_value_and_a_hard_reset_has_none(rng: np.random.Generator) -> None:
    x, noise = -rng.exponential(1e-6, 100_000), stochastic()
    error = arrays.namespace(rounded(x, noise)).expm1(rounded(x, noise)).x / np.expm1(x) - 1.0
    assert np.all(np.abs(error) <= 2 * noise.u)
    assert plausible(error, (2 * noise.u) ** 2 / 3)
    resets = rounded(np.array([-np.inf, -50.0]), noise)
    assert np.array_equal(arrays.namespace(resets).expm1(resets).x, [-1.0, -1.0])


def test_errors_of_log_are_relative_to_its_own_value_and_that_of_one_has_none(rng: np.random.Generator) -> None:
    x, noise = rng.exponential(1.0, 100_000), stochastic()
    error = arrays.namespace(rounded(x, noise)).log(rounded(x, noise)).x / np.log(x) - 1.0
    assert np.all(np.abs(error) <= 2 * noise.u + 2.0**-52)  # the quotient is rounded itself
    assert plausible(error, (2 * noise.u) ** 2 / 3)
    assert arrays.namespace(rounded(x, noise)).log(rounded(np.ones(3), noise)).x.any() == np.False_


def test_errors_of_tanh_are_relative_to_its_own_value_and_its_limits_have_none(rng: np.random.Generator) -> None:
    x, noise = rng.standard_normal(100_000), stochastic()
    error = arrays.namespace(rounded(x, noise)).tanh(rounded(x, noise)).x / np.tanh(x) - 1.0
    assert plausible(error, (2 * noise.u) ** 2 / 3)
    limits = rounded(np.array([0.0, 50.0, -50.0]), noise)
    assert np.array_equal(arrays.namespace(limits).tanh(limits).x, [0.0, 1.0, -1.0])


def test_a_product_over_no_terms_is_zero() -> None:
    nothing = rounded(np.ones((2, 3, 0)), stochastic()) @ rounded(np.ones((2, 0, 4)), stochastic())
    assert np.array_equal(nothing.x, np.zeros((2, 3, 4)))


def test_the_larger_of_two_is_exact(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((2, 100))
    larger = arrays.stabiliser(rounded(x, stochastic()), rounded(y, stochastic()))
    assert np.array_equal(arrays.to_numpy(larger), np.maximum(x, y))


def test_exact_operations_stay_exact(rng: np.random.Generator) -> None:
    noise, values = stochastic(), rng.standard_normal((3, 4))
    x = rounded(values, noise)
    zero, one = rounded(np.zeros((3, 4)), noise), rounded(np.ones((3, 4)), noise)
    xp = arrays.namespace(x)
    for same in (x + zero, zero + x, x - zero, x + 0, 0 + x, x * one, one * x, x * 1, 1 * x, x / 1, x / one):
        assert np.array_equal(same.x, values)
    assert np.array_equal((-x).x, -values)
    assert np.array_equal((x * -1).x, -values)
    assert np.array_equal(xp.exp(zero).x, np.ones((3, 4)))
    assert np.array_equal((zero * x).x, np.zeros((3, 4)))
    assert np.array_equal(xp.concat([x, x], axis=0).x, np.concatenate([values, values]))
    assert np.array_equal(xp.matrix_transpose(x).x, values.T)
    assert np.array_equal(xp.where(values > 0, x, zero).x, np.where(values > 0, values, 0))


def test_inexact_operations_do_not(rng: np.random.Generator) -> None:
    noise, values = stochastic(), rng.standard_normal((3, 4))
    x = rounded(values, noise)
    xp = arrays.namespace(x)
    for result, exact in (
        (x + x, values + values),
        (x * x, values * values),
        (x / (x * x), 1 / values),
        (1 / x, 1 / values),
        (xp.exp(x), np.exp(values)),
        (xp.sum(x), np.sum(values, axis=-1)),
        (x @ xp.matrix_transpose(x), values @ values.T),
    ):
        assert isinstance(result, RoundedArray)
        assert not np.any(result.x == exact)


def test_infinity_stays_infinite_and_quiet() -> None:
    x = rounded(np.array([-np.inf, 1.0]), stochastic())
    assert (x + x).x[0] == -np.inf
    assert arrays.namespace(x).exp(x).x[0] == 0.0


def test_a_factor_is_that_of_a_nearby_symmetric_matrix(rng: np.random.Generator) -> None:
    noise, n = stochastic(u=2.0**-40, u_sum=2.0**-40), 5
    X = rng.standard_normal((20, n))
    A = X.T @ X
    L = arrays.cholesky(rounded(A, noise)).x
    root = np.sqrt(np.diag(A))
    # Higham, theorem 10.3 with √n for n: the claimed perturbation, and a spacing for NumPy's own rounding.
    assert np.all(np.abs(L @ L.T - A) <= np.sqrt(n / 3) * (noise.u_sum + 2.0**-45) * np.outer(root, root))
    b = rng.standard_normal((n, 2))
    x = arrays.solve_triangular(rounded(L, noise), rounded(b, noise)).x
    assert np.all(np.abs(L @ x - b) <= (np.sqrt(n / 3) + 2) * noise.u_sum * np.abs(L) @ np.abs(x))


def test_eigenvectors_are_those_of_a_nearby_symmetric_matrix(rng: np.random.Generator) -> None:
    noise, n = stochastic(u=2.0**-40, u_sum=2.0**-40), 5
    X = rng.standard_normal((20, n))
    A = X.T @ X
    x = rounded(A, noise)
    s, Q = (y.x for y in arrays.namespace(x).linalg.eigh(x))
    # The claimed perturbation, and each of the vectors stored once.
    claimed = np.sqrt(n / 3) * noise.u_sum * np.sqrt(np.mean(A * A))
    left = np.abs((Q * s) @ Q.T - A)
    assert np.all(left <= claimed + 2 * (noise.u + 2.0**-50) * (np.abs(Q) * np.abs(s)) @ np.abs(Q).T)
    assert np.all(left > 0)


@pytest.mark.parametrize("name", FORMATS)
def test_rounding_to_any_format_is_that_of_gfloat(name: str, rng: np.random.Generator) -> None:
    info = FORMATS[name].info
    x = rng.standard_normal(5_000) * 2.0 ** rng.integers(-160, 130, 5_000)
    with np.errstate(over="ignore"):  # ties, subnormal numbers and what lies beyond the range
        ties = [FORMATS[name].nearest(x) * (1 + n * FORMATS[name].u) for n in (1, 3)]
        edge = [0.0, -0.0, np.inf, -np.inf, np.nan, info.max, info.max * (1 + FORMATS[name].u / 2), -2 * info.max]
        x = np.concatenate([x, *ties, edge, np.float64(info.smallest) * np.array([0.5, 0.51, 1.5, 2.5])])
    expected = gfloat.round_ndarray(info, x)
    assert np.array_equal(to_nearest(x, info), expected, equal_nan=True)
    assert np.array_equal(np.signbit(to_nearest(x, info)), np.signbit(expected))


def test_serial_sums_are_those_of_a_loop(rng: np.random.Generator) -> None:
    n = Serial.FEW + 1
    x, y = (rng.standard_normal(shape).astype(np.float32) for shape in ((2, 3, n), (2, n, 4)))
    single = Serial(Nearest(FORMATS["float32"].info))
    a, b = rounded(x, single), rounded(y, single)
    products = x[..., :, :, None] * y[..., None, :, :]
    assert np.array_equal((a @ b).x, np.cumsum(products, axis=-2, dtype=np.float32)[..., -1, :])
    for axis in (-1, -2, 0):
        for keepdims in (False, True):
            sums = arrays.namespace(a).sum(a, axis=axis, keepdims=keepdims).x
            terms = x if x.shape[axis] > Serial.FEW else None
            expected = np.sum(x, axis=axis, keepdims=keepdims, dtype=np.float64).astype(np.float32)
            if terms is not None:
                expected = np.take(np.cumsum(x, axis=axis, dtype=np.float32), [-1], axis=axis)
                expected = expected if keepdims else expected.squeeze(axis)
            assert np.array_equal(sums, expected)


@pytest.mark.parametrize("scale", [0, 200, -200, 500, -500])
def test_squared_terms_of_a_product_are_right_in_any_range(scale: int, rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((2, 3, 40)) * 2.0**scale, rng.standard_normal((2, 40, 5))
    terms = Products(x, y)
    (squares, unit), (most, coarse) = terms.squares(), terms.squares_at_most()
    exact = (x / 2.0**scale) ** 2 @ y**2
    computed, bound = ((s * (1 if u is None else u / 2.0**scale) ** 2) for s, u in ((squares, unit), (most, coarse)))
    # Sums of 40 squares of numbers, squared and added in float32 at worst.
    assert np.all(np.abs(computed / exact - 1) <= 43 * FORMATS["float32"].u)
    assert np.all(bound >= exact)
    assert np.all(bound <= 40 * np.max(x**2 * 2.0 ** (-2 * scale)) * np.max(y**2) * 40)


def test_rows_that_differ_beyond_the_range_of_float32_keep_their_squares(rng: np.random.Generator) -> None:
    x = rng.standard_normal((1, 2, 8)) * np.array([[1.0], [2.0**-100]])
    y = rng.standard_normal((1, 8, 3))
    squares, unit = Products(x, y).squares()
    assert unit is not None
    assert np.all(np.abs(squares * unit**2 / (x**2 @ y**2) - 1) <= 16 * np.finfo(float).eps)


def test_code_that_asks_for_the_roundoff_gets_that_of_the_arithmetic() -> None:
    for arithmetic in (Nearest(FORMATS["bfloat16"].info), stochastic(), Serial(Nearest(FORMATS["bfloat16"].info))):
        x = rounded(np.ones(2), arithmetic)
        assert arrays.unit_roundoff(x) == FORMATS["bfloat16"].u
        assert arrays.smallest_positive(x) == arrays.smallest_positive(np.ones(2))
