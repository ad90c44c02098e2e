"""fla-core, naive_mesa_net_CG: 1e-5 is added to squared norms: the smaller q, the larger the relative error."""

import torch
from fla.ops.mesa_net.naive import naive_mesa_net_CG, naive_mesa_net_exact

torch.manual_seed(0)
k, v, q = (torch.nn.functional.normalize(torch.randn(1, 32, 1, 8), dim=-1) for _ in range(3))
g, beta, ridge = torch.zeros(1, 32, 1), torch.ones(1, 32, 1), torch.full((1, 8), 0.25)
for size in (1.0, 1e-2, 1e-3, 1e-4):
    exact = naive_mesa_net_exact(size * q, k, v, g, ridge, beta)[0]
    o = naive_mesa_net_CG(size * q, k, v, g, ridge, beta, chunk_size=16)[0]
    print(f"q of norm {size:g}: error {float((o - exact).norm() / exact.norm()):.1e} of the output")
assert (o - exact).norm() > 0.5 * exact.norm()
