"""opengdn, gated_delta_chunkwise: ratios of cumulative gates that are subnormal: 1.6 nats a token, 64 tokens."""

import torch
from opengdn import gated_delta
from opengdn.chunkwise import gated_delta_chunkwise

torch.manual_seed(0)
q, k, v = torch.randn(3, 1, 64, 1, 8)
k, beta = torch.nn.functional.normalize(k, dim=-1), torch.rand(1, 64, 1)
for nats in (1.0, 1.5, 1.55, 1.6):
    alpha = torch.full((1, 64, 1), -nats).exp()
    exact = gated_delta(q.double(), k.double(), v.double(), alpha.double(), beta.double())[0]
    error = [
        ((f(q, k, v, alpha, beta)[0] - exact).norm(dim=-1) / exact.norm(dim=-1)).max()
        for f in (gated_delta_chunkwise, gated_delta)
    ]
    print(f"{nats} nats: largest error of a token {float(error[0]):.1e}, the package's reference {float(error[1]):.1e}")
assert error[0] > 1e-2
assert error[1] < 1e-5
