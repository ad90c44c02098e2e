"""Online learners by torch's own optimisers, losses and derivatives on the memory."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from analysis.peers.peer import GIVEN, Peer
from ttr_numerics.axes import Momentum, Output
from ttr_numerics.convention import Convention

__all__ = ["PEERS", "reading"]

Arrays = dict[str, Any]
TORCH: dict[str, Any] = {"convention": Convention(), "computes": GIVEN, "axes": {"T": 24, "d_k": 6, "d_v": 4}}
GRADIENT = "torch.autograd:grad"
MOMENTUM, RATE = 0.6, 0.125


# One step a token of torch.optim.SGD on the loss of the token, all heads at once


def _momentum(a: Arrays) -> Arrays:
    """One momentum for all tokens, the optimiser's own."""
    return a | {"log_momentum": np.full(a["q"].shape[:-1], np.log(MOMENTUM))}


def _weighted(a: Arrays) -> Arrays:
    """One step size for all tokens, the optimiser's own, and all that the layer may take."""
    drawn = np.random.default_rng(2).uniform(0.1, 1.0, (2, *a["q"].shape[:-1]))
    return _momentum(a) | {"beta": np.full_like(a["beta"], RATE), "weights": drawn[0], "log_decay": -0.1 * drawn[1]}


def _matrix(a: Mapping[str, Any]) -> torch.Tensor:
    shape = (*a["q"].shape[:-2], a["q"].shape[-1], a["v"].shape[-1])
    return torch.zeros(shape, dtype=a["q"].dtype, requires_grad=True)


def _stepped(loss: Callable[..., torch.Tensor], rate: float = 1.0) -> Callable[..., Output]:
    def call(optimiser: Any, a: Mapping[str, Any]) -> Output:
        S, rows = _matrix(a), []
        steps = optimiser([S], lr=rate, momentum=MOMENTUM)
        for t in range(a["q"].shape[-2]):
            steps.zero_grad()
            loss(a, t, S).backward()
            S.data *= torch.exp(a["log_decay"][..., t, None, None])  # the leak, once the gradient is taken
            steps.step()
            rows.append((a["q"][..., t : t + 1, :] @ S).detach())
        return Output(torch.cat(rows, dim=-2), Momentum(S.detach(), -steps.state[S]["momentum_buffer"]))

    return call


def _squares(a: Mapping[str, Any], seen: slice, S: torch.Tensor) -> torch.Tensor:
    """‖v_i - k_i S‖² of the tokens seen (..., n)."""
    return ((a["v"][..., seen, :] - a["k"][..., seen, :] @ S) ** 2).sum(-1)


def _token_loss(a: Mapping[str, Any], t: int, S: torch.Tensor) -> torch.Tensor:
    return (a["theta"][..., t : t + 1] * _squares(a, slice(t, t + 1), S)).sum()


def _window_loss(a: Mapping[str, Any], t: int, S: torch.Tensor) -> torch.Tensor:
    seen = slice(max(0, t - a["window"] + 1), t + 1)
    return (a["weights"][..., seen] * _squares(a, seen, S)).sum() / 2


# Gradients at the start of each mini-batch, by torch.autograd


def _mini_batches(weights: Callable[..., list[Any]], model: Callable[..., Any]) -> Callable[..., Output]:
    def call(gradient: Any, a: Mapping[str, Any]) -> Output:
        now, rows, (T, batch) = weights(a), [], (a["q"].shape[-2], a["batch"])
        for start in range(0, T, batch):
            fixed = [w.detach().clone().requires_grad_() for w in now]
            for t in range(start, min(start + batch, T)):
                at = slice(t, t + 1)
                loss = a["eta"][..., at, None] * (a["v"][..., at, :] - model(a["k"][..., at, :], *fixed)) ** 2 / 2
                now = [w - g for w, g in zip(now, gradient(loss.sum(), fixed), strict=True)]
                rows.append(model(a["q"][..., at, :], *now).detach())
        return Output(torch.cat(rows, dim=-2), torch.cat([w.detach().flatten(-2) for w in now], dim=-1))

    return call


