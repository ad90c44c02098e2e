"""performer-pytorch, FastAttention(causal=True, no_projection=True): NaN on large keys, exp without a stabiliser."""

import torch
from performer_pytorch.performer_pytorch import FastAttention

torch.manual_seed(0)
q, k, v = torch.randn(3, 1, 1, 32, 16)
for dtype, shift in ((torch.float32, 90.0), (torch.float16, 12.0)):
    given = (x.to(dtype) for x in (q, k + shift, v))
    o = FastAttention(dim_heads=16, causal=True, no_projection=True)(*given)
    same = FastAttention(dim_heads=16, causal=True, no_projection=True)(q, k, v)
    print(f"{dtype}: keys + {shift:g}: {int(o.isnan().sum())} of {o.numel()} NaN; keys: {int(same.isnan().sum())} NaN")
    assert o.isnan().any()
    assert not same.isnan().any()
