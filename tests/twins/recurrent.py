"""Additive memories with a read order, a stabiliser or no matrix state, token by token.

Extended precision has exponents to ±4932, so that these sums of exponentials need no stabiliser; but 1 - a for a gate
near one would lose the digits that it has beyond float64, so that it is taken as -expm1.
"""

import numpy as np


def rwkv6(q, k, v, log_decay, bonus):
    S = np.zeros((k.shape[1], v.shape[1]), dtype=q.dtype)
    rows = []
    for t in range(len(q)):
        rows.append(q[t] @ (S + np.outer(bonus * k[t], v[t])))
        S = (np.exp(log_decay[t]) * np.ones(k.shape[1], dtype=q.dtype))[:, None] * S + np.outer(k[t], v[t])
    return np.array(rows)


def mlstm(q, k, v, log_input, log_forget):
    C, n = np.zeros((k.shape[1], v.shape[1]), dtype=q.dtype), np.zeros(k.shape[1], dtype=q.dtype)
    rows = []
    for t in range(len(q)):
        C = np.exp(log_forget[t]) * C + np.exp(log_input[t]) * np.outer(k[t], v[t])
        n = np.exp(log_forget[t]) * n + np.exp(log_input[t]) * k[t]
        rows.append(q[t] @ C / max(abs(q[t] @ n), 1))
    return np.array(rows)


def rwkv4(q, k, v, log_decay, bonus):
    a, b = np.zeros_like(k[0]), np.zeros_like(k[0])
    rows = []
    for t in range(len(q)):
        newest = np.exp(bonus + k[t])
        rows.append(q[t] * (a + newest * v[t]) / (b + newest))
        a = np.exp(log_decay[t]) * a + np.exp(k[t]) * v[t]
        b = np.exp(log_decay[t]) * b + np.exp(k[t])
    return np.array(rows)


def rg_lru(q, k, v, log_decay):
    h, rows = np.zeros_like(k[0]), []
    for t in range(len(q)):
        h = np.exp(log_decay[t]) * h + np.sqrt(-np.expm1(2 * log_decay[t])) * k[t] * v[t]
        rows.append(q[t] * h)
    return np.array(rows)


def hgrn(q, k, v, log_decay):
    h, rows = np.zeros_like(k[0]), []
    for t in range(len(q)):
        h = np.exp(log_decay[t]) * h - np.expm1(log_decay[t]) * k[t] * v[t]
        rows.append(q[t] * h)
    return np.array(rows)


TWINS = {"rwkv6": rwkv6, "rwkv4": rwkv4, "rg_lru": rg_lru, "hgrn": hgrn, "mlstm": mlstm}
