"""fla-core, chunk_momentum_delta_rule_ref: loses its digits with momentum: a chunk of 32 against its recurrence."""

import torch
from fla.ops.momentum_delta_rule.naive import chunk_momentum_delta_rule_ref, recurrent_momentum_delta_rule_ref

torch.manual_seed(0)
q, k, v = torch.randn(3, 1, 32, 1, 8)
k = torch.nn.functional.normalize(k, dim=-1)
one = torch.ones(1, 32, 1)
for log_mu in (-0.1, -0.5, -1.0, -2.0):
    given = {"q": q, "k": k, "v": v, "p": k, "log_alpha": 0 * one, "log_mu": log_mu * one, "beta": one, "eta": one / 2}
    o, exact = chunk_momentum_delta_rule_ref(**given)[0], recurrent_momentum_delta_rule_ref(**given)[0]
    print(f"log momentum {log_mu:4.1f}: error {float((o - exact).norm() / exact.norm()):.1e} of the output")
assert (o - exact).norm() > 0.5 * exact.norm()
