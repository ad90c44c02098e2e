"""Short convolution, normalised rows and rotary embedding, against torch and against complex numbers."""

import numpy as np
import pytest
import sympy
import torch

from ttr_numerics import border, layers
from ttr_numerics.arrays import to_numpy
from ttr_numerics.border import HALVES, INTERLEAVED, l2_normalized, rms_normalized, rotary, short_convolution
from ttr_numerics.derivations import matrix, real

ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


def conv1d(x, weight):
    """torch's depthwise convolution in float64, padded on the left: (..., T, d)."""
    d, w = weight.shape
    rows = torch.asarray(x).reshape(-1, *x.shape[-2:]).mT
    padded = torch.nn.functional.pad(rows, (w - 1, 0))
    return torch.nn.functional.conv1d(padded, torch.asarray(weight)[:, None], groups=d).mT.reshape(x.shape).numpy()


def sizes(x, weight):
    """Σ |weight_j| |x_{t-w+1+j}|: what its roundings are relative to."""
    return conv1d(np.abs(x), np.abs(weight))


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)
@pytest.mark.parametrize("width", [1, 2, 4, 9])
@pytest.mark.parametrize("T", [0, 1, 7])
def test_short_convolution_is_that_of_torch(T, width, batch, library, rng):
    x, weight = rng.standard_normal((*batch, T, 5)), rng.standard_normal((5, width))
    ours, taps = library.asarray(x), library.asarray(weight)
    y = short_convolution(ours, weight=taps)
    assert type(y.o) is type(ours)
    assert y.o.dtype == y.state.dtype == ours.dtype
    assert tuple(y.state.shape) == (*batch, width - 1, 5)
    x, weight = to_numpy(ours).astype(np.float64), to_numpy(taps).astype(np.float64)
    if not T:
        assert tuple(y.o.shape) == x.shape
        return
    # A dot product of w terms in two orders of summation (Higham, section 3.1); float16 also loses what underflows.
    allowed = 2 * width * ROUNDOFF[library.dtype] * (sizes(x, weight) + 2.0**-14)
    assert (np.abs(to_numpy(y.o).astype(np.float64) - conv1d(x, weight)) <= allowed).all()


@pytest.mark.parametrize("width", [1, 2, 4, 9])
@pytest.mark.parametrize("split", [0, 1, 3, 7])
def test_a_convolution_split_anywhere_is_the_whole_to_the_last_bit(split, width, rng):
    x, weight = rng.standard_normal((2, 7, 5)), rng.standard_normal((5, width))
    whole = short_convolution(x, weight=weight)
    head = short_convolution(x[:, :split], weight=weight)
    tail = short_convolution(x[:, split:], weight=weight, initial_state=head.state)
    assert np.array_equal(np.concatenate([head.o, tail.o], 1), whole.o)
    assert np.array_equal(tail.state, whole.state)


def test_a_convolution_that_sees_the_future_or_reverses_its_taps_is_seen(rng):
    x, weight = rng.standard_normal((2, 7, 5)), rng.standard_normal((5, 3))
    allowed, truth = 6 * ROUNDOFF["float64"] * sizes(x, weight), conv1d(x, weight)
    assert (np.abs(short_convolution(x, weight=weight).o - truth) <= allowed).all()
    assert (np.abs(short_convolution(x, weight=weight[:, ::-1].copy()).o - truth) > allowed).all()
    ahead = short_convolution(np.roll(x, -1, 1), weight=weight).o
    assert (np.abs(ahead - truth) > allowed).all()


def test_width_two_makes_keys_of_the_previous_tokens_and_the_layer_a_bigram_memory(rng):
    words = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    x = words[[0, 1, 2, 3, 0]]
    keys = short_convolution(x, weight=np.tile([1.0, 0.0], (6, 1))).o
    assert np.array_equal(keys[1:], x[:-1])
    assert not keys[0].any()
    o = layers.linear_attention(x, keys, x).o
    # Orthonormal words to a few roundoffs: what followed word 0 is word 1.
    assert np.linalg.norm(o[-1] - words[1]) <= 6 * 36 * ROUNDOFF["float64"]


