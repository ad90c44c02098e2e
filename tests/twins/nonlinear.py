"""Nonlinear and mini-batch online learners, token by token."""

import numpy as np


def descended(q, k, v, correction, batch=1):
    """W ← W + k correction(prediction, t), the prediction from W as it was where t's mini-batch began."""
    W = np.zeros((k.shape[1], v.shape[1]), dtype=q.dtype)
    start, rows = W, []
    for t in range(len(q)):
        if t % batch == 0:
            start = W
        W = W + np.outer(k[t], correction(k[t] @ start, t))
        rows.append(q[t] @ W)
    return np.array(rows)


def ttt_linear(q, k, v, eta, batch):
    return descended(q, k, v, lambda z, t: eta[t] * (v[t] - z), batch)


def layer_norm_ttt_linear(q, k, v, eta, gain, shift, epsilon, batch):
    def correction(z, t):
        mu, var = z.mean(), ((z - z.mean()) ** 2).mean()
        std = np.sqrt(var + epsilon)
        hat = (z - mu) / std
        outer = -(v[t] - gain * hat - shift) * gain  # derivative of the loss by hat
        # hat's derivative by z: through z itself, through the mean, and through the standard deviation
        inner = outer / std - outer.sum() / len(z) / std - (outer @ (z - mu)) * (z - mu) / len(z) / std**3
        return -eta[t] * inner

    return descended(q, k, v, correction, batch)


def ttt_mlp(q, k, v, eta, W_1, W_2, batch):
    c = np.sqrt(2 / np.arctan(np.longdouble(1)) / 4)

    def act(x):
        return x / 2 * (1 + np.tanh(c * (x + np.longdouble("0.044715") * x**3)))

    def slope(x):
        y = c * (x + np.longdouble("0.044715") * x**3)
        return (1 + np.tanh(y)) / 2 + x / 2 / np.cosh(y) ** 2 * c * (1 + 3 * np.longdouble("0.044715") * x**2)

    rows = []
    for t in range(len(q)):
        if t % batch == 0:
            first, second = W_1, W_2
        h = k[t] @ first
        error = act(h) @ second - v[t]
        W_1 = W_1 - eta[t] * np.outer(k[t], (second @ error) * slope(h))
        W_2 = W_2 - eta[t] * np.outer(act(h), error)
        rows.append(act(q[t] @ W_1) @ W_2)
    return np.array(rows)


def titans(q, k, v, theta, log_momentum, log_decay):
    M = np.zeros((k.shape[1], v.shape[1]), dtype=q.dtype)
    U, rows = np.zeros_like(M), []
    for t in range(len(q)):
        gradient = 2 * np.outer(k[t], k[t] @ M - v[t])
        U = np.exp(log_momentum[t]) * U - theta[t] * gradient
        M = np.exp(log_decay[t]) * M + U
        rows.append(q[t] @ M)
    return np.array(rows)


def omega_rule(q, k, v, beta, window, log_momentum=None, log_decay=None, weights=None):
    T = len(q)
    weights = np.ones(T) if weights is None else weights
    M = np.zeros((k.shape[1], v.shape[1]), dtype=q.dtype)
    U, rows = np.zeros_like(M), []
    for t in range(T):
        gradient = np.zeros_like(M)
        for i in range(max(0, t - window + 1), t + 1):
            gradient += weights[i] * np.outer(k[i], k[i] @ M - v[i])
        U = (0 if log_momentum is None else np.exp(log_momentum[t])) * U - gradient
        M = (1 if log_decay is None else np.exp(log_decay[t])) * M + beta[t] * U
        rows.append(q[t] @ M)
    return np.array(rows)


def huber_delta_rule(q, k, v, beta, delta):
    def correction(z, t):
        e, size = v[t] - z, np.sqrt(((v[t] - z) ** 2).sum())
        return beta[t] * (e if size <= delta[t] else e * delta[t] / size)

    return descended(q, k, v, correction)


def entrywise_huber_delta_rule(q, k, v, beta, delta):
    return descended(q, k, v, lambda z, t: beta[t] * np.clip(v[t] - z, -delta[t], delta[t]))


def lp_delta_rule(q, k, v, beta, p):
    def correction(z, t):
        return beta[t] * np.array([np.copysign(abs(e) ** np.longdouble(p - 1), e) if e else e for e in v[t] - z])

    return descended(q, k, v, correction)


def exponentiated_gradient_rule(q, k, v, beta):
    S = np.full((k.shape[1], v.shape[1]), np.longdouble(1) / k.shape[1])
    rows = []
    for t in range(len(q)):
        S = S * np.exp(np.outer(k[t], beta[t] * (v[t] - k[t] @ S)))
        S = S / S.sum(axis=0)
        rows.append(q[t] @ S)
    return np.array(rows)


TWINS = {
    "ttt_linear": ttt_linear,
    "layer_norm_ttt_linear": layer_norm_ttt_linear,
    "ttt_mlp": ttt_mlp,
    "titans": titans,
    "omega_rule": omega_rule,
    "huber_delta_rule": huber_delta_rule,
    "entrywise_huber_delta_rule": entrywise_huber_delta_rule,
    "lp_delta_rule": lp_delta_rule,
    "exponentiated_gradient_rule": exponentiated_gradient_rule,
}
