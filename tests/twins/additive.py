"""Additive memories, token by token."""

import numpy as np


def linear_attention(q, k, v):
    S = np.zeros((k.shape[1], v.shape[1]), dtype=q.dtype)
    rows = []
    for t in range(len(q)):
        S = S + np.outer(k[t], v[t])
        rows.append(q[t] @ S)
    return np.array(rows)


def normalized_linear_attention(q, k, v):
    S, z = np.zeros((k.shape[1], v.shape[1]), dtype=q.dtype), np.zeros(k.shape[1], dtype=q.dtype)
    rows = []
    for t in range(len(q)):
        S, z = S + np.outer(k[t], v[t]), z + k[t]
        rows.append(q[t] @ S / (q[t] @ z) if q[t] @ z else np.zeros_like(v[t]))
    return np.array(rows)


def gated_linear_attention(q, k, v, log_decay):
    S = np.zeros((k.shape[1], v.shape[1]), dtype=q.dtype)
    rows = []
    for t in range(len(q)):
        S = (np.exp(log_decay[t]) * np.ones(k.shape[1], dtype=q.dtype))[:, None] * S + np.outer(k[t], v[t])
        rows.append(q[t] @ S)
    return np.array(rows)


TWINS = {
    "linear_attention": linear_attention,
    "normalized_linear_attention": normalized_linear_attention,
    "gated_linear_attention": gated_linear_attention,
}
