"""Keys whose norms spread: recall, regression, what their sample weights amount to; and stored keys, head by head."""

from typing import Any

import numpy as np

from analysis.directed import directed
from analysis.qk_norm.readings import ALONE, DIVIDED, PARTNER, QK_NORM, SOFTMAX, identities, readings
from ttr_numerics import layers, tasks
from ttr_numerics.measure import bounds, mean_interval, relative_squared_error, unit_rows

__all__ = ["ENDS", "KEPT", "MODEL_GAIN", "NEAR", "NEAR_GAIN", "OWN_GAIN", "RECALL", "key_rows", "spread_rows"]

TRIALS = 12
NOISE = 0.1
LONGEST = 0.1  # share of the keys
KEPT = (SOFTMAX, PARTNER, DIVIDED, ALONE, QK_NORM)
RECALL = "recall"
GAINS = tuple(2.0 ** (e / 2) for e in range(0, 25, 2))  # in units of 1/mean‖k‖²
MODEL_GAIN, OWN_GAIN, NEAR = "gain 1/√d", "best gain", 0.01
ENDS = "best gain at an end of the list"
NEAR_GAIN = f"gain at which {QK_NORM} errs by {NEAR:g}"

Row = dict[str, Any]


def spread_rows(cell: Row, rng: np.random.Generator) -> list[Row]:
    """The relative squared error of each reading, with the size of the weights and the attention of the longest keys.

    Recall: unit values, the keys ask for their own. Regression: v = A k/‖k‖ + noise, A orthogonal, fresh queries.
    """
    n, d, gain, spread = cell["n"], cell["d"], cell["gain"], cell["spread"]
    K = tasks.lognormal_keys(rng, (TRIALS, n, d), spread)
    if cell["task"] == RECALL:
        q, V = K, tasks.isotropic_unit_keys(rng, (TRIALS, n, d))
        right = V
    else:
        q = tasks.lognormal_keys(rng, (TRIALS, n, d), spread)
        A, _ = np.linalg.qr(rng.standard_normal((TRIALS, d, d)))
        V, right = unit_rows(K) @ A + NOISE * rng.standard_normal(K.shape), unit_rows(q) @ A
    o = readings(q, K, V, gain)
    weights = bounds.norm_log_weights(K, gain)
    shared = {
        "size": float(np.mean(bounds.effective_sample_size(weights))) / n,
        "captured": float(np.mean(_captured(q, K, gain))),
        "taken": _taken(K),
        **identities(q, K, V, gain, o),
    }
    return [
        {"reading": name, **mean_interval(relative_squared_error(o[name], right))._asdict(), **shared} for name in KEPT
    ]


def key_rows(cell: Row, rng: np.random.Generator) -> list[Row]:
    """A row a head: the spread of its norms, its weights, and recall by each reading at the model's and the best gain.

    Values have unit norm; keys ask for their own value. Softmax and its partner are compared on the model's queries.
    """
    real, left_out = directed(cell["keys"])
    group, d = len(real.q) // len(real.k), real.k.shape[-1]
    rows = []
    queries, keys, values = (x.astype(float) for x in (real.q, real.k, real.v))
    for head, (K, V) in enumerate(zip(keys, _unit_or_zero(values), strict=True)):
        norms, gain = np.linalg.norm(K, axis=-1), d**-0.5
        q = queries[head * group : (head + 1) * group]
        Kq, Vq = (np.broadcast_to(x, (group, *x.shape)) for x in (K, V))
        weights = bounds.norm_log_weights(K, gain)
        row = {
            "source": real.name,
            "head": head,
            "n": len(K),
            "d": d,
            "norm_spread": float(np.std(np.log(norms))),
            "logit": float(gain * np.mean(norms**2)),
            "size": float(bounds.effective_sample_size(weights)) / len(K),
            "captured": float(np.mean(_captured(q, Kq, gain))),
            "taken": _taken(K),
            **identities(q, Kq, Vq, gain, readings(q, Kq, Vq, gain)),
            **left_out,
        }
        rows.append(row | _recalls(K, V, gain))
    return rows


def _recalls(K: np.ndarray, V: np.ndarray, gain: float) -> Row:
    """Recall errors at the model's gain and at the best of a list, and the first gain at which unit keys come near."""
    own = float(np.mean(np.sum(K * K, axis=-1)))
    found: Row = {}
    for name, X, scale in ((SOFTMAX, K, own), (QK_NORM, unit_rows(K), 1.0)):
        errors = {g: _recall(X, V, g / scale) for g in GAINS}
        best = min(errors, key=errors.__getitem__)
        found |= {
            f"{name}, {MODEL_GAIN}": _recall(X, V, gain),
            f"{name}, {OWN_GAIN}": errors[best],
            f"{name}, {ENDS}": best in (GAINS[0], GAINS[-1]),
        }
    found[NEAR_GAIN] = next((g for g, error in errors.items() if error <= NEAR), None)
    return found


def _unit_or_zero(values: np.ndarray) -> np.ndarray:
    """v_i/‖v_i‖; a value of norm 0 stays."""
    norms = np.linalg.norm(values, axis=-1, keepdims=True)
    return values / np.where(norms > 0, norms, 1.0)


def _recall(K: np.ndarray, V: np.ndarray, gain: float) -> float:
    return float(relative_squared_error(layers.bidirectional_softmax_attention(gain * K, K, V).o, V))


def _captured(q: np.ndarray, K: np.ndarray, gain: float) -> np.ndarray:
    """The attention (..., n) that softmax gives to the longest tenth of the keys: their indicator as the value."""
    rank = np.argsort(np.argsort(np.linalg.norm(K, axis=-1), axis=-1), axis=-1)
    longest = rank >= K.shape[-2] - max(1, round(LONGEST * K.shape[-2]))
    return layers.bidirectional_softmax_attention(gain * q, K, 1.0 * longest[..., None]).o[..., 0]


def _taken(K: np.ndarray) -> float:
    """The share of keys whose largest inner product is with another key: lost to softmax at any gain."""
    return float(np.mean(np.max(K @ K.mT, axis=-1) > np.sum(K * K, axis=-1) * (1 + K.shape[-1] * 2.0**-52)))
