"""Ready-made conventions of public code, as read in the versions named."""

from ttr_numerics.convention.convention import Convention
from ttr_numerics.convention.discretisation import Discretisation
from ttr_numerics.convention.parts import L2Norm, Layout, StateLayout, inverse_root

__all__ = ["PRESETS", "fla", "mamba", "torch_sdpa", "transformers", "transformers_attention"]

fla = Convention(layout=Layout.TIME_FIRST, scale=inverse_root, grouped_heads=True, names=(("g", "log_decay"),))
"""fla-core 0.6: (B, T, H, d), 1/√d_k by default, natural logarithms, states (d_k, d_v), grouped heads."""

transformers = Convention(
    layout=Layout.TIME_FIRST,
    scale=inverse_root,
    normalise=L2Norm(1e-6),
    grouped_heads=True,
    names=(("g", "log_decay"),),
)
"""transformers 5.23, gated delta rules with use_qk_l2norm_in_kernel=True (Qwen3-Next and its relatives)."""

transformers_attention = Convention(output_layout=Layout.TIME_FIRST, scale=inverse_root, grouped_heads=True)
"""transformers 5.23, eager_attention_forward: q, k, v (B, H, T, d), output (B, T, H, d)."""

mamba = Convention(
    layout=Layout.TIME_FIRST,
    names=(("C", "q"), ("B", "k"), ("x", "v"), ("y", "o")),
    state=StateLayout.VALUES_FIRST,
    grouped_heads=True,
    discretisation=Discretisation(),
)
"""Mamba-2: C, B (B, T, G, N), x (B, T, H, P), Δ (B, T, H) after its softplus, A (H,), states (P, N), no scale."""

torch_sdpa = Convention(scale=inverse_root, grouped_heads=True)
"""torch 2.13 scaled_dot_product_attention(enable_gqa=True): (B, H, T, d), 1/√d_k."""

PRESETS = {
    "fla": fla,
    "mamba": mamba,
    "torch_sdpa": torch_sdpa,
    "transformers": transformers,
    "transformers_attention": transformers_attention,
}
