"""Prefix ridge with forgetting by Chebyshev steps: the objective's answers at every gate, and no step too few."""

from typing import Any

import numpy as np
import pytest
import scipy.linalg

from tests.conftest import Library
from ttr_numerics import exact
from ttr_numerics.arrays import LinAlgError, like, to_numpy, unit_roundoff
from ttr_numerics.axes import Moments
from ttr_numerics.exact import chebyshev
from ttr_numerics.tolerance import row_norms

U, T, D, D_V = 2.0**-53, 45, 5, 3
FORMS = exact.ridge_prefixes_by_chebyshev, exact.ridge_prefixes_by_moments
GATES = [0.0, -0.02, -0.3, -1.0, -5.0, -50.0, -np.inf]


def data(rng: np.random.Generator, heads: int = 2) -> dict[str, np.ndarray]:
    """Two heads, weights from 0 to 2, one weight of 0 for certain."""
    q, k, v = (rng.standard_normal((heads, T, d)) for d in (D, D, D_V))
    weights = rng.uniform(0.0, 2.0, (heads, T))
    weights[:, 7] = 0.0
    return {"q": q, "k": k, "v": v, "weights": weights}


def mixed(rng: np.random.Generator) -> np.ndarray:
    """Every gate in either head, at different tokens: weak ones mostly, so that chunks are long."""
    gates = rng.choice([0.0, -0.02, -0.02, -0.02, -0.3], (2, T))
    for head, t in ((0, 9), (1, 23)):
        gates[head, t : t + 4] = [-1.0, -5.0, -50.0, -np.inf]
    return gates


def by_scipy(arrays: dict[str, Any], ridge: Any, before: Moments | None = None) -> tuple[np.ndarray, np.ndarray]:
    """q_t A_t⁻¹ G_t, A_t and G_t summed token by token and solved by SciPy; and how many roundoffs (..., T) explain.

    √(d(3d + T + 2)) κ ‖A_t⁻¹q_t‖ ‖|G_t|‖: Cholesky and sums of T tokens (Higham, theorem 10.3) with their constants
    reduced to square roots (Higham and Mary 2019), κ the largest so far, e times that for M within a chunk of 1 nat.
    """
    batch, (n, d) = arrays["q"].shape[:-2], arrays["q"].shape[-2:]
    o, size = np.zeros(arrays["v"].shape), np.zeros((*batch, n))
    for head in np.ndindex(batch):
        q, k, v, w, gate = (arrays[name][head] for name in ("q", "k", "v", "weights", "log_decay"))
        H, G = (np.zeros((d, d)), np.zeros((d, v.shape[1]))) if before is None else (x[head] for x in before)
        absolute, kappa = np.abs(G), 1.0
        for t, aged in enumerate(np.exp(gate)):
            H, G = aged * H + w[t] * np.outer(k[t], k[t]), aged * G + w[t] * np.outer(k[t], v[t])
            absolute = aged * absolute + w[t] * np.abs(np.outer(k[t], v[t]))
            A = H + np.diag(ridge * np.ones(d))
            kappa, u = max(kappa, np.linalg.cond(A)), scipy.linalg.solve(A, q[t], assume_a="pos")
            o[*head, t] = u @ G
            size[*head, t] = np.e * kappa * np.linalg.norm(u) * np.linalg.norm(absolute)
    return o, np.sqrt(d * (3 * d + n + 2)) * size


@pytest.mark.parametrize("gate", [*GATES, "mixed"])
@pytest.mark.parametrize("ridge", [1.0, 1e-2])
def test_every_prefix_is_that_of_the_objective(gate: Any, ridge: float, rng: np.random.Generator) -> None:
    arrays = data(rng) | {"log_decay": mixed(rng) if gate == "mixed" else np.full((2, T), gate)}
    o, moments = (form(**arrays, ridge=ridge) for form in FORMS)
    truth, roundoffs = by_scipy(arrays, ridge)
    assert np.all(row_norms(o.o - truth) <= U * roundoffs)
    assert np.all(row_norms(o.o - moments.o) <= U * roundoffs)
    longer = FORMS[0](**arrays | {"k": arrays["k"] * (1 + 1e-7)}, ridge=ridge).o
    assert np.any(row_norms(longer - truth) > U * roundoffs), "keys longer by 1e-7 are seen"


def test_a_ridge_per_channel_and_initial_moments(rng: np.random.Generator) -> None:
    arrays, ridge = data(rng) | {"log_decay": mixed(rng)}, np.geomspace(1e-2, 10.0, D)
    X = rng.standard_normal((2, 9, D))
    before = Moments(X.mT @ X, X.mT @ rng.standard_normal((2, 9, D_V)))
    truth, roundoffs = by_scipy(arrays, ridge, before)
    out, moments = (form(**arrays, ridge=ridge, initial_state=before) for form in FORMS)
    per_head = FORMS[0](**arrays, ridge=np.stack([ridge, ridge]), initial_state=before)
    for o in (out.o, per_head.o):
        assert np.all(row_norms(o - truth) <= U * roundoffs)
    # Both sum T + 9 products of at most ‖k‖² or ‖k‖‖v‖, each in its order, with as many exponentials.
    size = np.sum(row_norms(arrays["k"]) ** 2 * arrays["weights"]) + np.linalg.norm(X) ** 2
    assert np.linalg.norm(out.state.H - moments.state.H) <= 4 * (T + 9) * U * size
    assert np.array_equal(out.state.G, moments.state.G)


