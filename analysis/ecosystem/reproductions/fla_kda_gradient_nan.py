"""fla-core, naive_chunk_kda and naive_chunk_gdn2: NaN gradients at a decay of 2 nats a token; outputs are finite."""

import torch
from fla.ops.gdn2.naive import naive_chunk_gdn2
from fla.ops.kda.naive import naive_chunk_kda, naive_recurrent_kda

torch.manual_seed(0)
q, k, v = (torch.nn.functional.normalize(torch.randn(1, 64, 1, 4), dim=-1).requires_grad_() for _ in range(3))
g, beta = torch.full((1, 64, 1, 4), -2.0), torch.full((1, 64, 1), 0.5)
channels = beta[..., None].expand(k.shape)
for name, o in (
    ("naive_recurrent_kda", naive_recurrent_kda(q, k, v, g, beta)[0]),
    ("naive_chunk_kda", naive_chunk_kda(q, k, v, g, beta)[0]),
    ("naive_chunk_gdn2", naive_chunk_gdn2(q, k, v, g, channels, channels)[0]),
):
    dk = torch.autograd.grad(o.sum(), k)[0]
    print(f"{name}: {int(o.isnan().sum())} NaN in o, {int(dk.isnan().sum())} of {dk.numel()} in the gradient by k")
assert dk.isnan().any()
assert not o.isnan().any()