def test_gradients_of_the_border_match_finite_differences(rng):
    x, weight, state = (torch.asarray(rng.standard_normal(s)).requires_grad_() for s in ((4, 2), (2, 3), (2, 2)))
    assert torch.autograd.gradcheck(
        lambda *a: short_convolution(a[0], weight=a[1], initial_state=a[2]).o, (x, weight, state)
    )
    assert torch.autograd.gradcheck(lambda x: l2_normalized(x, epsilon=1e-6), (x,))
    assert torch.autograd.gradcheck(lambda x: rms_normalized(x, epsilon=1e-6), (x,))
    assert torch.autograd.gradcheck(lambda x: rotary(x, torch.arange(4)), (x,))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"x": np.ones(3)}, r"^x: expected shape \(\.\.\., T, d\), got \(3,\)$"),
        ({"weight": np.ones(3)}, r"^weight: expected shape \(3, width\), got \(3,\)$"),
        ({"weight": np.ones((2, 4))}, r"^weight: expected shape \(3, width\), got \(2, 4\)$"),
        ({"weight": np.ones((3, 0))}, r"^weight: expected shape \(3, width\), got \(3, 0\)$"),
        ({"weight": np.ones((3, 2), np.float32)}, "^weight: expected dtype float64 as x, got float32$"),
        (
            {"initial_state": np.ones((2, 3))},
            r"^initial_state: expected shape \(1, 3\) and dtype float64, got \(2, 3\)",
        ),
    ],
)
def test_a_convolution_that_does_not_fit_is_refused(changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        short_convolution(**{"x": np.ones((5, 3)), "weight": np.ones((3, 2))} | changed)


@pytest.mark.parametrize("epsilon", [0.0, 1e-6, 0.5])
def test_rms_normalised_rows_are_those_of_torch(epsilon, full_precision, rng):
    x = full_precision.asarray(rng.standard_normal((2, 5, 6)) * np.logspace(-3, 3, 5)[:, None])
    ours = to_numpy(rms_normalized(x, epsilon=epsilon)).astype(np.float64)
    theirs = torch.nn.functional.rms_norm(torch.asarray(to_numpy(x).astype(np.float64)), (6,), eps=epsilon).numpy()
    # A sum of d squares, a root and two quotients: d + 6 roundings, twice.
    assert (np.abs(ours - theirs) <= 2 * (6 + 6) * ROUNDOFF[full_precision.dtype] * np.abs(theirs)).all()


def test_l2_normalised_rows_have_norm_one_and_say_what_epsilon_does(rng):
    x = rng.standard_normal((5, 6))
    theirs = torch.nn.functional.normalize(torch.asarray(x), dim=-1).numpy()
    assert (np.abs(l2_normalized(x, epsilon=0.0) - theirs) <= 2 * (6 + 6) * ROUNDOFF["float64"] * np.abs(theirs)).all()
    small = 1e-3 * x / np.linalg.norm(x, axis=-1, keepdims=True)
    shrunk = np.linalg.norm(l2_normalized(small, epsilon=1e-6), axis=-1)
    assert (np.abs(shrunk - np.sqrt(0.5)) <= 40 * ROUNDOFF["float64"]).all(), "under the root: 1/√2 at ‖x‖ = √ε"
    assert np.array_equal(l2_normalized(np.zeros((1, 3)), epsilon=1e-6), np.zeros((1, 3)))
    with np.errstate(invalid="ignore"):
        assert np.isnan(l2_normalized(np.zeros((1, 3)), epsilon=0.0)).all()


def by_complex_numbers(x, places, base, layout):
    """Every plane as a complex number times e^{iθ}, θ in extended precision."""
    d = x.shape[-1]
    planes = np.arange(d // 2)
    first, second = (planes, planes + d // 2) if layout == HALVES else (2 * planes, 2 * planes + 1)
    angle = places[..., None] * np.longdouble(base) ** (-2 * planes / np.longdouble(d))
    turned = (x[..., first] + 1j * x[..., second]) * np.exp(1j * angle)
    result = np.empty_like(x)
    result[..., first], result[..., second] = turned.real, turned.imag
    return result


@pytest.mark.parametrize("layout", [HALVES, INTERLEAVED], ids=str)
@pytest.mark.parametrize(("first", "base"), [(0, 10000.0), (131072, 500000.0)])
def test_rotary_turns_every_plane_as_a_complex_number(first, base, layout, library, rng):
    x, places = rng.standard_normal((2, 7, 6)), first + np.arange(7)
    ours = library.asarray(x)
    where = border.positions(ours, 7) + first
    y = rotary(ours, where, base=base, layout=layout)
    assert y.dtype == ours.dtype
    x = to_numpy(ours).astype(np.float64)
    u, size = ROUNDOFF[library.dtype], np.linalg.norm(x, axis=-1)
    # Angle: a few float64 roundings of a number as large as the place. Cosine, products and sum: four of the dtype.
    allowed = (8 * ROUNDOFF["float64"] * (1 + places) + 4 * u) * size + 6 * (
        2.0**-24 if library.dtype == "float16" else 0
    )
    distance = np.linalg.norm(to_numpy(y).astype(np.float64) - by_complex_numbers(x, places, base, layout), axis=-1)
    assert (distance <= allowed).all()
    late = by_complex_numbers(x, places + 1, base, layout)
    assert (np.linalg.norm(to_numpy(y).astype(np.float64) - late, axis=-1) > allowed).all(), "one place off is seen"


def test_rotary_scores_depend_on_the_difference_of_places_alone():
    (x, y), i, j = (real(name, 1, 2) for name in "xy"), *sympy.symbols("i j", real=True)
    for layout in (HALVES, INTERLEAVED):
        turned = [rotary(z, matrix([place]), base=sympy.Integer(10000), layout=layout) for z, place in ((x, i), (y, j))]
        apart = rotary(x, matrix([i - j]), base=sympy.Integer(10000), layout=layout)
        assert sympy.simplify((turned[0] @ turned[1].T - apart @ y.T)[0, 0]) == 0
        assert sympy.simplify((turned[0] @ turned[0].T - x @ x.T)[0, 0]) == 0, "norms stay"


def test_rotary_refuses_an_odd_width_and_places_that_do_not_fit():
    with pytest.raises(ValueError, match="^x: expected an even number of channels, got 3$"):
        rotary(np.ones((4, 3)), np.arange(4))
    with pytest.raises(ValueError, match=r"^places: expected shape \(\.\.\., 4\), got \(5,\)$"):
        rotary(np.ones((4, 2)), np.arange(5))
