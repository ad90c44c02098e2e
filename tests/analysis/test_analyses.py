"""Every analysis runs on a small grid, gives the same rows for a part of it, renders, and renders again the same."""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

from analysis.conditioning import cells, forgetting, forms, solvers, truth
from ttr_numerics import exact, tasks
from ttr_numerics.backward import THRESHOLD
from ttr_numerics.report import Study, read_study, render_html, render_markdown, write_study

REPORTS = Path(__file__).parents[2] / "reports"
SMALL: dict[str, dict[str, Any]] = {
    "conditioning": {
        "conditions": {"float64": (1.0, 1e2, 1e10), "float32": (1.0, 1e2)},
        "draws": 2,
        "aspects": (0.25, 0.5),
        "gaussian_draws": 3,
        "form_conditions": {"float64": (1.0, 1e2, 1e5), "float32": (1.0,)},
        "log_decays": (0.0, -5.0),
    },
}
PART: dict[str, dict[str, Any]] = {
    "conditioning": {
        "conditions": {"float64": (1e2,)},
        "aspects": (0.5,),
        "form_conditions": {"float64": (1e2,)},
        "log_decays": (-5.0,),
    },
}


def quietly(iterable: Iterable[Any], total: int | None = None) -> Iterable[Any]:
    return iterable


@pytest.fixture(scope="module")
def small_rows() -> dict[str, list[dict[str, Any]]]:
    return {name: load(name).measure(quietly, **grid) for name, grid in SMALL.items()}


def load(name: str) -> Any:
    return importlib.import_module(f"analysis.{name}")


@pytest.mark.parametrize("name", SMALL)
def test_a_part_of_the_grid_gives_the_same_rows(name, small_rows):
    part = load(name).measure(quietly, **SMALL[name] | PART[name])
    assert 0 < len(part) < len(small_rows[name])
    missing = [row for row in part if row not in small_rows[name]]
    assert missing == []


@pytest.mark.parametrize("name", SMALL)
def test_small_grids_render_from_stored_rows(name, small_rows, tmp_path):
    study = Study(name, "why?", load(name).SEED, "command", {}, tuple(small_rows[name]))
    write_study(tmp_path / "rows.jsonl", study)
    again = read_study(tmp_path / "rows.jsonl")
    section = load(name).render(again.rows)
    assert render_markdown(section, again) == render_markdown(load(name).render(study.rows), study)
    page = render_html([(section, again)], "title", "lead")
    assert "nan" not in render_markdown(section, again).lower().split()
    assert page.count("<svg") == sum(len(figure.panels) for figure in section.figures)


@pytest.mark.parametrize("name", SMALL)
def test_every_figure_with_captured_keys_says_that_the_weights_are_4_bit(name, small_rows):
    for figure in load(name).render(small_rows[name]).figures:
        drawn = [panel.title + " ".join(s.label for s in panel.series) for panel in figure.panels]
        if any("SmolLM2" in text or "captured" in text for text in drawn):
            assert "4-bit" in figure.caption


@pytest.mark.parametrize("name", SMALL)
def test_committed_rows_render_to_the_committed_report(name):
    study = read_study(REPORTS / f"{name}.jsonl")
    assert render_markdown(load(name).render(study.rows), study) == (REPORTS / f"{name}.md").read_text("utf-8")


def test_refusals_are_rows_not_gaps(small_rows):
    rows = [row for row in small_rows["conditioning"] if row["part"] == "solvers" and row["prescribed"] == 1e10]
    refused = {row["solver"] for row in rows if row["state"] == "refused"}
    assert {solvers.CHOLESKY, solvers.MESA, solvers.PREFIXES, solvers.DUAL} == refused
    assert all(row["refused"] == row["draws"] and row["value"] is None for row in rows if row["solver"] in refused)
    assert {row["solver"] for row in rows} == set(solvers.ROUTINE)


