"""torch modules for test-time regression: projections, a short convolution, any layer of the catalogue. Needs torch.

layer = TestTimeRegression(64, "gated_delta_rule", heads=4, d_k=16, d_v=16)
y = layer(x)                         # (B, T, 64) to (B, T, 64)
y, state = layer.step(x, state)      # a piece of a sequence after the piece that left `state`; None at the start
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("ttr_numerics.nn: expected torch, which is not installed: pip install torch") from error

from ttr_numerics.nn.convolution import ShortConvolution
from ttr_numerics.nn.language_model import LanguageModel
from ttr_numerics.nn.layer import State, TestTimeRegression
from ttr_numerics.nn.maps import AT_LEAST_ONE, GATE, IDENTITY, POSITIVE, STEP, UNIT, Map

__all__ = [
    "AT_LEAST_ONE",
    "GATE",
    "IDENTITY",
    "POSITIVE",
    "STEP",
    "UNIT",
    "LanguageModel",
    "Map",
    "ShortConvolution",
    "State",
    "TestTimeRegression",
]
