"""Every analysis runs on a small grid, gives the same rows for a part of it, renders, and renders again the same."""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from analysis import capacity, conditioning, key_covariance, recall_error
from ttr_numerics.report import Study, read_study, render_html, render_markdown, write_study

REPORTS = Path(__file__).parents[2] / "reports"
SMALL: dict[str, dict[str, Any]] = {
    "recall_error": {"loads": (0.25, 0.5), "trials": 4, "real_pairs": (8, 16)},
    "conditioning": {
        "conditions": {"float64": (1.0, 1e2, 1e10), "float32": (1.0, 1e2)},
        "draws": 2,
        "aspects": (0.25, 0.5),
        "gaussian_draws": 3,
    },
    "capacity": {"pairs": {16: (8, 32, 128), 32: (16, 64)}, "trials": 3, "real_pairs": (16, 64)},
    "key_covariance": {"pairs": 80, "trials": 3, "spreads": (1.0, 100.0)},
}
PART: dict[str, dict[str, Any]] = {
    "recall_error": {"loads": (0.5,), "real_pairs": (16,)},
    "conditioning": {"conditions": {"float64": (1e2,)}, "aspects": (0.5,)},
    "capacity": {"pairs": {16: (32,)}, "real_pairs": (64,)},
    "key_covariance": {"spreads": (100.0,)},
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


def test_recall_error_table_passes_and_refuses_a_scaled_layer(monkeypatch):
    grid = {"loads": (1.0, 2.0), "trials": 40, "real_pairs": (8,)}
    table = recall_error.render(recall_error.measure(quietly, **grid)).tables[1]
    assert "No cell lies outside." in table.note
    sound = recall_error.layers.linear_attention

    def scaled(q: Any, k: Any, v: Any) -> Any:
        return sound(q, k, 1.05 * v)

    monkeypatch.setattr(recall_error.layers, "linear_attention", scaled)
    table = recall_error.render(recall_error.measure(quietly, **grid)).tables[1]
    assert "linear attention at 1" in table.note
    assert "linear attention at 2" in table.note


def test_a_delta_rule_with_a_wrong_step_misses_its_theory(monkeypatch):
    sound = recall_error.layers.delta_rule
    monkeypatch.setattr(recall_error.layers, "delta_rule", lambda q, k, v, *, beta: sound(q, k, v, beta=0.95 * beta))
    rows = recall_error.measure(quietly, loads=(2.0,), trials=40, real_pairs=(8,))
    assert "delta rule, β = 1 at 2" in recall_error.render(rows).tables[1].note


def test_refusals_are_rows_not_gaps(small_rows):
    rows = [row for row in small_rows["conditioning"] if row["part"] == "solvers" and row["prescribed"] == 1e10]
    refused = {row["solver"] for row in rows if row["state"] == "refused"}
    assert {conditioning.CHOLESKY, conditioning.MESA, conditioning.PREFIXES, conditioning.DUAL} == refused
    assert all(row["refused"] == row["draws"] and row["value"] is None for row in rows if row["solver"] in refused)
    assert {row["solver"] for row in rows} == set(conditioning.ROUTINE)


def test_the_exact_solution_exposes_a_solver_that_is_slightly_wrong(monkeypatch):
    sound = conditioning.solve
    monkeypatch.setattr(conditioning, "solve", lambda solver, problem: sound(solver, problem) * (1 + 1e-12))
    rows = conditioning.solver_rows("float64", 1.0, 2)
    errors = [row for row in rows if row["metric"] == conditioning.ERROR]
    assert all(row["value"] > 1000 * 2.0**-53 for row in errors)
    ratios = [row for row in rows if row["metric"] == conditioning.RATIO]
    assert all(row["value"] > conditioning.THRESHOLD for row in ratios)


def test_capacity_notions_are_ordered_and_lists_are_stated(small_rows):
    rows = small_rows["capacity"]
    for row in rows:
        assert row["low"] <= row["value"] <= row["high"]
        assert row["list"] == capacity.list_length(row["n"])
        assert row["rounding"] < capacity.THRESHOLD or row["n"] > row["d"]
    value = {tuple(row[k] for k in ("source", "values", "layer", "n", "d", "notion")): row["value"] for row in rows}
    for (*cell, notion), share in value.items():
        if notion == capacity.EXACT:
            assert share <= value[(*cell, capacity.ARGMAX)] <= value[(*cell, capacity.LIST)]


def test_least_squares_does_not_see_whitening_before_rows_are_scaled():
    K = key_covariance.tasks.isotropic_unit_keys(key_covariance.np.random.default_rng(0), (40, 8)) + 0.5
    V = key_covariance.np.random.default_rng(1).standard_normal((40, 3))
    before, after = (X @ key_covariance.exact.least_norm(X, V).S for X in (K, key_covariance.whitened(K)))
    # Equal column spaces: the projections agree to κ u, κ(K) below 100 here.
    assert key_covariance.np.max(abs(before - after)) < 100 * 40 * 2.0**-53 * key_covariance.np.max(abs(V))
