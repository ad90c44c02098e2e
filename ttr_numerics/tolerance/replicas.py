"""The spread of stochastic replicas of a layer."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ttr_numerics.arrays import LinAlgError
from ttr_numerics.arrays.arithmetic import Stochastic
from ttr_numerics.arrays.roles import Role
from ttr_numerics.arrays.rounded import rounded
from ttr_numerics.precision import Contract
from ttr_numerics.tolerance.policy import Layer, Policy, prefix_of, state_entries

__all__ = ["mean_squares"]

GROUP = 1 << 17  # entries of the states of all replicas run together: temporaries stay in cache


def mean_squares(
    policy: Policy,
    stored: Mapping[str, Any],
    inexact: set[str],
    contract: Contract,
    reference: np.ndarray,
    size: np.ndarray,
    seed: int,
) -> np.ndarray:
    """The widest Σ‖e_r/size‖²/R (..., T) over the forms that the policy runs; its loop's beyond the prefix by ratio."""

    def of(form: Layer, tokens: int) -> np.ndarray:
        o, unit = reference[..., :tokens, :], size[..., :tokens]
        arrays = prefix_of(stored, tokens) if tokens < reference.shape[-2] else stored
        return _mean_square(form, arrays, inexact, contract, o, unit, policy.replicas, seed)

    widest = np.max([of(form, reference.shape[-2]) for form in policy.replicated], axis=0)
    if policy.loop is None:
        return widest
    loop, n = of(policy.loop, policy.prefix), policy.prefix
    second = slice(n // 2, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.nanmedian(_ratio(loop[..., second], widest[..., second]), axis=-1, keepdims=True)
    widest = widest * np.maximum(ratio, 1.0)
    widest[..., :n] = np.maximum(widest[..., :n], loop)
    return widest


def _ratio(loop: np.ndarray, chunks: np.ndarray) -> np.ndarray:
    """Where both have errors; 1 where they have none."""
    return np.where((chunks > 0) & np.isfinite(loop) & np.isfinite(chunks), loop / chunks, 1.0)


def _mean_square(
    layer: Layer,
    stored: Mapping[str, Any],
    inexact: set[str],
    contract: Contract,
    reference: np.ndarray,
    size: np.ndarray,
    replicas: int,
    seed: int,
) -> np.ndarray:
    """Σ‖e_r/size‖²/R (..., T) of one form, replicas on the first axis of every array, in groups that fit in cache.

    An input that had to be rounded as it arrived gets that error in every replica: a subject may have scaled it later.
    """
    noise = contract.replicas(np.random.default_rng(seed))
    group = min(replicas, max(1, GROUP // state_entries(stored)))
    total, done = np.zeros(reference.shape[:-1]), 0
    while done < replicas:
        n = min(group, replicas - done)
        inputs = {}
        for name, x in stored.items():
            if isinstance(x, np.ndarray):
                x = np.broadcast_to(x, (n, *x.shape))
                x = rounded(_arrived(noise, name, x) if name in inexact else x, noise)
            inputs[name] = x
        try:
            error = (layer(**inputs).o.x - reference) / size[..., None]
        except LinAlgError:  # in this arithmetic a matrix is no longer definite: nothing is decided
            return np.full(reference.shape[:-1], np.inf)
        total += np.sum(error * error, axis=(0, -1))
        noise.renew()
        done += n
    return total / (replicas * contract.magnified**2)


def _arrived(noise: Stochastic, name: str, x: np.ndarray) -> np.ndarray:
    """An input with the error of having been rounded as it arrived."""
    return noise.role(Role.OPERANDS, x) if name in "qkv" and Role.OPERANDS in noise.roles else noise.store(x)
