"""Gates against the public code they were read from, by value; layers called with them against public outputs."""

import contextlib
import inspect
import io
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from ttr_numerics import gates, layers
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding

with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    warnings.simplefilter("ignore")  # theirs, for want of a device
    from fla.ops.gated_delta_rule.gate import naive_gdn_gate
    from fla.ops.kda.gate import naive_kda_gate
    from fla.ops.lightning_attn import chunk as fla_lightning
    from rwkv7_hf import modeling_rwkv7
    from rwkv7_hf.configuration_rwkv7 import RWKV7Config
    from transformers import KimiLinearConfig, MiniMaxConfig, Qwen3NextConfig
    from transformers.models.kimi_linear.modeling_kimi_linear import KimiLinearForgetGate
    from transformers.models.mamba2.modeling_mamba2 import mamba2_chunk_scan
    from transformers.models.minimax.modeling_minimax import MiniMaxLightningAttention
    from transformers.models.qwen3_next import modeling_qwen3_next

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, for want of a device
B, H, T, D = 2, 4, 16, 8
SINGLE = FORMATS["float32"]


def heads_last(x: np.ndarray) -> torch.Tensor:
    """(B, H, T, ...) in float32 as (B, T, H, ...)."""
    return torch.asarray(np.swapaxes(x, 1, 2).astype(np.float32))


