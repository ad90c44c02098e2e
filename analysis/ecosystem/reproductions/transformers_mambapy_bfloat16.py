"""transformers, mamba_selective_scan(use_mambapy=True): raises on bfloat16 inputs."""

from inspect import unwrap

import torch
from transformers.models.mamba.modeling_mamba import mamba_selective_scan

x, dt, A = torch.randn(1, 4, 8), torch.rand(1, 4, 8), -torch.rand(4, 3)
B, C = torch.randn(2, 1, 3, 8)
for dtype in (torch.float32, torch.bfloat16):
    given = (x.to(dtype), dt.to(dtype), A, B.to(dtype), C.to(dtype))
    print(dtype, "without:", unwrap(mamba_selective_scan)(*given).dtype)
    try:
        print(dtype, "use_mambapy:", unwrap(mamba_selective_scan)(*given, use_mambapy=True).dtype)
    except RuntimeError as error:
        print(dtype, "use_mambapy:", error)
assert dtype is torch.bfloat16
