"""fla-core, naive_chunk_hgrn: cumulative gates are viewed as one chunk; a second one raises."""

import torch
from fla.ops.hgrn.naive import naive_chunk_hgrn, naive_recurrent_hgrn

x, g = torch.randn(1, 128, 4), -torch.rand(1, 128, 4)
print("64 tokens:", tuple(naive_chunk_hgrn(x[:, :64], g[:, :64])[0].shape))
print("128 tokens, recurrent:", tuple(naive_recurrent_hgrn(x, g)[0].shape))
try:
    naive_chunk_hgrn(x, g)
except RuntimeError as error:
    print("128 tokens:", error)
else:
    raise AssertionError
