"""transformers, mlstm_chunkwise_native_autograd: NaN at a forget logit of -inf; the recurrent form is right."""

import torch
from transformers.models.xlstm import modeling_xlstm as xlstm

torch.manual_seed(0)
q, k, v = torch.randn(3, 1, 1, 16, 4)
i, f = torch.randn(1, 1, 16), torch.randn(1, 1, 16) + 3
for logit in (-50.0, -1e30, -torch.inf):
    f[..., 5] = logit
    chunk = xlstm.mlstm_chunkwise_native_autograd(q, k, v, i, f, chunk_size=16)
    steps = xlstm.mlstm_recurrent_sequence_native(q, k, v, i, f)
    nan, apart = int(chunk.isnan().sum()), float((chunk - steps).abs().max())
    print(f"logit {logit:g} at token 5: {nan} NaN chunked, {int(steps.isnan().sum())} recurrent, {apart:.1e} apart")
assert chunk.isnan().any()
assert not steps.isnan().any()
