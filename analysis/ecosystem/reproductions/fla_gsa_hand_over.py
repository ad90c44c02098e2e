"""fla-core, naive_recurrent_gsa and naive_recurrent_abc without g: the last state lacks the sum that divides s."""

import torch
from fla.ops.abc.naive import naive_recurrent_abc
from fla.ops.gsa.naive import naive_recurrent_gsa

torch.manual_seed(0)
q, k, v, s = torch.randn(4, 1, 8, 1, 4)
for name, f, axis in (("gsa", naive_recurrent_gsa, 1), ("abc", naive_recurrent_abc, 2)):
    arrays = [x.transpose(1, axis) for x in (q, k, v, s)]
    whole = f(*arrays)[0]
    first, state = f(*(x.narrow(axis, 0, 4) for x in arrays), output_final_state=True)
    rest, _ = f(*(x.narrow(axis, 4, 4) for x in arrays), initial_state=state)
    error = (torch.cat([first, rest], axis) - whole).abs().amax((0, 2 if axis == 1 else 1, 3))
    print(f"{name}: largest error of tokens 3 to 6: {[f'{float(x):.1e}' for x in error[3:7]]}")
    assert error[:4].max() < 1e-5 < 0.1 < error[4:].max()
