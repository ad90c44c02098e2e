"""Closed-form gradients: against torch's finite differences, against differences in 80 digits, and in symbols."""

import inspect
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy
import torch

from tests.conftest import Library
from ttr_numerics import exact
from ttr_numerics.arrays import like, namespace, to_numpy
from ttr_numerics.axes import Moments, Output
from ttr_numerics.exact import chebyshev, growth, innovation, prefix_solutions, root_adjoint
from ttr_numerics.exact import moment_adjoint as sums
from ttr_numerics.exact import moments as by_moments
from ttr_numerics.exact.adjoint import ridge_adjoint
from ttr_numerics.exact.prefix_solutions import solutions_by
from ttr_numerics.exact.recursive_adjoint import moments_adjoint, recursion_adjoint, square_root_adjoint
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

T, D_K, D_V = 4, 3, 2


@pytest.fixture(autouse=True)
def stochastic_replicas_choose_chunks_by_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a chunk ends is decided in NumPy, which does not know stochastic arithmetic."""
    for module in (growth, chebyshev):
        monkeypatch.setattr(module, "to_numpy", lambda x: to_numpy(getattr(x, "x", x)))


TOKENS = ("q", "k", "v", "g", "log_decay", "weights")
ARGUMENTS = ("q", "k", "v", "ridge", "log_decay", "weights")

# The solver, its adjoint, its state, and the names of the two parts of that.
FORMS: dict[str, Any] = {
    "innovation": (
        exact.ridge_prefixes_by_innovation,
        partial(ridge_adjoint, innovation.solutions_by_innovation),
        Moments,
        "HG",
    ),
    "moments": (
        exact.ridge_prefixes_by_moments,
        partial(ridge_adjoint, partial(solutions_by, by_moments.solve_by_moments)),
        Moments,
        "HG",
    ),
    "chebyshev": (
        exact.ridge_prefixes_by_chebyshev,
        partial(ridge_adjoint, partial(solutions_by, chebyshev.solve_by_chebyshev)),
        Moments,
        "HG",
    ),
    "square root": (exact.ridge_prefixes_by_square_root, moments_adjoint, Moments, "HG"),
    "recursion": (exact.recursive_least_squares, recursion_adjoint, exact.Recursion, "SP"),
    "root": (exact.recursive_least_squares_by_square_root, square_root_adjoint, exact.SquareRoot, "RF"),
}
FORGETTING = ("moments", "chebyshev", "recursion", "root")  # forms that take gates
AGEING = ("recursion", "root")  # forms whose regulariser ages, and is part of the state


def problem(seed: int = 0, tokens: int = T, batch: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
    """One problem with every argument, and the gradients g, first and second of o and the two parts of the state."""
    rng = np.random.default_rng(seed)
    a = {n: rng.standard_normal((*batch, tokens, d)) for n, d in (("q", D_K), ("k", D_K), ("v", D_V), ("g", D_V))}
    a |= {"ridge": rng.uniform(0.3, 1.0, (*batch, D_K)), "log_decay": -rng.exponential(0.3, (*batch, tokens))}
    half = rng.standard_normal((2, *batch, D_K, D_K))
    a |= {"weights": rng.uniform(0.5, 2.0, (*batch, tokens)), "H": half[0] @ half[0].mT, "dH": half[1] + half[1].mT}
    return a | {n: rng.standard_normal((*batch, D_K, D_V)) for n in ("G", "dG")}


CASES: dict[str, Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]] = {
    "general": lambda a: a,
    "no gates": lambda a: {**a, "log_decay": 0 * a["log_decay"]},
    "gates of -10": lambda a: {**a, "log_decay": np.array([-0.3, -10.0, -0.3, -10.0])},
    "gates of -50": lambda a: {**a, "log_decay": np.array([-0.3, -50.0, -0.3, -50.0])},
    "all gates -50": lambda a: {**a, "log_decay": np.full(T, -50.0)},
    "a reset": lambda a: {**a, "log_decay": np.array([-0.3, -np.inf, -0.3, -50.0])},
    "repeated keys": lambda a: {**a, "k": np.repeat(a["k"][:1], T, axis=0), "q": np.repeat(a["k"][:1], T, axis=0)},
    "zero keys and weights": lambda a: {**a, "k": a["k"] * [[1], [0], [1], [0]], "weights": np.arange(4.0) % 3},
    "condition 1e8": lambda a: {**a, "ridge": 1e-8 * a["ridge"], "H": 0 * a["H"], "G": 0 * a["G"], "q": 1 * a["k"]},
    "condition 1e12": lambda a: {**a, "ridge": 1e-12 * a["ridge"], "H": 0 * a["H"], "G": 0 * a["G"], "q": 1 * a["k"]},
    "one token": lambda a: {n: x[:1] if n in ("q", "k", "v", "g", "log_decay", "weights") else x for n, x in a.items()},
}


def taken(form: str, a: dict[str, np.ndarray], start: str) -> dict[str, np.ndarray]:
    """The arrays a form takes, by name: gates where it has them; where the ridge ages, that or a state."""
    tokens = {n: a[n] for n in TOKENS if n != "log_decay" or form in FORGETTING}
    if form not in AGEING:
        return tokens | {n: a[n] for n in ("ridge", "H", "G", "dH", "dG")}
    P = a["H"] + np.eye(D_K)
    if form == "recursion":
        state = {"S": a["G"], "P": P, "dS": a["dG"], "dP": a["dH"]}
    else:
        state = {"R": np.linalg.cholesky(P).mT, "F": a["G"], "dR": np.triu(a["dH"]), "dF": a["dG"]}
    return (
        tokens
        | {n: y for n, y in state.items() if n[0] == "d" or start == "state"}
        | {n: a[n] for n in ("ridge",) if start != "state"}
    )


def gradients(form: str, x: dict[str, Any]) -> dict[str, Any]:
    """The closed-form gradients of every argument, by name."""
    parts = FORMS[form][3]
    present = [*ARGUMENTS, *(n for n in parts if n in x)]
    arrays = [x.get(n) for n in present]
    upstream = [x.get(n) for n in ("g", *("d" + n for n in parts))]
    values = FORMS[form][1](arrays, [y is not None for y in arrays], upstream)
    return {n: value for n, value in zip(present, values, strict=True) if n in x}


def rows(name: str, x: Any) -> Any:
    """A gradient as rows (..., n, d): one a token, or one for all that has no tokens."""
    if name in ("q", "k", "v"):
        return x
    if name in ("weights", "log_decay"):
        return x[..., None]
    shape = (*x.shape[:-1], 1, x.shape[-1]) if name == "ridge" else (*x.shape[:-2], 1, x.shape[-2] * x.shape[-1])
    return namespace(x).reshape(x, shape)


def loss(form: str, x: dict[str, Any]) -> Any:
    """Σ_t g_t'o_t + ⟨state, its gradient⟩ from the definition, in mpmath's arithmetic and by its LU solver."""
    fixed, H, G = _start(form, x)
    total = mpmath.mpf(0)
    for t in range(len(x["q"])):
        decay = mpmath.exp(x["log_decay"][t]) if "log_decay" in x else 1
        H = decay * H + x["weights"][t] * np.outer(x["k"][t], x["k"][t])
        G = decay * G + x["weights"][t] * np.outer(x["k"][t], x["v"][t])
        u = np.array(list(mpmath.lu_solve(mpmath.matrix((H + fixed).tolist()), mpmath.matrix(x["q"][t].tolist()))))
        total += (u @ G) @ x["g"][t]
    if form not in AGEING:
        return total + np.sum(x["dH"] * H) + np.sum(x["dG"] * G)
    P = _array(mpmath.inverse(mpmath.matrix(H.tolist())))
    if form == "recursion":
        return total + np.sum(x["dP"] * P) + np.sum(x["dS"] * (P @ G))
    R = _array(mpmath.cholesky(mpmath.matrix(H.tolist()))).T
    return total + np.sum(x["dR"] * R) + np.sum(x["dF"] * (R @ P @ G))


def _start(form: str, x: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The fixed regulariser, and both moments before the first token."""
    if form not in AGEING:
        return np.diag(x["ridge"]), x["H"], x["G"]
    if "R" in x:
        A, G = x["R"].T @ x["R"], x["R"].T @ x["F"]
    else:
        A = _array(mpmath.inverse(mpmath.matrix(x["P"].tolist()))) if "P" in x else np.diag(x["ridge"])
        G = A @ x["S"] if "S" in x else np.zeros((D_K, D_V)) * x["v"][0]
    return 0 * A, A, G