def reading(*places: int) -> Callable[[Any], Any]:
    """The parts of a state in those places; an array, in which a peer has them side by side, as it is."""
    return lambda state: tuple(state[place] for place in places) if isinstance(state, tuple) else state


def _perceptron(x: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.gelu(x @ first, approximate="tanh") @ second


# One step a token on a robust loss, with the leak after the error


def _leak(a: Arrays) -> Arrays:
    """A leak and a state to begin with, which the layers may take."""
    start = np.random.default_rng(2).standard_normal((*a["q"].shape[:-2], a["q"].shape[-1], a["v"].shape[-1]))
    return a | {"log_decay": np.full(a["q"].shape[:-1], np.log(0.9)), "initial_state": start}


def _robust(loss: Callable[..., torch.Tensor]) -> Callable[..., Output]:
    def call(f: Any, a: Mapping[str, Any]) -> Output:
        S, rows = a["initial_state"].clone().requires_grad_(), []
        for t in range(a["q"].shape[-2]):
            z, v = a["k"][..., t : t + 1, :] @ S, a["v"][..., t : t + 1, :]
            (gradient,) = torch.autograd.grad(loss(f, z, v, a, t), S)
            kept, beta = (a[n][..., t, None, None] for n in ("log_decay", "beta"))
            S = (torch.exp(kept) * S - beta * gradient).detach().requires_grad_()
            rows.append((a["q"][..., t : t + 1, :] @ S).detach())
        return Output(torch.cat(rows, dim=-2), S.detach())

    return call


def _each(f: Any, z: torch.Tensor, v: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    """The sum over heads of a loss that takes one delta."""
    heads = zip(z.flatten(0, 1), v.flatten(0, 1), delta.flatten().tolist(), strict=True)
    return torch.stack([f(one, other, reduction="sum", delta=d) for one, other, d in heads]).sum()


def _huber_of_norms(f: Any, z: torch.Tensor, v: torch.Tensor, a: Mapping[str, Any], t: int) -> torch.Tensor:
    size = (z - v).norm(dim=-1)
    return _each(f, size, torch.zeros_like(size), a["delta"][..., t])


SGD = "torch.optim:SGD"
HUBER = "torch.nn.functional:huber_loss"
PEERS = (
    Peer("titans", "torch", SGD, _stepped(_token_loss), change=_momentum, **TORCH),
    Peer(
        "omega_rule",
        "torch",
        SGD,
        _stepped(_window_loss, RATE),
        change=_weighted,
        state=reading(0, 1),
        **TORCH,
    ),
    Peer(
        "ttt_linear",
        "torch",
        GRADIENT,
        _mini_batches(lambda a: [_matrix(a)], lambda x, S: x @ S),
        state=reading(1),
        how="of torch.autograd",
        **TORCH,
    ),
    Peer(
        "ttt_mlp",
        "torch",
        GRADIENT,
        _mini_batches(lambda a: [a["W_1"], a["W_2"]], _perceptron),
        state=reading(0, 1),
        how="of torch.autograd",
        **TORCH,
    ),
    Peer("huber_delta_rule", "torch", HUBER, _robust(_huber_of_norms), change=_leak, **TORCH),
    Peer(
        "entrywise_huber_delta_rule",
        "torch",
        HUBER,
        _robust(lambda f, z, v, a, t: _each(f, z, v, a["delta"][..., t])),
        change=_leak,
        **TORCH,
    ),
    Peer(
        "lp_delta_rule",
        "torch",
        "torch.nn.functional:l1_loss",
        _robust(lambda f, z, v, a, t: (f(z, v, reduction="none") ** a["p"]).sum() / a["p"]),
        change=_leak,
        **TORCH,
    ),
)
