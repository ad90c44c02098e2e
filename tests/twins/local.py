"""Kernel ridge and local polynomial attention, every position solved anew in 200-bit arithmetic."""

from itertools import combinations_with_replacement
from math import prod

import mpmath
import numpy as np


def kernel_ridge_attention(q, k, v, ridge):
    rows = []
    with mpmath.workprec(200):
        q, k, v = _number(q), _number(k), _number(v)
        for t in range(len(q)):
            gram = mpmath.matrix([[mpmath.exp(_dot(x, y)) for y in k[: t + 1]] for x in k[: t + 1]])
            dual = mpmath.inverse(gram + mpmath.mpf(ridge) * mpmath.eye(t + 1)) * mpmath.matrix(v[: t + 1])
            rows.append(_row(mpmath.matrix([[mpmath.exp(_dot(q[t], x)) for x in k[: t + 1]]]) * dual))
    return np.array(rows)


def intention(q, k, v, ridge):
    with mpmath.workprec(200):
        Q, K, V = (mpmath.matrix(_number(x)) for x in (q, k, v))
        penalty = mpmath.diag([mpmath.mpf(float(r)) for r in np.broadcast_to(ridge, k.shape[1])])
        o = Q * mpmath.inverse(K.T * K + penalty) * K.T * V
        return np.array([_row(o[t, :]) for t in range(len(q))])


def local_linear_attention(q, k, v, ridge):
    return local_polynomial_attention(q, k, v, 1, ridge)


def local_polynomial_attention(q, k, v, degree, ridge):
    rows = []
    with mpmath.workprec(200):
        q, k, v = _number(q), _number(k), _number(v)
        for t in range(len(q)):
            weights = mpmath.diag([mpmath.exp(_dot(q[t], x)) for x in k[: t + 1]])
            X = mpmath.matrix(
                [_monomials([x - y for x, y in zip(key, q[t], strict=True)], degree) for key in k[: t + 1]]
            )
            penalty = mpmath.mpf(ridge) * mpmath.eye(X.cols)
            penalty[0, 0] = 0  # the constant is not penalised
            solution = mpmath.inverse(X.T * weights * X + penalty) * X.T * weights * mpmath.matrix(v[: t + 1])
            rows.append(_row(solution[0, :]))
    return np.array(rows)


def parallax(q, k, v, probe):
    rows = []
    for t in range(len(q)):
        p = np.exp(k[: t + 1] @ q[t])
        p = p / p.sum()
        mean_v, mean_k = p @ v[: t + 1], p @ k[: t + 1]
        covariance = (v[: t + 1] - mean_v).T @ (p[:, None] * (k[: t + 1] - mean_k))
        rows.append(mean_v - covariance @ probe[t])
    return np.array(rows)


def _monomials(z, degree):
    """1 and every product of up to `degree` entries of z, each once."""
    orders = (combinations_with_replacement(z, p) for p in range(degree + 1))
    return [prod(chosen, start=mpmath.mpf(1)) for order in orders for chosen in order]


def _number(x):
    return [[mpmath.mpf(float(y)) for y in row] for row in x]


def _dot(x, y):
    return mpmath.fdot(zip(x, y, strict=True))


def _row(x):
    return [float(y) for y in x]


TWINS = {
    "kernel_ridge_attention": kernel_ridge_attention,
    "intention": intention,
    "local_linear_attention": local_linear_attention,
    "local_polynomial_attention": local_polynomial_attention,
    "parallax": parallax,
}