def data(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """q, k, v (B, H, T, D) on float32 numbers."""
    return {n: SINGLE.nearest(rng.standard_normal((B, H, T, D))) for n in "qkv"}


def is_the_layer(theirs: Any, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Where (B, H, T) their float32 outputs are gated linear attention's on `arrays`, to rounding."""
    run = rounding(layers.gated_linear_attention, arrays, SINGLE)
    return np.linalg.norm(np.asarray(theirs, dtype=np.float64) - run.reference, axis=-1) <= run.bound


@pytest.mark.parametrize("layer", [0, 2, 5])
def test_lightning_rates_are_those_that_fla_hands_to_its_kernel(layer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    handed = {}
    monkeypatch.setattr(fla_lightning, "chunk_simple_gla", lambda **given: handed.update(given))
    x = torch.zeros(1, 1, H, D)
    inspect.unwrap(fla_lightning.chunk_lightning_attn)(x, x, x, layer, 6)
    rates = np.array(gates.lightning(H, layer, 6))
    assert np.all(np.abs(handed["g_gamma"].numpy() - rates) <= 4 * SINGLE.u * np.abs(rates))


@pytest.mark.parametrize("layer", [0, 1, 3])
def test_minimax_rates_are_the_slopes_of_transformers(layer: int) -> None:
    config = MiniMaxConfig(
        hidden_size=H * D, num_attention_heads=H, num_key_value_heads=H, head_dim=D, num_hidden_layers=4, block_size=4
    )
    slopes = MiniMaxLightningAttention(config, layer).get_slope_rate().numpy()[:, 0, 0]
    rates = -np.array(gates.minimax(H, layer, 4))
    # 1 - l/(L - 1 + ε) is of size 1 and may be as small as 10⁻⁵: an absolute error of two roundoffs.
    fade = rates / 2.0 ** (-8 * (np.arange(H) + 1) / H)
    assert np.all(np.abs(slopes - rates) <= 8 * SINGLE.u * rates / np.minimum(fade, 1.0))


def test_mamba_2_is_gated_linear_attention_of_values_times_the_step(rng: np.random.Generator) -> None:
    a = data(rng)
    raw, bias, A = rng.standard_normal((B, H, T)), rng.standard_normal(H), -rng.uniform(0.5, 4.0, H)
    given = [heads_last(a["v"]), heads_last(raw), torch.asarray(A, dtype=torch.float32)]
    theirs = inspect.unwrap(mamba2_chunk_scan)(
        *given,
        heads_last(a["k"]),
        heads_last(a["q"]),
        chunk_size=8,
        dt_bias=torch.asarray(bias, dtype=torch.float32),
        dt_softplus=True,
    )
    o = np.swapaxes(theirs.numpy(), 1, 2)
    # The step is not a float32 number: the tolerance counts one rounding of it, as theirs has.
    dt = gates.softplus(raw + bias[:, None])
    call = a | {"v": dt[..., None] * a["v"], "log_decay": gates.ssd(dt, A)}
    assert is_the_layer(o, call).all()
    assert not is_the_layer(o, call | {"v": a["v"]}).any(), "the step scales the values too"


def test_delta_gates_are_those_of_fla(rng: np.random.Generator) -> None:
    a, A_log = rng.standard_normal((B, H, T, D)), rng.uniform(-1, 2, H)
    bias, channels = rng.standard_normal(H), rng.standard_normal((H, D))
    a, A_log, bias, channels = (SINGLE.nearest(x) for x in (a, A_log, bias, channels))
    gdn = naive_gdn_gate(heads_last(a[..., 0]), *(torch.asarray(x) for x in (A_log, bias)))
    kda = naive_kda_gate(heads_last(a), torch.asarray(A_log), torch.asarray(channels).reshape(-1))
    ours = gates.gated_delta_net(a[..., 0], A_log, bias), gates.kimi_delta(a, A_log, channels)
    for theirs, mine in zip((gdn, kda), ours, strict=True):
        apart = np.abs(np.swapaxes(theirs.numpy(), 1, 2) - mine)
        # A sum, softplus, exponential and product: exponents up to 2 + |a + bias| in size.
        assert np.all(apart <= 16 * (3 + np.abs(a).max() + np.abs(channels).max()) * SINGLE.u * np.abs(mine))


class HandedOverError(Exception):
    """What a module handed to its kernel, in place of calling it."""


def handed_over(*positional: Any, **named: Any) -> Any:
    raise HandedOverError(positional, named)


def drawn(module: torch.nn.Module, rng: np.random.Generator) -> torch.nn.Module:
    """The module with every parameter standard normal, whatever its constructor drew."""
    for parameter in module.parameters():
        parameter.data = torch.asarray(rng.standard_normal(parameter.shape), dtype=torch.float32)
    return module


def near(theirs: torch.Tensor, ours: np.ndarray, exponent: float) -> bool:
    """Equal up to single precision in exponents of that size."""
    apart = np.abs(theirs.detach().numpy().astype(np.float64) - ours)
    return bool(np.all(apart <= 16 * (3 + exponent) * SINGLE.u * np.abs(ours)))


def test_the_gate_of_qwen3_next_is_that_of_gated_deltanet(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    config = Qwen3NextConfig(
        hidden_size=32,
        num_hidden_layers=2,
        linear_num_key_heads=H,
        linear_num_value_heads=H,
        linear_key_head_dim=D,
        linear_value_head_dim=D,
        layer_types=["linear_attention", "full_attention"],
    )
    module = drawn(modeling_qwen3_next.Qwen3NextGatedDeltaNet(config, 0), rng)
    monkeypatch.setattr(modeling_qwen3_next, "torch_chunk_gated_delta_rule", handed_over)
    x = torch.asarray(rng.standard_normal((B, T, 32)), dtype=torch.float32)
    with pytest.raises(HandedOverError) as caught:
        module(x)
    mixed = module.in_proj_qkvz(x), module.in_proj_ba(x)
    *_, a = module.fix_query_key_value_ordering(*mixed)
    a, A_log, bias = (y.detach().numpy().astype(np.float64) for y in (a, module.A_log, module.dt_bias))
    ours = gates.gated_delta_net(np.swapaxes(a, 1, 2), A_log, bias)
    g = caught.value.args[1]["g"]
    assert near(g, np.swapaxes(ours, 1, 2), np.abs(a).max())
    assert not near(g, np.swapaxes(gates.gated_delta_net(np.swapaxes(a, 1, 2), A_log, 0 * bias), 1, 2), np.abs(a).max())


def test_the_gate_of_kimi_linear_is_by_channel(rng: np.random.Generator) -> None:
    config = KimiLinearConfig(hidden_size=32, linear_num_heads=H, linear_head_dim=D)
    module = drawn(KimiLinearForgetGate(config), rng)
    x = torch.asarray(rng.standard_normal((B, T, 32)), dtype=torch.float32) / 32
    a = module.f_b_proj(module.f_a_proj(x)).reshape(B, T, H, D).swapaxes(1, 2)
    given = a, module.A_log.reshape(H), module.dt_bias.reshape(H, D)
    a, A_log, bias = (y.detach().numpy().astype(np.float64) for y in given)
    # Theirs forms log(1 + exp(g)): an absolute error of a roundoff, which a gate near one shows.
    theirs = module(x).detach().numpy().astype(np.float64)
    ours = np.swapaxes(gates.kimi_delta(a, A_log, bias), 1, 2)
    allowed = 8 * SINGLE.u * (np.exp(A_log)[:, None] * (1 + np.abs(bias).max() + np.abs(a).max()) + np.abs(ours))
    assert np.all(np.abs(theirs - ours) <= allowed)


def test_the_gate_of_rwkv_7_is_bounded_below(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    config = RWKV7Config(hidden_size=H * D, num_hidden_layers=2, num_heads=H, head_dim=D, decay_low_rank_dim=4)
    module = modeling_rwkv7.RWKV7TimeMix(config, 0)
    module.w_lora.lora[0].weight.data.zero_()  # what is left is the bias
    bias = SINGLE.nearest(3 * rng.standard_normal(H * D))
    module.w_lora.lora[2].bias.data = torch.asarray(bias, dtype=torch.float32)
    monkeypatch.setattr(modeling_rwkv7, "rwkv7_recurrent", handed_over)
    x = torch.asarray(rng.standard_normal((B, T, H * D)), dtype=torch.float32)
    with pytest.raises(HandedOverError) as caught:
        module(x, torch.zeros(B, H, D, D), torch.zeros(B, H * D), x, torch.ones(B, T, dtype=torch.bool))
    decay = caught.value.args[0][1]
    ours = np.broadcast_to(np.exp(gates.rwkv7(bias)).reshape(H, D), (B, T, H, D))
    assert near(decay, ours, np.abs(bias).max())
    assert decay.min() >= np.exp(-np.exp(-0.5)) * (1 - 4 * SINGLE.u)
