"""Every probe passes a sound implementation and catches the fault it carries: one that cannot fail is a defect."""

import warnings

import numpy as np
import pytest

from ttr_numerics import layers
from ttr_numerics.convention import Convention
from ttr_numerics.layers import chunked
from ttr_numerics.pairs import pairing
from ttr_numerics.probes import PROBES, Here, Subject, audit
from ttr_numerics.probes.battery import examined
from ttr_numerics.probes.shape import Shape
from ttr_numerics.verdict import Word

NAMES = ("linear_attention", "gated_linear_attention", "delta_rule", "gated_delta_rule", "mesa", "softmax_attention")
# Several keys a token, states of several parts, arrays without time, numbers, gates in which nothing is written.
UNUSUAL = ("gated_delta_product", "rwkv4", "ttt_mlp", "hopfield", "original_mesa", "hgrn", "huber_delta_rule")
RIGHT = (Word.ROUNDING, Word.ILL_CONDITIONED, Word.INCONCLUSIVE)
QUICK = [probe for probe in PROBES if probe.quick]


# What a probe needs to be declared before it asks anything.
DECLARED = {
    "honest dtype": {"dtype": "float64"},
    "grouped heads": {"convention": Convention(grouped_heads=True)},
    "declared size": {"shape": Shape(40, heads=3, d_k=8, d_v=8)},
}


def subject(function, name, dtype="float32", library="numpy", convention=None, shape=None):
    return Subject(Here(function), pairing(name), convention or Convention(), dtype, library, shape=shape)


@pytest.mark.parametrize("name", NAMES + UNUSUAL)
def test_the_layer_itself_passes_every_probe(name):
    result = audit(pairing(name).layer, name, quick=True, seed=1)
    assert result.status == 0
    assert [f.reasons for f in result.findings if f.failed or f.word not in (None, *RIGHT)] == []
    assert sum(f.word is Word.ROUNDING for f in result.findings) >= 13


@pytest.mark.parametrize("name", NAMES[:4])
def test_chunk_parallel_forms_pass_every_probe(name):
    result = audit(getattr(chunked, name), name, quick=True, seed=2)
    assert [f.reasons for f in result.findings if f.failed or f.word not in (None, *RIGHT)] == []


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_torch_in_every_dtype_passes(dtype):
    result = audit(
        pairing("gated_delta_rule").layer, "gated_delta_rule", dtype=dtype, library="torch", quick=True, seed=3
    )
    wrong = {f.probe for f in result.findings if f.failed or f.word not in (None, *RIGHT)}
    # A state kept in sixteen bits does not forget slowly and has no whole numbers beyond its bits: that is found.
    assert wrong <= (set() if dtype == "float64" else {"slow decay", "whole numbers", "small residual"})
    assert dtype == "float64" or "slow decay" in wrong


@pytest.mark.parametrize("probe", QUICK, ids=lambda p: p.name)
def test_every_probe_catches_its_own_fault(probe):
    """On every layer that it asks; regimes, which judge alike, on one layer each."""
    declared = {"library": "torch" if probe.kind == "gradient" else "numpy"} | DECLARED.get(probe.name, {})
    start, caught = QUICK.index(probe) % len(NAMES), []
    for name in NAMES[start:] + NAMES[:start]:
        finding = next(examined(subject(probe.fault(pairing(name)), name, **declared), [probe], 5))
        if finding.word is not None:
            caught.append((name, finding.word))
        if caught and probe.kind == "regime":
            break
    assert caught
    assert {word for _, word in caught} <= {Word.WRONG, Word.CONVENTION, Word.OTHER_LAYER}, caught


def test_one_probe_alone_replays_from_the_seed():
    probe = PROBES[0]
    faulty = subject(probe.fault(pairing("delta_rule")), "delta_rule")
    one, other = (next(examined(faulty, [probe], 7)) for _ in range(2))
    assert one.reasons == other.reasons
    several = ["causality", probe.name, "ragged"]
    whole = audit(probe.fault(pairing("delta_rule")), "delta_rule", probes=several, seed=7)
    assert next(f for f in whole.findings if f.probe == probe.name).reasons == one.reasons


def test_a_zero_output_is_wrong_wherever_something_was_decided():
    result = audit(lambda q, k, v: 0 * v, "linear_attention", quick=True, seed=0)
    assert result.status == 1
    assert all(f.word is not Word.ROUNDING for f in result.findings if f.probe in ("generic", "one token", "recall"))


def test_a_dropped_state_and_a_swapped_order_are_found():
    def error_first(q, k, v, beta, log_decay):
        S, rows = np.zeros((*k.shape[:-2], k.shape[-1], v.shape[-1])), []
        for t in range(k.shape[-2]):
            key = k[..., t, :, None]
            error = v[..., t, None, :] - np.swapaxes(key, -1, -2) @ S
            S = np.exp(log_decay[..., t, None, None]) * S + beta[..., t, None, None] * key @ error
            rows.append(q[..., t, None, :] @ S)
        return np.concatenate(rows, axis=-2)

    result = audit(error_first, "gated_delta_rule", probes=["generic", "gate 1"], seed=0)
    words = {f.probe: f.word for f in result.findings}
    assert words["generic"] is Word.CONVENTION
    assert words["gate 1"] is Word.ROUNDING  # the orders agree where nothing is forgotten: so says the battery


@pytest.mark.parametrize("name", UNUSUAL)
@pytest.mark.parametrize("kind", ["permutation", "hand-over", "determinism", "slow decay", "gate 1", "whole numbers"])
def test_probes_catch_their_faults_on_unusual_layers_too(name, kind):
    probe = next(p for p in PROBES if p.name == kind)
    finding = next(examined(subject(probe.fault(pairing(name)), name), [probe], 5))
    assert finding.word is None or finding.word in (Word.WRONG, Word.CONVENTION, Word.OTHER_LAYER), finding.reasons
    assert not finding.failed, finding.reasons


@pytest.mark.parametrize("chunk", [16, 64])
def test_a_state_lost_at_the_border_of_a_chunk_is_named(chunk):
    def forgetful(q, k, v):
        starts = range(0, q.shape[-2], chunk)
        rows = [layers.linear_attention(*(x[:, :, s : s + chunk] for x in (q, k, v))).o for s in starts]
        return np.concatenate(rows, axis=-2)

    result = audit(forgetful, "linear_attention", quick=True, seed=0)
    ragged = next(f for f in result.findings if f.probe == "ragged")
    assert f"the state lost at the start of every chunk of {chunk} tokens" in ragged.reasons[0]


def test_an_output_of_another_shape_is_wrong_in_every_probe_and_stops_none():
    result = audit(lambda q, k, v: v[..., :-1, :], "linear_attention", quick=True, seed=0)
    assert result.status == 1
    assert all("expected an output of shape" in f.reasons[0] for f in result.findings if f.word is not None)
    assert not any(f.failed for f in result.findings)


def test_a_warning_is_no_failure():
    def warning(q, k, v):
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        return layers.linear_attention(q, k, v)

    assert audit(warning, "linear_attention", quick=True, seed=0).status == 0


def test_a_subject_that_raises_is_said_to_fail():
    def broken(q, k, v):
        raise IndexError("no such token")

    result = audit(broken, "linear_attention", quick=True, seed=0)
    assert result.status == 3
    assert "the subject failed: IndexError: no such token" in result.findings[0].reasons[0]
