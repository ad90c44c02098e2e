"""The study of conditioning: cells repeat, the page comes from rows, truths are exact, any keys answer, faults show."""

from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy

from analysis.conditioning import (
    STUDY,
    cells,
    forgetting,
    forms,
    keys,
    render,
    solvers,
    stored,
    stored_figures,
    truth,
)
from analysis.conditioning import measured as measuring
from analysis.rows import chosen, values
from ttr_numerics import exact, tasks
from ttr_numerics.backward import THRESHOLD
from ttr_numerics.report import Study, read_study, render_html, render_markdown, write_study
from ttr_numerics.study.code import modules

REPORTS = Path(__file__).parents[2] / "reports"
Row = dict[str, Any]

FEW: dict[str, tuple[float, ...]] = {"float64": (1.0, 1e2, 1e5), "float32": (1.0, 10.0)}
SMALL: tuple[Row, ...] = (
    *({"part": "solvers", "dtype": "float64", "prescribed": cond, "draws": 2} for cond in (1.0, 1e2, 1e10)),
    *({"part": "solvers", "dtype": "float32", "prescribed": cond, "draws": 2} for cond in (1.0, 1e2)),
    *(
        {"part": "forms", "dtype": dtype, "prescribed": cond, "ridge": ridge, "draws": 2}
        for dtype, conds in FEW.items()
        for cond in conds
        for ridge in forms.RIDGES
    ),
    *(
        {"part": "fixed ridge", "dtype": dtype, "prescribed": cond, "draws": 2}
        for dtype, conds in FEW.items()
        for cond in conds
    ),
    *({"part": "recursive", "dtype": dtype, "draws": 1} for dtype in FEW),
    *({"part": "Gaussian keys", "aspect": aspect, "draws": 3} for aspect in (0.25, 0.5)),
    *({"keys": "minilm_layer5", "part": "keys", "n": n} for n in (40, 64)),
    *(
        {"keys": "minilm_layer5", "part": "digits of keys", "treatment": keys.RAW, "dtype": dtype, "n": 40}
        for dtype in FEW
    ),
)


def run(cells: Any, study: Any = STUDY) -> list[Row]:
    return [cell | row for cell in cells for row in study.measure(dict(cell), study.generator(cell))]


def of_file(path: Path, k: np.ndarray, d_v: int = 3) -> list[Row]:
    """Rows of a user's keys alone."""
    np.savez(path, k=k, v=np.random.default_rng(1).standard_normal((*k.shape[:-1], d_v)))
    study = STUDY.with_keys(str(path))
    return run([cell for cell in study.cells if "keys" in cell], study)


def markdown(rows: list[Row]) -> str:
    return render_markdown(render(rows), Study("conditioning", "why?", STUDY.seed, "command", {}, tuple(rows)))


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return run(SMALL)


@pytest.fixture(scope="module")
def drawn(rows: list[Row]) -> list[Row]:
    return [row for row in rows if "keys" not in row]


def test_a_cell_gives_the_same_rows_again_whatever_was_measured_before(rows):
    part = [cell for cell in SMALL if cell["part"] != "recursive"][1::3]
    assert all(row in rows for row in run(part[::-1]))


def test_a_part_of_the_grid_has_the_same_cells():
    part = STUDY.restricted({"part": ("solvers", "digits of keys"), "dtype": ("float32",)}).cells
    assert 0 < len(part) < len(STUDY.cells)
    assert all(cell in STUDY.cells for cell in part)


def test_a_figure_drawn_anew_measures_nothing_anew():
    reached = {name.rpartition(".")[2] for name in modules("analysis.conditioning.measured") if "conditioning." in name}
    assert {"solvers", "forms", "forgetting", "keys", "stored", "truth"} <= reached
    assert not reached & {"cells", "choice", "digits", "key_figures", "routines", "stored_figures", "trade"}


def test_small_grids_render_from_stored_rows(rows, tmp_path):
    study = Study("conditioning", "why?", STUDY.seed, "command", {}, tuple(rows))
    write_study(tmp_path / "rows.jsonl", study)
    again = read_study(tmp_path / "rows.jsonl")
    section = render(again.rows)
    text = render_markdown(section, again)
    assert text == render_markdown(render(study.rows), study)
    assert "nan" not in text.lower().split()
    page = render_html([(section, again)], "title", "lead")
    assert page.count("<svg") == sum(len(figure.panels) for figure in section.figures)


def test_the_page_renders_without_stored_keys(drawn):
    section = render(drawn)
    assert [figure.name for figure in section.figures] == ["error", "ratio", "forms", "forgetting", "keys"]
    assert "stored keys of" not in section.answer


