"""Gradients: sound tapes pass in every dtype and convention, planted faults of kernels' backward passes are named."""

import textwrap
from functools import partial

import numpy as np
import pytest
import torch

from ttr_numerics import layers
from ttr_numerics.convention import Convention, Discretisation, Gate, StateLayout, fla, torch_sdpa, transformers
from ttr_numerics.layers import chunked
from ttr_numerics.pairs import pairing
from ttr_numerics.probes import Here, Remote, Subject
from ttr_numerics.probes.battery import examined
from ttr_numerics.probes.gradients import GRADIENTS
from ttr_numerics.verdict import Word

QUICK = [probe for probe in GRADIENTS if probe.quick]


def findings(function, name, dtype="float32", convention=None, library="torch", probes=QUICK, contract=None):
    caller = function if isinstance(function, Remote) else Here(function)
    subject = Subject(caller, pairing(name), convention or Convention(), dtype, library, contract)
    return {f.probe: f for f in examined(subject, probes, 11)}


def gated_delta(
    q, k, v, beta, log_decay, initial_state=None, *, error=lambda x: x, gate=lambda g: g, write=lambda b: b
):
    """A gated delta rule in einsum, with a hook at each place where a backward pass goes wrong."""
    S = torch.zeros(*k.shape[:-2], k.shape[-1], v.shape[-1], dtype=q.dtype) if initial_state is None else initial_state
    g, outputs = gate(log_decay), []
    for t in range(k.shape[-2]):
        S = S * torch.exp(g[..., t, None, None])
        residual = error(v[..., t, :] - torch.einsum("...k,...kv->...v", k[..., t, :], S))
        S = S + torch.einsum("...k,...v->...kv", k[..., t, :], write(beta)[..., t, None] * residual)
        outputs.append(torch.einsum("...k,...kv->...v", q[..., t, :], S))
    return torch.stack(outputs, -2), S


class WithGradient(torch.autograd.Function):
    """The identity, whose gradient is `change` of what it should be."""

    @staticmethod
    def forward(ctx, x, change):
        ctx.change = change
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return ctx.change(g), None


def wrong_by(**changes):
    """The gated delta rule with changed gradients by some arrays."""

    def faulty(q, k, v, beta, log_decay, initial_state=None):
        given = {"q": q, "k": k, "v": v, "beta": beta, "log_decay": log_decay, "initial_state": initial_state}
        return gated_delta(**given | {n: WithGradient.apply(given[n], change) for n, change in changes.items()})

    return faulty


SOUND = {
    "einsum loop": gated_delta,
    "sequential": layers.gated_delta_rule,
    "chunks of 4": partial(chunked.gated_delta_rule, chunk=4),
}


@pytest.mark.parametrize(
    ("form", "dtype"),
    [
        ("einsum loop", "float64"),
        ("sequential", "float16"),
        ("chunks of 4", "bfloat16"),
    ],
)
def test_sound_tapes_of_a_gated_delta_rule_pass(form, dtype):
    for finding in findings(SOUND[form], "gated_delta_rule", dtype).values():
        assert finding.word is Word.ROUNDING, finding.reasons


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_torch_attention_passes_and_its_heads_are_translated(dtype):
    def attention(q, k, v):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)

    found = findings(attention, "softmax_attention", dtype, torch_sdpa)  # flash attention on the CPU
    assert found["gradients"].word is Word.ROUNDING, found["gradients"].reasons


@pytest.mark.parametrize("name", ["mesa", "ttt_linear", "rwkv4"])
def test_layers_with_other_states_and_solves_pass_in_bfloat16(name):
    found = findings(pairing(name).layer, name, "bfloat16", probes=GRADIENTS[:1])
    assert found["gradients"].word is Word.ROUNDING, found["gradients"].reasons


def test_hostile_gradients_of_a_chunked_form_pass():
    found = findings(partial(chunked.delta_rule, chunk=32), "delta_rule", probes=GRADIENTS[-1:])
    assert found["hostile gradients"].word is Word.ROUNDING, found["hostile gradients"].reasons


