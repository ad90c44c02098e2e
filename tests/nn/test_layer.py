"""Test-time regression as a torch module: every layer, piece by piece, its gradients, and what it refuses."""

import copy
import pickle
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch.func import functional_call

from ttr_numerics import regression
from ttr_numerics.arguments import Argument, Domain
from ttr_numerics.choices import (
    ConjugateGradient,
    Exact,
    Geometric,
    Linear,
    LocalPolynomial,
    QueryKernel,
    StochasticGradient,
    Uniform,
)
from ttr_numerics.exact import kernels
from ttr_numerics.nn import IDENTITY, ShortConvolution, TestTimeRegression
from ttr_numerics.nn.maps import map_into
from ttr_numerics.pairs import catalogue
from ttr_numerics.pairs.pairing import Pairing

B, T, WIDTH = 2, 9, 12
ROWS = {row.name: row for row in catalogue()}
COMPOSED = {
    "delta_rule": regression(Uniform(), Linear(), StochasticGradient()),
    "gated conjugate gradients": regression(Geometric(), Linear(), ConjugateGradient(3)),
    "Nadaraya-Watson": regression(QueryKernel(kernels.Exponential()), LocalPolynomial(0), Exact()),
}
PIECES = (1, 3, 5)


def optional(row: Pairing) -> tuple[str, ...]:
    """What the row may take beside its required arrays and a state."""
    return tuple(x.name for x in row.may_take if x.name != "initial_state")


def module(layer: Any, width: int = WIDTH, **more: Any) -> TestTimeRegression:
    """Two heads with three channels, in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TestTimeRegression(width, layer, heads=2, **({"d_k": 3} | more)).double()


def tokens(*shape: int) -> torch.Tensor:
    """Random rows."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def in_pieces(layer: TestTimeRegression, x: torch.Tensor, pieces: Sequence[int] = PIECES) -> torch.Tensor:
    """The output of one piece after the other."""
    read, state = [], None
    for piece in x.split(list(pieces), dim=1):
        y, state = layer.step(piece, state)
        read.append(y)
    return torch.cat(read, dim=1)


def allowance(layer: TestTimeRegression, x: torch.Tensor, y: torch.Tensor) -> float:
    """What two orders of the same sums in float64 may differ by, 16 times what float32 changes in units of roundoffs.

    The same module in float32 shows how much its layer amplifies roundings, at this input.
    """
    narrow = copy.deepcopy(layer).float()(x.float()).double()
    ratio = torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps
    return 16 * ratio * float((narrow - y).detach().abs().max())


CALLS = [(name, ()) for name in ROWS] + [(name, more) for name, row in ROWS.items() if (more := optional(row))]


@pytest.mark.parametrize(("name", "more"), CALLS, ids=lambda x: x if isinstance(x, str) else " ".join(x))
def test_every_layer_learns_and_reads_piece_by_piece_what_it_reads_at_once(name: str, more: tuple[str, ...]) -> None:
    row, layer, x = ROWS[name], module(name, optional=more), tokens(B, T, WIDTH)
    y = layer(x)
    assert y.shape == x.shape
    y.square().sum().backward()
    for parameter in layer.parameters():
        assert parameter.grad is not None
        assert bool(parameter.grad.isfinite().all())
    if not row.causal:
        with pytest.raises(ValueError, match="layer: expected a causal one"):
            layer.step(x)
        return
    with torch.no_grad():
        assert float((in_pieces(layer, x) - y).abs().max()) <= allowance(layer, x, y)


@pytest.mark.parametrize("name", COMPOSED)
def test_a_composition_of_choices_is_a_module_too(name: str) -> None:
    layer, x = module(COMPOSED[name]), tokens(B, T, WIDTH)
    with torch.no_grad():
        y = layer(x)
        assert float((in_pieces(layer, x) - y).abs().max()) <= allowance(layer, x, y)
        if name in ROWS:
            same = module(name)
            assert float((same(x) - y).abs().max()) <= allowance(layer, x, y)


@pytest.mark.parametrize("lost", ["q", "k", "v", "layer"])
def test_a_part_of_the_state_that_is_lost_is_seen(lost: str) -> None:
    layer, x = module("gated_delta_rule"), tokens(B, T, WIDTH)
    with torch.no_grad():
        y = layer(x)
        _, state = layer.step(x[:, :5])
        again, _ = layer.step(x[:, 5:], state._replace(**{lost: 0 * getattr(state, lost)}))
        assert float((again - y[:, 5:]).abs().max()) > allowance(layer, x, y)


@pytest.mark.parametrize(
    "name", ["linear_attention", "gated_delta_rule", "mesa", "softmax_attention", "rg_lru", "ttt_mlp"]
)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    layer, x = module(name, 4, d_k=2, optional=optional(ROWS[name])), tokens(1, 3, 4).requires_grad_()
    names, parameters = zip(*layer.named_parameters(), strict=True)
    assert torch.autograd.gradcheck(
        lambda x, *values: functional_call(layer, dict(zip(names, values, strict=True)), (x,)),
        (x, *(p.detach().requires_grad_() for p in parameters)),
        fast_mode=True,
    )


@pytest.mark.parametrize("layer", ["gated_delta_rule", "ttt_mlp", COMPOSED["Nadaraya-Watson"]], ids=str)
def test_a_module_travels_whole_or_by_its_parameters(layer: Any) -> None:
    sent, x = module(layer), tokens(B, T, WIDTH)
    other = module(layer)
    for parameter in other.parameters():
        torch.nn.init.zeros_(parameter)
    other.load_state_dict(sent.state_dict())
    with torch.no_grad():
        assert all(torch.equal(copied(x), sent(x)) for copied in (pickle.loads(pickle.dumps(sent)), other))


