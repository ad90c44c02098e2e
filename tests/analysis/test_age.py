"""Age curves: every fading layer of the catalogue is there, a part is a part of the whole, and the page says faults."""

import importlib
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from analysis.age import STUDY, measured, render
from analysis.age.comparisons import counted_given_keys, places
from analysis.age.deviations import counted, half_age, of_layers
from analysis.age.outside import OUTSIDE
from analysis.age.stored import bands, window_length, windows
from analysis.age.subject import EXACT, by_map, log_gates, unit_keys
from ttr_numerics import tasks
from ttr_numerics.arguments import Domain
from ttr_numerics.measure import bounds
from ttr_numerics.pairs import catalogue
from ttr_numerics.report import Study, read_study, render_html, render_markdown, write_study

FALSE_ALARM = 1e-6
NAMED = ("delta rule, β = 1", "Kimi delta attention", "softmax attention", "lp delta rule", "RWKV-4")


def rows_of(study):
    return [cell | row for cell in study.cells for row in study.measure(dict(cell), study.generator(cell))]


@pytest.fixture(scope="module")
def small():
    return replace(STUDY, sources=()).restricted({"layer": NAMED, "d": (6,), "trials": (40,)})


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


ON_KEYS = ("linear attention", "RetNet, mean of 4 heads", "gated delta rule", "TTT-Linear", "forgetting attention")
HOSTILE = {
    "one token": np.ones((1, 1, 4)),
    "one channel": np.array([[[1.0], [-2.0]]]),
    "two heads": np.random.default_rng(0).standard_normal((2, 40, 8)),
    "as many tokens as channels": np.random.default_rng(8).standard_normal((1, 16, 8)),
    "wide": np.random.default_rng(1).standard_normal((1, 6, 16)),
    "repeated": np.repeat(np.random.default_rng(2).standard_normal((2, 1, 6)), 20, axis=1),
    "zero": np.zeros((2, 20, 4)),
    "some zero": np.random.default_rng(3).standard_normal((2, 20, 4)) * (np.arange(20) % 3 > 0)[:, None],
}


def on_file(path, k, v=None, layers=None):
    """The rows of the study of a user's keys, of all layers or some."""
    np.savez(path, q=k, k=k, v=k[..., ::-1] if v is None else v)
    study = replace(STUDY, grids=()).with_keys(str(path))
    return rows_of(study if layers is None else study.restricted({"layer": layers}))


@pytest.fixture(scope="module")
def stored_rows():
    return rows_of(replace(STUDY, grids=()).restricted({"layer": ON_KEYS, "n": (16,)}))


def with_read(monkeypatch, label, read):
    subject = next(s for s in measured.SUBJECTS if s.label == label)
    monkeypatch.setattr(measured, "SUBJECTS", (replace(subject, read=read),))


def test_stored_keys_are_asked_of_every_layer_whose_keys_are_drawn_on_the_sphere():
    asked = {cell["layer"] for cell in STUDY.cells if "keys" in cell}
    assert asked == {subject.label for subject in measured.SUBJECTS if subject.keys is unit_keys}
    assert {cell["keys"] for cell in STUDY.cells if "keys" in cell} == set(tasks.SHIPPED)


def test_a_part_of_the_stored_keys_gives_the_same_rows(stored_rows):
    part = replace(STUDY, grids=(), sources=tasks.SHIPPED[:1]).restricted({"layer": ON_KEYS[1:3], "n": (16,)})
    found = rows_of(part)
    assert found
    assert all(row in stored_rows for row in found)


def test_stored_keys_alone_render_twice_the_same(stored_rows):
    study = Study("age", STUDY.question, STUDY.seed, "command", {}, tuple(stored_rows))
    text = render_markdown(render(stored_rows), study)
    assert text == render_markdown(render(stored_rows), study)
    assert "nan" not in text.lower().split()
    section = render(stored_rows)
    assert [figure.name for figure in section.figures] == ["stored"]
    assert len(section.figures[0].panels) == 2 * len(tasks.SHIPPED)
    assert "4-bit" in section.figures[0].caption


@pytest.mark.parametrize("name", HOSTILE)
def test_keys_of_any_size_and_kind_are_measured_and_drawn(name, tmp_path):
    rows = on_file(tmp_path / "mine.npz", HOSTILE[name])
    assert all(np.isfinite(row[value]) for row in rows for value in ("value", "random", "random_error"))
    assert counted_given_keys(rows).beyond <= counted_given_keys(rows).expected + 3
    section = render(rows)
    assert section.figures[0].panels[0].title == "mine, their own values"
    study = Study("age", STUDY.question, STUDY.seed, "command", {}, tuple(rows))
    assert "nan" not in render_markdown(section, study).lower().split()


def test_values_of_other_width_are_read_and_weighted(tmp_path):
    rng = np.random.default_rng(4)
    rows = on_file(tmp_path / "wide.npz", rng.standard_normal((2, 32, 4)), rng.standard_normal((2, 32, 7)))
    assert counted_given_keys(rows).beyond <= counted_given_keys(rows).expected + 3
    assert {row["layer"] for row in rows if row["isotropic"] is None} == {
        s.label for s in measured.SUBJECTS if s.square
    }
    assert render(rows).tables[0].rows


