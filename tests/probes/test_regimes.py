"""What regimes are made of, and what each alone sees."""

import numpy as np
import pytest

from ttr_numerics.convention import Convention, L2Norm, Layout, StateLayout
from ttr_numerics.layers import gated_delta_rule, softmax_attention
from ttr_numerics.pairs import catalogue, pairing
from ttr_numerics.probes import Here, NotApplicable, Subject, audit, inputs
from ttr_numerics.probes.heads import keeps_tokens
from ttr_numerics.probes.probe import drawn
from ttr_numerics.tasks import smollm2
from ttr_numerics.verdict import Word


def subject(name):
    return Subject(Here(pairing(name).layer), pairing(name), Convention(), "float32", "numpy")


def found(function, layer, probe, **given):
    (finding,) = audit(function, layer, probes=[probe], seed=6, **given).findings
    return finding


@pytest.mark.parametrize("row", catalogue(), ids=lambda r: r.name)
def test_real_keys_are_of_the_size_and_sign_that_the_layer_takes(row):
    rng = np.random.default_rng(0)
    example = drawn(subject(row.name), rng, T=20, d_k=32, d_v=32)
    arrays = inputs.real(subject(row.name), example, rng)
    for x in (row.queries, row.keys, row.values):
        assert arrays[x.name].shape == example[x.name].shape
        assert np.isfinite(arrays[x.name]).all()
        assert (example[x.name] < 0).any() or (arrays[x.name] >= 0).all()
    assert np.isfinite(row.layer(**arrays).o).all()


def test_real_keys_are_rows_of_the_model():
    rng = np.random.default_rng(3)
    arrays = inputs.real(subject("delta_rule"), drawn(subject("delta_rule"), rng, T=30, d_k=64, d_v=64), rng)
    rows = smollm2().k / np.linalg.norm(smollm2().k, axis=-1, keepdims=True)
    nearest = np.abs(arrays["k"][0, 0, :, None] - rows.reshape(-1, 64)[None]).max(axis=-1).min(axis=-1)
    assert (nearest <= np.finfo(np.float32).eps).all()


def test_the_converged_regime_converges():
    rng = np.random.default_rng(0)
    arrays = inputs.converged(subject("gated_delta_rule"), drawn(subject("gated_delta_rule"), rng, T=64), rng)
    residual = arrays["v"] - np.asarray(gated_delta_rule(**arrays).o)
    size = np.linalg.norm(residual, axis=-1).max(axis=1)[0]
    assert size[-4:].max() < size[:4].max() / 50


def test_keys_of_several_a_token_do_not_recall():
    name = "gated_delta_product"
    with pytest.raises(NotApplicable, match="several keys"):
        inputs.converged(subject(name), drawn(subject(name), np.random.default_rng(0)), np.random.default_rng(0))


def test_a_chunk_form_without_resets_is_no_fault_and_says_so():
    def through_logarithms(q, k, v, log_decay):
        with np.errstate(invalid="ignore"):
            c = np.cumsum(log_decay, axis=-1)
            decay = np.exp(np.where(np.tri(q.shape[-2], dtype=bool), c[..., :, None] - c[..., None, :], -np.inf))
            return (q @ np.swapaxes(k, -1, -2) * decay) @ v

    finding = found(through_logarithms, "gated_linear_attention", "resets")
    assert finding.word is Word.INCONCLUSIVE
    assert "NaN or infinite where a log gate is -inf" in finding.reasons[0]
    assert found(through_logarithms, "gated_linear_attention", "mixed gates").word is Word.ROUNDING


def repeated(x, axis):
    return np.repeat(x, 2, axis=axis)


def tiled(x, axis):
    return np.concatenate([x, x], axis=axis)


@pytest.mark.parametrize(("spread", "right"), [(repeated, True), (tiled, False)])
@pytest.mark.parametrize("layout", Layout)
def test_heads_that_share_are_neighbours(spread, right, layout):
    convention = Convention(grouped_heads=True, layout=layout, names=(("key", "k"),))
    axis = 1 if layout is Layout.HEADS_FIRST else 2

    def attention(q, key, v):
        assert (key.shape[axis], v.shape[axis]) in ((4, 4), (2, 2))
        wide = (x if x.shape[axis] == 4 else spread(x, axis) for x in (key, v))
        return layout.ours(softmax_attention(*(layout.ours(x, 1) for x in (q, *wide))).o, 1)

    finding = found(attention, "softmax_attention", "grouped heads", convention=convention)
    assert (finding.word is Word.ROUNDING) == right


def test_grouped_heads_that_are_refused_or_not_declared_are_not_judged():
    assert found(softmax_attention, "softmax_attention", "grouped heads").word is None
    refused = found(softmax_attention, "softmax_attention", "grouped heads", convention=Convention(grouped_heads=True))
    assert refused.word is None
    assert "refuses k and v of fewer heads" in refused.reasons[0]


def test_layers_that_keep_their_tokens_are_known():
    kept = {row.name for row in catalogue() if keeps_tokens(row)}
    assert {"softmax_attention", "forgetting_attention", "kernel_ridge_attention", "intention"} <= kept
    assert not kept & {"linear_attention", "normalized_linear_attention", "mesa", "mlstm", "omega_rule", "ttt_mlp"}


def test_a_state_in_another_layout_is_found_unless_it_is_declared():
    def transposed(q, k, v, initial_state=None, **named):
        S = None if initial_state is None else np.swapaxes(initial_state, -1, -2)
        return gated_delta_rule(q, k, v, initial_state=S, **named)

    assert found(transposed, "gated_delta_rule", "initial state").word is Word.CONVENTION
    declared = Convention(state=StateLayout.VALUES_FIRST)
    assert found(transposed, "gated_delta_rule", "initial state", convention=declared).word is Word.ROUNDING


def test_a_declared_norm_that_is_not_taken_is_found():
    convention = Convention(normalise=L2Norm(1e-6))

    def normalised(q, k, v, **named):
        q, k = (x / np.sqrt(np.sum(x * x, axis=-1, keepdims=True) + 1e-6) for x in (q, k))
        return gated_delta_rule(q, k, v, **named)

    assert found(normalised, "gated_delta_rule", "generic", convention=convention).word is Word.ROUNDING
    assert found(gated_delta_rule, "gated_delta_rule", "generic", convention=convention).word is not Word.ROUNDING


def test_subnormal_values_flushed_to_zero_are_found_in_float16():
    def flushed(q, k, v):
        v = np.where(np.abs(v) < np.finfo(np.float16).smallest_normal, 0, v).astype(np.float16)
        single = (x.astype(np.float32) for x in (q, k, v))
        return pairing("linear_attention").layer(*single).o.astype(np.float16)

    assert found(flushed, "linear_attention", "smallest values", dtype="float16").word is not Word.ROUNDING
    assert found(flushed, "linear_attention", "generic", dtype="float16").word is Word.ROUNDING
