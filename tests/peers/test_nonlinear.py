"""Mini-batch, heavy-ball, windowed and robust learners by torch's own optimisers and losses; TTT as in fla."""

import importlib

import numpy as np
import pytest
import scipy.optimize
import torch
from torch.nn import functional

from ttr_numerics import layers
from ttr_numerics.arrays import concat, namespace
from ttr_numerics.axes import Output
from ttr_numerics.layers.omega import NewtonSchulz
from ttr_numerics.layers.ttt import MiniBatch, counted
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, on import and for want of a device

T, D = 24, 6


def given(name, dtype="float64", batch=(), **axes):
    drawn = pairing(name).example(np.random.default_rng(0), batch, **{"T": T, "d_k": D, "d_v": 4} | axes)
    return {n: FORMATS[dtype].nearest(x) if isinstance(x, np.ndarray) else x for n, x in drawn.items()}


def within(theirs, layer, arrays, dtype="float64"):
    """Where their outputs lie within the rounding of the layer."""
    bound = rounding(layer, arrays, FORMATS[dtype])
    return row_norms(np.asarray(theirs, dtype=np.float64) - bound.reference) <= bound.bound


def tensors(arrays):
    return {n: torch.tensor(x) if isinstance(x, np.ndarray) else x for n, x in arrays.items()}


def descended(a, weights, model, loss, optimiser):
    """Outputs of one optimiser step a token on `loss(t, model)`, by autograd."""
    outputs = []
    for t in range(T):
        optimiser.zero_grad()
        loss(t, model).backward()
        optimiser.step()
        with torch.no_grad():
            outputs.append(model(a["q"][t]))
    return torch.stack(outputs).numpy()


def linear():
    S = torch.zeros(D, 4, dtype=torch.float64, requires_grad=True)
    return S, lambda x: x @ S


def test_titans_without_leak_is_stochastic_gradient_descent_with_momentum() -> None:
    arrays = given("titans")
    arrays |= {"theta": np.full(T, 0.1), "log_momentum": np.full(T, np.log(0.6)), "log_decay": np.zeros(T)}
    a, (S, model) = tensors(arrays), linear()
    optimiser = torch.optim.SGD([S], lr=0.1, momentum=0.6)
    theirs = descended(a, S, model, lambda t, f: ((a["v"][t] - f(a["k"][t])) ** 2).sum(), optimiser)
    assert within(theirs, layers.titans, arrays).all()
    halved = arrays | {"theta": arrays["theta"] / 2}  # a loss with a factor 1/2
    assert not within(theirs, layers.titans, halved).any()


def test_titans_with_a_leak_is_decoupled_weight_decay() -> None:
    arrays = given("titans")
    arrays |= {"theta": np.full(T, 0.1), "log_momentum": np.full(T, np.log(0.6)), "log_decay": np.full(T, np.log(0.9))}
    a, (S, model) = tensors(arrays), linear()
    optimiser = torch.optim.SGD([S], lr=0.1, momentum=0.6)

    def leaked(*_):
        with torch.no_grad():
            S.mul_(0.9)  # after the gradient was taken, before the velocity is added

    optimiser.register_step_pre_hook(leaked)
    theirs = descended(a, S, model, lambda t, f: ((a["v"][t] - f(a["k"][t])) ** 2).sum(), optimiser)
    assert within(theirs, layers.titans, arrays).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_the_omega_rule_is_descent_on_the_loss_of_the_window(weighted) -> None:
    arrays = given("omega_rule", optional=weighted)
    arrays |= {"beta": np.full(T, 0.1), "log_momentum": np.full(T, np.log(0.6)), "log_decay": np.zeros(T)}
    a, (S, model) = tensors(arrays), linear()
    w = a.get("weights", torch.ones(T, dtype=torch.float64))

    def loss(t, f):
        seen = slice(max(0, t - a["window"] + 1), t + 1)
        return (w[seen, None] * (a["v"][seen] - f(a["k"][seen])) ** 2).sum() / 2

    theirs = descended(a, S, model, loss, torch.optim.SGD([S], lr=0.1, momentum=0.6))
    assert within(theirs, layers.omega_rule, arrays).all()


