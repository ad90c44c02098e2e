"""Linear attention with one fault each, in NumPy, as a stranger might write it."""

import numpy as np


def weights(q, k):
    """Causal products q_t·k_i."""
    return np.tril(q @ np.swapaxes(k, -1, -2))


def sound(q, k, v):
    """Σ_{i≤t} (q_t·k_i) v_i."""
    return weights(q, k) @ v


def leaking(q, k, v):
    """Every token sees all."""
    return q @ (np.swapaxes(k, -1, -2) @ v)


def forgetful(q, k, v):
    """The state is lost at the start of every chunk of 16 tokens."""
    pieces = [slice(s, s + 16) for s in range(0, q.shape[-2], 16)]
    return np.concatenate([sound(*(x[..., p, :] for x in (q, k, v))) for p in pieces], axis=-2)


def stateless(q, k, v, initial_state=None):
    """A state is taken, and dropped."""
    return sound(q, k, v), np.swapaxes(k, -1, -2) @ v


def writing(q, k, v):
    """v is doubled in place."""
    o = sound(q, k, v)
    v *= 2
    return o


def broken(q, k, v):
    """More than 20 tokens raise."""
    if q.shape[-2] > 20:
        raise IndexError("no such token")
    return sound(q, k, v)


def overflowing(q, k, v):
    """NaN where a row of q is longer than 100."""
    return np.where(np.linalg.norm(q, axis=-1, keepdims=True) > 100, np.nan, sound(q, k, v))


def remembering():
    """A function that adds a tenth of the largest output of its last call."""
    kept = [0.0]

    def faulty(q, k, v):
        o = sound(q, k, v)
        kept.append(0.1 * np.abs(o).max())
        return o + kept[-2]

    return faulty
