"""fla-core, naive_recurrent_gated_delta_product: exp(g) in bfloat16 where g is: slow gates do not forget."""

import torch
from fla.ops.gated_delta_product.naive import naive_recurrent_gated_delta_product
from fla.ops.gated_delta_rule.naive import naive_recurrent_gated_delta_rule

T = 1024
one = torch.ones(1, T, 1, 4, dtype=torch.bfloat16)
beta = torch.zeros(1, T, 1, dtype=torch.bfloat16)
beta[:, 0] = 1.0  # one write, then nothing but decay
k = one / 2
for nats in (0.0002, 0.002):
    g = torch.full((1, T, 1), -nats, dtype=torch.bfloat16)
    product = naive_recurrent_gated_delta_product(one, k, one, g, beta, scale=1.0)[0].flatten()
    rule = naive_recurrent_gated_delta_rule(one, k, one, beta, g, scale=1.0)[0].flatten()
    exact = float(torch.exp(g.double().sum() - g[0, 0, 0].double()))
    left = [float(o[-1] / o[0]) for o in (product, rule)]
    print(
        f"decay {nats}: left after {T} tokens {left[0]:.3f}, by naive_recurrent_gated_delta_rule {left[1]:.3f},",
        end=" ",
    )
    print(f"exact {exact:.3f}")
    assert abs(left[0] - exact) > 0.1 > 0.01 > abs(left[1] - exact)
