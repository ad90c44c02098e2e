"""Sound implementations of catalogue layers by name: each a few lines on the corpus' own loops, of no layer's code."""

from analysis.verdicts import memories, smoothers
from analysis.verdicts.layer import Implementation
from analysis.verdicts.solved import kernel_ridge

__all__ = ["TABLE"]

CHUNKS = (0, 16, 64)
TABLE: dict[str, Implementation] = {
    "linear_attention": Implementation(memories.linear, CHUNKS, ("initial_state",)),
    "normalized_linear_attention": Implementation(memories.normalised_linear, CHUNKS),
    "gated_linear_attention": Implementation(memories.linear, CHUNKS, ("initial_state",)),
    "rwkv6": Implementation(memories.rwkv6, CHUNKS, ("initial_state",)),
    "mlstm": Implementation(smoothers.mlstm),
    "rg_lru": Implementation(memories.rg_lru, (0,), ("initial_state",)),
    "hgrn": Implementation(memories.hgrn, (0,), ("initial_state",)),
    "delta_rule": Implementation(memories.delta, CHUNKS, ("initial_state",)),
    "gated_delta_rule": Implementation(memories.delta, CHUNKS, ("initial_state",)),
    "erase_write_delta_rule": Implementation(memories.erase_write, CHUNKS, ("initial_state",)),
    "comba": Implementation(memories.comba, CHUNKS, ("initial_state",)),
    "gated_delta_product": Implementation(memories.several_a_token, CHUNKS, ("initial_state",)),
    "longhorn": Implementation(memories.longhorn, CHUNKS, ("initial_state",)),
    "kaczmarz_delta_rule": Implementation(memories.kaczmarz, CHUNKS, ("eps", "log_decay", "initial_state")),
    "momentum_delta_rule": Implementation(memories.momentum, (0,), ("log_decay", "initial_state")),
    "ttt_linear": Implementation(memories.mini_batches),
    "titans": Implementation(memories.momentum, (0,), ("initial_state",)),
    "huber_delta_rule": Implementation(memories.huber, (0,), ("log_decay", "initial_state")),
    "lp_delta_rule": Implementation(memories.lp, (0,), ("log_decay", "initial_state")),
    "exponentiated_gradient_rule": Implementation(memories.exponentiated, (0,), ("log_decay", "initial_state")),
    "mesa": Implementation(memories.mesa, (0,), ("log_decay", "beta", "initial_state")),
    "mesa_cg": Implementation(memories.mesa_cg, (0,), ("beta", "steps", "initial_state")),
    "softmax_attention": Implementation(smoothers.attention(), CHUNKS, ("initial_state",)),
    "bidirectional_softmax_attention": Implementation(smoothers.attention(causal=False), CHUNKS),
    "sliding_window_attention": Implementation(smoothers.attention(), CHUNKS, ("initial_state",)),
    "sink_attention": Implementation(smoothers.attention(), CHUNKS, ("initial_state",)),
    "forgetting_attention": Implementation(smoothers.forgetting, CHUNKS),
    "exponential_attention": Implementation(smoothers.attention(normalised=False), CHUNKS, ("initial_state",)),
    "compact_kernel_attention": Implementation(smoothers.compact, (0,), ("order",)),
    "normalized_relu_attention": Implementation(smoothers.relu, (0,), ("order",)),
    "hopfield": Implementation(smoothers.hopfield, CHUNKS),
    "kernel_ridge_attention": Implementation(kernel_ridge),
    "intention": Implementation(memories.intention),
    "local_linear_attention": Implementation(smoothers.local_linear),
}
