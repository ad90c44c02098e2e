"""A derivation: the objective, and equations between matrices of symbols, each with the sentence that it proves."""

from dataclasses import dataclass

import numpy as np
import sympy

__all__ = ["Derivation", "Equation"]


@dataclass(frozen=True)
class Equation:
    """`left` = `right` entry by entry, which is what `claim` says. `name` is how a person writes the left-hand side.

    One side should come from the layer's own code, or from a sympy operation (diff, solve, limit) on the objective:
    an equation between two copies of one formula proves nothing.
    """

    claim: str
    name: str
    left: np.ndarray
    right: np.ndarray

    def difference(self) -> sympy.Matrix:
        """left - right, simplified: the zero matrix where the equation holds."""
        if np.shape(self.left) != np.shape(self.right):
            raise ValueError(f"{self.name}: expected shape {np.shape(self.left)} on both sides, got {self.right.shape}")
        flat = [_simplified(x - y) for x, y in zip(np.ravel(self.left), np.ravel(self.right), strict=True)]
        return sympy.Matrix(len(flat), 1, flat)

    def holds(self) -> bool:
        """Whether every entry of the difference simplifies to zero."""
        return all(x == 0 for x in self.difference())


@dataclass(frozen=True)
class Derivation:
    """`objective` in words and symbols, the equations in order, and what the sizes of the symbols were."""

    objective: str
    equations: tuple[Equation, ...]

    def failures(self) -> tuple[Equation, ...]:
        """The equations that do not hold: empty for a proof."""
        return tuple(equation for equation in self.equations if not equation.holds())


def _simplified(x: sympy.Expr) -> sympy.Expr:
    """x in a form in which zero is recognised: rational functions by `together`, the rest by `simplify`."""
    x = sympy.nsimplify(x)
    if x == 0:
        return x
    numerator = sympy.expand(sympy.fraction(sympy.together(sympy.powsimp(x)))[0])
    return numerator if numerator == 0 else sympy.simplify(x)
