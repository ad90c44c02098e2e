"""TTT-Linear and Titans of FLA: a layer norm in the loss and after the read, target v - k."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from analysis.peers.nonlinear import reading
from analysis.peers.peer import Difference, Peer
from ttr_numerics import layers
from ttr_numerics.arrays import concat, namespace
from ttr_numerics.axes import Momentum, Output, per_token
from ttr_numerics.convention import Convention
from ttr_numerics.layers.ttt import MiniBatch, counted
from ttr_numerics.recurrence import sequential

__all__ = ["PEERS"]

Arrays = dict[str, Any]
FLA: dict[str, Any] = {"convention": Convention(), "axes": {"T": 32, "d_k": 8, "d_v": 8}}
STEPS, EPS = 8, 1.0
TTT = "fla.ops.ttt.naive:chunk_ttt_linear_ref"


def _normed(z: Any, gain: Any, shift: Any, epsilon: float) -> Any:
    """z + LN(z)."""
    unit, _ = _unit(z, epsilon)
    return z + gain * unit + shift


def _unit(z: Any, epsilon: float) -> tuple[Any, Any]:
    """(z - z̄)/σ and σ = √(var z + epsilon)."""
    xp, d = namespace(z), z.shape[-1]
    centred = z - xp.sum(z, axis=-1, keepdims=True) / d
    deviation = xp.sqrt(xp.sum(centred * centred, axis=-1, keepdims=True) / d + epsilon)
    return centred / deviation, deviation


def _released_arrays(constant: bool) -> Callable[[Arrays], Arrays]:
    """A start, one gain and shift a head for all of a batch, and a step a mini-batch if `constant`."""

    def change(a: Arrays) -> Arrays:
        d, kept = a["v"].shape[-1], {n: a[n] for n in ("q", "k", "v")}
        eta = np.repeat(a["eta"][..., ::STEPS], STEPS, axis=-1) if constant else a["eta"]
        heads = {n: a[n][:1] + 0 * a[n] for n in ("gain", "shift")}
        start = np.random.default_rng(3).standard_normal((*a["q"].shape[:-2], d + 1, d))
        return kept | heads | {"eta": eta, "start": start}

    return change


def released(q: Any, k: Any, v: Any, eta: Any, gain: Any, shift: Any, start: Any) -> Output:
    """Their TTT layer by ours: a bias is a 1 appended to q and k, the target v - k, the read-out z + LN(z)."""
    one = namespace(q).ones_like(q[..., :1])
    o, state = layers.layer_norm_ttt_linear(
        concat([q, one], -1),
        concat([k, one], -1),
        v - k,
        eta=eta,
        gain=gain,
        shift=shift,
        batch=STEPS,
        initial_state=MiniBatch(start, start, counted(q, 0)),
    )
    return Output(_normed(o, gain[..., None, :], shift[..., None, :], 1e-6), state.now)


def _step_of_the_reader(q: Any, k: Any, v: Any, eta: Any, gain: Any, shift: Any, start: Any) -> Output:
    """Every write of the mini-batch so far counts with the step of the token that reads, or ends the mini-batch."""
    rows = []
    for first in range(0, q.shape[-2], STEPS):
        for t in range(first, min(first + STEPS, q.shape[-2])):
            query, key, value = (x[..., first : t + 1, :] for x in (q, k, v))
            step = eta[..., t : t + 1] + 0 * eta[..., first : t + 1]
            o, now = released(query, key, value, step, gain, shift, start)
            rows.append(o[..., -1:, :])
        start = now
    return Output(concat(rows, -2), start)


def _by_fla(f: Any, a: Mapping[str, Any]) -> Output:
    d = a["v"].shape[-1]
    q, k, v, eta = (x.transpose(1, 2).clone() for x in (a["q"], a["k"], a["v"], a["eta"][..., None]))
    start = {"initial_state": a["start"][..., :d, :].clone(), "initial_state_bias": a["start"][..., d:, :].clone()}
    options = {"scale": 1.0, "mini_batch_size": STEPS, "output_final_state": True}
    o, *state = f(q, k, v, a["gain"][0], a["shift"][0], eta, **options, **start)
    return Output(o.transpose(1, 2), torch.cat(state, dim=-2))


def _small_steps(a: Arrays) -> Arrays:
    return a | {"theta": a["theta"] / 10}


def _titans_by_fla(f: Any, a: Mapping[str, Any]) -> Output:
    q, k, v = (a[n].transpose(1, 2) for n in "qkv")
    theta, alpha, eta = a["theta"], -torch.expm1(a["log_decay"]), torch.exp(a["log_momentum"])
    gates = (x.transpose(1, 2)[..., None] for x in (theta, alpha, eta))
    heads, d = a["q"].shape[1], a["v"].shape[-1]
    gain, shift = torch.ones(heads, d), torch.zeros(heads, d)
    options = {"eps": EPS, "chunk_size": 1, "use_chunk": False, "output_final_state": True}
    o, M = f(q, k, v, gain, shift, *gates, **options)
    return Output(o.transpose(1, 2), M)


def _misplaced_bracket(q: Any, k: Any, v: Any, theta: Any, log_momentum: Any, log_decay: Any) -> Output:
    """Titans on ½‖v - k - LN(k M)‖², whose gradient is d g - (Σg + ẑ Σẑg)/(σ d): its first term is not over σ d."""
    xp, d = namespace(q), v.shape[-1]

    def step(state: Momentum, q: Any, k: Any, v: Any, theta: Any, momentum: Any, decay: Any) -> tuple[Momentum, Any]:
        unit, deviation = _unit(k @ state.S, EPS)
        g = unit - (v - k)
        rest = xp.sum(g, axis=-1, keepdims=True) + unit * xp.sum(unit * g, axis=-1, keepdims=True)
        U = xp.exp(momentum) * state.U - xp.matrix_transpose(k) @ (2 * theta * (d * g - rest / (deviation * d)))
        S = xp.exp(decay) * state.S + U
        o = q @ S
        return Momentum(S, U), o + _unit(o, EPS)[0]

    nothing = 0 * (xp.matrix_transpose(k[..., :1, :]) @ v[..., :1, :])
    gates = (per_token("gate", x, q) for x in (theta, log_momentum, log_decay))
    return sequential(step, Momentum(nothing, nothing), q, k, v, *gates)


PEERS = (
    Peer(
        "titans",
        "fla-core",
        "fla.ops.titans.naive:chunk_titans_linear_ref",
        _titans_by_fla,
        change=_small_steps,
        state=reading(0),
        differs=Difference(
            "a layer norm in the loss and after the read, target v - k; and a misplaced bracket leaves the first term "
            "of the gradient undivided by the deviation and d_v",
            _misplaced_bracket,
        ),
        **FLA,
    ),
    Peer(
        "layer_norm_ttt_linear",
        "fla-core",
        TTT,
        _by_fla,
        change=_released_arrays(constant=True),
        how="a step a mini-batch",
        ours=released,
        **FLA,
    ),
    Peer(
        "layer_norm_ttt_linear",
        "fla-core",
        TTT,
        _by_fla,
        change=_released_arrays(constant=False),
        how="a step a token",
        ours=released,
        differs=Difference(
            "writes of a mini-batch count with the step of the token that reads, in the state with that of its last",
            _step_of_the_reader,
        ),
        **FLA,
    ),
)
