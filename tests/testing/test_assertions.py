"""The assertions are silent on sound code, and on faulty code their message is the verdict, in twenty lines."""

import numpy as np
import pytest

from ttr_numerics import Convention, layers
from ttr_numerics.probes import Audit, Finding
from ttr_numerics.testing import assert_layer, assert_output
from ttr_numerics.testing.message import LINES, message
from ttr_numerics.testing.record import listen
from ttr_numerics.verdict import Word


def forgetting_late(q, k, v, log_decay, beta):
    """The gated delta rule with the error taken before the decay, token by token in NumPy."""
    S, rows = np.zeros((*k.shape[:-2], k.shape[-1], v.shape[-1]), q.dtype), []
    for t in range(q.shape[-2]):
        key, gate, step = k[..., t, :, None], np.exp(log_decay[..., t, None, None]), beta[..., t, None, None]
        S = gate * S + step * key * (v[..., t, None, :] - np.swapaxes(key, -1, -2) @ S)
        rows.append(q[..., t, None, :] @ S)
    return np.concatenate(rows, axis=-2)


def test_a_sound_function_passes_and_its_audit_comes_back():
    found = assert_layer(layers.delta_rule, layers.delta_rule, library="numpy")
    assert found.status == 0


def test_the_message_names_the_cause_in_at_most_twenty_lines():
    with pytest.raises(AssertionError) as failure:
        assert_layer(forgetting_late, "gated_delta_rule", library="numpy")
    lines = str(failure.value).splitlines()
    assert lines[0].startswith("forgetting_late is not gated_delta_rule in float32")
    assert len(lines) <= LINES
    assert any("error taken before the decay" in line for line in lines)
    assert "seed 0" in lines[-1]


def test_many_different_faults_still_fit():
    findings = tuple(Finding(f"probe {i}", "a claim", Word.WRONG, ("a reason " * 80 + str(i),)) for i in range(30))
    text = message(Audit("delta_rule", "float32", 3, findings), "mine")
    assert len(text.splitlines()) <= LINES
    assert "and 27 more" in text


def test_a_function_that_does_not_run_is_an_assertion_not_a_crash():
    def broken(q, k, v):
        raise RuntimeError("no kernel image")

    with pytest.raises(AssertionError, match="no kernel image"):
        assert_layer(broken, "linear_attention", library="numpy")


def test_nothing_decided_is_no_pass():
    finding = Finding("generic", "equals the layer", Word.INCONCLUSIVE, ("the tolerance is as large as the answer",))
    assert "nothing was decided" in message(Audit("delta_rule", "float16", 0, (finding,)), "mine")


def test_stored_numbers_pass_or_fail_with_their_verdict():
    q, k, v = np.random.default_rng(1).standard_normal((3, 2, 20, 8))
    o = layers.softmax_attention(q / np.sqrt(8), k, v).o
    scaled = Convention(scale=8**-0.5)
    assert assert_output(o, "softmax_attention", q=q, k=k, v=v, convention=scaled).word is Word.ROUNDING
    with pytest.raises(AssertionError, match="divided by √d"):
        assert_output(o, "softmax_attention", q=q, k=k, v=v)
    with pytest.raises(AssertionError):
        assert_output(0 * o, "softmax_attention", q=q, k=k, v=v, convention=scaled)


def test_whoever_listens_hears_passes_and_failures_until_it_stops():
    heard = []
    stop = listen(lambda target, audit: heard.append((target, audit.status)))
    q, k, v = np.random.default_rng(2).standard_normal((3, 1, 8, 4))
    o = layers.linear_attention(q, k, v).o
    assert_output(o, "linear_attention", q=q, k=k, v=v)
    with pytest.raises(AssertionError):
        assert_output(o[..., ::-1, :], "linear_attention", q=q, k=k, v=v)
    stop()
    assert_output(o, "linear_attention", q=q, k=k, v=v)
    assert heard == [("stored output", 0), ("stored output", 1)]
