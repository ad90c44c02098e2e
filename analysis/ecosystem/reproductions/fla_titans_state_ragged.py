"""fla-core, chunk_titans_linear_ref: padding decays the last state once more: 8 tokens in chunks of 8 and of 16."""

import torch
from fla.ops.titans.naive import chunk_titans_linear_ref

torch.manual_seed(0)
q, k, v = torch.randn(3, 1, 8, 1, 4)
w, b = torch.ones(1, 4), torch.zeros(1, 4)
theta, alpha, eta = (torch.full((1, 8, 1, 1), x) for x in (0.01, 0.1, 0.5))
run = {"eps": 1.0, "use_chunk": False, "output_final_state": True}
o, M = chunk_titans_linear_ref(q, k, v, w, b, theta, alpha, eta, chunk_size=8, **run)
o_padded, M_padded = chunk_titans_linear_ref(q, k, v, w, b, theta, alpha, eta, chunk_size=16, **run)
print(
    f"outputs {float((o - o_padded).abs().max()):.1e} apart; padded state over state {float((M_padded / M).mean()):.3f}"
)
assert torch.allclose(M_padded, 0.9 * M)
assert torch.equal(o, o_padded)
