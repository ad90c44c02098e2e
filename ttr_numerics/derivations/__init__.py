"""What each layer is, derived in symbols: a chain of equations in which a layer's own code takes part.

One family a file, one function a layer. Every equation is proved by simplifying a difference to zero; nothing is
rounded. `ttr derive NAME` prints a derivation, the tests prove all of them.
"""

from ttr_numerics.derivations.derivation import Derivation, Equation
from ttr_numerics.derivations.symbols import Arrays, limit, matrix, negative, positive, real, step_from, symbolic

__all__ = [
    "Arrays",
    "Derivation",
    "Equation",
    "limit",
    "matrix",
    "negative",
    "positive",
    "real",
    "step_from",
    "symbolic",
]
