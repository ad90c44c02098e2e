"""Recall error by age of memories that add, or erase along the written key: exact second moments.

Errors are E‖v_i - o‖² of the pair written a tokens before the last one, read at its own key after the last write,
a = 0..n-1; keys independent and uniform on the unit sphere of R^d, values unit, isotropic and independent of the keys.
"""

import numpy as np

__all__ = ["additive_age_errors", "diagonal_age_errors", "erasing_age_errors"]


def additive_age_errors(weights: np.ndarray) -> np.ndarray:
    """E‖v_a - Σ_b k_a'G_b k_b v_b‖² (n,) by age a, where channel j of a key of age b is read with weight G_bj (n, d).

    1 - 2ḡ_a + (2Σ_j G_aj² + (Σ_j G_aj)²)/(d(d+2)) + (1/d) Σ_{b≠a} mean_j G_bj², ḡ_a = mean_j G_aj. With G_b = g^b for
    all channels it is (1-g^a)² + Σ_{b≠a} g^(2b)/d. One channel (d = 1) is a memory of one number a channel, keys ±1.
    Exact. Source: derived here.

    >>> additive_age_errors(np.ones((5, 4)))   # linear attention: (n-1)/d at every age
    array([1., 1., 1., 1., 1.])
    """
    d = weights.shape[-1]
    squares = np.sum(weights**2, axis=-1)
    own = 1 - 2 * np.mean(weights, axis=-1) + (2 * squares + np.sum(weights, axis=-1) ** 2) / (d * (d + 2))
    return own + (np.sum(squares) - squares) / d**2


def erasing_age_errors(n: int, decay: np.ndarray, erase: np.ndarray, write: np.ndarray | float = 1.0) -> np.ndarray:
    """Error (n,) by age after n steps S ← D S + k'(w∘v - (e∘k)S), D = diag(α): any per-channel leak and erasure.

    `decay` α and `erase` e (d,), `write` w one number or one a value channel. The gated delta rule and KDA have
    e = βα, w = β; erase-write rules e = bα; Comba and RWKV-7 (one rate) a constant e that no leak reaches; GLA e = 0.
    With N = E[SS'|c] for a stored key c, a later write makes N_jl ← C_jl N_jl + δ_jl(Σ_r e_r²N_rr/(d(d+2)) + w²/d),
    C_jl = α_jα_l - (α_je_l + e_jα_l)/d + 2e_je_l/(d(d+2)); so E[c_jc_lN_jl] and E[c_j²N_ll] close, and start from
    sixth moments of c. The error is 1 - 2p + s, p = w̄ mean_j (α_j - e_j/d)^a.
    Exact. Source: derived here.

    >>> from ttr_numerics.measure.bounds.delta import delta_rule_errors
    >>> one = np.ones(4)
    >>> bool(np.allclose(erasing_age_errors(9, 0.9 * one, 0.45 * one, 0.5), delta_rule_errors(9, 4, 0.5, 0.9)))
    True
    """
    d = len(decay)
    power, mean = float(np.mean(np.square(write))), float(np.mean(write))
    fourth = 1 / (d * (d + 2))
    C = np.outer(decay, decay) - (np.outer(decay, erase) + np.outer(erase, decay)) / d
    C = C + 2 * fourth * np.outer(erase, erase)
    own, diagonal = ~np.eye(d, dtype=bool), np.diag(C)
    m, p, W, R = np.zeros(d), np.zeros((0, d)), np.zeros((0, d, d)), np.zeros((0, d, d))
    for _ in range(n):
        W = C * W
        R = diagonal * R + fourth * (R @ erase**2)[:, :, None] + power / d**2
        p = (decay - erase / d) * p
        W_0, R_0 = _just_written(m, decay, erase, power)
        W, R = np.concatenate([W, (own * W_0)[None]]), np.concatenate([R, R_0[None]])
        p = np.concatenate([p, np.full((1, d), mean)])
        m = diagonal * m + fourth * np.sum(erase**2 * m) + power / d
    s = np.sum(W, axis=(1, 2)) + np.trace(R, axis1=1, axis2=2)
    return (1 - 2 * np.mean(p, axis=1) + s)[::-1]


def diagonal_age_errors(n: int, d: int, step: float) -> np.ndarray:
    """Error (n,) by age after n steps S_j ← (1 - εk_j²)S_j + εk_jv: Longhorn as released, no channel sees another.

    Off the diagonal N_jl shrinks by 1 - 2ε/d + ε²/(d(d+2)), on it by 1 - 2ε/d + 3ε²/(d(d+2)), with ε²/d² added for
    each channel; p = ε(1-ε/d)^a. Exact. Source: derived here.

    >>> round(float(diagonal_age_errors(1, 4, 0.5)[0]), 12)   # alone: (1-ε)²
    0.25
    """
    fourth, sixth = 1 / (d * (d + 2)), 1 / (d * (d + 2) * (d + 4))
    off_shrink, shrink = 1 - 2 * step / d + step**2 * fourth, 1 - 2 * step / d + 3 * step**2 * fourth
    F, p, off, on = 0.0, np.zeros(0), np.zeros(0), np.zeros(0)  # F = E‖S‖², the diagonal's sum
    for _ in range(n):
        off, on, p = off_shrink * off, shrink * on + step**2 / d, (1 - step / d) * p
        written = F * (1 / d - 6 * step * fourth + 15 * step**2 * sixth) + 3 * step**2 / (d + 2)
        on, off = np.append(on, written), np.append(off, step**2 * (d - 1) / (d + 2))
        p, F = np.append(p, step), shrink * F + step**2
    return (1 - 2 * p + off + on)[::-1]


def _just_written(m: np.ndarray, decay: np.ndarray, erase: np.ndarray, power: float) -> tuple[np.ndarray, np.ndarray]:
    """E[c_jc_lN_jl] and E[c_j²N_ll] of (D - c(e∘c)')diag(m)(D - c(e∘c)')' + w²cc', c uniform on the sphere."""
    d = len(m)
    fourth, sixth = 1 / (d * (d + 2)), 1 / (d * (d + 2) * (d + 4))
    h, g = decay * m * erase, erase**2 * m
    pair = fourth * (power - h[:, None] - h) + sixth * (np.sum(g) + 2 * (g[:, None] + g))
    square = fourth * (power - 2 * h) + sixth * (np.sum(g) + 2 * (g[:, None] + g))
    own = 3 * fourth * (power - 2 * h) + sixth * (3 * np.sum(g) + 12 * g)
    return pair, np.where(np.eye(d, dtype=bool), own, square) + decay**2 * m / d
