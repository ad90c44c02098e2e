"""transformers, mlstm_chunkwise_native_autograd: gates are summed and states kept in bfloat16 where the inputs are."""

import torch
from transformers.models.xlstm import modeling_xlstm as xlstm

T, logit = 4096, 8.0  # a forget gate of σ(8) = e^-0.000335, exact in bfloat16
q, k, v = torch.zeros(3, 1, 1, T, 4, dtype=torch.bfloat16)
q[..., 0] = 2.0
k[:, :, 0, 0] = v[:, :, 0, 0] = 8.0  # one write, read by every token
i, f = torch.full((1, 1, T), -torch.inf, dtype=torch.bfloat16), torch.full((1, 1, T), logit, dtype=torch.bfloat16)
i[..., 0] = 0.0
state = {}
for name, run, options in (
    ("recurrent, float32 state", xlstm.mlstm_recurrent_sequence_native, {}),
    ("chunks of 64", xlstm.mlstm_chunkwise_native_autograd, {"chunk_size": 64}),
):
    C = run(q, k, v, i, f, return_last_states=True, **options)[1]
    state[name] = float(torch.exp(C[2].float()).flatten()[0] * C[0].float().flatten()[0]) / 64
exact = float(torch.sigmoid(torch.tensor(logit, dtype=torch.float64))) ** (T - 1)
print(f"left of one write after {T} tokens: exact {exact:.4f};", "; ".join(f"{n} {x:.4f}" for n, x in state.items()))
assert abs(state["chunks of 64"] - exact) > 0.05 * exact
assert abs(state["recurrent, float32 state"] - exact) < 0.005 * exact
