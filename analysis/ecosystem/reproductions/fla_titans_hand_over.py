"""fla-core, chunk_titans_linear_ref: the last state is M without the momentum S: two halves are not the whole."""

import torch
from fla.ops.titans.naive import chunk_titans_linear_ref

torch.manual_seed(0)
q, k, v = torch.randn(3, 1, 16, 1, 4)
w, b = torch.ones(1, 4), torch.zeros(1, 4)
gates = [torch.full((1, 16, 1, 1), x) for x in (0.01, 0.1, 0.5)]
run = {"eps": 1.0, "chunk_size": 8, "output_final_state": True}
whole, _ = chunk_titans_linear_ref(q, k, v, w, b, *gates, **run)
first, M = chunk_titans_linear_ref(*(x[:, :8] for x in (q, k, v)), w, b, *(x[:, :8] for x in gates), **run)
rest = chunk_titans_linear_ref(*(x[:, 8:] for x in (q, k, v)), w, b, *(x[:, 8:] for x in gates), initial_state=M, **run)
error = (torch.cat([first, rest[0]], 1) - whole).norm(dim=-1).flatten()
print("error of tokens 7 to 10:", [f"{float(x):.1e}" for x in error[7:11]])
assert error[:8].max() < 1e-5 < 0.01 < error[8]