def _array(x: Any) -> np.ndarray:
    return np.array(x.tolist(), dtype=object)


def truth(form: str, arrays: dict[str, np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
    """Central differences of `loss` in 80 digits with a step of 1e-25: errors of 1e-50. A gate of -inf has none."""
    with mpmath.workdps(80):
        x = {n: np.vectorize(mpmath.mpf, otypes=[object])(y) for n, y in arrays.items()}
        step, found = mpmath.mpf(10) ** -25, {n: np.zeros(arrays[n].shape) for n in names}
        for name in names:
            for index in np.ndindex(arrays[name].shape):
                if not np.isfinite(arrays[name][index]):
                    continue
                side = []
                for sign in (1, -1):
                    if name == "R" and index[0] > index[1]:
                        continue
                    moved = x[name].copy()
                    moved[index] += sign * step / 2
                    if name in ("H", "P"):  # along symmetric matrices
                        moved[index[::-1]] += sign * step / 2
                    else:
                        moved[index] += sign * step / 2
                    side.append(loss(form, {**x, name: moved}))
                found[name][index] = (side[0] - side[1]) / (2 * step) if side else 0.0
        return found


UNGATED = ("general", "repeated keys", "zero keys and weights", "condition 1e8", "one token")
STRONG = ("no gates", "gates of -10", "gates of -50")
PROBLEMS = [
    *(("moments", case, "") for case in CASES),
    *(("chebyshev", case, "") for case in ("general", "a reset", "all gates -50")),
    *((form, case, "") for form in ("innovation", "square root") for case in UNGATED),
    ("square root", "condition 1e12", ""),
    *((form, case, "state") for form in AGEING for case in (*UNGATED[:3], *STRONG)),
    *((form, case, "ridge") for form in AGEING for case in ("general", "one token", "condition 1e8", *STRONG)),
]


def verdicts(form: str, arrays: dict[str, np.ndarray], given: Any = None) -> dict[str, bool]:
    """Whether each gradient of `arrays`, or of what is `given` in their place, is the derivative to rounding."""
    names = list(gradients(form, arrays))
    exactly, found = truth(form, arrays, names), gradients(form, given or arrays)
    return {n: agrees(form, arrays, n, found[n], exactly[n]) for n in names}


def agrees(form: str, arrays: dict[str, np.ndarray], name: str, found: np.ndarray, exactly: np.ndarray) -> bool:
    """Whether `found` lies within the rounding of the closed form on `arrays` from `exactly`."""
    allowed = rounding(lambda **x: Output(rows(name, gradients(form, x)[name]), None), arrays, FORMATS["float64"])
    return bool((row_norms(rows(name, found - exactly)) <= allowed.bound).all())


@pytest.mark.parametrize(("form", "case", "start"), PROBLEMS)
def test_every_gradient_is_the_derivative_to_rounding(
    form: str, case: str, start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_chunks_of(2, monkeypatch)
    found = verdicts(form, taken(form, CASES[case](problem()), start))
    assert all(found.values()), found


@pytest.mark.parametrize("chunk", [1, 3, 64])
@pytest.mark.parametrize("form", FORMS)
def test_every_chunk_length_gives_the_derivative(form: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    in_chunks_of(chunk, monkeypatch)
    found = verdicts(form, taken(form, problem(), ""))
    assert all(found.values()), found


def in_chunks_of(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every loop of the closed form takes `chunk` tokens at a time."""
    for module in (sums, prefix_solutions, innovation, chebyshev, root_adjoint):
        monkeypatch.setattr(module, "CHUNK", chunk)
    monkeypatch.setattr(by_moments, "BLOCK", chunk)


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], set[str]]] = {
    "the gradient of the last H is lost": (
        lambda x: {n: y for n, y in x.items() if n != "dH"},
        {"k", "log_decay", "weights", "H"},
    ),
    "the gradient of the last G is lost": (
        lambda x: {n: y for n, y in x.items() if n != "dG"},
        {"k", "v", "log_decay", "weights", "G"},
    ),
    "gates are late by one token": (
        lambda x: {**x, "log_decay": np.roll(x["log_decay"], 1)},
        {"q", "k", "v", "ridge", "log_decay", "weights", "H", "G"},
    ),
    "one key is larger by 1e-12": (
        lambda x: {**x, "k": x["k"] * (1 + 1e-12 * (np.arange(T) == 1))[:, None]},
        {"q", "k", "v", "ridge", "log_decay", "weights", "H", "G"},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_in_the_inputs_is_seen(fault: str) -> None:
    spoil, seen = FAULTS[fault]
    arrays = taken("moments", problem(), "")
    assert {n for n, sound in verdicts("moments", arrays, spoil(arrays)).items() if not sound} == seen


@pytest.mark.parametrize("lost", ["z", "the token itself"])
def test_a_term_dropped_from_the_formula_is_seen(lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = taken("moments", problem(), "")
    if lost == "z":
        whole = sums._Chunk.__init__
        monkeypatch.setattr(sums._Chunk, "__init__", lambda self, k, y, u, x, *r: whole(self, k, y, u, x * X_ONLY, *r))
        seen = {"k", "log_decay", "weights", "H"}
    else:
        ages = sums.ages
        monkeypatch.setattr(sums, "ages", lambda g: (np.tril(ages(g)[0], -1), *ages(g)[1:]))
        seen = {"k", "v", "weights"}
    spoiled = gradients("moments", arrays)
    monkeypatch.undo()
    sound = gradients("moments", arrays)
    assert {n for n in sound if not agrees("moments", arrays, n, spoiled[n], sound[n])} == seen


X_ONLY = np.array([1.0] * D_V + [0.0] * D_K)  # of x = [g | -z] the first part


def leaves(a: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Tensors that require gradients."""
    return {n: torch.tensor(x, requires_grad=n != "g" and n[0] != "d") for n, x in a.items()}


def applied(form: str, x: dict[str, Any]) -> tuple[Any, ...]:
    """The solver's output and both parts of its state; symmetric states are symmetrised first."""
    solve, _, state, parts = FORMS[form]
    initial: Any = None
    if parts[0] in x:
        first, second = (x[n] for n in parts)
        form_of = {"H": lambda y: (y + y.mT) / 2, "P": lambda y: (y + y.mT) / 2, "R": torch.triu}
        initial = state(*(form_of.get(n, lambda y: y)(y) for n, y in zip(parts, (first, second), strict=True)))
    given = {n: x[n] for n in ("ridge", "log_decay", "weights") if n in x}
    o, last = solve(x["q"], x["k"], x["v"], **given, initial_state=initial)
    return o, *last


@pytest.mark.parametrize("batch", [(), (2,), (2, 1)], ids=str)
@pytest.mark.parametrize(("form", "start"), [(f, s) for f, _, s in PROBLEMS if _ == "general"])
def test_torch_finds_the_same_derivatives_by_finite_differences(form: str, start: str, batch: tuple[int, ...]) -> None:
    x = leaves(taken(form, problem(tokens=3, batch=batch), start))
    names = [n for n, y in x.items() if y.requires_grad]
    tensors = [x[n] for n in names]
    assert torch.autograd.gradcheck(lambda *y: applied(form, dict(zip(names, y, strict=True))), tensors)


@pytest.mark.parametrize("ridge", [torch.tensor(0.5), torch.tensor([[0.5, 0.6, 0.7]]), torch.tensor([0.5, 0.6, 0.7])])
def test_what_was_broadcast_gets_the_sum_in_its_own_shape_and_dtype(ridge: torch.Tensor) -> None:
    x = leaves(taken("moments", problem(batch=(2,)), ""))
    ridge = ridge.double() if ridge.ndim else ridge  # a number may be of any dtype
    shared = {"ridge": ridge, **{n: x[n][:1] for n in ("log_decay", "weights")}}
    shared = {n: y.detach().requires_grad_() for n, y in shared.items()}
    repeated = {n: (0 * x[n] + y).detach().requires_grad_() for n, y in shared.items()}
    for given in (shared, repeated):
        applied("moments", x | given)[0].sum().backward()
    for n, y in shared.items():
        assert torch.equal(y.grad, repeated[n].grad.sum_to_size(y.shape).to(y)), n


@pytest.mark.parametrize("form", FORMS)
def test_the_tape_keeps_the_inputs_and_nothing_else(form: str) -> None:
    x, kept = leaves(taken(form, problem(tokens=200), "state")), []
    given = [y for n, y in x.items() if y.requires_grad]

    def keep(y: torch.Tensor) -> torch.Tensor:
        kept.append(y)
        return y

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda y: y):
        solve, _, state, parts = FORMS[form]
        options = {n: x[n] for n in ("ridge", "log_decay", "weights") if n in x}
        solve(x["q"], x["k"], x["v"], **options, initial_state=state(*(x[n] for n in parts)))
    assert sorted(y.data_ptr() for y in kept) == sorted(y.data_ptr() for y in given)


@pytest.mark.parametrize("name", sorted({*FORMS} - {"chebyshev"}))
def test_the_decorated_solver_reads_as_it_was_written(name: str) -> None:
    solve = FORMS[name][0]
    assert list(inspect.signature(solve).parameters) == [*ARGUMENTS, "initial_state"]
    assert solve.__doc__


GATED = [
    exact.ridge_prefixes,
    exact.ridge_prefixes_by_moments,
    exact.ridge_prefixes_by_chebyshev,
    exact.recursive_least_squares,
    exact.recursive_least_squares_by_innovation,
    exact.recursive_least_squares_by_square_root,
    exact.recursive_least_squares_by_tokens,
]


@pytest.mark.parametrize("solve", GATED)
def test_a_gate_per_channel_is_refused_by_every_form(solve: Callable[..., Any]) -> None:
    a = problem(batch=(2,))
    with pytest.raises(ValueError, match=r"^log_decay: expected shape \(2, 4\), got \(2, 4, 3\)$"):
        solve(a["q"], a["k"], a["v"], ridge=1.0, log_decay=-np.abs(a["k"]))


@pytest.mark.parametrize("solve", [exact.ridge_prefixes_by_innovation, exact.ridge_prefixes_by_square_root])
def test_a_form_without_forgetting_refuses_gates(solve: Callable[..., Any]) -> None:
    a = problem(batch=(2,))
    with pytest.raises(ValueError, match="^log_decay: expected None"):
        solve(a["q"], a["k"], a["v"], ridge=1.0, log_decay=-np.abs(a["k"]))


@pytest.mark.parametrize("solve", GATED)
def test_gates_and_weights_broadcast_over_the_batch_each_by_itself(solve: Callable[..., Any]) -> None:
    a = problem(batch=(2,))
    for one, other in (("log_decay", "weights"), ("weights", "log_decay")):
        given = {other: a[other]}
        shared = solve(a["q"], a["k"], a["v"], ridge=0.5, **given, **{one: a[one][:1]})
        repeated = solve(a["q"], a["k"], a["v"], ridge=0.5, **given, **{one: np.repeat(a[one][:1], 2, axis=0)})
        assert np.array_equal(shared.o, repeated.o)


@pytest.mark.parametrize("form", ["moments", "innovation"])
def test_without_gradients_of_tokens_no_sum_over_tokens_is_made(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = leaves(taken(form, problem(), ""))
    applied(form, x)[0].sum().backward()
    alone = {n: y.detach().requires_grad_(n in ("q", "ridge")) for n, y in x.items()}
    monkeypatch.setattr("ttr_numerics.exact.adjoint.moment_adjoint", None)
    applied(form, alone)[0].sum().backward()
    assert {n for n, y in alone.items() if y.grad is not None} == {"q", "ridge"}
    assert all(torch.equal(alone[n].grad, x[n].grad) for n in ("q", "ridge"))


@pytest.mark.parametrize("form", FORMS)
def test_a_second_derivative_is_refused(form: str) -> None:
    x = leaves(taken(form, problem(), "ridge"))
    (first,) = torch.autograd.grad(applied(form, x)[0].square().sum(), x["k"], create_graph=True)
    with pytest.raises(RuntimeError, match="expected a first derivative"):
        first.sum().backward()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_part_of_the_output_has_its_part_of_the_gradient(form: str, part: int) -> None:
    x = leaves(taken(form, problem(), "ridge"))
    upstream = {n: y for n, y in x.items() if not y.requires_grad}
    sides = [[n for n, y in x.items() if y.requires_grad], ("g", *("d" + n for n in FORMS[form][3]))]
    applied(form, x)[part].backward(x[sides[1][part]])
    alone = {n: (y if n == sides[1][part] else 0 * y) if n in upstream else y.detach() for n, y in x.items()}
    expected = gradients(form, alone)
    for n in sides[0]:
        assert torch.equal(torch.zeros_like(x[n]) if x[n].grad is None else x[n].grad, expected[n]), n


@pytest.mark.parametrize("form", [form for form in FORMS if form not in ("chebyshev", *AGEING)])
def test_torch_func_finds_the_same_gradient(form: str) -> None:
    x = leaves(taken(form, problem(), "ridge"))
    applied(form, x)[0].square().sum().backward()
    found = torch.func.grad(lambda k: applied(form, x | {"k": k})[0].square().sum())(x["k"].detach())
    assert torch.equal(found, x["k"].grad)


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_sequence_passes_the_state_gradient_on(form: str) -> None:
    arrays, names = taken(form, problem(tokens=0), "state"), FORMS[form][3]
    x = leaves(arrays)
    o, first, second = applied(form, x)
    assert o.shape == (0, D_V)
    (torch.sum(first * x["d" + names[0]]) + torch.sum(second * x["d" + names[1]]) + o.sum()).backward()
    # Through a factor and back, of H + Λ for the square root and of P for the recursion: to rounding.
    size = 0.0 if form in ("innovation", "moments", "chebyshev") else np.linalg.cond(problem()["H"] + np.eye(D_K)) ** 2
    for n in names:
        error = np.linalg.norm(x[n].grad.numpy() - arrays["d" + n])
        scale = np.linalg.norm(arrays["d" + n]) * (
            1 + np.linalg.norm(arrays[names[1]]) + np.linalg.norm(arrays[names[0]])
        )
        assert error <= 9 * D_K * size * 2.0**-53 * scale


@pytest.mark.parametrize("form", FORMS)
def test_gradients_stay_in_library_dtype_and_device(form: str, full_precision: Library) -> None:
    arrays = full_precision.arrays(taken(form, problem(batch=(2,)), "ridge"))
    for n, y in gradients(form, arrays).items():
        assert namespace(y) is namespace(arrays[n])
        assert like(y) == like(arrays[n])
        assert y.shape == arrays[n].shape
        assert np.isfinite(to_numpy(y)).all()


def symbols(name: str, *shape: int) -> np.ndarray:
    """Positive symbols name_ij in an object array."""
    x = np.empty(shape, dtype=object)
    for i in np.ndindex(shape):
        x[i] = sympy.Symbol(name + "".join(map(str, i)), positive=True)
    return x


def derivative(f: sympy.Expr, x: np.ndarray) -> np.ndarray:
    """∂f/∂x entry by entry."""
    return np.vectorize(lambda y: sympy.diff(f, y), otypes=[object])(x)


def vanishes(x: np.ndarray) -> bool:
    """Whether every entry is the rational function 0."""
    return all(sympy.expand(sympy.fraction(sympy.together(y))[0]) == 0 for y in x.flat)


@pytest.mark.parametrize("chunk", [1, 2, 64])
def test_moment_adjoint_is_the_derivative_in_symbols(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # The loss is Σ_t ⟨u_t'x_t, M_t⟩ + ⟨X, M_T⟩ with x_t = [g_t | -z_t] and M_t = a_t M_{t-1} + w_t k_t'[v_t | k_t].
    in_chunks_of(chunk, monkeypatch)
    k, v, u, z, g = (symbols(n, 3, d) for n, d in (("k", 2), ("v", 1), ("u", 2), ("z", 2), ("g", 1)))
    w, a, start, end = symbols("w", 3), symbols("a", 3), symbols("m", 2, 3), symbols("x", 2, 3)
    M, x, y, loss = start, np.concatenate([g, -z], -1), np.concatenate([v, k], -1), 0
    for t in range(3):
        M = a[t] * M + w[t] * np.outer(k[t], y[t])
        loss += u[t] @ M @ x[t]
    loss += np.sum(end * M)
    log_decay = np.vectorize(sympy.log, otypes=[object])(a)
    before = sums.moments_before(k, v, w, log_decay, start)
    found = sums.moment_adjoint(k, v, w, log_decay, u, z, g, end, before)
    for gradient, by in zip(found, (k, v, w, a, start), strict=True):
        factor = a if by is a else 1  # d log a = a d a
        assert vanishes(gradient - factor * derivative(loss, by))


def test_ridge_adjoint_is_the_derivative_in_symbols() -> None:
    q, k, v, g = (symbols(n, 1, d) for n, d in (("q", 2), ("k", 2), ("v", 1), ("g", 1)))
    ridge, w, a, G, dG = symbols("l", 2), symbols("w", 1), symbols("a", 1), symbols("m", 2, 1), symbols("y", 2, 1)
    H, dH = (np.array([[x[0], x[1]], [x[1], x[2]]]) for x in (symbols("h", 3), symbols("x", 3)))
    last = Moments(a[0] * H + w[0] * np.outer(k[0], k[0]), a[0] * G + w[0] * np.outer(k[0], v[0]))
    (A, B), (C, D) = last.H + np.diag(ridge)
    P = np.array([[D, -B], [-C, A]]) / (A * D - B * C)

    def solutions(q: np.ndarray, k: np.ndarray, v: np.ndarray, g: np.ndarray, **_: Any) -> tuple[Any, Any]:
        return q @ P, g @ last.G.T @ P

    loss = (q @ P @ last.G @ g.T)[0, 0] + np.sum(dH * last.H) + np.sum(dG * last.G)
    arrays = (q, k, v, ridge, np.vectorize(sympy.log, otypes=[object])(a), w, H, G)
    found = ridge_adjoint(solutions, arrays, [True] * len(arrays), (g, dH, dG))
    for gradient, by in zip(found, (q, k, v, ridge, a, w, H, G), strict=True):
        # A symmetric pair of entries moves together: half of its derivative is the gradient's entry.
        factor = a if by is a else (1 + np.eye(2, dtype=int)) / sympy.Integer(2) if by is H else 1
        assert vanishes(gradient - factor * derivative(loss, by))


def test_the_square_root_adjoint_keeps_few_states_and_finds_the_others_anew() -> None:
    rng = np.random.default_rng(0)
    k, v = rng.standard_normal((2, 100, 3))
    start = exact.SquareRoot(np.eye(3), np.zeros((3, 3)))
    gates = np.full((100, 1), -5.0)  # a chunk every token
    chunks = root_adjoint._Chunks(k, v, gates, np.ones((100, 1)), start)
    found = list(chunks.backwards())
    assert [chunk.piece.start for chunk in found] == list(range(99, -1, -1))
    assert len(chunks.kept) <= 10
    for later, earlier in pairwise(found):
        assert np.array_equal(np.exp(-2.5) * chunks._after(earlier), later.joint)
    assert np.array_equal(found[-1].joint, np.exp(-2.5) * np.concatenate(start, axis=-1))
    assert np.array_equal(np.concatenate(chunks.last, axis=-1), chunks._after(found[0]))
