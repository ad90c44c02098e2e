"""The attention outputs of two real models: accepted as they are, rejected with any of the faults users meet."""

import numpy as np
import pytest

from tests.verdict.subjects import attention
from ttr_numerics import check, tasks
from ttr_numerics.convention import Convention, repeat_heads
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.problem import Problem
from ttr_numerics.tolerance import rounding
from ttr_numerics.verdict import Word

SMOLLM2 = Convention(scale=64**-0.5, grouped_heads=True)
MINILM = Convention(scale=32**-0.5)
CAUSAL = np.tril(np.ones((256, 256), bool))
EVERYWHERE = np.ones((256, 256), bool)


def smollm2_inputs(k=None):
    """q scaled in float32 as the model does, k and v repeated over query heads."""
    model = tasks.smollm2()
    keys = model.k if k is None else k
    return model.q / np.float32(8), repeat_heads(keys, 9), repeat_heads(model.v, 9)


def check_smollm2(o, convention=SMOLLM2):
    model = tasks.smollm2()
    return check(o, "softmax_attention", q=model.q, k=model.k, v=model.v, convention=convention)


@pytest.fixture(scope="module")
def smollm2_bound():
    """The reference and tolerance that `check` uses, derived once."""
    model = tasks.smollm2()
    arrays = SMOLLM2.ours({"q": model.q, "k": model.k, "v": model.v, "o": model.o})
    problem = Problem.build(pairing("softmax_attention"), arrays)
    return rounding(problem.row.layer, problem.arrays, FORMATS["float32"])


def test_smollm2_attention_is_nadaraya_watson_to_rounding():
    verdict = check_smollm2(tasks.smollm2().o)
    assert verdict.word is Word.ROUNDING
    assert verdict.status == 0
    assert any(reason.startswith("equals its exact partner, Nadaraya-Watson") for reason in verdict.reasons)


@pytest.mark.parametrize("layer", [0, 5])
def test_minilm_attention_is_nadaraya_watson_to_rounding(layer):
    m = tasks.minilm(layer)
    verdict = check(m.o, "bidirectional_softmax_attention", q=m.q, k=m.k, v=m.v, convention=MINILM)
    assert verdict.word is Word.ROUNDING
    assert any(reason.startswith("equals its exact partner, Nadaraya-Watson") for reason in verdict.reasons)


def test_each_of_the_768_shared_keys_of_smollm2_scaled_by_a_thousandth_is_rejected(smollm2_bound):
    model = tasks.smollm2()
    missed = []
    for head in range(3):
        group = slice(3 * head, 3 * head + 3)
        q, v = model.q[group] / np.float32(8), np.repeat(model.v[head : head + 1], 3, axis=0)
        for token in range(256):
            k = np.repeat(model.k[head : head + 1], 3, axis=0)
            k[:, token] *= np.float32(1.001)
            error = np.linalg.norm(attention(q, k, v, CAUSAL) - smollm2_bound.reference[group], axis=-1)
            if (error <= smollm2_bound.bound[group]).all():
                missed.append((head, token))
    assert not missed


@pytest.mark.parametrize("layer", [0, 5])
def test_every_minilm_key_above_the_printed_detectability_limit_is_rejected(layer):
    m = tasks.minilm(layer)
    verdict = check(m.o, "bidirectional_softmax_attention", q=m.q, k=m.k, v=m.v, convention=MINILM)
    q64, k64, v64 = m.q.astype(np.float64) / np.sqrt(32), m.k.astype(np.float64), m.v.astype(np.float64)
    q32 = (m.q / np.sqrt(np.float32(32))).astype(np.float32)
    sound = attention(q64, k64, v64, EVERYWHERE)
    visible, rejected = 0, 0
    for token in range(256):
        wide, narrow = k64.copy(), m.k.copy()
        wide[:, token] *= 1.001
        narrow[:, token] *= np.float32(1.001)
        effect = np.linalg.norm(attention(q64, wide, v64, EVERYWHERE) - sound, axis=-1)
        above = (effect > verdict.detectability).any(axis=-1)
        error = np.linalg.norm(attention(q32, narrow, m.v, EVERYWHERE) - sound, axis=-1)
        caught = (error > verdict.tolerance).any(axis=-1)
        assert caught[above].all(), (token, np.flatnonzero(above & ~caught))
        visible, rejected = visible + above.sum(), rejected + caught.sum()
    assert visible > 256 * 12 / 2  # the limit is low enough to speak of most keys
    assert rejected >= visible


