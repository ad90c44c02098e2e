"""Kernel ridge and local polynomial layers against scikit-learn and statsmodels, prefix by prefix."""

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.preprocessing import PolynomialFeatures
from statsmodels.nonparametric.kernel_regression import KernelReg

from tests.references import normal_equations, stacked, wedin
from ttr_numerics import layers
from ttr_numerics.axes import Cache
from ttr_numerics.exact import kernels
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding

U, T, RIDGE = 2.0**-53, 14, 0.2


def data(rng, d=2):
    """Queries among unit keys, keys, values of one head."""
    q, k = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in rng.standard_normal((2, T, d)))
    return {"q": q, "k": k, "v": rng.standard_normal((T, 2))}


def within(run, t, theirs, own):
    """Whether their answer at token t is within the layer's rounding and `own`, that of theirs."""
    return np.linalg.norm(theirs - run.reference[t]) <= run.bound[t] + own


def weighted(z, v, logs, ridge):
    """Rows [√ω, √ω φ; 0, √λ I] and right-hand sides of the weighted fit; unknowns (c, C)."""
    root, f = np.exp(logs / 2)[:, None], z.shape[1]
    A = np.block([[root, root * z], [np.zeros((f, 1)), np.sqrt(ridge) * np.eye(f)]])
    return A, np.vstack([root * v, np.zeros((f, v.shape[1]))])


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_local_polynomial_attention_is_weighted_ridge_regression_of_scikit_learn(degree, rng):
    a = data(rng)
    given = {"degree": degree, "ridge": RIDGE}
    run = rounding(lambda **x: layers.local_polynomial_attention(**x, **given), a, FORMATS["float64"])
    for t in range(T):
        z = PolynomialFeatures(degree, include_bias=False).fit_transform(a["k"][: t + 1] - a["q"][t])
        v, logs = a["v"][: t + 1], a["k"][: t + 1] @ a["q"][t]
        fit = Ridge(alpha=RIDGE, solver="svd").fit(z, v, sample_weight=np.exp(logs))
        A, B = weighted(z, v, logs, RIDGE)
        # Rows of theirs are within (2 degree + 6) u, of weights and monomials, beside their SVD's own error (Wedin).
        own = np.linalg.norm(wedin(A, B, np.linalg.lstsq(A, B, rcond=None)[0], (2 * degree + 6) * U))
        assert within(run, t, fit.intercept_, own)
        normalised = Ridge(alpha=RIDGE, solver="svd").fit(z, v, sample_weight=np.exp(logs) / np.sum(np.exp(logs)))
        assert t == 0 or not within(run, t, normalised.intercept_, own), "normalised weights would be seen"


def test_local_linear_attention_on_unit_keys_is_local_linear_regression_of_statsmodels(rng):
    a = data(rng)
    seen = Cache(a["k"][:6], a["v"][:6])  # without ridge a fit needs more keys than channels

    def layer(q, k, v):
        return layers.local_linear_attention(q, k, v, ridge=0.0, initial_state=Cache(*(_like(x, q) for x in seen)))

    run = rounding(layer, {n: x[6:] for n, x in a.items()}, FORMATS["float64"])
    for t in range(6, T):
        k, v, q = a["k"][: t + 1], a["v"][: t + 1], a["q"][t]
        logs = -np.sum((k - q) ** 2, axis=-1) / 2
        theirs = [KernelReg(y, k, var_type="cc", reg_type="ll", bw=[1.0, 1.0], rng=0).fit(q[None])[0][0] for y in v.T]
        A, B = (x[: t + 1] for x in weighted(k - q, v, logs, 0.0))
        own = normal_equations(A, B, np.linalg.lstsq(A, B, rcond=None)[0], U * 6 * (1 + np.max(np.abs(logs))))
        assert within(run, t - 6, theirs, own)
        constant = [KernelReg(y, k, var_type="cc", reg_type="lc", bw=[1.0, 1.0], rng=0).fit(q[None])[0][0] for y in v.T]
        assert not within(run, t - 6, constant, own), "a local constant would be seen"


def _like(x, q):
    """`x` as an array of q's arithmetic, once for each of its replicas."""
    return x if isinstance(q, np.ndarray) else q._new(np.broadcast_to(x, (*q.shape[:-2], *x.shape)))


@pytest.mark.parametrize(
    ("kernel", "theirs"),
    [
        (kernels.Gaussian(0.8), {"kernel": "rbf", "gamma": 1 / (2 * 0.8**2)}),
        (kernels.Linear(), {"kernel": "linear"}),
        (kernels.Exponential(), {"kernel": lambda x, y: np.exp(x @ y)}),
    ],
    ids=lambda x: type(x).__name__,
)
def test_kernel_ridge_attention_is_kernel_ridge_regression_of_scikit_learn(kernel, theirs, rng):
    a = data(rng)
    run = rounding(lambda **x: layers.kernel_ridge_attention(**x, kernel=kernel, ridge=RIDGE), a, FORMATS["float64"])
    for t in range(T):
        k, q = a["k"][: t + 1], a["q"][t : t + 1]
        fit = KernelRidge(alpha=RIDGE, **theirs).fit(k, a["v"][: t + 1])
        kappa = np.linalg.cond(kernel(k, k) + RIDGE * np.eye(t + 1))
        # Cholesky's backward error (t + 1)(3t + 4) u, entries of the kernel within 10 u (Higham, theorem 10.3).
        size = ((t + 1) * (3 * t + 4) + 10 * (t + 1)) * U
        own = size * kappa * np.linalg.norm(kernel(k, q)) * np.linalg.norm(fit.dual_coef_)
        assert within(run, t, fit.predict(q)[0], own)
        late = KernelRidge(alpha=RIDGE, **theirs).fit(k, np.roll(a["v"][: t + 1], 1, 0))
        assert t == 0 or not within(run, t, late.predict(q)[0], own), "values one token late would be seen"


def test_intention_is_ridge_regression_of_scikit_learn(rng):
    a = data(rng, 4)
    run = rounding(lambda **x: layers.intention(**x, ridge=RIDGE), a, FORMATS["float64"])
    fit = Ridge(alpha=RIDGE, fit_intercept=False, solver="svd").fit(a["k"], a["v"])
    A, B = stacked(a["k"], a["v"], RIDGE, np.ones(T))
    own = np.linalg.norm(wedin(A, B, fit.coef_.T, U))
    for t in range(T):
        assert within(run, t, a["q"][t] @ fit.coef_.T, 2 * np.linalg.norm(a["q"][t]) * own)
    shrunk = Ridge(alpha=1.001 * RIDGE, fit_intercept=False, solver="svd").fit(a["k"], a["v"])
    assert not all(within(run, t, a["q"][t] @ shrunk.coef_.T, 2 * own) for t in range(T))
