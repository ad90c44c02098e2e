"""Age curves: every fading layer of the catalogue is there, a part is a part of the whole, and the page says faults."""

import importlib
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from analysis.age import STUDY, measured, render
from analysis.age.deviations import counted, half_age, of_layers
from analysis.age.outside import OUTSIDE
from analysis.age.subject import EXACT, log_gates
from ttr_numerics.arguments import Domain
from ttr_numerics.pairs import catalogue
from ttr_numerics.report import Study, read_study, render_html, render_markdown, write_study

FALSE_ALARM = 1e-6
NAMED = ("delta rule, β = 1", "Kimi delta attention", "softmax attention", "lp delta rule", "RWKV-4")


def rows_of(study):
    return [cell | row for cell in study.cells for row in study.measure(dict(cell), study.generator(cell))]


@pytest.fixture(scope="module")
def small():
    return STUDY.restricted({"layer": NAMED, "d": (6,), "trials": (40,)})


@pytest.fixture(scope="module")
def small_rows(small):
    return rows_of(small)


def test_every_layer_of_the_catalogue_has_a_curve_or_a_reason():
    studied = {subject.layer for subject in measured.SUBJECTS}
    assert studied | set(OUTSIDE) == {row.name for row in catalogue()}
    assert not studied & set(OUTSIDE)


def test_every_gated_layer_without_a_curve_has_a_reason_of_its_own():
    gated = {row.name for row in catalogue() if any(a.domain is Domain.LOG_GATE for a in row.arguments)}
    left = gated & set(OUTSIDE)
    assert left == {"omega_rule", "exponentiated_gradient_rule"}
    assert not any("no gate" in OUTSIDE[name] for name in left)


def test_a_part_of_the_grid_gives_the_same_rows(small, small_rows):
    part = rows_of(small.restricted({"layer": NAMED[:2]}))
    assert part == [row for row in small_rows if row["layer"] in NAMED[:2]]


def test_small_grid_renders_from_stored_rows(small_rows, tmp_path):
    study = Study("age", STUDY.question, STUDY.seed, "command", {}, tuple(small_rows))
    write_study(tmp_path / "rows.jsonl", study)
    again = read_study(tmp_path / "rows.jsonl")
    section = render(again.rows)
    assert render_markdown(section, again) == render_markdown(render(study.rows), study)
    assert "nan" not in render_markdown(section, again).lower().split()
    page = render_html([(section, again)], "title", "lead")
    assert page.count("<svg") == sum(len(figure.panels) for figure in section.figures)


@pytest.mark.parametrize("subject", [s for s in measured.SUBJECTS if s.status == EXACT], ids=lambda s: s.label)
def test_exact_curves_hold_for_fresh_draws(subject):
    """300 sequences, d = 5; keys and values of one seed for all layers."""
    d, n = 5, 16
    errors = measured._errors(subject, np.random.default_rng(3), 300, n, d)
    spread = np.std(errors, axis=0, ddof=1) / 300**0.5 + 10 * n * 2.0**-53
    slack = stats.t.ppf(1 - FALSE_ALARM / 2, 299) * spread
    assert np.all(np.abs(np.mean(errors, axis=0) - subject.theory(n, d)) <= slack)


def test_a_gate_that_is_wrong_by_three_parts_in_a_hundred_is_on_the_page(monkeypatch):
    label = "gated linear attention, scalar"
    cell = {"layer": label, "d": 8, "trials": 200}
    sound = counted([cell | r for r in STUDY.measure(cell, STUDY.generator(cell))])
    subject = next(s for s in measured.SUBJECTS if s.label == label)
    faulty = replace(subject, arguments=lambda K, V: {"log_decay": log_gates(K, 0.98)})
    monkeypatch.setattr(measured, "SUBJECTS", (faulty,))
    rows = [cell | r for r in STUDY.measure(cell, STUDY.generator(cell))]
    assert sound.beyond <= 1 < 10 < counted(rows).beyond
    assert f"formula {counted(rows).beyond} lie beyond" in render(rows).answer


def test_delta_rule_is_halfway_after_the_age_that_theory_has():
    """Reference: 2(1-(1-1/d)^a) reaches 1 at 0.69 d; 600 sequences, d = 16."""
    cell = {"layer": "delta rule, β = 1", "d": 16, "trials": 600}
    half = half_age([cell | r for r in STUDY.measure(cell, STUDY.generator(cell))])
    assert half.low <= half.theory <= half.high
    # Six key dimensions of tokens leave exp(-6) of the start; kept ages are a fifth apart, so chords cut the curve.
    assert abs(half.theory / 16 - np.log(2)) <= 0.03


def test_flat_curves_have_no_half(small_rows):
    found = of_layers(small_rows, 6)
    assert half_age(found["softmax attention"]) is None
    assert half_age(found["Kimi delta attention"]) is not None


def test_measuring_does_not_depend_on_drawing():
    source = importlib.import_module("analysis.age.measured").__dict__
    assert not {"render", "figures", "tables", "Figure", "Section"} & set(source)
