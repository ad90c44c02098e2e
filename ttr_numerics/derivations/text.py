"""A derivation as a person reads it: on a terminal, or as LaTeX."""

import numpy as np
import sympy

from ttr_numerics.derivations.derivation import Derivation, Equation

__all__ = ["as_latex", "as_text"]

_WIDTH = 100


def as_text(name: str, derivation: Derivation) -> str:
    """Objective, then each equation: what it claims, its closed form entry by entry, and whether it is proved."""
    lines = [name, "", f"  {derivation.objective}", ""]
    for n, equation in enumerate(derivation.equations, start=1):
        verdict = "proved: the difference simplifies to 0" if equation.holds() else "NOT PROVED"
        lines += [f"{n}. {equation.claim}   [{verdict}]", ""]
        lines += [f"     {line}" for line in _entries(equation)]
        lines.append("")
    return "\n".join(lines).rstrip()


def as_latex(name: str, derivation: Derivation) -> str:
    r"""The same as a fragment that compiles after \usepackage{amsmath}."""
    title = name.replace("_", r"\_")
    lines = [rf"\paragraph{{{title}}} \verb|{derivation.objective}|", r"\begin{enumerate}"]
    for equation in derivation.equations:
        body = sympy.latex(_matrix(equation.right))
        lines.append(rf"\item \verb|{equation.claim}|: \[ \mathrm{{{_name(equation)}}} = {body} \]")
    return "\n".join([*lines, r"\end{enumerate}"])


def _entries(equation: Equation) -> list[str]:
    """name[i, j] = entry, one line each; long entries are cut and say how long they are."""
    shown = []
    for index, entry in np.ndenumerate(np.asarray(equation.right, dtype=object)):
        text = str(sympy.factor_terms(sympy.sympify(entry)))
        if len(text) > _WIDTH:
            text = f"{text[: _WIDTH - 20]} ... ({len(text)} characters)"
        place = "".join(f"[{i + 1}]" for i in index)
        shown.append(
            f"({equation.name}){place} = {text}" if " " in equation.name else f"{equation.name}{place} = {text}"
        )
    return shown


def _matrix(x: np.ndarray) -> sympy.Matrix:
    flat = np.reshape(np.asarray(x, dtype=object), (-1, np.shape(x)[-1] if np.ndim(x) else 1))
    return sympy.Matrix(flat.shape[0], flat.shape[1], list(flat.flat))


def _name(equation: Equation) -> str:
    return equation.name.replace("_", r"\_").replace("|", r"\vert ")
