"""performer-pytorch, FastAttention(causal=True): outputs before the last token move when the last key does."""

import torch
from performer_pytorch.performer_pytorch import FastAttention

torch.manual_seed(0)
attention = FastAttention(dim_heads=16, nb_features=64, causal=True)
q, k, v = torch.randn(3, 1, 1, 32, 16)
other = k.clone()
other[:, :, -1] *= 4
moved = (attention(q, other, v) - attention(q, k, v))[:, :, :-1].norm() / attention(q, k, v)[:, :, :-1].norm()
print(f"the first 31 outputs move by {moved:.2f} of their norm when only key 32 is multiplied by 4")
assert moved > 0.01
