"""Each cause that can be named is named when it is planted, in float32 as in float64, and only then."""

import numpy as np
import pytest

from ttr_numerics import check, layers
from ttr_numerics.pairs import pairing
from ttr_numerics.verdict import Word

T, H, D = 96, 2, 8


def arrays(name, dtype):
    drawn = pairing(name).example(np.random.default_rng(0), (H,), T=T, d_k=D, d_v=D)
    return {n: x.astype(dtype) if isinstance(x, np.ndarray) else x for n, x in drawn.items()}


def stepped(a, S0=None, *, error_first=False, read="after", lost=None):
    """Somebody's gated delta rule, with its order of operations chosen."""
    S, rows = np.zeros((H, D, D)) if S0 is None else S0, []
    for t in range(T):
        if lost and t % lost == 0:
            S = np.zeros_like(S)
        q, k, v = (a[n][:, t].astype(np.float64) for n in "qkv")
        before = S
        decayed = np.exp(a["log_decay"][:, t].astype(np.float64))[:, None, None] * S
        residual = v - np.einsum("hk,hkv->hv", k, S if error_first else decayed)
        S = decayed + a["beta"][:, t, None, None] * k[:, :, None] * residual[:, None, :]
        rows.append(np.einsum("hk,hkv->hv", q, {"after": S, "before": before, "decayed": decayed}[read]))
    return np.stack(rows, axis=-2)


def layer(a, **changed):
    return layers.gated_delta_rule(**{**a, **changed}).o


def unit(x):
    return x / np.sqrt(np.sum(x * x, axis=-1, keepdims=True) + 1e-6)


def late(x):
    return np.concatenate([0 * x[:, :1], x[:, :-1]], axis=1)


FAULTS = {
    "the error taken before the decay": lambda a: stepped(a, error_first=True),
    "read before the write (the state before its decay)": lambda a: stepped(a, read="before"),
    "read before the write (the state after its decay)": lambda a: stepped(a, read="decayed"),
    "the state lost at the start of every chunk of 32 tokens": lambda a: stepped(a, lost=32),
    "q and k normalised inside": lambda a: layer(a, q=unit(a["q"]), k=unit(a["k"])),
    "beta times 2: another gradient factor": lambda a: layer(a, beta=2 * a["beta"]),
    "beta times 2/d_v": lambda a: layer(a, beta=2 / D * a["beta"]),
    "beta sent through a sigmoid": lambda a: layer(a, beta=1 / (1 + np.exp(-a["beta"]))),
    "k late by one token": lambda a: layer(a, k=late(a["k"])),
    "v late by one token": lambda a: layer(a, v=late(a["v"])),
    "q and k exchanged": lambda a: layer(a, q=a["k"], k=a["q"]),
    "the gate ignored": lambda a: layer(a, log_decay=0 * a["log_decay"]),
    "the gate read as a base-2 logarithm": lambda a: layer(a, log_decay=a["log_decay"] * float(np.log(2))),
    "q·k divided by √d": lambda a: layer(a, q=a["q"] / float(np.sqrt(D))),
    "gated_linear_attention": lambda a: (
        layers.gated_linear_attention(*(a[n] for n in "qkv"), log_decay=a["log_decay"]).o
    ),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("cause", FAULTS)
def test_a_planted_cause_is_named(cause, dtype):
    a = arrays("gated_delta_rule", dtype)
    if cause == "q and k exchanged":
        a["q"] = a["q"] / np.linalg.norm(a["q"], axis=-1, keepdims=True)  # as keys, queries must not diverge
    o = FAULTS[cause](a).astype(dtype)
    verdict = check(o, "gated_delta_rule", **a)
    assert verdict.status == 1
    assert cause in verdict.reasons[0]


def test_a_dropped_and_a_transposed_initial_state_are_named():
    a = arrays("gated_delta_rule", np.float64)
    S = np.random.default_rng(1).standard_normal((H, D, D))
    dropped = check(layer(a), "gated_delta_rule", initial_state=S, **a)
    assert "the initial state dropped" in dropped.reasons[0]
    turned = check(layer(a, initial_state=np.swapaxes(S, -1, -2)), "gated_delta_rule", initial_state=S, **a)
    assert "the initial state transposed" in turned.reasons[0]


def test_a_fault_that_is_no_variant_is_not_given_a_name():
    a = arrays("gated_delta_rule", np.float64)
    o = layer(a)
    o[:, 40:] *= 1.01
    verdict = check(o, "gated_delta_rule", **a)
    assert verdict.word is Word.WRONG
    assert verdict.cause == "output.factor"  # no variant of the layer: a map of its answer
    assert "1.01 times the answer, to rounding from token 40 on" in verdict.reasons[0]
    o[:, 40:] += np.sin(o[:, 40:])
    verdict = check(o, "gated_delta_rule", **a)
    assert verdict.cause is None
    assert "right up to token 39 and wrong at every later one" in verdict.reasons[0]


def test_a_sound_output_is_never_explained_away():
    a = arrays("gated_delta_rule", np.float32)
    assert check(layer(a), "gated_delta_rule", **a).word is Word.ROUNDING
