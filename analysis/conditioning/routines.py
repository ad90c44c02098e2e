"""What really computes: the routines that a solver takes, by array library, and what it does to float32 data."""

from collections.abc import Callable

from analysis.conditioning.solvers import CHOLESKY, DUAL, LEAST_NORM, MESA, PREFIXES, RECURSIVE, RIDGE
from analysis.rows import Rows

__all__ = ["library", "routines"]

Routines = dict[str, tuple[str, str]]
WIDENED = "as Cholesky of the Gram matrix"
SINGLE = "float32 throughout"
RECURSION = "Sherman-Morrison on (K'K + λI)⁻¹"


def library(rows: Rows) -> str:
    """The array library of the rows, as its own project writes it."""
    return TITLES[next((row["library"] for row in rows if "library" in row), "numpy")]


def routines(rows: Rows) -> Routines:
    """The routine of each solver, and what runs in float32 where the data are."""
    return ROUTINES[library(rows)]()


def _of_numpy() -> Routines:
    """numpy.linalg takes float32 to float64 and rounds the result, SciPy does not."""
    return {
        LEAST_NORM: ("SVD (LAPACK gelsd, SciPy)", SINGLE),
        RIDGE: ("QR of K and triangular solve (NumPy)", "both in float64, rounded between"),
        CHOLESKY: (
            "K'K and K'V formed, arrays.solve_posdef",
            "Gram in float32; factor, solves in float64, rounded between",
        ),
        DUAL: ("Cholesky of KK' + λI (NumPy)", WIDENED),
        PREFIXES: ("Cholesky of K'K (NumPy), last position", WIDENED),
        RECURSIVE: (RECURSION, SINGLE),
        MESA: ("Cholesky of K'K (NumPy), Gram summed token by token", WIDENED),
    }


def _of_single(name: str) -> Routines:
    """A library whose linear algebra runs in the dtype of its arrays."""
    return {
        LEAST_NORM: (f"SVD ({name}), small singular values cut", SINGLE),
        RIDGE: (f"QR of K and triangular solve ({name})", SINGLE),
        CHOLESKY: (f"K'K and K'V formed, Cholesky and triangular solves ({name})", SINGLE),
        DUAL: (f"Cholesky of KK' + λI ({name})", SINGLE),
        PREFIXES: (f"Cholesky of K'K ({name}), last position", SINGLE),
        RECURSIVE: (f"{RECURSION} ({name})", SINGLE),
        MESA: (f"Cholesky of K'K ({name}), Gram summed token by token", SINGLE),
    }


TITLES = {"numpy": "NumPy", "torch": "PyTorch", "cupy": "CuPy"}
ROUTINES: dict[str, Callable[[], Routines]] = {
    "NumPy": _of_numpy,
    "PyTorch": lambda: _of_single("PyTorch"),
    "CuPy": lambda: _of_single("CuPy"),
}
