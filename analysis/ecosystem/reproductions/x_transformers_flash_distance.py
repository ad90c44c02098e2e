"""x-transformers, Attend(l2_distance=True, flash=True): the default scale is that of d + 2 channels."""

import torch
from x_transformers.attend import Attend

torch.manual_seed(0)
q, k, v = torch.randn(3, 1, 2, 8, 16)
for scale in (None, 16**-0.5):
    plain, flash = (Attend(l2_distance=True, flash=flash, scale=scale)(q, k, v)[0] for flash in (False, True))
    print(f"scale={scale}: flash=True is {float((flash - plain).abs().max()):.1e} from flash=False")
wider = Attend(l2_distance=True, scale=18**-0.5)(q, k, v)[0]
flash = Attend(l2_distance=True, flash=True)(q, k, v)[0]
print(f"flash=True is {float((flash - wider).abs().max()):.1e} from flash=False with scale 18^-1/2")
assert (flash - wider).abs().max() < 1e-5