def test_newton_schulz_has_the_coefficients_of_torch_and_lifts_singular_values_by_their_polynomial() -> None:
    muon = importlib.import_module("torch.optim._muon")
    assert NewtonSchulz().coefficients == (muon.DEFAULT_A, muon.DEFAULT_B, muon.DEFAULT_C)
    assert NewtonSchulz().steps == muon.DEFAULT_NS_STEPS
    U = np.random.default_rng(1).standard_normal((3, 6, 4))
    left, s, right = np.linalg.svd(U, full_matrices=False)
    s = s / np.linalg.norm(s, axis=-1, keepdims=True)
    a, b, c = NewtonSchulz().coefficients
    amplified = 1.0
    for _ in range(5):
        amplified *= a + 3 * abs(b) + 5 * abs(c)  # the polynomial's slope on [0, 1], in absolute values
        s = a * s + b * s**3 + c * s**5
    # Six products of order 6 a step, each rounding of which the remaining steps amplify at most so much.
    tolerance = 5 * 6 * 6 * 2.0**-53 * amplified
    assert np.abs(NewtonSchulz()(U) - (left * s[..., None, :]) @ right).max() <= tolerance


def test_the_cubic_newton_schulz_converges_to_the_orthogonal_polar_factor() -> None:
    U = np.random.default_rng(2).standard_normal((6, 4))
    left, _, right = np.linalg.svd(U, full_matrices=False)
    polar = NewtonSchulz(60, (1.5, -0.5, 0.0))(U)
    assert np.abs(polar - left @ right).max() <= 6 * 6 * 2.0**-53


@pytest.mark.parametrize("batch", [1, 4, 5, 16])
def test_ttt_linear_is_descent_with_gradients_at_the_start_of_each_mini_batch(batch) -> None:
    arrays = given("ttt_linear") | {"batch": batch}
    a, (S, model) = tensors(arrays), linear()
    outputs = []
    for start in range(0, T, batch):
        gradients = [
            torch.autograd.grad(a["eta"][t] * ((a["v"][t] - model(a["k"][t])) ** 2).sum() / 2, S)[0]
            for t in range(start, min(start + batch, T))
        ]
        with torch.no_grad():
            for t, gradient in enumerate(gradients, start):
                S -= gradient  # the model's own S moves only after all gradients were taken
                outputs.append(a["q"][t] @ S)
    assert within(torch.stack(outputs).numpy(), layers.ttt_linear, arrays).all()


@pytest.mark.parametrize("batch", [1, 5, 24])
def test_ttt_mlp_is_descent_on_both_layers_of_torchs_tanh_gelu(batch) -> None:
    arrays = given("ttt_mlp") | {"batch": batch}
    a = tensors(arrays)
    W = [a["W_1"].clone().requires_grad_(), a["W_2"].clone().requires_grad_()]

    def model(x):
        return functional.gelu(x @ W[0], approximate="tanh") @ W[1]

    outputs = []
    for start in range(0, T, batch):
        tokens = range(start, min(start + batch, T))
        losses = [a["eta"][t] * ((a["v"][t] - model(a["k"][t])) ** 2).sum() / 2 for t in tokens]
        gradients = [torch.autograd.grad(loss, W) for loss in losses]
        with torch.no_grad():
            for t, pair in zip(tokens, gradients, strict=True):
                for weight, gradient in zip(W, pair, strict=True):
                    weight -= gradient
                outputs.append(model(a["q"][t]))
    assert within(torch.stack(outputs).numpy(), layers.ttt_mlp, arrays).all()


def huber_of_the_norm(a, t, z):
    size = (z - a["v"][t]).norm()
    return functional.huber_loss(size, 0 * size, "sum", float(a["delta"][t]))


LOSSES = {
    "entrywise_huber_delta_rule": lambda a, t, z: functional.huber_loss(z, a["v"][t], "sum", float(a["delta"][t])),
    "huber_delta_rule": huber_of_the_norm,
    "lp_delta_rule": lambda a, t, z: (z - a["v"][t]).abs().pow(a["p"]).sum() / a["p"],
}


@pytest.mark.parametrize("name", LOSSES)
def test_robust_rules_are_steps_on_torchs_own_losses_with_the_leak_after_the_error(name) -> None:
    arrays = given(name, optional=True)
    arrays["log_decay"] = np.full(T, np.log(0.9))
    a = tensors(arrays)
    S, outputs = a["initial_state"].clone().requires_grad_(), []
    for t in range(T):
        (gradient,) = torch.autograd.grad(LOSSES[name](a, t, a["k"][t] @ S), S)
        with torch.no_grad():
            S.mul_(0.9).sub_(a["beta"][t] * gradient)
            outputs.append(a["q"][t] @ S)
    assert within(torch.stack(outputs).numpy(), getattr(layers, name), arrays).all()