def test_the_long_probe_catches_its_own_fault():  # the quick ones: see tests/probes/test_probes.py
    probe = GRADIENTS[-1]
    assert not probe.quick
    found = findings(probe.fault(pairing("linear_attention")), "linear_attention", probes=[probe])
    assert found[probe.name].word is Word.WRONG


FAULTS = {
    "a missing scale in dq": (wrong_by(q=lambda g: 8**-0.5 * g), "q is 0.3536 times"),
    "a gate's gradient late by one token": (wrong_by(log_decay=lambda g: g.roll(1, -1)), "log_decay is late by one"),
    "a running sum off by one": (
        wrong_by(log_decay=lambda g: g.flip(-1).cumsum(-1).flip(-1)),
        "the gradient by log_decay is wrong by",
    ),
    "no gradient of the step size": (wrong_by(beta=torch.zeros_like), "beta is zero"),
    "no gradient of the initial state": (wrong_by(initial_state=torch.zeros_like), "initial_state is zero"),
    "a detached state": (
        lambda q, k, v, beta, log_decay, initial_state=None: gated_delta(
            q, k, v, beta, log_decay, None if initial_state is None else initial_state.detach()
        ),
        "initial_state is missing",
    ),
    "a detached residual": (partial(gated_delta, error=torch.detach), "the gradient by v is missing"),
    "not a number in one entry": (
        wrong_by(k=lambda g: torch.where(torch.arange(8) == 3, torch.nan * g, g)),
        "k has 36 non-finite entries of 288, the first nan at (0, 0, 0, 3); the float64 gradient is finite there",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_of_a_backward_pass_is_named(fault):
    faulty, sentence = FAULTS[fault]
    finding = findings(faulty, "gated_delta_rule", probes=GRADIENTS[:1])["gradients"]
    assert finding.word is Word.WRONG
    assert any(sentence in reason for reason in finding.reasons), finding.reasons


def test_a_gate_that_is_exponentiated_and_taken_back_is_not_finite_at_a_reset():
    def faulty(*arrays, **named):
        return gated_delta(*arrays, **named, gate=lambda g: torch.log(torch.exp(g)))

    found = findings(faulty, "gated_delta_rule")
    assert found["gradients"].word is Word.ROUNDING
    assert "log_decay has 4 non-finite entries" in found["gradients at resets"].reasons[0]


def test_a_gradient_of_the_final_state_that_is_cut_off_is_found_where_that_of_outputs_is_right():
    def faulty(q, k, v, beta, log_decay):
        o, S = gated_delta(q, k, v, beta, log_decay)
        return o, S.detach() + 0.5 * (S - S.detach())

    found = findings(faulty, "gated_delta_rule", probes=GRADIENTS[:2])
    assert found["gradients"].word is Word.ROUNDING
    assert found["state gradients"].word is Word.WRONG


# Foreign conventions: what is scaled, normalised, exponentiated or swapped inside is differentiated there.
def heads_first(*arrays):
    return [x.swapaxes(1, 2) for x in arrays]


def as_fla(q, k, v, g, beta, initial_state=None):
    q, k, v, g, beta = heads_first(q, k, v, g, beta)
    o, S = gated_delta(q.shape[-1] ** -0.5 * q, k, v, beta, g, initial_state)
    return o.swapaxes(1, 2), S


def as_transformers(q, k, v, g, beta, *, through=lambda r: r):
    def unit(x):
        return x / through(torch.sqrt(torch.sum(x * x, -1, keepdim=True) + 1e-6))

    q, k, v, g, beta = heads_first(q, k, v, g, beta)
    return gated_delta(q.shape[-1] ** -0.5 * unit(q), unit(k), v, beta, g)[0].swapaxes(1, 2)


def in_bits(q, k, v, beta, log_decay, initial_state=None):
    start = None if initial_state is None else initial_state.mT
    o, S = gated_delta(q, k, v, beta * 2 / v.shape[-1], log_decay * np.log(2.0), start)
    return o, S.mT


def linear_gate(q, k, v, beta, log_decay):
    return gated_delta(q, k, v, beta, torch.log(log_decay))


CONVENTIONS = {
    "fla": (as_fla, fla),
    "normalised": (as_transformers, transformers),
    "binary logarithm, mean squared loss, state (d_v, d_k)": (
        in_bits,
        Convention(gate=Gate.LOG2, gradient_factor=lambda d: 2 / d, state=StateLayout.VALUES_FIRST),
    ),
    "linear gates": (linear_gate, Convention(gate=Gate.LINEAR)),
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_gradients_are_judged_in_the_foreign_convention(name):
    function, convention = CONVENTIONS[name]
    found = findings(function, "gated_delta_rule", "float64", convention, probes=GRADIENTS[:2])
    assert found["gradients"].word is Word.ROUNDING, found["gradients"].reasons
    assert found["state gradients"].word in (Word.ROUNDING, None), found["state gradients"].reasons


def test_a_missing_gradient_of_the_normalisation_is_found():
    faulty = partial(as_transformers, through=torch.detach)
    finding = findings(faulty, "gated_delta_rule", "float32", transformers)["gradients"]
    assert finding.word is Word.WRONG
    assert {"the gradient by k", "the gradient by q"} == {reason[:17] for reason in finding.reasons}


def test_state_space_parameters_have_their_own_gradients():
    def mamba(C, B, x, dt, A):
        gates, values = dt * A[:, None], dt[..., None] * x
        return layers.gated_linear_attention(C, B, values, log_decay=gates).o

    convention = Convention(names=(("C", "q"), ("B", "k"), ("x", "v")), discretisation=Discretisation())
    finding = findings(mamba, "gated_linear_attention", "float64", convention)["gradients"]
    assert finding.word is Word.ROUNDING, finding.reasons
    assert "C, B, x, dt, A" in finding.reasons[0]

    def cut(C, B, x, dt, A):
        return mamba(C, B, x, dt, A.detach())

    finding = findings(cut, "gated_linear_attention", "float64", convention)["gradients"]
    assert finding.reasons == ("the gradient by A is missing: the output is cut off from it",)


def test_what_has_no_tape_is_not_asked():
    cases = {
        "NumPy": (findings(layers.linear_attention, "linear_attention", library="numpy"), "no tape"),
        "detached": (
            findings(lambda q, k, v: layers.linear_attention(q, k, v).o.detach(), "linear_attention"),
            "its output leads back to no input",
        ),
        "in place": (
            findings(lambda q, k, v: layers.linear_attention(q.mul_(1), k, v).o, "linear_attention"),
            "it cannot be differentiated: RuntimeError",
        ),
    }
    for found, sentence in cases.values():
        assert found["gradients"].word is None
        assert sentence in found["gradients"].reasons[0]
        assert not found["gradients"].failed


def test_gradients_are_computed_in_another_process(tmp_path):
    (tmp_path / "mine.py").write_text(
        textwrap.dedent("""
            import torch
            def attention(q, k, v):
                return torch.nn.functional.scaled_dot_product_attention(q, k.detach() + 0.5 * (k - k.detach()), v,
                    is_causal=True, scale=1.0)
        """)
    )
    remote = Remote(f"{tmp_path / 'mine.py'}:attention", timeout=60)
    try:
        finding = findings(remote, "softmax_attention", probes=GRADIENTS[:1])["gradients"]
    finally:
        remote.close()
    assert finding.word is Word.WRONG
    assert "the gradient by k is 0.5 times" in finding.reasons[0]


def test_a_contract_with_a_float32_state_is_judged_more_sharply_than_sixteen_bits_throughout():
    faulty = wrong_by(k=lambda g: 0.8 * g)
    kept = "bfloat16,state=float32,gate=float32,residual=float32"
    finding = findings(faulty, "gated_delta_rule", "bfloat16", contract=kept, probes=GRADIENTS[:1])["gradients"]
    plain = findings(faulty, "gated_delta_rule", "bfloat16", probes=GRADIENTS[:1])["gradients"]
    assert finding.ratio > plain.ratio


def test_where_the_derivative_jumps_nothing_is_said_in_sixteen_bits():
    layer = layers.huber_delta_rule
    assert all(f.word is None for f in findings(layer, "huber_delta_rule", "float16").values())
    assert any(f.word is not None for f in findings(layer, "huber_delta_rule", "float32").values())
