"""Steps that conjugate gradients and Chebyshev iterations need in every number format, and the error they reach.

The layers solve: queries with keys of zero, which write nothing, read the state (H, I), so that o = x.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from analysis.directed import directed
from analysis.precision.systems import DIMENSION, LOG, PREFIX, System, of_keys, prescribed
from ttr_numerics import layers, tasks
from ttr_numerics.arrays import Array, eye, namespace, quiet
from ttr_numerics.axes import Moments, Output
from ttr_numerics.measure import bounds, geometric_interval, mean_interval, unit_rows
from ttr_numerics.precision import Contract, contract_named
from ttr_numerics.tolerance import run_as

__all__ = ["CG", "CHEBYSHEV", "CONTRACTS", "RULES", "SHOWN", "iteration_rows", "kalmanet_rows", "key_rows", "solved"]

CG, CHEBYSHEV = "conjugate gradients", "Chebyshev"
CONTRACTS = {
    "float64": "float64",
    "float32": "float32",
    "bfloat16 products": "float32,operands=bfloat16",
    "float16": "float16",
    "bfloat16": "bfloat16",
}
MOST = {"float64": 2048, "float32": 4096}  # conjugate gradient steps tried: twice what the worst system needs
FEWER = 256  # in the others
RULES = (10, 20, 30, PREFIX + 1, DIMENSION + 1)
SHOWN = (LOG, 1e3)  # the systems whose every error is stored
HEADS, QUERIES = 4, 4  # of stored keys
PAIRS, TRIALS = 500, 16  # of Gated KalmaNet as coded
DIVERGED = 1e3  # relative error at which nothing more is asked
ENOUGH = 2.0  # of the best error: from there an iteration has stopped improving

Row = dict[str, Any]


def iteration_rows(cell: Row, rng: np.random.Generator) -> list[Row]:
    """A row a format: steps until the error stops improving, the error reached, how the bound held."""
    problem = prescribed(rng, cell["spectrum"], cell["kappa"], cell["solver"] == CHEBYSHEV)
    rows = [row for name in CONTRACTS for row in _format_rows(cell["solver"], problem, name)]
    return [row for row in rows if row["kind"] == "reached" or (cell["spectrum"], cell["kappa"]) == SHOWN]


def key_rows(cell: Row, rng: np.random.Generator) -> list[Row]:
    """The same for the first tokens of stored keys, scaled to unit norm; queries of the last tokens."""
    real, left_out = directed(cell["keys"])
    group = len(real.q) // len(real.k)
    K, q = (unit_rows(x[:HEADS].astype(float)) for x in (real.k[:, : cell["tokens"]], real.q[::group, -QUERIES:]))
    problem = of_keys(K, q, cell["solver"] == CHEBYSHEV)
    rows = [row for name in CONTRACTS for row in _format_rows(cell["solver"], problem, name)]
    about = {"source": real.name, "kappa": problem.kappa, "d": K.shape[-1], **left_out}
    if K.shape[1] < cell["tokens"]:
        about["kept"] = K.shape[1]
    return [row | about for row in rows if row["kind"] == "reached"]


def kalmanet_rows(cell: Row, rng: np.random.Generator) -> list[Row]:
    """Gated KalmaNet as released, its steps counted as it counts them: 500 unit keys, relative error of x."""
    K = tasks.isotropic_unit_keys(rng, (TRIALS, PAIRS, DIMENSION))
    problem = of_keys(K, tasks.isotropic_unit_keys(rng, (TRIALS, QUERIES, DIMENSION)), frobenius=True)
    size, rows = np.linalg.norm(problem.x, axis=(-2, -1)), []
    for steps in (10, 20, 30):
        x = solved(CHEBYSHEV, problem, steps + 1, contract_named("float64"))
        error = np.linalg.norm(problem.error(x), axis=(-2, -1)) / size
        bound = bounds.chebyshev_bound(steps, problem.kappa)
        rows.append({"steps": steps, "bound": bound, "pairs": PAIRS, "d": DIMENSION, **mean_interval(error)._asdict()})
    return rows


def solved(solver: str, problem: System, steps: int, contract: Contract) -> np.ndarray:
    """x after `steps` steps from zero, every operation rounded as `contract` says."""

    def layer(q: Array, H: Array, ridge: Array) -> Output:
        silent = namespace(q).zeros_like(q)
        state = Moments(H, eye(q, q.shape[-1]) + namespace(q).zeros_like(H))
        if solver == CG:
            return layers.chunked.mesa_cg(q, silent, silent, ridge=ridge, steps=steps, initial_state=state)
        ratio = 1 / (problem.kappa - 1)
        # The released kernels do not count the gradient step from zero that they begin with.
        return layers.chunked.gated_kalmanet(q, silent, silent, ridge_ratio=ratio, steps=steps - 1, initial_state=state)

    ridge = np.repeat(problem.ridge[:, None], problem.q.shape[-1], axis=-1)
    with quiet():
        return run_as(layer, {"q": problem.q, "H": problem.H, "ridge": ridge}, contract)


def _format_rows(solver: str, problem: System, name: str) -> list[Row]:
    trial = _Trial(solver, problem, contract_named(CONTRACTS[name]))
    for steps in _grid(solver, problem, name, trial.contract.u):
        if _middle(trial.error(steps)) > DIVERGED:
            break
    best = min(_middle(x) for x in trial.found.values())
    needed = _first(lambda steps: _middle(trial.error(steps)) <= ENOUGH * best, trial.found)
    found, last = trial.found, max(trial.found)
    row = {
        "kind": "reached",
        "format": name,
        "u": trial.contract.u,
        "needed": needed,
        "tried": last,
        "final": _middle(found[last]),
        "bound_ratio": trial.worst,
        "bounds": len(found) * problem.x.shape[0] * problem.x.shape[1],
        **{f"after {k}": _middle(found[k]) for k in RULES if k in found},
        **_named(found[min(found, key=lambda k: _middle(found[k]))]),
    }
    course = [{"kind": "steps", "format": name, "steps": k, **_named(found[k])} for k in sorted(found)]
    return [row, *course]


class _Trial:
    """Errors `found` by steps, a matrix an entry, and the `worst` ratio of an A-norm error to bound and rounding."""

    def __init__(self, solver: str, problem: System, contract: Contract) -> None:
        self.solver, self.problem, self.contract = solver, problem, contract
        self.found: dict[int, np.ndarray] = {}
        self.worst = 0.0

    def error(self, steps: int) -> np.ndarray:
        """‖x̂ - x‖_F/‖x‖_F over the queries of each matrix."""
        if steps not in self.found:
            problem = self.problem
            apart = problem.error(solved(self.solver, problem, steps, self.contract))
            apart = np.where(np.isfinite(apart), apart, np.finfo(float).max ** 0.25)
            x, axes = problem.x, (-2, -1)
            self.found[steps] = np.linalg.norm(apart, axis=axes) / np.linalg.norm(x, axis=axes)
            allowed = _bound(self.solver, steps, problem.kappa) + floor(steps, problem, self.contract.u)
            self.worst = max(self.worst, float(np.max(problem.sizes(apart) / problem.sizes(x))) / allowed)
        return self.found[steps]


def floor(steps: int, problem: System, u: float) -> float:
    """What rounding may leave beside a bound: (k + d) κ u, a κu for every step and every term of a product."""
    return (steps + problem.q.shape[-1]) * problem.kappa * u


def _bound(solver: str, steps: int, kappa: float) -> float:
    return (bounds.conjugate_gradient_bound if solver == CG else bounds.chebyshev_bound)(steps, kappa)


def _grid(solver: str, problem: System, name: str, u: float) -> list[int]:
    """Steps at which an iteration is looked at, with the rules; Chebyshev until theory has reached u."""
    last = MOST.get(name, FEWER) if solver == CG else round(1.25 * bounds.chebyshev_steps(u / 2, problem.kappa))
    spaced = {1, 2, 3, 4, 6, 8, 12, 16, 24, *(2**e for e in range(5, 13))}
    return sorted({last} | {k for k in spaced | set(RULES) if k <= last})


def _first(enough: Callable[[int], bool], found: dict[int, np.ndarray]) -> int:
    """The fewest steps that are enough, by bisection between those that were looked at."""
    after = min(k for k in sorted(found) if enough(k))
    before = max((k for k in found if k < after), default=after)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (before, middle) if enough(middle) else (middle, after)
    return after


def _middle(errors: np.ndarray) -> float:
    return float(np.exp(np.mean(np.log(np.maximum(errors, np.finfo(float).tiny)))))


def _named(errors: np.ndarray) -> dict[str, Any]:
    """Geometric mean over matrices with its interval."""
    return geometric_interval(np.maximum(errors, np.finfo(float).tiny))._asdict()
