"""What stands between a model and its layers: short convolutions, normalised queries and keys, rotary embedding.

Rows x (..., T, d). A layer has none of these inside; the caller applies them, and says which.
"""

from dataclasses import dataclass
from typing import Protocol

from ttr_numerics.arrays import Array, concat, namespace, positions, zeros
from ttr_numerics.axes import Output

__all__ = [
    "HALVES",
    "INTERLEAVED",
    "Halves",
    "Interleaved",
    "l2_normalized",
    "rms_normalized",
    "rotary",
    "short_convolution",
]


def short_convolution(x: Array, *, weight: Array, initial_state: Array | None = None) -> Output:
    """y_t = Σ_{j<w} weight_j x_{t-w+1+j}, channel by channel: causal, of width w; the last tap is the current token.

    weight (..., d, w), one filter a channel, as `torch.nn.functional.conv1d` takes it for groups = d; no bias and no
    activation. weight (1, 0) gives y_t = x_{t-1}: with it on the keys a layer stores bigrams. The state (..., w - 1, d)
    holds the last w - 1 rows, zero at the start. Reference: Fu et al. (H3), arXiv 2212.14052, section 3.1.
    """
    xp = namespace(x, weight)
    if x.ndim < 2:
        raise ValueError(f"x: expected shape (..., T, d), got {tuple(x.shape)}")
    (T, d), w = x.shape[-2:], weight.shape[-1] if weight.ndim else 0
    if weight.ndim < 2 or weight.shape[-2] != d or w < 1:
        raise ValueError(f"weight: expected shape ({d}, width), got {tuple(weight.shape)}")
    if weight.dtype != x.dtype:
        raise ValueError(f"weight: expected dtype {x.dtype} as x, got {weight.dtype}")
    rows = concat([_earlier(initial_state, x, w - 1), x], -2)
    taps = xp.matrix_transpose(weight)
    y = taps[..., :1, :] * rows[..., :T, :]
    for j in range(1, w):
        y = y + taps[..., j : j + 1, :] * rows[..., j : j + T, :]
    return Output(y, rows[..., T:, :])


def l2_normalized(x: Array, *, epsilon: float) -> Array:
    """x / √(‖x‖² + ε), row by row.

    The square root holds ε, as in flash-linear-attention and the gated delta rules of transformers (both 1e-6);
    torch's `normalize` takes max(‖x‖, ε) instead. ε = 0 gives norm one, and NaN for a row of zeros.
    """
    xp = namespace(x)
    return x / xp.sqrt(xp.sum(x * x, axis=-1, keepdims=True) + epsilon)


def rms_normalized(x: Array, *, epsilon: float) -> Array:
    """x / √(‖x‖²/d + ε), row by row: norm √d at ε = 0. A gain per channel is the caller's.

    QK-norm as in OLMo 2, Qwen 3 and Gemma 3 (each 1e-6). Rows of one norm make softmax attention Nadaraya-Watson
    regression without sample weights. Reference: Zhang and Sennrich, arXiv 1910.07467, equation 4.
    """
    xp = namespace(x)
    return x / xp.sqrt(xp.sum(x * x, axis=-1, keepdims=True) / x.shape[-1] + epsilon)


class Layout(Protocol):
    """Which channels make a plane."""

    def split(self, x: Array) -> tuple[Array, Array]:
        """First and second coordinates (..., d/2) of every plane."""

    def join(self, a: Array, b: Array) -> Array:
        """The channels (..., d) again."""


@dataclass(frozen=True)
class Halves:
    """Planes (x_j, x_{j + d/2}): GPT-NeoX, Llama and most of transformers."""

    def split(self, x: Array) -> tuple[Array, Array]:
        """First and second half of the channels."""
        half = x.shape[-1] // 2
        return x[..., :half], x[..., half:]

    def join(self, a: Array, b: Array) -> Array:
        """One half after the other."""
        return concat([a, b], -1)


@dataclass(frozen=True)
class Interleaved:
    """Planes (x_{2j}, x_{2j+1}): RoFormer, GPT-J, Cohere."""

    def split(self, x: Array) -> tuple[Array, Array]:
        """Even and odd channels."""
        return x[..., ::2], x[..., 1::2]

    def join(self, a: Array, b: Array) -> Array:
        """One of each in turn."""
        return namespace(a).reshape(namespace(a).stack([a, b], axis=-1), (*a.shape[:-1], 2 * a.shape[-1]))


HALVES, INTERLEAVED = Halves(), Interleaved()


def rotary(x: Array, places: Array, *, base: float = 10000.0, layout: Layout = HALVES) -> Array:
    """Plane j of row t turned by the angle places_t · base^(-2j/d): (a, b) → (a cos - b sin, a sin + b cos).

    places (..., T), integer or real, broadcasts over the batch axes. q_s·k_t then depends on places_s - places_t alone.
    Angles, cosines and sines are formed in float64 and rounded once to x's dtype; float32 angles, which most models
    use, are off by places·2^-24. Raises ValueError for an odd d. Reference: Su et al., arXiv 2104.09864, equation 34.
    """
    xp, d = namespace(x), x.shape[-1]
    if d % 2:
        raise ValueError(f"x: expected an even number of channels, got {d}")
    if places.ndim < 1 or places.shape[-1] != x.shape[-2]:
        raise ValueError(f"places: expected shape (..., {x.shape[-2]}), got {tuple(places.shape)}")
    wide = (lambda y: y) if x.dtype == object else (lambda y: xp.astype(y, xp.float64))
    angles = wide(places)[..., None] * base ** (-2 / d * wide(positions(x, d // 2)))
    cos, sin = (y if x.dtype == object else xp.astype(y, x.dtype) for y in (xp.cos(angles), xp.sin(angles)))
    a, b = layout.split(x)
    return layout.join(a * cos - b * sin, a * sin + b * cos)


def _earlier(initial: Array | None, x: Array, n: int) -> Array:
    """The n rows before x: `initial`, after a check, or zeros."""
    shape = (*x.shape[:-2], n, x.shape[-1])
    if initial is None:
        return zeros(x, shape)
    if tuple(initial.shape) != shape or initial.dtype != x.dtype:
        raise ValueError(
            f"initial_state: expected shape {shape} and dtype {x.dtype}, got {tuple(initial.shape)} and {initial.dtype}"
        )
    return initial
