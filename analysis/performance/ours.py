"""Our contenders, by the name under which a user calls them, and the reference that they are held against."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from analysis.performance.contender import NUMPY, OURS, REFERENCE, Contender, Library
from analysis.performance.problems import Sequence
from ttr_numerics import exact, layers
from ttr_numerics.arrays import eye
from ttr_numerics.exact import kernels

__all__ = [
    "AUTOMATIC",
    "CHUNKED",
    "INNOVATION",
    "LINEAR",
    "REFERENCE_NAME",
    "SOLVERS",
    "chunked_layer",
    "kernel_ridge",
    "linear_attention_by_chunks",
    "reference",
    "solver",
]

AUTOMATIC, INNOVATION = "ridge_prefixes", "ridge_prefixes_by_innovation"
RECURSIVE = "recursive_least_squares"
# name: what really computes, on NumPy; numpy.linalg takes float32 to float64 and rounds the result.
SOLVERS = {
    AUTOMATIC: "",
    "ridge_prefixes_by_innovation": "chunks: Cholesky of I + KPK' (numpy.linalg: in float64), products in the dtype",
    "ridge_prefixes_by_square_root": "chunks on R, R'R = H + λI: QR or Cholesky factors (numpy.linalg: in float64)",
    "ridge_prefixes_by_moments": "Cholesky of H_t + λI a position (numpy.linalg: in float64)",
    RECURSIVE: "Sherman-Morrison token by token, all in the dtype",
    "recursive_least_squares_by_tokens": "token by token, all in the dtype",
    "recursive_least_squares_by_innovation": "as ridge_prefixes_by_innovation",
    "recursive_least_squares_by_square_root": "as ridge_prefixes_by_square_root",
}
SAMPLED = ("ridge_prefixes_by_moments",)  # on one head: a factor at every position
CHUNKED = "layers.chunked."
LINEAR = f"{CHUNKED}linear_attention"
REFERENCE_NAME = "linear attention by chunks"


def linear_attention_by_chunks(Q: np.ndarray, K: np.ndarray, V: np.ndarray, C: int = 32) -> np.ndarray:
    """o_t = q_t Σ_{i≤t} k_i'v_i, a chunk at a time: the plainest sequence layer, in four products."""
    o, mask = np.empty_like(V), np.tri(C, dtype=V.dtype)
    S = np.zeros((*K.shape[:-2], K.shape[-1], V.shape[-1]), V.dtype)
    whole = Q, K, V
    for s in range(0, V.shape[-2], C):
        Q, K, V = (x[:, s : s + C] for x in whole)
        KT = K.swapaxes(-1, -2)
        o[:, s : s + C] = Q @ S + ((Q @ KT) * mask) @ V
        S += KT @ V
    return o


def reference(s: Sequence) -> Contender:
    """The cost of one linear attention layer, the unit that the other times are given in."""
    routine = "numpy.matmul in the dtype"
    return Contender(
        REFERENCE_NAME,
        REFERENCE,
        NUMPY.version,
        routine,
        "linear_attention",
        lambda: linear_attention_by_chunks(s.q, s.k, s.v),
    )


def solver(name: str, s: Sequence, ridge: float, library: Library, *, forgets: bool = False) -> Contender:
    """`exact.<name>` on the arrays of `library`; ImportError where this version has no such solver."""
    function = _named(exact, name)
    heads = 1 if name in SAMPLED else None
    q, k, v, gate = (library.asarray(x[:heads]) for x in (s.q, s.k, s.v, s.log_decay))
    decay = {"log_decay": gate} if forgets else {}
    form = _form(name, k, ridge, decay)
    routine = SOLVERS.get(form, form) if library.name == "numpy" else f"as on NumPy, by {library.name} in the dtype"
    routine = f"takes {form}" if form != name else routine

    def run() -> Any:
        return _finished(library, function(q, k, v, ridge=ridge, **decay).o)

    return Contender(f"exact.{name}", OURS, library.version, routine, "ridge", run, heads=heads, form=form)


def chunked_layer(name: str, s: Sequence, library: Library) -> Contender:
    """`layers.chunked.<name>` on the arrays of `library`."""
    function = _named(layers.chunked, name)
    take = {"delta_rule": ("beta",), "gated_delta_rule": ("log_decay", "beta")}.get(name, ())
    q, k, v = (library.asarray(x) for x in (s.q, s.k, s.v))
    gates = {gate: library.asarray(getattr(s, gate)) for gate in take}

    def run() -> Any:
        return _finished(library, function(q, k, v, **gates).o)

    return Contender(f"{CHUNKED}{name}", OURS, library.version, "matrix products in the dtype", name, run)


def kernel_ridge(s: Sequence, ridge: float) -> Contender:
    """`exact.kernel_ridge_prefixes` with the Gaussian kernel of bandwidth 1."""
    kernel = kernels.Gaussian()

    def run() -> Any:
        return exact.kernel_ridge_prefixes(s.q, s.k, s.v, kernel=kernel, ridge=ridge).o

    routine = "kernel matrix; one Cholesky factor (numpy.linalg: in float64) for all positions"
    return Contender("exact.kernel_ridge_prefixes", OURS, NUMPY.version, routine, "kernel ridge", run)


def _form(name: str, k: Any, ridge: float, decay: Mapping[str, Any]) -> str:
    """The name of the form that an automatic choice takes, else `name` itself."""
    if name == AUTOMATIC:
        return exact.choose_ridge_prefixes(k, ridge, **decay).__name__
    if name == RECURSIVE and hasattr(exact, "choose_recursive_least_squares"):
        return exact.choose_recursive_least_squares(k, eye(k, k.shape[-1]) / ridge, **decay).__name__
    return name


def _named(room: Any, name: str) -> Callable[..., Any]:
    if not hasattr(room, name):
        raise ImportError(f"this version has no {name}")
    return getattr(room, name)


def _finished(library: Library, o: Any) -> Any:
    library.synchronize()
    return o