def test_committed_rows_render_to_the_committed_report():
    study = read_study(REPORTS / "conditioning.jsonl")
    assert render_markdown(render(study.rows), study) == (REPORTS / "conditioning.md").read_text("utf-8")


def test_captions_say_that_weights_are_4_bit_where_they_are(rows):
    name = "SmolLM2 layer 15 (4-bit weights)"
    renamed = [row | {"source": name} if "source" in row else row for row in rows]
    for of, quantised in ((rows, False), (renamed, True)):
        section = render(of)
        captions = {figure.name: figure.caption for figure in section.figures}
        assert all(("4-bit, dequantised" in captions[figure]) == quantised for figure in ("keys", "stored"))
        assert sum("4-bit, dequantised" in table.note for table in section.tables) == 2 * quantised


def test_refusals_are_rows_not_gaps(rows):
    own = chosen(rows, part="solvers", prescribed=1e10)
    refused = {row["solver"] for row in own if row["state"] == "refused"}
    assert {solvers.CHOLESKY, solvers.MESA, solvers.PREFIXES, solvers.DUAL} == refused
    assert all(row["refused"] == row["draws"] and row["value"] is None for row in own if row["solver"] in refused)
    assert {row["solver"] for row in own} == set(solvers.SOLVERS)


def test_the_exact_solution_exposes_a_solver_that_is_slightly_wrong(monkeypatch):
    sound = solvers.solve
    monkeypatch.setattr(solvers, "solve", lambda *problem: sound(*problem) * (1 + 1e-12))
    found = run(SMALL[:1])
    assert all(row["value"] > 1000 * 2.0**-53 for row in chosen(found, metric=solvers.ERROR))
    assert all(row["value"] > THRESHOLD for row in chosen(found, metric=solvers.RATIO))


def test_the_decimal_truth_is_the_rational_solution_of_every_prefix(rng):
    p = forms.problem(rng, "float64", 1e8, forms.TIED)
    S = truth.prefix_solutions(p.k, p.v, forms.POSITIONS, p.ridge).astype(float)
    whole = truth.ridge_solutions(truth.integer_moments(p.k, p.v, (1, 16, 64)), p.ridge).astype(float)
    for i, t in enumerate((1, 16, 64)):
        rational = tasks.rational_least_squares(p.k[:t], p.v[:t], p.ridge)
        assert np.array_equal(S[forms.POSITIONS.index(t)], rational)
        assert np.array_equal(whole[i], rational)


@pytest.mark.parametrize("shape", [(6, 4), (3, 4), (1, 1)])
def test_the_truth_at_any_rank_is_the_pseudoinverse_in_rational_arithmetic(rng, shape):
    k, v = rng.standard_normal(shape), rng.standard_normal((shape[0], 2))
    k[:, -1] = k[:, 0] if shape[1] > 1 else 0.0  # two channels alike; a key of zero
    k[-1] = k[0]
    found = truth.least_norm_solutions(truth.integer_moments(k, v, (len(k),)))[0].astype(float)
    K, V = (sympy.Matrix(x.shape[0], x.shape[1], [sympy.Rational(float(y)) for y in x.ravel()]) for x in (k, v))
    assert found.tolist() == [[float(x) for x in row] for row in (K.pinv() * V).tolist()]


@pytest.mark.parametrize("log_decay", [-0.5, -50.0])
@pytest.mark.parametrize("fades", [True, False], ids=["decaying ridge", "fixed ridge"])
def test_the_decimal_truth_forgets_as_the_weighted_rows_do(log_decay, fades):
    rng = np.random.default_rng(0)
    k, v, t = rng.standard_normal((5, 2)), rng.standard_normal((5, 1)), 5
    S = truth.prefix_solutions(k, v, [t], 0.5, log_decay, ageing=log_decay if fades else 0.0)
    with mpmath.workdps(300):
        ages = [mpmath.exp(mpmath.mpf(log_decay) * (t - i) / 2) for i in range(1, t + 1)]
        end = mpmath.sqrt(0.5) * (mpmath.exp(mpmath.mpf(log_decay) * t / 2) if fades else 1)
        rows = [[age * x for x in row] for age, row in zip(ages, k.tolist(), strict=True)]
        right = [age * x for age, x in zip(ages, v[:, 0].tolist(), strict=True)]
        solved, _ = mpmath.qr_solve(mpmath.matrix([*rows, [end, 0], [0, end]]), mpmath.matrix([*right, 0, 0]))
        assert S[0, :, 0].astype(float).tolist() == [float(x) for x in solved]


