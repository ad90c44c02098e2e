"""Which layer of the field each line of a figure shows: what a reader of the page picks to see it in every study.

A line is known by its `layer`, or by its label where it has none. The variants of a layer, by its step, its gate, its
ridge or the metric of its keys, are one. Whatever solves ridge regression at every token is the Mesa layer, and its
recursion, whose ridge decays with the data, recursive least squares. What is no layer is listed too, so that a name
which nobody has thought about yet is found by a test.
"""

from collections.abc import Mapping
from itertools import chain

__all__ = ["LAYERS", "NO_LAYERS", "layer_names"]

LAYERS: Mapping[str, tuple[str, ...]] = {
    "linear attention": (
        "linear attention",
        "linear attention, scaled",
        "linear attention, best scale",
        "linear attention, Σ^-1/2",
        "linear attention by chunks",
        "layers.chunked.linear_attention",
    ),
    "linear attention of features": (
        *("identity", "ReLU", "ELU + 1", "DPFP, ν = 1", "Hedgehog", "FAVOR+", "quadratic", "Taylor", "ReBased"),
    ),
    "normalised linear attention": ("normalised linear attention", "normalised, ELU + 1"),
    "gated linear attention": (
        "gated linear attention",
        "gated linear att., scaled",
        "gated linear attention, scalar",
        "gated linear attention, per channel",
        "gated linear attention, γ = 1 - 2⁻⁸",
        "linear attention, decaying",
    ),
    "RetNet": ("RetNet, mean of 4 heads",),
    "RWKV-4": ("RWKV-4",),
    "RWKV-6": ("RWKV-6",),
    "RWKV-7": ("RWKV-7",),
    "RG-LRU": ("RG-LRU",),
    "HGRN": ("HGRN",),
    "mLSTM": ("mLSTM",),
    "dense associative memory": (
        "kernel of degree 1",
        "kernel of degree 2",
        "kernel of degree 3",
        "kernel of degree 4",
    ),
    "delta rule": (
        "delta rule",
        "delta rule, β = 1",
        "delta rule, β = 1/2",
        "delta rule, best β",
        "delta rule, best constant β",
        "delta rule, falling step",
        "delta rule, Σ^-1/2",
        "delta rule, estimated Σ^-1/2",
        "delta rule, Σ^-1/2, falling step",
        "delta rule in exp. space",
    ),
    "gated delta rule": (
        "gated delta rule",
        "gated delta rule, β = 1",
        "gated delta rule, β = 1, γ = 1 - 2⁻⁸",
        "gated delta rule, metric Σ^-1/2",
        "gated delta rule in Taylor space",
        "gated delta rule in exp. space",
    ),
    "delta rule with momentum": ("delta rule with momentum", "implicit heavy ball, gated"),
    "Kaczmarz delta rule": ("Kaczmarz delta rule",),
    "preconditioned delta rule": ("preconditioned delta rule",),
    "erase-write delta rule": ("erase-write delta rule",),
    "gated delta product": ("gated delta product",),
    "Kimi delta attention": ("Kimi delta attention",),
    "Comba": ("Comba",),
    "Longhorn": ("Longhorn", "Longhorn, diagonal"),
    "TTT-Linear": ("TTT-Linear",),
    "Titans": ("Titans, linear",),
    "Huber delta rule": ("Huber delta rule", "entrywise Huber delta rule"),
    "lp delta rule": ("lp delta rule",),
    "least squares": ("least squares", "least norm", "global linear"),
    "recursive least squares": (
        "recursive least squares",
        "recursive least squares, forgetting",
        "gated recursive least squares",
        "least squares (RLS)",
        "RLS",
        "RLS, forgetting",
        "RLS, ridge → 0",
        "RLS, ridge of the prior",
        "Mesa, decaying ridge",
        "g (Pk)'",
        "square root",
        "Sherman-Morrison loop",
        "recursive_least_squares",
        "recursive_least_squares_by_tokens",
        "exact.recursive_least_squares_by_square_root",
        "statsmodels RecursiveLS",
        "padasip FilterRLS",
    ),
    "Mesa layer": (
        "Mesa",
        "Mesa, forgetting",
        "Mesa, no forgetting",
        "mesa, ridge 0.25",
        "gated mesa, ridge 0.25",
        "mesa, Λ = 1/4",
        "layers.mesa",
        "MesaNet, 30 CG steps",
        "4 CG steps on ELU features, gated",
        "ridge, best λ",
        "ridge_prefixes",
        "ridge_prefixes_by_moments",
        "exact.ridge_prefixes",
        "exact.ridge_prefixes_by_square_root",
        "… by square root",
        "… by moments",
    ),
    "Gated KalmaNet": ("Gated KalmaNet",),
    "softmax attention": (
        "softmax",
        "softmax attention",
        "softmax attention, β = d/2",
        "softmax attention, β = √d",
        "softmax, gain 1",
        "softmax, gain 16",
        "softmax, logits √d cos",
        "local constant (softmax)",
        "QK-norm",
        "unit keys, weights alone",
        "weights divided out",
    ),
    "softmax attention with a sink": ("softmax with a sink",),
    "sliding-window attention": ("sliding window",),
    "forgetting attention": ("forgetting attention",),
    "kernel ridge attention": (
        "kernel ridge in a window",
        "kernel ridge, Gaussian, h = 1",
        "kernel ridge, Gaussian, h = 4",
        "kernel ridge, Gaussian, h = 16",
    ),
    "local linear attention": ("local linear", "local linear in a window"),
    "local polynomial attention": ("local quadratic",),
}

NO_LAYERS: tuple[str, ...] = (
    # families of layers, and the best of many
    *("additive", "error-correcting", "solving", "attention", "best named"),
    # keys, and what was done to them or to their features
    *("SmolLM2 layer 15 (4-bit weights)", "MiniLM layer 0", "MiniLM layer 5", "isotropic random keys", "Gaussian keys"),
    *("as captured", "centred", "unit norm", "as they are", "unit length", "centred, unit length"),
    *("divided by φ(q)'Σφ(k)", "unit length, ridge 0.02 ‖H‖", "unit length, least squares"),
    # iterations and forms of one and the same answer
    *("conjugate gradients", "Chebyshev", "Chebyshev, 0.02 nats", "Chebyshev, 0.1 nats"),
    *("innovation", "moments", "moments, 0.02 nats", "moments, 0.1 nats", "dense QR", "Cholesky of the Gram matrix"),
    *("differences of sums", "products of gates", "factored"),
    # solvers of one system
    *("exact.least_norm", "exact.ridge", "exact.ridge_dual"),
    *("NumPy solve", "SciPy Cholesky", "SciPy lstsq", "scikit-learn Ridge", "torch Cholesky"),
)


def layer_names() -> dict[str, str | None]:
    """The name of a layer by what its lines are called; None for what is no layer."""
    named = [(line, name) for name, lines in LAYERS.items() for line in lines]
    return dict(chain(named, ((line, None) for line in NO_LAYERS)))
