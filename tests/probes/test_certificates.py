"""Certificates: what outputs and states must satisfy among themselves is satisfied by sound code, and by no fault."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from ttr_numerics import layers
from ttr_numerics.axes import Output
from ttr_numerics.convention import Convention, StateLayout
from ttr_numerics.pairs import pairing
from ttr_numerics.probes import Here, Subject
from ttr_numerics.probes.battery import examined
from ttr_numerics.probes.certificates import CERTIFICATES
from ttr_numerics.verdict import Word

ROWS = ("gated_delta_rule", "mesa", "softmax_attention", "mlstm", "rwkv4", "ttt_mlp", "intention", "hopfield")


def findings(function, name, dtype="float32", library="numpy", convention=None):
    subject = Subject(Here(function), pairing(name), convention or Convention(), dtype, library)
    return {f.probe: f for f in examined(subject, CERTIFICATES, 17)}


@pytest.mark.parametrize(("dtype", "library"), [("float64", "numpy"), ("float32", "torch"), ("bfloat16", "torch")])
@pytest.mark.parametrize("name", ROWS)
def test_every_layer_has_its_certificates(name, dtype, library):
    found = findings(pairing(name).layer, name, dtype, library)
    assert {f.word for f in found.values()} <= {Word.ROUNDING, None}, [f.reasons for f in found.values()]
    assert found["not zero"].word is Word.ROUNDING
    assert not any(f.failed for f in found.values())


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("probe", CERTIFICATES, ids=lambda p: p.name)
def test_no_fault_has_a_certificate(probe, name):
    finding = findings(probe.fault(pairing(name)), name)[probe.name]
    assert finding.word in (Word.WRONG, None)
    assert finding.word is Word.WRONG or finding.reasons == findings(pairing(name).layer, name)[probe.name].reasons


def delta(q, k, v, beta, initial_state=None, *, out=lambda S: S, into=lambda S: S, final=lambda S, before: S):
    """A delta rule in einsum, whose state is changed on its way out and in."""
    S = np.zeros((*k.shape[:-2], k.shape[-1], v.shape[-1]), q.dtype) if initial_state is None else into(initial_state)
    before, outputs = S, []
    for t in range(k.shape[-2]):
        before, residual = S, v[..., t, :] - np.einsum("...k,...kv->...v", k[..., t, :], S)
        S = S + np.einsum("...k,...v->...kv", k[..., t, :], beta[..., t, None] * residual)
        outputs.append(np.einsum("...k,...kv->...v", q[..., t, :], S))
    return np.stack(outputs, -2), out(final(S, before))


def one_way(**hooks):
    """The same without a parameter for an initial state."""
    return lambda q, k, v, beta: delta(q, k, v, beta, **hooks)


def test_an_independent_loop_has_both_certificates_of_its_state():
    found = findings(delta, "delta_rule")
    assert found["final state"].word is found["read-out"].word is Word.ROUNDING


def test_a_transposed_state_is_turned_round_and_said_so():
    found = findings(one_way(out=lambda S: S.mT), "delta_rule")
    assert found["final state"].word is Word.ROUNDING
    assert found["final state"].reasons[1] == "its final state is transposed, against the declared layout"
    declared = findings(
        one_way(out=lambda S: S.mT), "delta_rule", convention=Convention(state=StateLayout.VALUES_FIRST)
    )
    assert len(declared["final state"].reasons) == 1


FAULTY_STATES = {
    "of the token before": lambda S, before: before,
    "zero": lambda S, before: 0 * S,
    "two percent small": lambda S, before: 0.98 * S,
    "with rows exchanged": lambda S, before: S[..., ::-1, :],
    "in bfloat16": lambda S, before: torch.tensor(S).bfloat16().float().numpy(),
}


@pytest.mark.parametrize("fault", FAULTY_STATES)
def test_a_wrong_final_state_behind_right_outputs_is_found(fault):
    found = findings(one_way(final=FAULTY_STATES[fault]), "delta_rule")
    assert found["read-out"].word is Word.WRONG
    assert found["final state"].word is Word.WRONG or fault == "of the token before"  # a chain of steps all the same


def test_a_state_with_a_meaning_of_its_own_is_not_accused_where_the_subject_goes_on_from_it():
    def halved(q, k, v, beta, initial_state=None):
        return delta(q, k, v, beta, initial_state, out=lambda S: S / 2, into=lambda S: 2 * S)

    found = findings(halved, "delta_rule")
    for probe in ("final state", "read-out"):
        assert found[probe].word is None
        assert "a meaning of its own" in found[probe].reasons[0]
    assert findings(one_way(out=lambda S: S / 2), "delta_rule")["final state"].word is Word.WRONG


def test_states_of_another_form_or_none_at_all_say_why():
    found = findings(one_way(out=lambda S: S[..., :2]), "delta_rule")
    assert "has another form than the layer's: (1, 2, 8, 2), expected (1, 2, 8, 8)" in found["final state"].reasons[0]
    found = findings(lambda q, k, v, beta: delta(q, k, v, beta)[0], "delta_rule")
    assert found["final state"].reasons == ("the subject returns no final state",)


def prefix_ridge(q, k, v, ridge, weight=1.0):
    """scikit-learn's ridge regression of every prefix."""
    o = np.zeros_like(v)
    for index in np.ndindex(k.shape[:-2]):
        for t in range(k.shape[-2]):
            model = Ridge(alpha=weight * float(ridge), fit_intercept=False)
            model.fit(k[index][: t + 1], v[index][: t + 1])
            o[index][t] = q[index][t] @ np.atleast_2d(model.coef_).T
    return o


def test_scikit_learn_satisfies_its_normal_equations_and_another_ridge_does_not():
    found = findings(prefix_ridge, "mesa")["normal equations"]
    assert found.word is Word.ROUNDING
    assert "LAPACK's units" in found.reasons[0]
    wrong = findings(lambda q, k, v, ridge: prefix_ridge(q, k, v, ridge, 1.01), "mesa")["normal equations"]
    assert wrong.word is Word.WRONG


EMPTY = {
    "zeros": (lambda o, q, k, v: 0 * o, "a whole head of the output is zero"),
    "one head": (lambda o, q, k, v: o * np.array([1, 0])[:, None, None], "a whole head of the output is zero"),
    "the first token": (lambda o, q, k, v: 0 * o + o[..., :1, :], "the same at every token"),
    "values": (lambda o, q, k, v: v, "does not depend on q"),
}


@pytest.mark.parametrize("fault", EMPTY)
def test_outputs_that_say_nothing_are_wrong_in_any_precision(fault):
    change, sentence = EMPTY[fault]

    def empty(q, k, v):
        return change(layers.softmax_attention(q, k, v).o, q, k, v)

    for dtype in ("float32", "float16"):
        finding = findings(empty, "softmax_attention", dtype)["not zero"]
        assert finding.word is Word.WRONG
        assert sentence in finding.reasons[0]


def test_attention_that_is_not_normalised_leaves_the_range_of_its_values():
    def unnormalised(q, k, v):
        weights = np.tril(np.exp(q @ k.mT))
        return weights @ v / (1e-2 + weights.sum(-1, keepdims=True))

    assert findings(unnormalised, "softmax_attention")["averages"].word is Word.WRONG
    assert findings(layers.softmax_attention, "softmax_attention")["averages"].word is Word.ROUNDING


def test_a_layer_that_averages_nothing_is_not_asked_for_averages():
    def more(q, k, v):
        return Output(2 * layers.linear_attention(q, k, v).o, None)

    assert findings(more, "linear_attention")["averages"].reasons == (
        "linear_attention itself is no average of values",
    )
