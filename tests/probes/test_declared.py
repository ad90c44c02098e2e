"""The probe at the declared sizes: sharp at the cost of two heads."""

import numpy as np
import pytest

from ttr_numerics.pairs import catalogue, pairing
from ttr_numerics.probes import Subject, audit, declared
from ttr_numerics.probes.shape import Shape, shape_named
from ttr_numerics.verdict import Word

SIZES = "T=70,heads=3,d_k=8,d_v=72,batch=2"


def examined(function, layer="gated_delta_rule", dtype="float32", sizes=SIZES):
    (found,) = audit(function, layer, dtype=dtype, shape=sizes, probes=["declared size"], seed=2).findings
    return found


@pytest.mark.parametrize("name", ["gated_delta_rule", "softmax_attention", "normalized_linear_attention"])
def test_the_layer_is_right_at_the_sizes_declared(name):
    seen = []

    def layer(q, k, v, **named):
        seen.append((q.shape, v.shape))
        return pairing(name).layer(q, k, v, **named)

    assert examined(layer, name).word is Word.ROUNDING
    assert seen == [((2, 3, 70, 8), (2, 3, 70, 72))]


@pytest.mark.parametrize("row", catalogue(), ids=lambda r: r.name)
def test_the_image_of_an_output_is_the_output_of_the_image(row):
    """As many heads as are drawn from two: the layer itself on all of them, against the images of two."""
    rng = np.random.default_rng(0)
    base = row.example(rng, (1, 2), T=6, d_k=dict(row.lengths).get("d_k", 8), d_v=8)
    images, shape = declared._images(row, 4, 2, rng), Shape(6, heads=4, d_k=8, d_v=8)
    o = np.asarray(row.layer(**declared._imaged(row, base, images, shape)).o)
    expected = declared._outputs(row, np.asarray(row.layer(**base).o), images, shape)
    assert np.abs(o - expected).max() <= np.sqrt(np.finfo(float).eps) * np.abs(expected).max()


def test_heads_differ_where_the_layer_cannot_tell_channels_apart():
    images = declared._images(pairing("gated_delta_rule"), 16, 2, np.random.default_rng(0))
    assert len({(i.source, i.roll, i.factor) for i in images}) == 16


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda o: o[..., 64:].fill(0), "in channels 64 to 71"),
        (lambda o: o[:, 2].fill(0), "wrong in 2 of 6 heads"),
        (lambda o: o[:, :, 64:].fill(0), "first at token 64"),
    ],
)
def test_a_fault_that_small_sizes_do_not_have_is_found_and_placed(change, said):
    def faulty(q, k, v, **named):
        o = np.array(pairing("gated_delta_rule").layer(q, k, v, **named).o)
        change(o)
        return o

    found = examined(faulty)
    assert found.word is Word.WRONG
    assert said in found.reasons[0]


def test_nothing_is_asked_where_no_sizes_are_declared():
    assert examined(pairing("delta_rule").layer, "delta_rule", sizes=None).word is None


@pytest.mark.parametrize("text", ["", "T", "T=0", "T=-1", "T=1.5", "N=3,T=4", "heads=3"])
def test_a_shape_that_is_none_is_one_sentence(text):
    with pytest.raises(ValueError, match=r"^shape: expected .*, got "):
        shape_named(text)


def test_sizes_are_read_in_any_order():
    assert shape_named("d=128, heads=16,T=4096") == Shape(4096, 16, 128, 128)
    assert Subject.__dataclass_fields__["shape"].default is None
