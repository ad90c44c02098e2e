"""Hedgehog: learned exponential features of both signs."""

from dataclasses import dataclass

from ttr_numerics.arrays import Array, concat, namespace, row_maximum

__all__ = ["Hedgehog", "HedgehogSoftmax", "hedgehog"]


@dataclass(frozen=True, eq=False)
class Hedgehog:
    """φ(x) = [exp(Wx + b), exp(-Wx - b)]: κ(x, y) = 2 Σ_j cosh(w_j'(x + y) + 2b_j) ≥ 2m; D = 2m, positive.

    `weight` W (m, d), `bias` b (m,), 0 where None. Overflows where an entry of Wx + b passes the range of exp (88.7
    in float32, 11.1 in float16). Reference: Zhang et al., arXiv 2402.04347, section 4.
    """

    weight: Array
    bias: Array | None = None

    def __call__(self, x: Array) -> Array:
        """φ of the rows of x (..., d)."""
        return namespace(x).exp(_both_signs(x, self.weight, self.bias))


@dataclass(frozen=True, eq=False)
class HedgehogSoftmax:
    """φ(x) = softmax[2(Wx + b), -2(Wx + b)]: the features of a row sum to 1; D = 2m, positive, κ ≤ 1.

    FLA's HedgehogFeatureMap. It is `Hedgehog` with 2W and 2b, each row over its sum 2 Σ_j cosh(2(w_j'x + b_j)). In a
    normalised layer the query's sum cancels; the key's does not, and acts as a sample weight that favours small keys.
    """

    weight: Array
    bias: Array | None = None

    def __call__(self, x: Array) -> Array:
        """φ of the rows of x (..., d)."""
        xp = namespace(x)
        logits = 2 * _both_signs(x, self.weight, self.bias)
        weights = xp.exp(logits - row_maximum(logits))
        return weights / xp.sum(weights, axis=-1, keepdims=True)


def hedgehog(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """[exp(Wx + b), exp(-Wx - b)] of the rows of x (..., d): `Hedgehog(weight, bias)` called once."""
    return Hedgehog(weight, bias)(x)


def _both_signs(x: Array, weight: Array, bias: Array | None) -> Array:
    """[z, -z] for z = Wx + b."""
    z = x @ namespace(weight).matrix_transpose(weight)
    z = z if bias is None else z + bias
    return concat([z, -z], -1)
