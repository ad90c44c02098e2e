"""Sound forms of the layers that nobody here would call the layer's own code: other orders, other algorithms."""

import numpy as np

__all__ = ["attention", "chunked_delta_rule", "chunked_linear_attention"]


def attention(q, k, v, mask):
    """Softmax attention at logits q·k under a boolean mask (T, T), in the dtype it gets; an empty row is NaN."""
    logits = np.where(mask, q @ k.swapaxes(-1, -2), -np.inf).astype(q.dtype)
    with np.errstate(invalid="ignore"):
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return (weights / weights.sum(axis=-1, keepdims=True)) @ v


def chunked_linear_attention(q, k, v, chunk):
    """Linear attention by chunks: a matrix product inside, a state between."""
    state, outputs = np.zeros((*q.shape[:-2], q.shape[-1], v.shape[-1]), q.dtype), []
    for s in range(0, q.shape[-2], chunk):
        a, b, c = (x[..., s : s + chunk, :] for x in (q, k, v))
        outputs.append(a @ state + np.tril(a @ b.swapaxes(-1, -2)) @ c)
        state = state + b.swapaxes(-1, -2) @ c
    return np.concatenate(outputs, axis=-2)


def chunked_delta_rule(q, k, v, beta, chunk):
    """The delta rule by chunks through one unit lower triangular solve each (the WY form)."""
    state, outputs = np.zeros((*q.shape[:-2], q.shape[-1], v.shape[-1]), q.dtype), []
    for s in range(0, q.shape[-2], chunk):
        a, b, c = (x[..., s : s + chunk, :] for x in (q, k, v))
        step = beta[..., s : s + chunk, None]
        system = np.eye(b.shape[-2], dtype=q.dtype) + step * np.tril(b @ b.swapaxes(-1, -2), -1)
        alpha = np.linalg.solve(system, step * (c - b @ state))
        outputs.append(a @ state + np.tril(a @ b.swapaxes(-1, -2)) @ alpha)
        state = state + b.swapaxes(-1, -2) @ alpha
    return np.concatenate(outputs, axis=-2)
