"""x-transformers, Attend(flash=True): forward(causal=True) does nothing."""

import torch
from x_transformers.attend import Attend

torch.manual_seed(0)
q, k, v = torch.randn(3, 1, 2, 8, 16)
plain, flash = (Attend(flash=flash)(q, k, v, causal=True)[0] for flash in (False, True))
everything = Attend()(q, k, v)[0]
print(f"flash=True is {float((flash - plain).abs().max()):.1e} from flash=False")
print(f"flash=True is {float((flash - everything).abs().max()):.1e} from no causal mask at all")
assert (flash - everything).abs().max() < 1e-5 < 0.1 < (flash - plain).abs().max()
