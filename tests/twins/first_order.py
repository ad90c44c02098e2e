"""Online learners, token by token."""

import numpy as np


def delta_rule(q, k, v, beta):
    return gated_delta_rule(q, k, v, beta, np.zeros_like(beta))


def gated_delta_rule(q, k, v, beta, log_decay):
    S = np.zeros((k.shape[1], v.shape[1]), dtype=q.dtype)
    rows = []
    for t in range(len(q)):
        S = (np.exp(log_decay[t]) * np.ones(k.shape[1], dtype=q.dtype))[:, None] * S
        S = S + beta[t] * np.outer(k[t], v[t] - k[t] @ S)
        rows.append(q[t] @ S)
    return np.array(rows)


def erase_write_delta_rule(q, k, v, erase, write, log_decay):
    S = np.zeros((k.shape[1], v.shape[1]), dtype=q.dtype)
    rows = []
    for t in range(len(q)):
        S = (np.exp(log_decay[t]) * np.ones(k.shape[1], dtype=q.dtype))[:, None] * S
        S = S + np.outer(k[t], write[t] * v[t] - (erase[t] * k[t]) @ S)
        rows.append(q[t] @ S)
    return np.array(rows)


def comba(q, k, v, p, log_decay, beta):
    S = np.zeros((k.shape[1], v.shape[1]), dtype=q.dtype)
    rows = []
    for t in range(len(q)):
        error = v[t] - p[t] @ S
        S = (np.exp(log_decay[t]) * np.ones(k.shape[1], dtype=q.dtype))[:, None] * S + beta[t] * np.outer(k[t], error)
        rows.append(q[t] @ S)
    return np.array(rows)


def gated_delta_product(q, k, v, beta, log_decay):
    S = np.zeros((k.shape[2], v.shape[2]), dtype=q.dtype)
    rows = []
    for t in range(len(q)):
        S = (np.exp(log_decay[t]) * np.ones(k.shape[2], dtype=q.dtype))[:, None] * S
        for key, value, step in zip(k[t], v[t], beta[t], strict=True):
            S = S + step * np.outer(key, value - key @ S)
        rows.append(q[t] @ S)
    return np.array(rows)


def longhorn(q, k, v, beta):
    return delta_rule(q, k, v, beta / (1 + beta * np.sum(k * k, axis=1)))


def longhorn_diagonal(q, k, v, beta):
    S = np.zeros((k.shape[1], v.shape[1]), dtype=q.dtype)
    rows = []
    for t in range(len(q)):
        step = beta[t] / (1 + beta[t] * (k[t] @ k[t]))
        S = (1 - np.outer(k[t] ** 2, step)) * S + np.outer(k[t], step * v[t])
        rows.append(q[t] @ S)
    return np.array(rows)


def generalized_delta_rule(q, k, v, a, b, log_decay):
    S = np.zeros((k.shape[1], v.shape[1]), dtype=q.dtype)
    rows = []
    for t in range(len(q)):
        decay = np.exp(log_decay[t]) * np.ones(k.shape[1], dtype=q.dtype)
        S = (np.diag(decay) + np.outer(b[t], a[t])) @ S + np.outer(k[t], v[t])
        rows.append(q[t] @ S)
    return np.array(rows)


def kaczmarz_delta_rule(q, k, v, step, eps=0.0):
    size = np.sum(k * k, axis=1) + eps
    return delta_rule(q, k, v, np.where(size > 0, step / np.where(size > 0, size, 1), 0))


def preconditioned_delta_rule(q, k, v, beta, log_decay, curvature_beta, curvature_log_decay):
    S, A = np.zeros((k.shape[1], v.shape[1]), dtype=q.dtype), np.zeros(k.shape[1], dtype=q.dtype)
    rows = []
    for t in range(len(q)):
        A = np.exp(curvature_log_decay[t]) * A + curvature_beta[t] * k[t] ** 2
        r = np.log(A + 1e-6) + 0.2
        S = (np.exp(log_decay[t]) * np.ones(k.shape[1], dtype=q.dtype))[:, None] * S
        S = S + beta[t] * np.outer(k[t] * 1.5 ** (-r / (1 + abs(r))), v[t] - k[t] @ S)
        rows.append(q[t] @ S)
    return np.array(rows)


def momentum_delta_rule(q, k, v, beta, log_momentum):
    S = U = np.zeros((k.shape[1], v.shape[1]), dtype=q.dtype)
    rows = []
    for t in range(len(q)):
        U = np.exp(log_momentum[t]) * U + beta[t] * np.outer(k[t], v[t] - k[t] @ S)
        S = S + U
        rows.append(q[t] @ S)
    return np.array(rows)


TWINS = {
    "delta_rule": delta_rule,
    "gated_delta_rule": gated_delta_rule,
    "erase_write_delta_rule": erase_write_delta_rule,
    "comba": comba,
    "gated_delta_product": gated_delta_product,
    "longhorn": longhorn,
    "longhorn_diagonal": longhorn_diagonal,
    "generalized_delta_rule": generalized_delta_rule,
    "kaczmarz_delta_rule": kaczmarz_delta_rule,
    "preconditioned_delta_rule": preconditioned_delta_rule,
    "momentum_delta_rule": momentum_delta_rule,
}