def test_an_exponentiated_gradient_step_minimises_the_linearised_loss_and_the_divergence() -> None:
    a = given("exponentiated_gradient_rule", d_k=3, d_v=1, optional=True)
    a = {n: x[:1] if n != "initial_state" else x for n, x in a.items()}
    before = np.exp(a["initial_state"][:, 0]) / np.exp(a["initial_state"][:, 0]).sum()
    gradient = -a["k"][0] * (a["v"][0, 0] - a["k"][0] @ before)
    gate, beta = np.exp(a["log_decay"][0]), a["beta"][0]
    logits = layers.exponentiated_gradient_rule(**a).state[:, 0]
    after = np.exp(logits) / np.exp(logits).sum()

    def objective(S):
        return gradient @ S + (S @ np.log(S) - gate * S @ np.log(before)) / beta

    found = scipy.optimize.minimize(
        objective,
        np.full(3, 1 / 3),
        method="SLSQP",
        bounds=[(1e-9, 1)] * 3,
        constraints={"type": "eq", "fun": lambda S: S.sum() - 1},
        options={"ftol": 1e-15},
    )
    # The objective exceeds its minimum by KL(S, minimiser)/β, at least ‖S - minimiser‖₁²/(2β) (Pinsker), and is itself
    # a sum of nine terms of a few roundings each.
    size = np.abs(gradient) @ after + (after @ np.abs(np.log(after)) + gate * after @ np.abs(np.log(before))) / beta
    slack = 9 * 4 * 2.0**-53 * size
    excess = objective(found.x) - objective(after)
    assert excess >= -slack
    assert np.sum(np.abs(found.x - after)) ** 2 <= 2 * beta * (excess + slack)
    assert np.sum(np.abs(before - after)) ** 2 > 2 * beta * (excess + slack)  # it says something


# TTT-Linear as fla has it: layer norm inside the loss, target v - k, and a residual layer norm of the read-out


def normed(z, gain, shift, epsilon):
    """z + LN(z)."""
    xp, d = namespace(z), z.shape[-1]
    centred = z - xp.sum(z, axis=-1, keepdims=True) / d
    deviation = xp.sqrt(xp.sum(centred * centred, axis=-1, keepdims=True) / d + epsilon)
    return z + gain[..., None, :] * centred / deviation + shift[..., None, :]


def released(q, k, v, eta, gain, shift, start, batch):
    """Their layer by ours: a bias is a 1 appended to q and k, the target v - k, the read-out z + LN(z)."""
    one = namespace(q).ones_like(q[..., :1])
    state = MiniBatch(start, start, counted(q, 0))
    run = layers.layer_norm_ttt_linear(
        concat([q, one], -1),
        concat([k, one], -1),
        v - k,
        eta=eta,
        gain=gain,
        shift=shift,
        batch=batch,
        initial_state=state,
    )
    return Output(normed(run.o, gain, shift, 1e-6), run.state)


def fla_arrays(constant):
    a = given("layer_norm_ttt_linear", "float32", (2, 3), d_v=D)
    rng = np.random.default_rng(3)
    eta = np.repeat(a["eta"][..., ::8], 8, axis=-1) if constant else a["eta"]
    heads = {n: np.broadcast_to(a[n][:1], a[n].shape) for n in ("gain", "shift")}  # one a head, for all of a batch
    start = FORMATS["float32"].nearest(rng.standard_normal((2, 3, D + 1, D)))
    kept = {n: a[n] for n in ("q", "k", "v")}
    return kept | heads | {"eta": eta, "start": start, "batch": 8}


def by_fla(a):
    theirs = importlib.import_module("fla.ops.ttt.naive").chunk_ttt_linear_ref
    t = {n: torch.tensor(np.asarray(x), dtype=torch.float32) for n, x in a.items() if n != "batch"}
    q, k, v = (t[n].transpose(1, 2).clone() for n in "qkv")
    o, _, _ = theirs(
        q,
        k,
        v,
        t["gain"][0],
        t["shift"][0],
        t["eta"].transpose(1, 2)[..., None].clone(),
        scale=1.0,
        mini_batch_size=a["batch"],
        initial_state=t["start"][..., :D, :].clone(),
        initial_state_bias=t["start"][..., D:, :].clone(),
    )
    return o.transpose(1, 2).numpy()


def test_ttt_linear_of_fla_is_this_layer_with_the_layer_norm_inside() -> None:
    a = fla_arrays(constant=True)
    assert within(by_fla(a), released, a, "float32").all()


def test_a_wrong_residual_is_not_fla() -> None:
    a = fla_arrays(constant=True)
    assert not within(by_fla(a), lambda **x: released(**x | {"v": x["v"] + x["k"]}), a, "float32").any(axis=-1).all()


def test_fla_takes_the_step_of_the_token_that_reads() -> None:
    a = fla_arrays(constant=False)
    theirs = by_fla(a)
    assert not within(theirs, released, a, "float32").all()
    for t in range(8):  # the first mini-batch: every pair so far counts with the step of token t
        read = a | {"eta": np.repeat(a["eta"][..., t : t + 1], T, axis=-1)}
        assert within(theirs, released, read, "float32")[..., t].all()
