"""The second moment M = K'K/n of keys K (..., n, d): spectrum, effective ranks, mean key, and what removes them."""

import numpy as np

__all__ = [
    "centred",
    "effective_rank",
    "mean_key_share",
    "participation_ratio",
    "spectrum",
    "unit_rows",
    "whitened",
    "whitening_metric",
]


def spectrum(K: np.ndarray) -> np.ndarray:
    """Eigenvalues of M = K'K/n as shares of its trace (..., min(n, d)), descending; they sum to 1.

    From the singular values of K, so that small ones keep their digits. M is not centred unless K is.
    """
    power = np.linalg.svd(np.asarray(K, dtype=np.float64), compute_uv=False) ** 2
    return power / np.sum(power, axis=-1, keepdims=True)


def participation_ratio(K: np.ndarray) -> np.ndarray:
    """(Σλ)²/Σλ² (...) of the eigenvalues of M: between 1 and d; d for equal eigenvalues.

    For unit keys 1/PR = tr M² is the mean of (k_i·k_j)² over all pairs, i = j included. Reference: the inverse
    participation ratio of Bell and Dean (1970); "effective rank R" of Bartlett et al., arXiv 1906.11300, section 2.

    >>> float(participation_ratio(np.diag([1.0, 1.0, 0.0])))
    2.0
    """
    return 1.0 / np.sum(spectrum(K) ** 2, axis=-1)


def effective_rank(K: np.ndarray) -> np.ndarray:
    """exp(-Σ p ln p) (...), p the eigenvalues of M as shares of its trace: between 1 and d.

    The entropy of the *eigenvalues of M*. Roy and Vetterli (EUSIPCO 2007), who named it, take the singular values
    of a matrix as p: this is their effective rank of M, not of K.

    >>> round(float(effective_rank(np.diag([1.0, 1.0, 0.0]))), 12)
    2.0
    """
    p = spectrum(K)
    return np.exp(-np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=-1))


def mean_key_share(K: np.ndarray) -> np.ndarray:
    """‖k̄‖² / mean_i ‖k_i‖² (...), between 0 and 1: the part of the second moment that the mean key k̄ carries.

    For n isotropic independent keys its expectation is 1/n.

    >>> float(mean_key_share(np.array([[1.0, 1.0], [1.0, -1.0]])))
    0.5
    """
    return np.sum(np.mean(K, axis=-2) ** 2, axis=-1) / np.mean(np.sum(K**2, axis=-1), axis=-1)


def centred(K: np.ndarray) -> np.ndarray:
    """k_i - k̄ (..., n, d), k̄ the mean of these same n keys."""
    return K - np.mean(K, axis=-2, keepdims=True)


def whitened(K: np.ndarray) -> np.ndarray:
    """K M^(-1/2) (..., n, d), M = K'K/n of these same n keys, so that their second moment becomes I.

    M^(-1/2) is the symmetric root. Computed as √n U V' from K = U diag(s) V', without forming M. Needs n ≥ d and
    full column rank; otherwise raises `LinAlgError`.
    """
    U, _, Vh = _of_full_rank(K)
    return np.sqrt(K.shape[-2]) * (U @ Vh)


def whitening_metric(K: np.ndarray) -> np.ndarray:
    """M^(-1/2) (..., d, d), symmetric, M = K'K/n: for keys other than those it was made of. See `whitened`."""
    _, s, Vh = _of_full_rank(K)
    return np.swapaxes(Vh, -1, -2) @ (np.sqrt(K.shape[-2]) / s[..., None] * Vh)


def unit_rows(K: np.ndarray) -> np.ndarray:
    """k_i/‖k_i‖ (..., n, d), in float64. A zero row raises ValueError: it has no direction."""
    norms = np.linalg.norm(np.asarray(K, dtype=np.float64), axis=-1, keepdims=True)
    if not np.all(norms > 0):
        raise ValueError("K: expected rows with a direction, got a row of zeros")
    return np.asarray(K, dtype=np.float64) / norms


def _of_full_rank(K: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    U, s, Vh = np.linalg.svd(K, full_matrices=False)
    if K.shape[-2] < K.shape[-1] or np.any(s[..., -1] <= max(K.shape[-2:]) * np.finfo(K.dtype).eps * s[..., 0]):
        raise np.linalg.LinAlgError(f"K: expected full column rank to whiten, got shape {K.shape} of lower rank")
    return U, s, Vh
