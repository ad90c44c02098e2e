"""cosFormer: rectified features turned by an angle that grows with the position."""

from dataclasses import dataclass

from ttr_numerics.arrays import Array, concat, namespace, positions
from ttr_numerics.features.elementwise import relu

__all__ = ["CosFormer"]


@dataclass(frozen=True)
class CosFormer:
    """φ_i(x) = [max(x, 0) cos θ_i, max(x, 0) sin θ_i], θ_i = πi/2M for the row at position i; D = 2d.

    κ(x at i, y at j) = max(x, 0)'max(y, 0) cos(π(i - j)/2M): at least 0 while |i - j| ≤ M = `horizon`, which the paper
    takes as the longest sequence; beyond it keys count negatively. Queries and keys take the same map. Rows are at
    positions start, start + 1, ...; only differences of positions matter, so any common start will do.
    Reference: Qin et al., arXiv 2202.08791, section 3.
    """

    horizon: int
    start: int = 0

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise ValueError(f"horizon: expected at least 1, got {self.horizon}")

    def __call__(self, x: Array) -> Array:
        """φ of the rows of x (..., T, d)."""
        xp = namespace(x)
        position = xp.astype(positions(x, x.shape[-2]) + self.start, x.dtype)
        angle = (position * xp.pi / (2 * self.horizon))[:, None]
        positive = relu(x)
        return concat([positive * xp.cos(angle), positive * xp.sin(angle)], -1)