def test_forms_by_chunk_are_the_public_forms(rng):
    # λ = 4⁻³: its root and its inverse are exact, however they are formed.
    p = forms.problem(rng, "float64", 1e2, forms.CONSTANT)._replace(ridge=2.0**-6)
    for by_chunk, chunk, public in (
        (forms.by_innovation, forms.innovation.CHUNK, exact.ridge_prefixes_by_innovation),
        (forms.by_square_root, forms.square_root.CHUNK, exact.ridge_prefixes_by_square_root),
    ):
        q = p.queries[forms.RANDOM]
        assert np.array_equal(by_chunk(q, p.k, p.v, p.ridge, chunk), public(q, p.k, p.v, ridge=p.ridge).o)


def test_every_form_keeps_its_law_and_the_choice_takes_it(rows):
    own = chosen(rows, part="forms")
    kept = [row for row in own if row["form"] in cells.FORMS and row["value"] is not None]
    # κu or √κ·u for each token: to first order the errors of all steps add up.
    assert all(cells.in_law(row) <= forms.T for row in kept)
    cell = ("dtype", "prescribed", "ridge", "query")
    taken = [tuple(row[name] for name in cell) for row in cells.taken(own)]
    assert sorted(taken) == sorted({tuple(row[name] for name in cell) for row in own})


def test_the_map_exposes_an_innovation_that_is_slightly_wrong(monkeypatch):
    faulty = {
        key: (lambda *arrays, sound=form: sound(*arrays) * (1 + 1e-9)) if key[0] == forms.INNOVATION else form
        for key, form in forms.CONTENDERS.items()
    }
    monkeypatch.setattr(forms, "CONTENDERS", faulty)
    cell = {"part": "forms", "dtype": "float64", "prescribed": 1.0, "ridge": forms.CONSTANT, "draws": 2}
    found = run([cell])
    assert all((cells.in_law(row) > forms.T) == (row["form"] == forms.INNOVATION) for row in found)


def test_where_innovations_refuse_the_choice_has_gone_to_square_roots():
    found = run([{"part": "forms", "dtype": "float64", "prescribed": 1e9, "ridge": forms.TIED, "draws": 1}])
    by = {form: chosen(found, form=form) for form in cells.FORMS}
    assert all(row["refused"] == 1 and row["value"] is None for row in by[forms.INNOVATION] + by[forms.MOMENTS])
    assert all(row["value"] is not None for row in by[forms.ROOT])
    assert {row["chunk"] for row in found if row["taken"]} == {forms.square_root.CHUNK}


def test_under_strong_forgetting_the_choice_takes_the_form_that_still_answers(rows):
    strong = chosen(rows, part="recursive", log_decay=-5.0, dtype="float64")
    assert {row["form"] for row in strong if row["taken"]} == {forms.ROOT}
    assert max(cells.in_roots(row) for row in strong if row["form"] == forms.ROOT) < 1
    assert max(cells.in_roots(row) for row in strong if row["form"] == forgetting.TOKENS) > 1


def test_rates_of_forgetting_meet_the_same_problem(rows):
    for dtype in FEW:
        own = chosen(rows, part="fixed ridge", dtype=dtype)
        assert all(
            values(chosen(own, kappa=kappa), "log_decay") == list(forgetting.MILD) for kappa in values(own, "kappa")
        )
        assert values(chosen(rows, part="recursive", dtype=dtype), "log_decay") == list(forgetting.DECAYS)


def test_stable_solvers_err_on_stored_keys_as_their_numbers_allow(rows):
    own = chosen(rows, part="digits of keys", kind="solver")
    assert {row["solver"] for row in own} == set(solvers.SOLVERS)
    for row in own:
        if row["solver"] in (solvers.LEAST_NORM, solvers.RIDGE):
            # Backward errors of Householder QR and of the SVD grow at most as n·d roundings.
            assert row["value"] <= row["n"] * row["d"] * row["sensitivity"] * cells.unit(row["dtype"])
    best = {row["head"]: row["value"] for row in chosen(own, solver=solvers.RIDGE, dtype="float64")}
    gram = {row["head"]: row["value"] for row in chosen(own, solver=solvers.CHOLESKY, dtype="float64")}
    assert all(best[head] < gram[head] for head in best)


def test_forms_on_stored_keys_keep_their_laws(rows):
    own = [row for row in chosen(rows, kind="form") if row["form"] in cells.FORMS and row["value"] is not None]
    assert len(own) > 6
    assert all(cells.in_law(row) <= row["n"] for row in own)
    taken = [row for row in chosen(rows, kind="form") if row["taken"]]
    assert sum(row["taken"] for row in taken) == 4 * 2 * len(stored.RATIOS)


