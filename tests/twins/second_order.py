"""Second-order layers, every position solved anew in 200-bit arithmetic."""

import mpmath
import numpy as np


def mesa(q, k, v, ridge, log_decay=None, beta=None):
    T, d = k.shape
    log_decay = np.zeros(T) if log_decay is None else log_decay
    beta = np.ones(T) if beta is None else beta
    rows = []
    with mpmath.workprec(200):
        H, G = mpmath.zeros(d, d), mpmath.zeros(d, v.shape[1])
        penalty = mpmath.diag([mpmath.mpf(float(r)) for r in np.broadcast_to(ridge, d)])
        for t in range(T):
            decay, key, value = mpmath.exp(_number(log_decay[t])), _row(k[t]), _row(v[t])
            H = decay * H + _number(beta[t]) * key.T * key
            G = decay * G + _number(beta[t]) * key.T * value
            solution = mpmath.lu_solve(H + penalty, _row(q[t]).T)
            rows.append([float(x) for x in solution.T * G])
    return np.array(rows)


def _number(x):
    return mpmath.mpf("-inf") if np.isneginf(x) else mpmath.mpf(float(x))


def _row(x):
    return mpmath.matrix([[mpmath.mpf(float(y)) for y in x]])


TWINS = {"mesa": mesa}
