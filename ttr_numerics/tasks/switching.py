"""Regression on maps that are linear in pieces: of time, of key space, or of both."""

from typing import NamedTuple

import numpy as np

__all__ = ["Piecewise", "clustered_unit_keys", "piecewise_linear_regression"]


class Piecewise(NamedTuple):
    """Keys `k` (..., T, d), noisy values `v`, clean `target` = k_t W_label (..., T, d_v), and `labels` (..., T)."""

    k: np.ndarray
    v: np.ndarray
    target: np.ndarray
    labels: np.ndarray


def piecewise_linear_regression(
    rng: np.random.Generator, k: np.ndarray, labels: np.ndarray, noise: float, d_v: int
) -> Piecewise:
    """v_t = k_t W_c + √noise ε_t with c = labels_t, one map W_c (d, d_v) of standard normal entries for every label.

    Each batch entry has maps of its own; targets of unit keys have variance 1. labels (..., T), whole numbers from 0.
    What switches is said by the labels: t // S switches in time every S tokens; the cluster of the key switches by
    region. An example, two tokens a segment, d = d_v = 1:

    | t | label | W | k_t | v_t, noise 0 |
    |---|---|---|---|---|
    | 0 | 0 | 0.5 | 1 | 0.5 |
    | 1 | 0 | 0.5 | -1 | -0.5 |
    | 2 | 1 | -2 | 1 | -2 |

    >>> task = piecewise_linear_regression(np.random.default_rng(0), np.ones((4, 1)), np.array([0, 0, 1, 1]), 0.0, 1)
    >>> bool(task.v[0] == task.v[1] != task.v[2] == task.v[3])
    True
    """
    if labels.shape != k.shape[:-1] or not np.issubdtype(labels.dtype, np.integer) or np.min(labels, initial=0) < 0:
        got = f"{labels.dtype} of {labels.shape}"
        raise ValueError(f"labels: expected whole numbers from 0 of shape {k.shape[:-1]}, got {got}")
    maps = rng.standard_normal((*k.shape[:-2], int(np.max(labels, initial=0)) + 1, k.shape[-1], d_v))
    target = np.zeros((*k.shape[:-1], d_v))
    for label in range(maps.shape[-3]):
        target += (labels == label)[..., None] * (k @ maps[..., label, :, :])
    return Piecewise(k, target + noise**0.5 * rng.standard_normal(target.shape), target, labels)


def clustered_unit_keys(rng: np.random.Generator, labels: np.ndarray, d: int, spread: float) -> np.ndarray:
    """Unit keys (..., T, d) about one centre for each label: c + spread · z/√d, z ~ N(0, I), scaled to norm 1.

    The centres are the 2d vertices of a cross polytope with random axes, so that no two are closer than at a right
    angle; each batch entry has axes of its own. Within a cluster cosines are about 1/(1 + spread²).

    >>> keys = clustered_unit_keys(np.random.default_rng(0), np.array([0, 0, 1]), 4, 0.0)
    >>> [round(abs(float(keys[0] @ key)), 12) for key in keys]
    [1.0, 1.0, 0.0]
    """
    if np.max(labels, initial=0) >= 2 * d:
        raise ValueError(f"labels: expected below {2 * d}, twice the dimension, got {np.max(labels)}")
    axes, _ = np.linalg.qr(rng.standard_normal((*labels.shape[:-1], d, d)))
    centres = np.concatenate([axes, -axes], axis=-2)
    x = np.take_along_axis(centres, labels[..., None], axis=-2)
    x = x + spread * rng.standard_normal(x.shape) / d**0.5
    return x / np.linalg.norm(x, axis=-1, keepdims=True)