@pytest.mark.parametrize("fault", ["solver", "form"])
def test_a_fault_shows_in_the_digits_of_stored_keys(monkeypatch, rows, fault):
    cell = SMALL[-2]
    if fault == "solver":
        sound = solvers.solve
        monkeypatch.setattr(solvers, "solve", lambda *problem: sound(*problem) * (1 + 1e-6))
    else:
        faulty = {
            name: (lambda *arrays, sound=form: sound(*arrays) * (1 + 1e-6)) for name, form in stored.FORMS.items()
        }
        monkeypatch.setattr(stored, "FORMS", faulty)
    found = run([cell])
    if fault == "solver":
        table = stored_figures.stored_table(found)
        assert table is not None
        assert all(5.9 < line[2] < 6.1 for line in table.rows if line[1] != solvers.DUAL)
    else:
        wrong = chosen(found, kind="form", ratio=1.0, form=forms.INNOVATION)
        assert all(cells.in_law(row) > row["n"] for row in wrong)


HOSTILE = {
    "one key": np.ones((1, 1, 4)),
    "one number": np.ones((1, 1, 1)),
    "fewer than channels": np.random.default_rng(0).standard_normal((1, 6, 16)),
    "one channel": np.random.default_rng(0).standard_normal((3, 9, 1)),
    "repeated": np.tile(np.random.default_rng(0).standard_normal((1, 3, 4)), (1, 4, 1)),
    "all the same": np.tile(np.random.default_rng(0).standard_normal((1, 1, 5)), (1, 12, 1)),
    "zero": np.zeros((2, 5, 3)),
    "huge": 1e200 * np.random.default_rng(0).standard_normal((1, 20, 4)),
    "tiny": 1e-310 * np.random.default_rng(0).standard_normal((1, 20, 4)),
    "uneven channels": np.random.default_rng(0).standard_normal((1, 20, 4)) * np.array([1.0, 1e-20, 1e-60, 1e-120]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_keys_of_any_kind_make_a_page(drawn, tmp_path, name):
    own = of_file(tmp_path / "own.npz", HOSTILE[name])
    text = markdown(drawn + own)
    assert "nan" not in text.lower().split()
    assert "own" in render(drawn + own).answer
    assert all(np.isfinite(row["value"]) for row in own if row["value"] is not None)
    assert {row["state"] for row in chosen(own, part="digits of keys")} <= {"solved", "refused", "not finite"}


def test_exactly_dependent_keys_are_refused_by_qr_and_solved_by_least_norm(drawn, tmp_path):
    own = of_file(tmp_path / "own.npz", HOSTILE["repeated"])
    raw = chosen(own, part="digits of keys", kind="solver", treatment=keys.RAW)
    assert all(row["cond"] is None and row["rank"] == 3 for row in raw)
    assert {row["state"] for row in chosen(raw, solver=solvers.RIDGE)} == {"refused"}
    assert all(row["value"] < 100 * cells.unit(row["dtype"]) for row in chosen(raw, solver=solvers.LEAST_NORM))
    table = next(table for table in render(drawn + own).tables if table.title.startswith("Digits"))
    assert "Singular to rounding, in at least one head: own as captured in float64" in table.note
    assert [line[2:] for line in table.rows if line[1] == solvers.RIDGE] == [("refused",) * 6]


def test_keys_that_are_too_wide_for_the_truth_are_asked_for_their_condition_number_alone(drawn, tmp_path):
    wide = np.random.default_rng(0).standard_normal((1, 20, stored.WIDEST + 1))
    own = of_file(tmp_path / "own.npz", wide)
    assert {row["part"] for row in own} == {"keys"}
    assert "own" in render(drawn + own).answer


def test_another_library_solves_the_same_cells_and_the_page_names_it(rows):
    torch = STUDY.computed_by("torch")
    assert len(torch.cells) == len(STUDY.cells)
    slow = ("recursive", "float32")
    few = [cell for cell in SMALL if cell.get("prescribed", 1.0) == 1.0 and (cell["part"], cell.get("dtype")) != slow]
    found = run([{"library": "torch"} | cell for cell in few], torch)
    assert {row["library"] for row in found} == {"torch"}
    own = [row for row in chosen(found, part="forms") if row["form"] in cells.FORMS and row["value"] is not None]
    assert all(cells.in_law(row) <= forms.T for row in own)
    section = render(found)
    routines = [line[1] for line in section.tables[0].rows]
    assert all("PyTorch" in routine and "NumPy" not in routine for routine in routines)
    assert "Only the routines of PyTorch" in section.limits[-1]
    assert "Only the routines of NumPy" in render(rows).limits[-1]


def test_the_seed_and_the_parts_of_the_study():
    assert STUDY.seed == measuring.SEED == 20261
    assert set(measuring.PARTS) == {cell["part"] for cell in STUDY.cells}
