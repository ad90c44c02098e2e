"""transformers, torch_chunk_gated_delta_rule: "entries must be <= 0"; at -inf NaN, the recurrent form is right."""

from inspect import unwrap

import torch
from transformers.models.qwen3_next import modeling_qwen3_next as qwen

torch.manual_seed(0)
q, k, v = (torch.nn.functional.normalize(torch.randn(1, 8, 1, 4), dim=-1) for _ in range(3))
beta, g = torch.rand(1, 8, 1), -torch.rand(1, 8, 1)
for reset in (-50.0, -1e30, -torch.inf):
    g[:, 3] = reset
    chunk = unwrap(qwen.torch_chunk_gated_delta_rule)(q, k, v, g, beta)[0]
    steps = unwrap(qwen.torch_recurrent_gated_delta_rule)(q, k, v, g, beta)[0]
    nan, apart = int(chunk.isnan().sum()), float((chunk - steps).abs().max())
    print(f"g = {reset:g} at token 3: {nan} NaN chunked, {int(steps.isnan().sum())} recurrent, {apart:.1e} apart")
assert chunk.isnan().any()
assert not steps.isnan().any()
