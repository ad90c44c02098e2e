"""CIELAB and simulated colour blindness, written from the formulas: an oracle for the table of colours.

Simulations: G. M. Machado, M. M. Oliveira, L. A. F. Fernandes, A physiologically-based model for simulation of color
vision deficiency, IEEE TVCG 15(6), 2009: the matrices of severity 1.0, for linear RGB. For tritanopia they are, as the
authors say, an approximation. sRGB: IEC 61966-2-1. CIELAB and its difference of 1976: CIE 15:2004, for the white of
sRGB (D65).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Three = NDArray[np.float64]

SIMULATED = {
    "normal vision": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(colour: str) -> Three:
    """Linear RGB of an sRGB colour `#rrggbb`."""
    stored = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)


def cielab(rgb: Three) -> Three:
    """L*, a*, b* of linear RGB: L* = 116 f(Y/Y_n) - 16, a* = 500 (f(X/X_n) - f(Y/Y_n)), b* = 200 (f(Y/Y_n) - ...)."""
    share = (_XYZ @ rgb) / _XYZ.sum(axis=1)
    x, y, z = np.where(share > (6 / 29) ** 3, np.cbrt(share), share * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def seen(colour: str, by: str) -> Three:
    """CIELAB of the colour as simulated; what leaves the gamut is cut off, as the authors do."""
    return cielab(np.clip(SIMULATED[by] @ linear(colour), 0.0, 1.0))


def nearest(colours: Sequence[str], by: str) -> tuple[float, str, str]:
    """The least difference, ((ΔL*)² + (Δa*)² + (Δb*)²)^(1/2), of any two of them, and which two these are."""
    return min((float(np.linalg.norm(seen(a, by) - seen(b, by))), a, b) for a, b in itertools.combinations(colours, 2))


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2."""
    return float(np.array([0.2126, 0.7152, 0.0722]) @ linear(colour))


def contrast(a: str, b: str) -> float:
    """Contrast ratio of WCAG 2."""
    dark, light = sorted((luminance(a), luminance(b)))
    return (light + 0.05) / (dark + 0.05)
