"""fla-core, naive_recurrent_comba and naive_chunk_comba: two rules, the error after the decay and before it."""

import torch
from fla.ops.comba.naive import naive_chunk_comba, naive_recurrent_comba

torch.manual_seed(0)
q, k, v, p = (torch.nn.functional.normalize(torch.randn(1, 16, 1, 4), dim=-1) for _ in range(4))
beta, g = torch.rand(1, 16, 1), -torch.rand(1, 16, 1)
for name, decay in (("g", g), ("g = 0", 0 * g)):
    one, other = naive_recurrent_comba(q, k, v, p, beta, decay)[0], naive_chunk_comba(q, k, v, p, decay, beta)[0]
    print(f"{name}: {float((one - other).abs().max()):.1e} apart, outputs of {float(one.abs().max()):.2f}")
before = torch.cat([p[:, :1], p[:, 1:] * torch.exp(-g[:, 1:, :, None])], 1)  # what the decay takes away, given back
one, other = naive_recurrent_comba(q, k, v, before, beta, g)[0], naive_chunk_comba(q, k, v, p, g, beta)[0]
print(f"recurrent with p/exp(g): {float((one - other).abs().max()):.1e} apart")
assert (one - other).abs().max() < 1e-6
