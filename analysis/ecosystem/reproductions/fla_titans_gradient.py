"""fla-core, chunk_titans_linear_ref: its step is not along the gradient of ‖LN(k M) - (v - k)‖², for a bracket."""

import torch
from fla.ops.titans.naive import chunk_titans_linear_ref

torch.manual_seed(0)
k, v = torch.randn(2, 1, 1, 1, 4)
M = torch.randn(1, 1, 4, 4, requires_grad=True)
normed = torch.nn.functional.layer_norm((k @ M)[0, 0], (4,), eps=1.0)
(gradient,) = torch.autograd.grad(((normed - (v - k)[0, 0]) ** 2).sum() / 2, M)
one, zero, options = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), {"chunk_size": 1, "use_chunk": False}
given = (k, k, v, torch.ones(1, 4), torch.zeros(1, 4), one / 2, zero, zero)  # theta = 1/2, no decay, no momentum
after = chunk_titans_linear_ref(*given, eps=1.0, initial_state=M.detach(), output_final_state=True, **options)[1]
step = M.detach() - after
print(f"‖step‖/‖gradient‖ = {float(step.norm() / gradient.norm()):.3f}")
print(f"cosine of the two = {float((step * gradient).sum() / step.norm() / gradient.norm()):.4f}")
assert (step - gradient).norm() > 0.1 * gradient.norm()
