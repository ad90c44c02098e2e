"""fla-core, chunked and parallel references: NaN at a log decay of -inf, a reset, where recurrent ones are right."""

import torch
from fla.ops.forgetting_attn.naive import naive_forgetting_attn
from fla.ops.gated_delta_rule.naive import naive_chunk_gated_delta_rule, naive_recurrent_gated_delta_rule
from fla.ops.rwkv6.chunk_naive import naive_chunk_rwkv6
from fla.ops.rwkv6.recurrent_naive import naive_recurrent_rwkv6
from fla.ops.simple_gla.naive import naive_chunk_simple_gla, naive_recurrent_simple_gla

torch.manual_seed(0)
q, k, v, w = torch.randn(4, 1, 1, 32, 4)
g, beta, u = torch.zeros(1, 32, 1), torch.full((1, 32, 1), 0.1), torch.zeros(1, 4)
w, g[:, 7] = -w.abs(), -torch.inf
w[:, :, 7] = -torch.inf
t = [x.transpose(1, 2) for x in (q, k, v)]
outputs = {
    "simple_gla, recurrent": naive_recurrent_simple_gla(*t, g)[0],
    "simple_gla, chunk": naive_chunk_simple_gla(*t, g)[0],
    "gated_delta_rule, recurrent": naive_recurrent_gated_delta_rule(*t, beta, g)[0],
    "gated_delta_rule, chunk": naive_chunk_gated_delta_rule(*t, g, beta)[0],
    "rwkv6, recurrent": naive_recurrent_rwkv6(q, k, v, w, u)[0],
    "rwkv6, chunk": naive_chunk_rwkv6(q, k, v, w, u),
    "forgetting_attn": naive_forgetting_attn(*t, g),
}
for name, o in outputs.items():
    print(f"{name}: {int(o.isnan().sum())} of {o.numel()} NaN")
    assert bool(o.isnan().any()) == ("recurrent" not in name)
