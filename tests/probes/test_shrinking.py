"""A failing case is made small, still fails, and is the case of these calls alone."""

import time

import numpy as np
import pytest

from tests.probes import faulty
from ttr_numerics import layers
from ttr_numerics.convention import PRESETS
from ttr_numerics.probes import audit, plan
from ttr_numerics.probes.failure import Mode, again
from ttr_numerics.probes.shrunk import CALLS
from ttr_numerics.probes.subject import Subject


def case_of(function, probe, layer="linear_attention", **options):
    """The case of one probe, shrunk, and the subject."""
    planned = plan(function, layer, probes=[probe], seed=1, **options)
    findings = list(planned.findings())
    return dict(planned.cases(findings, 30.0)).get(probe), planned.subject


def sizes(case):
    return [call.case.ours["q"].shape[-3:] for call in case.calls]


def test_a_leak_is_shown_by_two_tokens_of_plain_numbers():
    case, _ = case_of(faulty.leaking, "generic")
    assert case.shrunk
    assert sizes(case) == [(1, 2, 1)]
    assert all(np.isin(x, (0.0, 1.0)).all() for x in case.calls[0].case.foreign.values())
    assert case.got[0, 0, 0, 0] - case.expected[0, 0, 0, 0] == 1.0  # the second value, seen by the first query


def test_a_state_lost_after_sixteen_tokens_is_shown_by_seventeen():
    case, _ = case_of(faulty.forgetful, "ragged")
    assert sizes(case) == [(1, 17, 1)]
    assert np.argwhere(case.error > case.tolerance).tolist() == [[0, 0, 16]]


def test_a_dropped_state_is_shown_by_two_calls():
    case, _ = case_of(faulty.stateless, "hand-over")
    assert sizes(case) == [(1, 1, 1), (1, 1, 1)]
    assert [call.source for call in case.calls] == [None, 0]


def test_an_error_is_shown_at_the_shortest_length_that_raises():
    case, _ = case_of(faulty.broken, "ragged")
    assert (case.mode, case.said) == (Mode.NO_OUTPUT, "IndexError: no such token")
    assert sizes(case) == [(1, 21, 1)]


def test_inputs_written_into_are_shown_by_one_number():
    case, _ = case_of(faulty.writing, "inputs unchanged")
    assert (case.mode, case.said) == (Mode.INPUTS, "v")
    assert case.size == 3


def test_nan_stays_nan_and_is_shown_by_one_token():
    case, _ = case_of(faulty.overflowing, "huge queries")
    assert case.mode is Mode.NOT_FINITE
    assert sizes(case) == [(1, 1, 1)]


def test_values_stay_in_their_domain():
    def ungated(q, k, v, log_decay):
        return layers.gated_linear_attention(q, k, v, log_decay=0 * log_decay)

    case, _ = case_of(ungated, "generic", "gated_linear_attention")
    assert sizes(case) == [(1, 2, 1)]
    assert (case.calls[0].case.ours["log_decay"] < 0).any()
    assert (case.calls[0].case.ours["log_decay"] <= 0).all()


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_a_shrunk_case_fails_beyond_a_tolerance_drawn_afresh(dtype):
    case, subject = case_of(
        lambda q, k, v: 1.2 * layers.linear_attention(q, k, v).o, "generic", dtype=dtype, library="torch"
    )
    for seed in (2, 3):
        fresh = again(subject, case.calls, exact=False, seed=seed)
        assert fresh.mode is Mode.OUTPUT
        assert (fresh.error > fresh.tolerance).any()


def test_what_only_a_memory_of_earlier_calls_explains_is_not_blamed_on_one_call():
    planned = plan(faulty.remembering(), "linear_attention", probes=["determinism", "recall"], seed=1)
    findings = list(planned.findings())
    assert all(f.wrong for f in findings)
    cases = dict(planned.cases(findings, 30.0))
    assert cases["recall"] is None
    assert len(cases["determinism"].calls) == 2


def test_the_calls_of_shrinking_are_bounded_and_so_is_its_time():
    called = []

    def slow(q, k, v):
        called.append(time.sleep(0.02))
        return faulty.leaking(q, k, v)

    planned = plan(slow, "linear_attention", probes=["generic"], seed=1)
    findings = list(planned.findings())
    called.clear()
    begun = time.perf_counter()
    assert dict(planned.cases(findings, 0.2))["generic"] is not None
    assert time.perf_counter() - begun < 10  # the clock is looked at between calls; a busy machine is allowed for
    assert len(called) < CALLS // 4


def test_no_time_means_no_cases_and_no_calls():
    called = []

    def counted(q, k, v):
        called.append(1)
        return faulty.leaking(q, k, v)

    asked = audit(counted, "linear_attention", probes=["generic"], seed=1)
    assert [f.case for f in asked.findings] == [None]
    assert len(called) == 1


def test_a_sound_subject_has_no_cases():
    result = audit(faulty.sound, "linear_attention", probes=["generic", "causality"], seed=1, shrink=5.0)
    assert [f.case for f in result.findings] == [None, None]


def test_cases_are_the_same_whenever_they_are_sought():
    one, other = (case_of(faulty.forgetful, "ragged")[0] for _ in range(2))
    assert all(
        np.array_equal(a, b)
        for a, b in zip(one.calls[0].case.ours.values(), other.calls[0].case.ours.values(), strict=True)
    )


def test_a_journal_holds_every_call_in_order():
    planned = plan(faulty.sound, "linear_attention", probes=["homogeneous in q"], seed=1)
    subject: Subject = planned.subject
    planned.probes[0].examine(subject, np.random.default_rng(0))
    q, scaled = (entry.case.ours["q"] for entry in subject.journal)
    assert np.array_equal(4 * q, scaled)


def test_an_input_that_the_convention_has_no_words_for_is_not_asked():
    """Mamba's step sizes cannot say a gate of 1; smaller cases with such gates are passed over as well."""
    result = audit(
        lambda q, k, v, dt, A: 0 * v,
        "gated_linear_attention",
        convention=PRESETS["mamba"],
        probes=["gate 1", "generic"],
        seed=1,
        shrink=10.0,
    )
    generic, gate = sorted(result.findings, key=lambda f: len(f.probe), reverse=True)
    assert gate.word is None
    assert "the declared convention has no words for this input" in gate.reasons[0]
    assert generic.wrong
    assert sizes(generic.case) == [(1, 1, 1)]
