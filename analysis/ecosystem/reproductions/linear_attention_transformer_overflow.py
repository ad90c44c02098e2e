"""linear-attention-transformer, causal_linear_attn: NaN on large keys: exp without a stabiliser; linear_attn is not."""

import torch
from linear_attention_transformer.linear_attention_transformer import causal_linear_attn, linear_attn

torch.manual_seed(0)
q, k, v = torch.randn(3, 1, 1, 64, 16)
for dtype, size in ((torch.float16, 4), (torch.float32, 30)):
    given = [x.to(dtype) for x in (q, size * k, v)]
    causal, other = causal_linear_attn(*given, bucket_size=1), linear_attn(*given)
    print(
        f"{dtype}, largest key {float(given[1].max()):.1f}: {int(causal.isnan().sum())} of {causal.numel()} NaN;",
        end=" ",
    )
    print(f"linear_attn on the same: {int(other.isnan().sum())} NaN")
    assert causal.isnan().any()
    assert not other.isnan().any()
