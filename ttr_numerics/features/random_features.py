"""FAVOR+: positive random features of the exponential kernel."""

from dataclasses import dataclass
from typing import Any

from ttr_numerics.arrays import Array, namespace

__all__ = ["Favor", "favor_plus", "orthogonal_gaussian"]


@dataclass(frozen=True, eq=False)
class Favor:
    """φ_j(x) = exp(w_j'x - ‖x‖²/2 - shift) / √m: E φ(x)'φ(y) = exp(x'y - 2 shift); D = m, positive.

    `projection` W (m, d) has rows N(0, I), such as `orthogonal_gaussian` draws. Softmax attention with logits q'k/√d is
    approximated on inputs over d**0.25. As w'x - ‖x‖²/2 = ‖w‖²/2 - ‖x - w‖²/2 no feature of any x exceeds
    exp(‖w_j‖²/2 - shift)/√m: `Favor.bounded` takes the largest ‖w_j‖²/2 as the shift, a constant of the projection
    that cancels in a normalised layer. A stabiliser taken over the keys of a sequence (Performer's released code
    subtracts the largest exponent of all keys, then adds 10⁻⁴) lets a later key change earlier outputs.
    Reference: Choromanski et al., arXiv 2009.14794, lemma 1 and section 2.4.
    """

    projection: Array
    shift: float = 0.0

    @classmethod
    def bounded(cls, projection: Array) -> "Favor":
        """The map with features of at most 1/√m, whatever the input and however long the sequence."""
        xp = namespace(projection)
        return cls(projection, float(xp.max(xp.sum(projection * projection, axis=-1))) / 2)

    def __call__(self, x: Array) -> Array:
        """φ of the rows of x (..., d)."""
        xp = namespace(x)
        m = self.projection.shape[0] * xp.ones_like(x[..., :1])
        half_square = xp.sum(x * x, axis=-1, keepdims=True) / 2
        return xp.exp(x @ xp.matrix_transpose(self.projection) - half_square - self.shift) / xp.sqrt(m)


def favor_plus(rng: Any, features: int, d: int) -> Favor:
    """A bounded FAVOR+ map R^d → R^features with a freshly drawn orthogonal projection (NumPy, float64)."""
    return Favor.bounded(orthogonal_gaussian(rng, features, d))


def orthogonal_gaussian(rng: Any, features: int, d: int) -> Array:
    """W (features, d): each row N(0, I), the rows of a block of d orthogonal; blocks are independent.

    `rng` is a `numpy.random.Generator`. Directions are rows of a Haar-distributed orthogonal matrix (QR of a Gaussian
    one, signs made those of R), norms are χ with d degrees of freedom, drawn independently: every row by itself is
    Gaussian, so the kernel estimate keeps its mean. Reference: Choromanski et al., arXiv 2009.14794, section 2.4.
    """
    blocks = -(-features // d)
    gaussian = rng.standard_normal((blocks, d, d))
    xp = namespace(gaussian)
    Q, R = xp.linalg.qr(gaussian)
    Q = Q * xp.sign(xp.linalg.diagonal(R))[..., None, :]
    directions = xp.reshape(xp.matrix_transpose(Q), (blocks * d, d))[:features, :]
    return xp.sqrt(rng.chisquare(d, features))[:, None] * directions
