"""What the attention layers of a transformers model receive and return, taken while it reads a text. Needs torch.

found = captured(model, input_ids, (0, 15))      # {0: Captured, 15: Captured}
check(found[15].arrays["o"], found[15].layer, convention=found[15].convention, q=..., k=..., v=...)
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("ttr_numerics.capture: expected torch, which is not installed: pip install torch") from error

from ttr_numerics.capture.captured import Captured
from ttr_numerics.capture.recorder import captured, layers_of
from ttr_numerics.capture.source import encoded, loaded
from ttr_numerics.capture.store import write

__all__ = ["Captured", "captured", "encoded", "layers_of", "loaded", "write"]
