"""How each row of the catalogue is rebuilt from its three choices: the names of its arrays, the numbers it fixes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ttr_numerics import regression
from ttr_numerics.choices import Choices, QueryKernel
from ttr_numerics.exact import kernels
from ttr_numerics.pairs import Pairing

__all__ = ["NOT_COMPOSED", "Case", "case"]

Arrays = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """Arguments for the layer, the same for the composed one, and the choices that it is composed from."""

    layer: Arrays
    composed: Arrays
    choices: Choices

    def run(self, **arrays: Any) -> Any:
        """The composed layer."""
        return regression(self.choices.weights, self.choices.function_class, self.choices.optimiser)(**arrays)


def case(row: Pairing, arrays: Arrays) -> Case:
    """The row's own arrays in the words of its choices."""
    given = {n: x for n, x in arrays.items() if n != "initial_state"}
    return SPOKEN.get(row.name, _as_they_are)(row, given)


def _as_they_are(row: Pairing, a: Arrays) -> Case:
    return Case(a, a, row.choices)


def _renamed(name: str, factor: float) -> Callable[[Pairing, Arrays], Case]:
    """The step size has another name, and the choices hold the length of a mini-batch."""

    def spoken(row: Pairing, a: Arrays) -> Case:
        a = a | ({"batch": row.choices.optimiser.batch} if "batch" in a else {})
        kept = {n: x for n, x in a.items() if n not in (name, "batch")}
        return Case(a, {**kept, "beta": factor * a[name]}, row.choices)

    return spoken


def _as_chosen(*names: str) -> Callable[[Pairing, Arrays], Case]:
    """The choices hold these numbers: the layer takes its defaults, which are the same."""

    def spoken(row: Pairing, a: Arrays) -> Case:
        kept = {n: x for n, x in a.items() if n not in names}
        return Case(kept, kept, row.choices)

    return spoken


def _kernel(kind: type, *names: str) -> Callable[[Pairing, Arrays], Case]:
    """The numbers of the kernel that the choices hold."""

    def spoken(row: Pairing, a: Arrays) -> Case:
        numbers = {n: a[n] for n in names if n in a}
        weights = QueryKernel(kind(**{n: float(np.asarray(x)) for n, x in numbers.items()}))
        return Case(a, {n: x for n, x in a.items() if n not in names}, replace(row.choices, weights=weights))

    return spoken


def _with_ratio(row: Pairing, a: Arrays) -> Case:
    kept = {n: x for n, x in a.items() if n not in ("alpha", "steps")}
    return Case(kept, {**kept, "ridge_ratio": kept.get("ridge_ratio", 0.02)}, row.choices)


SPOKEN: dict[str, Callable[[Pairing, Arrays], Case]] = {
    "ttt_linear": _renamed("eta", 1.0),
    "layer_norm_ttt_linear": _renamed("eta", 1.0),
    "ttt_mlp": _renamed("eta", 1.0),
    "titans": _renamed("theta", 2.0),
    "mesa_cg": _as_chosen("steps", "start"),
    "gated_kalmanet": _with_ratio,
    "compact_kernel_attention": _kernel(kernels.SymmetricBeta, "order", "bandwidth"),
    "normalized_relu_attention": _kernel(kernels.Rectified, "order", "threshold"),
}

NOT_COMPOSED = {
    "rwkv6": "the newest token counts by a bonus for each key channel, which is no weight of an association",
    "rwkv4": "no keys are compared: a mean over time for each channel, weighted by the key itself",
    "rg_lru": "no keys: a leaky integrator for each channel",
    "hgrn": "no keys: a leaky integrator for each channel",
    "erase_write_delta_rule": "erases and writes by gates of their own: no gradient of a loss of the fit",
    "comba": "feeds back the error at a row other than the key: no gradient of a loss of the fit",
    "generalized_delta_rule": "reads along one row and writes along another: no gradient of a loss of the fit",
    "longhorn_diagonal": "every entry forgets by itself: an approximation of the implicit step, which is composed",
    "preconditioned_delta_rule": "its preconditioner is a state with gates and bounds of its own",
    "bidirectional_softmax_attention": "not causal",
    "intention": "not causal",
    "sink_attention": "a pair that no token brings is a prior on the fit, which is not among the choices",
    "entmax_attention": "its weights are a projection on the simplex, no product over associations",
    "hopfield": "its query moves: several fits follow one another",
    "parallax": "its probe is given with the data: a correction of the local constant, no fit",
}
