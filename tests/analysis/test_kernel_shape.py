"""Kernel shapes: every map has exactly D features, theory is over measurement, and a planted fault is on the page."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.kernel_shape import STUDY, render
from analysis.kernel_shape.collapse import checked, points, spread
from analysis.kernel_shape.gains import at_an_end
from analysis.kernel_shape.keys import FIXED, FREE, projected
from analysis.kernel_shape.measured import RANDOM, _in_range, on_keys
from analysis.kernel_shape.ratios import missing_ranks, ratios
from analysis.kernel_shape.shapes import FACTORS, SHAPES
from analysis.kernel_shape.treatments import CENTRED, EXACT, PLAIN, TREATMENTS, UNIT
from ttr_numerics.measure import bounds
from ttr_numerics.report import Study, read_study, render_html, render_markdown, write_study
from ttr_numerics.tasks import isotropic_unit_keys

U = 2.0**-53
NAMED = ("identity", "ReLU", "quadratic", "ReBased")


def rows_of(study):
    return [cell | row for cell in study.cells for row in study.measure(dict(cell), study.generator(cell))]


@pytest.fixture(scope="module")
def small():
    return replace(STUDY.restricted({"inputs": (FREE,), "shape": NAMED, "features": (10, 28)}), sources=())


@pytest.fixture(scope="module")
def small_rows(small):
    return rows_of(small)


@pytest.fixture(scope="module")
def file_rows(tmp_path_factory):
    """Rows of a user's file: two heads of forty tokens of eight channels."""
    path = tmp_path_factory.mktemp("keys") / "mine.npz"
    q, k, v = np.random.default_rng(5).standard_normal((3, 2, 40, 8)) + 0.5
    np.savez(path, q=q, k=k, v=v)
    study = STUDY.with_keys(str(path)).restricted({"shape": NAMED[:2], "features": (10, 28)})
    return [
        cell | r for cell in study.cells if "keys" in cell for r in study.measure(dict(cell), study.generator(cell))
    ]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.name)
@pytest.mark.parametrize("D", [10, 28, 66, 136, 276, 528])
def test_every_map_has_exactly_as_many_features(shape, D):
    rng = np.random.default_rng(D)
    x = isotropic_unit_keys(rng, (3, shape.channels(D)))
    assert shape.drawn(rng, D)(shape.gains(D)[0] * x).shape == (3, D)


def test_feature_dimensions_that_some_map_cannot_have_are_refused():
    for D, shape in ((12, "quadratic"), (21, "Hedgehog")):
        with pytest.raises(ValueError, match="D: expected"):
            next(s for s in SHAPES if s.name == shape).channels(D)


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_what_the_features_let_expect_is_the_matrix_of_the_layer_itself(treatment):
    rng = np.random.default_rng(1)
    shape = next(s for s in SHAPES if s.name == "ELU + 1")
    raw = shape.drawn(rng, 10)(2.0 * isotropic_unit_keys(rng, (25, 10)))
    F = TREATMENTS[treatment].prepared(raw, np.mean(raw[:5], axis=0))
    A = TREATMENTS[treatment].recalled(F, np.eye(25))
    found = TREATMENTS[treatment].smoothed(F)
    scale = 25 * 25 * np.linalg.cond(F) ** 2 * U  # sums of 25 terms, and two solves by the Gram matrix at most
    assert abs(found.trace - np.trace(A)) <= scale * abs(np.trace(A))
    assert abs(found.square - np.sum(A * A)) <= scale * np.sum(A * A)


def test_a_part_of_the_grid_gives_the_same_rows(small, small_rows):
    part = rows_of(small.restricted({"shape": ("ReLU",), "features": (28,)}))
    assert part == [row for row in small_rows if (row["shape"], row["features"]) == ("ReLU", 28)]


@pytest.mark.parametrize("name", ["small_rows", "file_rows"])
def test_small_grids_render_from_stored_rows(name, request, tmp_path):
    rows = request.getfixturevalue(name)
    study = Study("kernel_shape", STUDY.question, STUDY.seed, "command", {}, tuple(rows))
    write_study(tmp_path / "rows.jsonl", study)
    again = read_study(tmp_path / "rows.jsonl")
    section = render(again.rows)
    assert render_markdown(section, again) == render_markdown(render(study.rows), study)
    assert not {"nan", "none"} & set(render_markdown(section, again).lower().split())
    if name == "file_rows":  # drawing takes longest
        page = render_html([(section, again)], "title", "lead")
        assert page.count("<svg") == sum(len(figure.panels) for figure in section.figures)


