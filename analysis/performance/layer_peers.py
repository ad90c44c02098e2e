"""Attention, the delta rules and kernel ridge regression by other libraries; ImportError is a stated absence."""

import importlib
import inspect
from typing import Any

import numpy as np
import scipy.linalg
from scipy.spatial.distance import cdist

from analysis.performance.contender import THEIRS, Contender, Library
from analysis.performance.problems import Sequence
from analysis.performance.ridge_peers import few_positions, middles, version

__all__ = ["kernel_by_position", "sklearn_kernel_ridge", "torch_attention", "transformers_delta_rule"]


def torch_attention(s: Sequence, library: Library) -> Contender:
    """`torch.nn.functional.scaled_dot_product_attention`, causal: another layer, for its cost."""
    functional = importlib.import_module("torch.nn.functional")
    q, k, v = (library.asarray(x)[None] for x in (s.q, s.k, s.v))

    def run() -> Any:
        o = functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)[0]
        library.synchronize()
        return o

    name, routine = "torch scaled_dot_product_attention", "softmax attention, in the dtype"
    return Contender(name, THEIRS, library.version, routine, "softmax_attention", run)


def transformers_delta_rule(name: str, s: Sequence, library: Library) -> Contender:
    """`torch_chunk_gated_delta_rule` of transformers: (1, T, heads, d), queries scaled by 1/√d inside, float32."""
    model = importlib.import_module("transformers.models.qwen3_next.modeling_qwen3_next")
    function = inspect.unwrap(model.torch_chunk_gated_delta_rule)  # not a kernel that stands in for it
    q, k, v, gate, beta = (library.asarray(np.ascontiguousarray(x.swapaxes(0, 1)[None])) for x in s)
    q, gate = q * s.q.shape[-1] ** 0.5, gate if name == "gated_delta_rule" else 0 * gate

    def run() -> Any:
        return function(q, k, v, gate, beta)[0][0].transpose(0, 1)

    routine = "torch, chunks of 64, float32"
    return Contender("transformers torch_chunk_gated_delta_rule", THEIRS, version("transformers"), routine, name, run)


def kernel_by_position(s: Sequence, ridge: float) -> Contender:
    """A Cholesky factor of κ(K_t, K_t) + λI at every position; the kernel matrix itself is given to it."""
    q, k, v = (x[0] for x in (s.q, s.k, s.v))
    A, B = (np.exp(-0.5 * cdist(x, k, "sqeuclidean")).astype(k.dtype) for x in (k, q))
    A += ridge * np.eye(len(k), dtype=k.dtype)

    def one(t: int) -> np.ndarray:
        n = t + 1
        factor = scipy.linalg.cho_factor(A[:n, :n], check_finite=False)
        return scipy.linalg.cho_solve(factor, B[t, :n], check_finite=False) @ v[:n]

    name, routine = "scipy.linalg.cho_solve a position", "Cholesky (LAPACK potrf) in the dtype; kernel matrix given"
    return few_positions(name, version("scipy"), routine, one, middles(len(k)), "kernel ridge")


def sklearn_kernel_ridge(s: Sequence, ridge: float) -> Contender:
    """`sklearn.kernel_ridge.KernelRidge`, fitted anew at a position."""
    estimator = importlib.import_module("sklearn.kernel_ridge").KernelRidge
    q, k, v = (x[0] for x in (s.q, s.k, s.v))

    def one(t: int) -> np.ndarray:
        fit = estimator(alpha=ridge, kernel="rbf", gamma=0.5).fit(k[: t + 1], v[: t + 1])
        return fit.predict(q[t : t + 1])[0]

    name, routine = "scikit-learn KernelRidge a position", "Cholesky (SciPy) in the dtype, kernel matrix formed anew"
    return few_positions(name, version("scikit-learn"), routine, one, middles(len(k)), "kernel ridge")