def test_one_scaled_key_is_called_wrong_from_its_own_token_on():
    k = tasks.smollm2().k.copy()
    k[1, 40] *= np.float32(1.001)
    verdict = check_smollm2(attention(*smollm2_inputs(k), CAUSAL))
    assert verdict.word is Word.WRONG
    assert verdict.first_wrong is not None
    head, token = verdict.first_wrong
    assert head in (3, 4, 5)
    assert token >= 40
    assert not verdict.wrong[:3].any()
    assert not verdict.wrong[6:].any()


def test_swapped_heads_are_named():
    o = tasks.smollm2().o.copy()
    o[[2, 7]] = o[[7, 2]]
    verdict = check_smollm2(o)
    assert verdict.word is Word.CONVENTION
    assert verdict.reasons[0] == "heads are permuted: output head 2 is head 7; output head 7 is head 2"


def test_a_missing_scale_in_the_output_is_named():
    q, k, v = smollm2_inputs()
    verdict = check_smollm2(attention(q * np.float32(8), k, v, CAUSAL))
    assert verdict.word is Word.CONVENTION
    assert "a factor 1/√d is missing" in verdict.reasons[0]


def test_a_scale_missing_in_the_declaration_is_named():
    verdict = check_smollm2(tasks.smollm2().o, Convention(grouped_heads=True))
    assert verdict.word is Word.CONVENTION
    assert "q·k divided by √d" in verdict.reasons[0]


@pytest.mark.parametrize(("empty", "word"), [(np.nan, "NaN"), (0.0, "zeros")])
def test_an_exclusive_mask_is_named_and_its_empty_first_row_explained(empty, word):
    o = attention(*smollm2_inputs(), np.tril(CAUSAL, -1))
    o[:, 0] = empty
    verdict = check_smollm2(o)
    assert verdict.word is Word.CONVENTION
    assert "exclusive mask" in verdict.reasons[0]
    assert "the first row is empty" in verdict.reasons[1]
    assert f"(here {word})" in verdict.reasons[1]


def test_a_mask_that_leaks_one_token_is_named():
    verdict = check_smollm2(attention(*smollm2_inputs(), np.tril(EVERYWHERE, 1)))
    assert verdict.word is Word.CONVENTION
    assert "leaks the future" in verdict.reasons[0]


def test_attention_over_the_whole_sequence_is_named_as_another_layer():
    verdict = check_smollm2(attention(*smollm2_inputs(), EVERYWHERE))
    assert verdict.word is Word.OTHER_LAYER
    assert "bidirectional_softmax_attention" in verdict.reasons[0]


@pytest.mark.parametrize("layer", [0, 5])
def test_minilm_faults_are_rejected_and_named(layer):
    m = tasks.minilm(layer)
    given = {"q": m.q, "k": m.k, "v": m.v}
    swapped = m.o.copy()
    swapped[[1, 4]] = swapped[[4, 1]]
    verdict = check(swapped, "bidirectional_softmax_attention", **given, convention=MINILM)
    assert verdict.word is Word.CONVENTION
    assert verdict.reasons[0] == "heads are permuted: output head 1 is head 4; output head 4 is head 1"
    unscaled = attention(m.q, m.k, m.v, EVERYWHERE)
    verdict = check(unscaled, "bidirectional_softmax_attention", **given, convention=MINILM)
    assert verdict.word is Word.CONVENTION
    assert "a factor 1/√d is missing" in verdict.reasons[0]
