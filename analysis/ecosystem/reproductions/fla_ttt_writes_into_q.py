"""fla-core, chunk_ttt_linear_ref: q itself is scaled, once a call."""

import torch
from fla.ops.ttt.naive import chunk_ttt_linear_ref

torch.manual_seed(0)
q, k, v = torch.randn(3, 1, 16, 1, 4)
w, b, eta = torch.ones(1, 4), torch.zeros(1, 4), torch.full((1, 16, 1, 1), 0.02)
before, outputs = q.clone(), []
for _ in range(2):
    outputs.append(chunk_ttt_linear_ref(q, k, v, w, b, eta, eps=1.0, mini_batch_size=8)[0])
print(f"q over what was given, after two calls: {float((q / before).mean()):.3f}")
print(f"largest difference of the second output: {float((outputs[1] - outputs[0]).abs().max()):.3f}")
assert not torch.equal(q, before)
