"""Torch in rounded arithmetic: its operations and its tape make the errors of the arithmetic, and no others."""

import numpy as np
import pytest
import torch

from ttr_numerics.arrays.rounded import rounded
from ttr_numerics.arrays.rounded_torch import rounded_operations
from ttr_numerics.arrays.tape import leaf, on_tape, vector_jacobian
from ttr_numerics.pairs import catalogue, pairing
from ttr_numerics.precision import FORMATS, throughout

U = {name: f.u for name, f in FORMATS.items()}
HALF = np.sqrt(U["float64"])  # what is not the same differs in the first digits


def replicas(name, seed=0):
    return FORMATS[name].replicas(np.random.default_rng(seed))


def nearest(name):
    return throughout(FORMATS[name]).nearest()


def test_products_forward_and_backward_are_off_by_at_most_one_rounding(rng):
    x, y = (leaf(torch.tensor(rng.standard_normal((16, 40)))) for _ in range(2))
    c = torch.tensor(rng.standard_normal((16, 40)))
    with rounded_operations(replicas("float32")):
        z = x * y
        gradient = vector_jacobian([z], [c], [x])[0]
    for got, exact in ((z, x * y), (gradient, c * y)):
        error = ((got - exact) / exact).detach().abs() / U["float32"]
        assert 0.9 < float(error.max()) <= 1 + HALF  # the largest of 640 uniform errors, 1e-29 to stay below 0.9


def test_moving_numbers_is_exact(rng):
    x, mask = torch.tensor(rng.standard_normal((3, 4, 5))), torch.tensor(rng.standard_normal((4, 5)) > 0)
    exact = [
        lambda x: x[:, 1:3].mT.reshape(-1),
        lambda x: torch.where(mask, x, 0.0),
        lambda x: torch.cat([x, -x]).flip(0).roll(1, 0),
        lambda x: 1.0 * x + 0.0,
        lambda x: x.tril().clone() / 1.0,
        lambda x: torch.stack([x, x.abs()]).amax(-1),
        lambda x: torch.maximum(x, x.sign()),
        lambda x: torch.exp(0 * x),
    ]
    for f in exact:
        with rounded_operations(replicas("bfloat16")):
            got = f(x)
        assert torch.equal(got, f(x))


def test_what_reads_a_row_of_a_sequence_adds_up_exactly_where_nothing_overlaps(rng):
    x = leaf(torch.tensor(rng.standard_normal((5, 3))))
    with rounded_operations(replicas("bfloat16")):
        y = torch.stack([x[t] for t in range(5)])
        gradient = vector_jacobian([y], [torch.ones_like(y)], [x])[0]
    assert torch.equal(gradient, torch.ones_like(x))


@pytest.mark.parametrize("backward", [False, True])
def test_nearest_is_what_torch_computes_in_bfloat16(backward, rng):
    x, y, c = (torch.tensor(rng.standard_normal((64, 8))).bfloat16() for _ in range(3))

    def computed(x, y, c):
        x, y = leaf(x), leaf(y)
        z = (x * y) * x
        return vector_jacobian([z], [c], [x])[0] if backward else z

    with rounded_operations(nearest("bfloat16")):
        got = computed(*(z.double() for z in (x, y, c)))
    # The two products of the gradient are added in float32 by torch, then rounded: twice, once in 2^16 on the border.
    assert float((got == computed(x, y, c).double()).double().mean()) > 0.99


@pytest.mark.parametrize("f", [lambda x, y: x @ y, lambda x, y: (x @ y).mT], ids=["product", "transposed"])
def test_matrix_products_make_the_errors_of_rounded_arrays(f, rng):
    x, y = rng.standard_normal((2, 4, 6)), rng.standard_normal((2, 6, 3))
    one, other = replicas("float32"), replicas("float32")
    with rounded_operations(one):
        got = f(torch.tensor(x), torch.tensor(y)).numpy()
    product = rounded(x, other) @ rounded(y, other)
    assert np.array_equal(got, product.x.mT if got.shape[-2] == 3 else product.x)


def test_sums_over_several_axes_are_one_sum(rng):
    x = rng.standard_normal((16, 6, 5, 4))
    with rounded_operations(replicas("float32")):
        sums = [torch.tensor(x).sum((1, 3)), torch.tensor(x).sum((1, 3), keepdim=True)[:, 0, :, 0]]
        mean = torch.tensor(x).mean((1, 3))
    for got, exact in ((sums[0], x.sum((1, 3))), (sums[1], x.sum((1, 3))), (mean, x.mean((1, 3)))):
        n, scale = 24, np.sum(np.abs(x), axis=(1, 3)) / (24 if exact is x.mean((1, 3)) else 1)
        error = np.abs(got.numpy() - exact)
        assert (error <= n * U["float32"] * scale).all()  # Higham, section 4.2: any order
        assert error.any()


def test_running_sums_have_the_error_of_adding_term_by_term(rng):
    x = rng.uniform(0.5, 1.5, (256, 512))
    x = x.astype(np.float32).astype(np.float64)
    exact = np.cumsum(x, axis=-1)
    truth = np.cumsum(x.astype(np.float32), axis=-1, dtype=np.float32) - exact
    with rounded_operations(replicas("float32")):
        model = torch.tensor(x).cumsum(-1).numpy() - exact
    # An error of rounding to nearest averages u²/3 of the power of two below, which is u²/3 to u²/12 of the number.
    ratio = np.sqrt(np.mean(model[:, 64:] ** 2) / np.mean(truth[:, 64:] ** 2))
    assert 1 < ratio < 2.2


ROWS = ("mesa", "kernel_ridge_attention", "intention", "ttt_mlp", "forgetting_attention", "mlstm", "entmax_attention")


@pytest.mark.parametrize("name", ROWS)
def test_arithmetic_that_makes_no_error_changes_no_gradient(name, rng):
    row = pairing(name)
    arrays = row.example(rng, (2,), T=7, d_k=3, d_v=4) if not row.lengths else row.example(rng, (2,))

    def gradients():
        leaves = {n: leaf(torch.tensor(x)) if isinstance(x, np.ndarray) else x for n, x in arrays.items()}
        o = row.layer(**leaves).o
        return vector_jacobian([o], [torch.ones_like(o)], [x for x in leaves.values() if on_tape(x)])

    with rounded_operations(nearest("float64")):
        got = gradients()
    for x, y in zip(got, gradients(), strict=True):
        assert float((x - y).abs().max()) <= HALF * float(y.abs().max())


def test_every_layer_has_a_derivative_whose_errors_are_made(rng):
    for row in catalogue():
        if row.name in ("mesa_cg", "gated_kalmanet", "ttt_mlp"):  # a second each: the audit's own tests run them
            continue
        arrays = row.example(rng, (1,), **{"T": 4, "d_k": 3, "d_v": 3} | dict(row.lengths))
        leaves = {n: leaf(torch.tensor(x)) if isinstance(x, np.ndarray) else x for n, x in arrays.items()}
        tensors = [x for x in leaves.values() if on_tape(x)]
        o = row.layer(**leaves).o
        c = torch.tensor(rng.standard_normal(tuple(o.shape)))
        exact = vector_jacobian([o], [c], tensors)
        with rounded_operations(replicas("float32")):
            got = vector_jacobian([row.layer(**leaves).o], [c], tensors)
        error = max(float((x - y).abs().max() / y.abs().max()) for x, y in zip(got, exact, strict=True) if y.any())
        assert 0 < error < np.sqrt(U["float32"]), row.name