def test_the_exact_solution_exposes_a_solver_that_is_slightly_wrong(monkeypatch):
    sound = solvers.solve
    monkeypatch.setattr(solvers, "solve", lambda solver, problem: sound(solver, problem) * (1 + 1e-12))
    rows = solvers.solver_rows("float64", 1.0, 2)
    errors = [row for row in rows if row["metric"] == solvers.ERROR]
    assert all(row["value"] > 1000 * 2.0**-53 for row in errors)
    ratios = [row for row in rows if row["metric"] == solvers.RATIO]
    assert all(row["value"] > THRESHOLD for row in ratios)


def test_the_decimal_truth_is_the_rational_solution_of_every_prefix():
    p = forms.problem("float64", 1e8, forms.TIED, 0)
    S = truth.prefix_solutions(p.k, p.v, forms.POSITIONS, p.ridge).astype(float)
    for t in (1, 16, 64):
        rational = tasks.rational_least_squares(p.k[:t], p.v[:t], p.ridge)
        assert np.array_equal(S[forms.POSITIONS.index(t)], rational)


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


def test_forms_by_chunk_are_the_public_forms():
    # λ = 4⁻³: its root and its inverse are exact, however they are formed.
    p = forms.problem("float64", 1e2, 2.0**-6, 0)
    for by_chunk, chunk, public in (
        (forms.by_innovation, forms.innovation.CHUNK, exact.ridge_prefixes_by_innovation),
        (forms.by_square_root, forms.square_root.CHUNK, exact.ridge_prefixes_by_square_root),
    ):
        q = p.queries[forms.RANDOM]
        assert np.array_equal(by_chunk(q, p, chunk), public(q, p.k, p.v, ridge=p.ridge).o)


def test_every_form_keeps_its_law_and_the_choice_takes_it(small_rows):
    rows = cells.part(small_rows["conditioning"], "forms")
    kept = [row for row in rows if row["form"] in cells.FORMS and row["value"] is not None]
    # κu or √κ·u for each token: to first order the errors of all steps add up.
    assert all(cells.in_law(row) <= forms.T for row in kept)
    cell = ("dtype", "prescribed", "ridge", "query")
    taken = [tuple(row[name] for name in cell) for row in cells.taken(rows)]
    assert sorted(taken) == sorted({tuple(row[name] for name in cell) for row in rows})


def test_the_map_exposes_an_innovation_that_is_slightly_wrong(monkeypatch):
    sound = forms.by_innovation
    monkeypatch.setattr(forms, "by_innovation", lambda q, p, chunk: sound(q, p, chunk) * (1 + 1e-9))
    rows = forms.form_rows("float64", 1.0, forms.FIXED)
    assert all(cells.in_law(row) > forms.T for row in rows if row["form"] == forms.INNOVATION)


def test_where_innovations_refuse_the_choice_has_gone_to_square_roots():
    rows = forms.form_rows("float64", 1e9, forms.TIED, draws=1)
    by = {form: [row for row in rows if row["form"] == form] for form in cells.FORMS}
    assert all(row["refused"] == 1 and row["value"] is None for row in by[forms.INNOVATION] + by[forms.MOMENTS])
    assert all(row["value"] is not None for row in by[forms.ROOT])
    assert {row["chunk"] for row in rows if row["taken"]} == {forms.square_root.CHUNK}


def test_under_strong_forgetting_the_choice_takes_the_form_that_still_answers(small_rows):
    rows = cells.part(small_rows["conditioning"], "recursive")
    strong = [row for row in rows if (row["log_decay"], row["dtype"]) == (-5.0, "float64")]
    assert {row["form"] for row in strong if row["taken"]} == {forms.ROOT}
    assert max(cells.in_roots(row) for row in strong if row["form"] == forms.ROOT) < 1
    assert max(cells.in_roots(row) for row in strong if row["form"] == forgetting.TOKENS) > 1
