"""fla-core, chunk_ttt_linear_ref: padding moves the last bias state: 8 tokens are one step, padded to 16 or not."""

import torch
from fla.ops.ttt.naive import chunk_ttt_linear_ref

torch.manual_seed(0)
q, k, v = torch.randn(3, 1, 8, 1, 4)
w, b, eta = torch.ones(1, 4), torch.tensor([[0.0, 0.5, 1.0, 1.5]]), torch.full((1, 8, 1, 1), 0.02)
options = {"eps": 1.0, "output_final_state": True}
full = chunk_ttt_linear_ref(q.clone(), k, v, w, b, eta, mini_batch_size=8, **options)
padded = chunk_ttt_linear_ref(q.clone(), k, v, w, b, eta, mini_batch_size=16, **options)  # the same one step
for name, one, other in zip(("outputs", "weights", "bias"), full, padded, strict=True):
    print(f"{name}: {float((one - other).abs().max()):.1e} apart, of {float(one.abs().max()):.2f}")
assert (full[2] - padded[2]).abs().max() > 0.01
