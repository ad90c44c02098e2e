"""Second-order layers, every position solved anew in 200-bit arithmetic."""

import mpmath
import numpy as np


def mesa(q, k, v, ridge, log_decay=None, beta=None):
    def solved(H, G, query, _):
        return mpmath.lu_solve(H + _diagonal(ridge, q), query.T).T * G

    return _by_position(q, k, v, log_decay, beta, solved)


def original_mesa(q, k, v, ridge, log_decay=None, beta=None):
    def solved(H, G, query, left):
        return mpmath.lu_solve(H + left * _diagonal(ridge, q), query.T).T * G

    return _by_position(q, k, v, log_decay, beta, solved)


def mesa_cg(q, k, v, ridge, log_decay=None, beta=None, steps=30, start=None):
    starts = iter(np.zeros_like(q) if start is None else start)

    def iterated(H, G, query, _):
        A, x = H + _diagonal(ridge, q), _row(next(starts))
        r = query - x * A
        p, size = r, _square(r)
        for _ in range(steps):
            if size <= mpmath.mpf(2) ** -300 * _square(query):
                break
            length = size / (p * A * p.T)[0]
            x, r = x + length * p, r - length * p * A
            before, size = size, _square(r)
            p = r + size / before * p
        return x * G

    return _by_position(q, k, v, log_decay, beta, iterated)


def gated_kalmanet(q, k, v, log_decay=None, beta=None, alpha=None, ridge_ratio=0.02, steps=30):
    mixtures = iter(np.ones(len(q)) if alpha is None else alpha)

    def iterated(H, G, query, _):
        mix, norm = _number(next(mixtures)), mpmath.mnorm(H, "f")
        if norm == 0:
            return query * G
        ridge = mpmath.mpf(float(ridge_ratio)) * norm
        length, rho = 2 / (2 * ridge + norm), norm / (2 * ridge + norm) / 2
        before, x, omega = 0 * query, length * query, mpmath.mpf(2)
        for _ in range(steps):
            omega = 1 / (1 - rho**2 * omega)
            before, x = x, omega * (x - length * (x * H + ridge * x - query)) + (1 - omega) * before
        return (query + mix * (x - query)) * G

    return _by_position(q, k, v, log_decay, beta, iterated)


def _by_position(q, k, v, log_decay, beta, answer):
    """answer(H_t, G_t, q_t, product of the gates so far) at every position."""
    T, d = k.shape
    log_decay = np.zeros(T) if log_decay is None else log_decay
    beta = np.ones(T) if beta is None else beta
    rows = []
    with mpmath.workprec(200):
        H, G, left = mpmath.zeros(d, d), mpmath.zeros(d, v.shape[1]), mpmath.mpf(1)
        for t in range(T):
            decay, key, value = mpmath.exp(_number(log_decay[t])), _row(k[t]), _row(v[t])
            H = decay * H + _number(beta[t]) * key.T * key
            G = decay * G + _number(beta[t]) * key.T * value
            left = decay * left
            rows.append([float(x) for x in answer(H, G, _row(q[t]), left)])
    return np.array(rows)


def _diagonal(ridge, q):
    return mpmath.diag([mpmath.mpf(float(r)) for r in np.broadcast_to(ridge, q.shape[1])])


def _square(row):
    return (row * row.T)[0]


def _number(x):
    return mpmath.mpf("-inf") if np.isneginf(x) else mpmath.mpf(float(x))


def _row(x):
    return mpmath.matrix([[mpmath.mpf(float(y)) for y in x]])


TWINS = {"mesa": mesa, "original_mesa": original_mesa, "mesa_cg": mesa_cg, "gated_kalmanet": gated_kalmanet}