def test_plain_keys_have_the_error_of_their_dimension(small_rows):
    """Reference: (n-1)/(n-1+d), d = 28, n = 56, random values; 6 repetitions."""
    row = next(
        r for r in small_rows
        if (r["shape"], r["features"], r["treatment"], r["what"]) == ("identity", 28, PLAIN, "error")
    )  # fmt: skip
    assert abs(row["value"] - bounds.linear_attention_scaled_error(56, 28)) <= 3 * row["off_error"] + abs(
        row["value"] - row["expected"]
    )
    assert abs(row["dimension"] / 28 - 1) < 0.1


def test_the_mean_feature_is_what_a_rectifier_loses(small_rows):
    """The finding on a small grid: apart by far, alike once centred, and alike under least squares."""
    shares = {t: ratios(small_rows, FREE, t, 28)["ReLU"] for t in (UNIT, CENTRED, EXACT)}
    assert shares[UNIT].high < 0.6
    assert shares[CENTRED].low < 1 < shares[CENTRED].high * 1.15
    assert 0.85 < shares[EXACT].value < 1.15
    assert missing_ranks(small_rows, FREE) == {"identity": 0, "ReLU": 0, "quadratic": 0, "ReBased": 7}


def test_effective_dimension_says_more_than_the_number_of_features(small_rows):
    of = spread(small_rows)
    assert 1 < of.effective < of.nominal
    assert len(points(small_rows)) == 3 * len(NAMED) * 2


def test_a_memory_that_doubles_its_output_is_on_the_page(small, small_rows, monkeypatch):
    sound = checked(small_rows)
    assert sound.beyond <= 3 + 3 * sound.expected
    treatment = TREATMENTS[UNIT]
    doubled = treatment._replace(recalled=lambda F, V: 2 * treatment.recalled(F, V))
    monkeypatch.setitem(TREATMENTS, UNIT, doubled)
    rows = rows_of(small.restricted({"shape": ("identity", "quadratic")}))
    faulty = [r for r in rows if r.get("treatment") == UNIT and r["what"] == "error"]
    assert checked(faulty).beyond == len(faulty)
    assert checked(rows).said() in render(rows).answer


def test_projection_keeps_angles_where_there_is_room():
    rng = np.random.default_rng(0)
    x = isotropic_unit_keys(rng, (20, 6))
    for channels in (6, 9):
        y = projected(rng, 6, channels)(x)
        assert np.max(np.abs(y @ y.T - x @ x.T)) <= 20 * 9 * U
    assert np.max(np.abs(np.linalg.norm(projected(rng, 6, 3)(x), axis=1) - 1)) <= 8 * U


def test_grids_fit_every_map():
    for grid in (*STUDY.grids, *on_keys(40, 8)):
        for D in grid.axes["features"]:
            assert all(shape.channels(D) >= 1 for shape in SHAPES)
    assert {FREE, FIXED} == {kind for grid in STUDY.grids for kind in grid.axes["inputs"]}
    assert RANDOM == "random"


@pytest.mark.parametrize("shape", [s for s in SHAPES if s.factors == FACTORS], ids=lambda s: s.name)
def test_the_largest_gain_stays_in_range_and_the_page_names_the_limit(shape):
    """Unit rows at 32 times the gain of entries of size 1: finite features, and nearly what the map tends to."""
    rng = np.random.default_rng(3)
    x = isotropic_unit_keys(rng, (40, shape.channels(28)))
    features = shape.drawn(rng, 28)(shape.gains(28)[-1] * x)
    assert _in_range(features)
    assert np.all(np.any(features > 0, axis=-1))
    row = {"what": "error", "values": RANDOM, "source": FREE, "features": 28, "gain": shape.gains(28)[-1]}
    said = at_an_end([row | {"shape": shape.name, "treatment": UNIT, "dimension": 3.0}])
    assert f"{shape.name} 1 of 1 (it tends to {shape.limit}" in said


def test_a_gain_that_leaves_float64_is_not_tried():
    assert not _in_range(np.full((4, 4), 1e80))
    assert _in_range(np.zeros((0, 4)))