SOLVED = [s for s in measured.SUBJECTS if s.solver and s.keys is unit_keys]


def stops_short(subject, K, arguments):
    """‖e_k‖_A ≤ b‖e_0‖_A from e_0 = A⁻¹k: outputs e_k'K'ΓV of entries below 1 miss at most b Σγ/λ."""
    if subject.layer not in ("mesa_cg", "gated_kalmanet"):
        return 0.0
    gates = np.exp(arguments["log_decay"][0, 0]) ** np.arange(K.shape[1])[::-1]
    if subject.layer == "mesa_cg":
        ridge = arguments["ridge"]
        return bounds.conjugate_gradient_bound(30, 1 + np.sum(gates) / ridge) * np.sum(gates) / ridge
    norms = np.linalg.norm(K.mT @ (gates[:, None] * K), axis=(-2, -1))
    ratio = arguments["ridge_ratio"]
    return bounds.chebyshev_bound(30, 1 + 1 / ratio) * np.sum(gates) / (ratio * np.min(norms))


@pytest.mark.parametrize("subject", SOLVED, ids=lambda s: s.label)
def test_exact_solvers_read_what_layers_read(subject):
    """16 pairs of five channels at every key, by the layer and by the solver of its problem."""
    n, d = 16, 5
    K = unit_keys(np.random.default_rng(5), 4, n, d)
    V = tasks.isotropic_unit_keys(np.random.default_rng(6), K.shape)
    arguments = subject.arguments(K, V)
    read, solved = (call(subject.layer, arguments, K, V) for call in (subject.read, subject.solver))
    # n steps of n d terms of size 1 in either, in memories that pass on an error of a step undiminished at worst; a
    # ridge of 1/4 γ^n, the least, magnifies the rounding of its system by Σγ/λ.
    rounding = 8 * n * n * d * 2.0**-53 / (0.25 * 0.95**n)
    assert np.max(np.abs(read - solved)) <= rounding + stops_short(subject, K, arguments)


def test_a_layer_that_forgets_faster_than_its_gate_is_on_the_page(monkeypatch, tmp_path):
    label, k = "gated delta rule", tasks.stored("minilm_layer5").k[:4]
    sound = on_file(tmp_path / "mine.npz", k, layers=(label,))
    with_read(monkeypatch, label, lambda layer, a, K, V: by_map(layer, a | {"log_decay": log_gates(K, 0.9)}, K, V))
    rows = on_file(tmp_path / "mine.npz", k, layers=(label,))
    count = counted_given_keys(rows)
    assert counted_given_keys(sound).beyond == 0 < count.beyond
    assert f"errors {count.beyond} lie beyond" in render(rows).answer


def test_values_shuffled_against_their_keys_are_on_the_page(monkeypatch, tmp_path):
    label, k = "linear attention", HOSTILE["two heads"]
    with_read(monkeypatch, label, lambda layer, a, K, V: by_map(layer, a, K, np.roll(V, 1, axis=1)))
    rows = on_file(tmp_path / "mine.npz", k, layers=(label,))
    assert counted_given_keys(rows).beyond == len(rows)
    assert {series.layer for panel in render(rows).figures[0].panels for series in panel.series} == {label}


def test_isotropic_keys_have_the_isotropic_curve(tmp_path):
    """40 heads of unit keys and values: over all bands and layers the mean over heads is that of theory."""
    rng = np.random.default_rng(7)
    k, v = (tasks.isotropic_unit_keys(rng, (40, 32, 6)) for _ in range(2))
    rows = on_file(tmp_path / "mine.npz", k, v, layers=("linear attention", "delta rule, β = 1/2", "softmax attention"))
    gaps = [abs(row["value"] - row["isotropic"]) / row["error"] for row in rows]
    assert max(gaps) <= stats.t.ppf(1 - FALSE_ALARM / 2 / len(gaps), 39)


def test_places_are_those_of_the_errors(stored_rows):
    found = places(stored_rows, stored_rows[0]["source"])
    assert sorted(move.stored for move in found) == sorted(move.isotropic for move in found) == [1, 2, 3, 4, 5]


def test_windows_end_over_the_whole_text_and_keep_rows_of_zeros():
    x = np.arange(1.0, 81.0).reshape(1, 40, 2)
    x[0, 5] = 0.0
    found = windows(x, 16)
    assert found.shape == (1, 5, 16, 2)
    assert np.array_equal(found[0, -1, -1], x[0, -1] / np.linalg.norm(x[0, -1]))
    assert np.array_equal(found[0, 0, 5], [0.0, 0.0])
    with pytest.raises(ValueError, match="n: expected 1 to 40"):
        windows(x, 41)


@pytest.mark.parametrize(("T", "n"), [(1, 1), (2, 1), (6, 3), (40, 16), (256, 128), (5000, 128)])
def test_windows_are_half_of_the_text_in_whole_mini_batches(T, n):
    assert window_length(T) == n
    found = bands(n)
    assert found[0] == (1, 1)
    assert found[-1][1] == n
    assert all(b[0] == a[1] + 1 for a, b in pairwise(found))
