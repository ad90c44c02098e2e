"""Attention and its relatives, query by query."""

import numpy as np


def softmax_attention(q, k, v):
    return np.array([_mean(np.exp(k[: t + 1] @ q[t]), v[: t + 1]) for t in range(len(q))])


def bidirectional_softmax_attention(q, k, v):
    return np.array([_mean(np.exp(k @ q[t]), v) for t in range(len(q))])


def sliding_window_attention(q, k, v, window):
    first = [max(0, t + 1 - window) for t in range(len(q))]
    return np.array([_mean(np.exp(k[i : t + 1] @ q[t]), v[i : t + 1]) for t, i in enumerate(first)])


def sink_attention(q, k, v, sink):
    with_sink = np.vstack([np.zeros_like(v[:1]), v])
    weights = [np.concatenate([[np.exp(q.dtype.type(sink))], np.exp(k[: t + 1] @ q[t])]) for t in range(len(q))]
    return np.array([_mean(w, with_sink[: len(w)]) for w in weights])


def forgetting_attention(q, k, v, log_decay):
    fade, rows = np.ones(0, dtype=q.dtype), []
    for t in range(len(q)):
        fade = np.append(np.exp(log_decay[t]) * fade, q.dtype.type(1))
        rows.append(_mean(fade * np.exp(k[: t + 1] @ q[t]), v[: t + 1]))
    return np.array(rows)


def exponential_attention(q, k, v):
    return np.array([np.exp(k[: t + 1] @ q[t]) @ v[: t + 1] for t in range(len(q))])


def compact_kernel_attention(q, k, v, bandwidth, order=1):
    def weight(x, y):
        return max(q.dtype.type(0), 1 - (x - y) @ (x - y) / q.dtype.type(bandwidth) ** 2) ** order

    return np.array([_mean(np.array([weight(q[t], y) for y in k[: t + 1]]), v[: t + 1]) for t in range(len(q))])


def normalized_relu_attention(q, k, v, threshold, order=1):
    return np.array([_mean(np.maximum(k[: t + 1] @ q[t] - threshold, 0) ** order, v[: t + 1]) for t in range(len(q))])


def entmax_attention(q, k, v, alpha):
    rows = []
    for t in range(len(q)):
        z = (alpha - 1) * (k[: t + 1] @ q[t])
        low, high = z.max() - 1, z.max()
        for _ in range(80):
            middle = (low + high) / 2
            too_much = (np.maximum(z - middle, 0) ** (1 / (alpha - 1))).sum() > 1
            low, high = (middle, high) if too_much else (low, middle)
        rows.append(_mean(np.maximum(z - low, 0) ** (1 / (alpha - 1)), v[: t + 1]))
    return np.array(rows)


def hopfield(q, k, v, beta, steps):
    rows = []
    for t in range(len(q)):
        state = q[t]
        for _ in range(steps - 1):
            state = _mean(np.exp(beta * (k[: t + 1] @ state)), k[: t + 1])
        rows.append(_mean(np.exp(beta * (k[: t + 1] @ state)), v[: t + 1]))
    return np.array(rows)


def _mean(weights, v):
    return (weights / weights.sum()) @ v


TWINS = {
    "softmax_attention": softmax_attention,
    "bidirectional_softmax_attention": bidirectional_softmax_attention,
    "sliding_window_attention": sliding_window_attention,
    "sink_attention": sink_attention,
    "forgetting_attention": forgetting_attention,
    "exponential_attention": exponential_attention,
    "compact_kernel_attention": compact_kernel_attention,
    "normalized_relu_attention": normalized_relu_attention,
    "entmax_attention": entmax_attention,
    "hopfield": hopfield,
}