@pytest.mark.parametrize("split", [0, 1, 12, 13, 32, T])
def test_a_split_anywhere_carries_the_moments(split: int, rng: np.random.Generator) -> None:
    arrays, form = data(rng) | {"log_decay": mixed(rng)}, exact.ridge_prefixes_by_chebyshev
    head = form(**{n: x[:, :split] for n, x in arrays.items()}, ridge=0.1)
    tail = form(**{n: x[:, split:] for n, x in arrays.items()}, ridge=0.1, initial_state=head.state)
    truth, roundoffs = by_scipy(arrays, 0.1)
    assert np.all(row_norms(np.concatenate([head.o, tail.o], axis=-2) - truth) <= U * roundoffs)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
@pytest.mark.parametrize("n", [0, 1, 2, 33])
def test_shapes_of_short_sequences_and_batches(n: int, batch: tuple[int, ...], rng: np.random.Generator) -> None:
    q, k, v = (rng.standard_normal((*batch, n, d)) for d in (D, D, D_V))
    gate = np.full((*batch, n), -0.1)
    out = exact.ridge_prefixes_by_chebyshev(q, k, v, ridge=0.5, log_decay=gate)
    assert out.o.shape == (*batch, n, D_V)
    assert out.state.H.shape == (*batch, D, D)
    truth, roundoffs = by_scipy({"q": q, "k": k, "v": v, "log_decay": gate, "weights": np.ones_like(gate)}, 0.5)
    assert np.all(row_norms(out.o - truth) <= U * roundoffs)


def test_gates_and_weights_of_one_head_serve_all(rng: np.random.Generator) -> None:
    arrays = data(rng) | {"log_decay": mixed(rng)}
    shared = arrays | {n: arrays[n][:1] for n in ("weights", "log_decay")}
    whole = arrays | {n: np.repeat(arrays[n][:1], 2, axis=0) for n in ("weights", "log_decay")}
    truth, roundoffs = by_scipy(whole, 0.1)
    assert np.all(row_norms(exact.ridge_prefixes_by_chebyshev(**shared, ridge=0.1).o - truth) <= U * roundoffs)


def test_every_library_gives_the_same_to_its_rounding(full_precision: Library, rng: np.random.Generator) -> None:
    arrays = full_precision.arrays(data(rng) | {"log_decay": mixed(rng)})
    out = exact.ridge_prefixes_by_chebyshev(**arrays, ridge=0.5)
    assert like(out.o) == like(out.state.H) == like(arrays["q"])
    truth, roundoffs = by_scipy({n: to_numpy(x).astype(np.float64) for n, x in arrays.items()}, 0.5)
    assert np.all(row_norms(to_numpy(out.o) - truth) <= unit_roundoff(arrays["q"]) * roundoffs)


@pytest.mark.parametrize(("dtype", "part"), [("float64", 2), ("float32", 3)])
@pytest.mark.parametrize("nats", [0.02, 0.3, 0.99])
def test_the_stated_steps_suffice_and_half_or_a_third_of_them_do_not(
    nats: float, dtype: str, part: int, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    # Keys of one direction in one head: Λ alone rules the others, where M⁻¹A is farthest from I.
    given = {n: x[:, :32] for n, x in data(rng).items()}
    given["k"][0] = given["k"][0, :1]
    given["log_decay"] = np.full((2, 32), -nats / 31)
    arrays = {n: x.astype(dtype) for n, x in given.items()}
    truth, roundoffs = by_scipy({n: x.astype(np.float64) for n, x in arrays.items()}, 5.0)
    steps, apart = chebyshev._steps, {}
    assert steps(nats, unit_roundoff(arrays["k"])) >= 2
    for name, by in {"stated": lambda n: n, "twice": lambda n: 2 * n, "part": lambda n: n // part}.items():
        monkeypatch.setattr(chebyshev, "_steps", lambda decay, u, by=by: by(steps(decay, u)))
        o = exact.ridge_prefixes_by_chebyshev(**arrays, ridge=5.0).o
        apart[name] = row_norms(o.astype(np.float64) - truth) / (unit_roundoff(o) * roundoffs)
    assert np.all(apart["stated"] <= 1)
    assert np.all(apart["twice"] <= 1)
    assert np.any(apart["part"] > 1)


def test_one_token_chunks_and_no_decay_take_no_step() -> None:
    assert chebyshev._steps(0.0, 2.0**-53) == 0
    # κ = exp(D/2): the polynomial of n + 1 steps leaves 2ρ^(n + 1) ≤ 2ρⁿ ≤ u.
    for decay, u in ((1e-6, 2.0**-53), (0.02, 2.0**-53), (1.0, 2.0**-53), (1.0, 2.0**-24)):
        root, n = np.exp(decay / 4), chebyshev._steps(decay, u)
        rho = (root - 1) / (root + 1)
        assert 2 * rho**n <= u < 2 * rho ** (n - 1)


def test_a_ridge_of_zero_is_refused_until_the_keys_span_and_used_after(rng: np.random.Generator) -> None:
    arrays = data(rng) | {"log_decay": np.full((2, T), -0.02)}
    with pytest.raises(LinAlgError, match=r"^H \+ ridge: expected positive definite"):
        exact.ridge_prefixes_by_chebyshev(**arrays, ridge=0.0)
