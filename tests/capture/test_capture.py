"""Captured layers of tiny random models, judged as the catalogue's layers."""

import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch

from ttr_numerics import check
from ttr_numerics.capture import Captured, captured, layers_of
from ttr_numerics.verdict import Word

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # theirs, for want of a device
    from transformers import (
        BertConfig,
        BertModel,
        KimiLinearConfig,
        KimiLinearModel,
        LlamaConfig,
        LlamaModel,
        MistralConfig,
        MistralModel,
        Qwen3NextConfig,
        Qwen3NextModel,
    )
    from transformers.models.llama import modeling_llama

T, VOCABULARY = 40, 64
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": None,
}
SOUND = (Word.ROUNDING, Word.ILL_CONDITIONED)


def drawn(kind: Any, config: Any) -> Any:
    """A model with random weights, larger than the usual ones so that logits spread.

    Gates are near 1: the chunked function takes decays as differences of sums since the chunk's start, which round in
    units of the sum, and strong gates make them less accurate than the layer allows.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind(config)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name.endswith("proj.weight") or "in_proj" in name:
                    weight.normal_(std=0.3)
                if name.endswith("A_log"):
                    weight.fill_(-3.0)
    return model


def tokens(*shape: int) -> torch.Tensor:
    """Random tokens."""
    return torch.randint(VOCABULARY, shape, generator=torch.Generator().manual_seed(1))


def llama(**more: Any) -> LlamaModel:
    """Two layers of 4 query heads on 2 key heads."""
    return drawn(LlamaModel, LlamaConfig(**SIZES, **more))


def qwen() -> Qwen3NextModel:
    """A gated delta rule, 4 value heads on 2 key heads, and an attention layer."""
    more = {
        "head_dim": 8,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 6,
        "layer_types": ["linear_attention", "full_attention"],
        "num_experts": 2,
        "num_experts_per_tok": 1,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
    }
    return drawn(Qwen3NextModel, Qwen3NextConfig(**SIZES, **more))


def word(layer: Captured) -> Word:
    """The verdict's word on a captured layer."""
    arrays = dict(layer.arrays)
    return check(arrays.pop("o"), layer.layer, convention=layer.convention, **arrays).word


def test_attention_of_a_llama_is_softmax_attention_and_not_with_its_keys_before_rotation() -> None:
    model = llama()
    layer = captured(model, tokens(T), (1,))[1]
    assert layer.layer == "softmax_attention"
    assert layer.grouped_heads
    assert layer.arrays["q"].shape == (4, T, 8)
    assert layer.arrays["k"].shape == (2, T, 8)
    assert word(layer) in SOUND
    k = layer.arrays["k"]
    cos, sin = model.rotary_emb(k, torch.arange(T)[None])
    turned = modeling_llama.apply_rotary_pos_emb(k[None], k[None], cos, -sin)[1][0]
    assert word(replace(layer, arrays={**layer.arrays, "k": turned})) not in SOUND


def test_layers_of_a_qwen3_next_are_a_gated_delta_rule_and_softmax_attention() -> None:
    found = captured(qwen(), tokens(2, T), (0, 1))
    assert [layer.layer for layer in found.values()] == ["gated_delta_rule", "softmax_attention"]
    assert {name: tuple(x.shape) for name, x in found[0].arrays.items()} == {
        "q": (2, 2, T, 8),
        "k": (2, 2, T, 8),
        "v": (2, 4, T, 6),
        "log_decay": (2, 4, T),
        "beta": (2, 4, T),
        "o": (2, 4, T, 6),
    }
    assert all(word(layer) in SOUND for layer in found.values())
    wrong = {**found[0].arrays, "beta": 1.001 * found[0].arrays["beta"]}
    assert word(replace(found[0], arrays=wrong)) not in SOUND


def test_the_delta_rule_of_a_kimi_linear_forgets_by_channel() -> None:
    more = {
        "linear_num_heads": 2,
        "linear_head_dim": 8,
        "layer_types": ["linear_attention", "linear_attention"],
        "mlp_layer_types": ["dense", "dense"],
    }
    layer = captured(drawn(KimiLinearModel, KimiLinearConfig(**(SIZES | more))), tokens(T), (0,))[0]
    assert layer.arrays["log_decay"].shape == (2, T, 8)
    assert word(layer) in SOUND


def test_the_output_projection_of_what_is_captured_is_what_the_module_returns() -> None:
    model, returned = llama(), []
    attention = model.layers[0].self_attn
    attention.register_forward_hook(lambda module, given, result: returned.append(result[0]))
    o = captured(model, tokens(1, T), (0,))[0].arrays["o"]
    with torch.no_grad():
        again = attention.o_proj(o.transpose(1, 2).reshape(1, T, -1))
    assert torch.equal(again, returned[0])


def test_a_model_is_left_as_it_was() -> None:
    model = llama(attn_implementation="sdpa", attention_dropout=0.5).train()
    model.norm.eval()
    before, ids = modeling_llama.eager_attention_forward, tokens(T)
    first, second = (captured(model, ids, (0,))[0].arrays["o"] for _ in range(2))
    assert torch.equal(first, second)
    with pytest.raises(IndexError):
        captured(model, torch.tensor([VOCABULARY]), (0,))
    assert modeling_llama.eager_attention_forward is before
    assert [module for module in model.modules() if not module.training] == [model.norm]
    assert model.config._attn_implementation == "sdpa"
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_what_is_not_causal_softmax_attention_is_said() -> None:
    window = drawn(MistralModel, MistralConfig(**SIZES, sliding_window=4))
    both = drawn(BertModel, BertConfig(**{n: x for n, x in SIZES.items() if n != "num_key_value_heads"}))
    assert "window" in captured(window, tokens(T), (0,))[0].departures[0]
    assert "every token reads" in captured(both, tokens(T), (0,))[0].departures[0]
    assert captured(llama(), tokens(T), (0,))[0].departures == ()


def test_a_layer_that_is_not_there_or_not_attention_is_refused() -> None:
    model = llama()
    assert layers_of(model) == (0, 1)
    with pytest.raises(ValueError, match="layers: expected some of 0 to 1, got 2"):
        captured(model, tokens(T), (0, 2))
    with pytest.raises(ValueError, match="layers: expected some of no layers at all, got 0"):
        captured(model.layers[0].mlp, tokens(T), (0,))
    model.layers[1].self_attn = Mixer(model.layers[1].self_attn)
    with pytest.raises(ValueError, match="layers: expected layers that call one of eager_attention_forward,.*got 1"):
        captured(model, tokens(T), (1,))


class Mixer(torch.nn.Module):
    """A layer that attends in a way of its own."""

    def __init__(self, attention: torch.nn.Module) -> None:
        super().__init__()
        self.layer_idx = attention.layer_idx

    def forward(self, hidden_states: torch.Tensor, **_: Any) -> tuple[torch.Tensor, None]:
        """A mean over the tokens so far."""
        return hidden_states.cumsum(1) / torch.arange(1, T + 1)[:, None], None