def test_without_a_convolution_no_token_sees_another_before_the_layer() -> None:
    assert bool((module("delta_rule", convolution=1).convolutions["k"].weight == 1).all())


def test_nothing_after_a_token_changes_it() -> None:
    layer, x = module("gated_delta_rule", convolution=4), tokens(B, T, WIDTH)
    later = x.clone()
    later[:, 5:] += 1
    with torch.no_grad():
        y = layer(x)
        assert float((layer(later) - y)[:, :5].abs().max()) <= allowance(layer, x, y)


def test_the_convolution_is_torch_s_own() -> None:
    convolution, x = ShortConvolution(3, 4).double(), tokens(B, T, 3)
    theirs = torch.nn.functional.conv1d(x.mT, convolution.weight[:, None], padding=3, groups=3)[..., :T].mT
    weight, eps = convolution.weight.abs(), torch.finfo(torch.float64).eps
    # Each of the 4 products and 3 sums rounds once: 4 roundoffs of Σ|weight||x| on each side.
    sizes = torch.nn.functional.conv1d(x.abs().mT, weight[:, None], padding=3, groups=3)[..., :T].mT
    assert bool(((convolution(x)[0] - theirs).abs() <= 2 * 4 * eps / 2 * sizes).all())


ARGUMENTS = {x for row in catalogue() for x in (*row.takes, *row.may_take) if x.domain is not Domain.COUNT}


@pytest.mark.parametrize("x", sorted(ARGUMENTS, key=lambda x: (x.name, x.meaning)), ids=lambda x: x.name)
def test_a_projection_of_any_size_lands_in_the_domain(x: Argument) -> None:
    raw = 10 * tokens(50, 4)
    assert not x.domain.outside(map_into(x).forward(raw).numpy()).any()


def test_numbers_are_given_or_learned_and_ridges_by_channel_too() -> None:
    assert module("mesa", numbers={"ridge": 0.5}).named["ridge"].value == 0.5
    x, seen = tokens(B, T, WIDTH), []
    for more in ({"learned": ("ridge",)}, {"channels": ("ridge",)}):
        layer = module("mesa", **more)
        layer(x).square().sum().backward()
        raw = layer.named["ridge"].raw
        assert bool((raw.grad != 0).all())
        seen.append(tuple(raw.shape))
    assert seen == [(), (2, 3)]
    gates = module("gated_delta_rule", channels=("log_decay",)).named["log_decay"](x)
    assert gates.shape == (B, 2, T, 3)


def test_what_a_layer_starts_from_is_a_generic_case_of_it() -> None:
    layer = module("gated_delta_rule")
    gate, beta = (layer.named[name](tokens(1, 1, WIDTH) * 0) for name in ("log_decay", "beta"))
    assert bool((gate > -1).all())
    assert bool(((beta > 0.1) & (beta < 1)).all())


@pytest.mark.parametrize(
    ("layer", "more", "sentence"),
    [
        ("deltarule", {}, "layer: expected one of linear_attention, .*, got deltarule"),
        ("delta_rule", {"optional": ("log_decay",)}, "optional: expected some of no names for delta_rule"),
        ("mesa", {"optional": ("gate",)}, "optional: expected some of log_decay, beta for mesa, got gate"),
        (COMPOSED["delta_rule"], {"optional": ("beta",)}, "optional: expected no names"),
        ("mesa", {"numbers": {"rigde": 1.0}}, "numbers: expected some of ridge, got rigde"),
        ("mesa", {"numbers": {"ridge": -1.0}}, "numbers: expected ridge at least 0, got -1.0"),
        ("delta_rule", {"numbers": {"beta": 1.0}}, "numbers: expected names of numbers, got beta, which is an array"),
        ("sliding_window_attention", {"learned": ("window",)}, "window: expected an array that can be learned"),
        ("rwkv4", {"d_v": 4}, "d_v: expected d_k = 3 for a layer by channel, got 4"),
        ("delta_rule", {"convolution": 0}, "convolution: expected a width of at least 1, got 0"),
        ("delta_rule", {"d_v": 0}, "d_v: expected at least 1, got 0"),
        ("delta_rule", {"gain": 0.0}, "gain: expected above 0, got 0.0"),
        ("delta_rule", {"d_k": None, "width": 5}, "heads: expected a divisor of the width 5, or d_k beside it, got 2"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(layer: Any, more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        module(layer, **more)


def test_rows_of_another_width_are_refused_and_no_token_is_no_error() -> None:
    layer = module("delta_rule", normalise=IDENTITY, maps={"beta": IDENTITY})
    with pytest.raises(ValueError, match=r"x: expected shape \(B, T, 12\), got \(2, 9, 11\)"):
        layer(tokens(B, T, 11))
    assert layer(tokens(B, 0, WIDTH)).shape == (B, 0, WIDTH)


@pytest.mark.parametrize("room", ["nn", "capture"])
def test_without_torch_the_import_is_refused_in_a_sentence(room: str) -> None:
    script = (
        f"import sys; sys.modules['torch'] = None\ntry: import ttr_numerics.{room}\nexcept ImportError as e: print(e)"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == f"ttr_numerics.{room}: expected torch, which is not installed: pip install torch\n"
