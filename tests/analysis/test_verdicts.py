"""The scored corpus: sound twins are the layers, a fault is one argument away, rows are scored as they say."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from analysis import verdicts
from analysis.verdicts import measured
from analysis.verdicts.answer import JUDGES, score
from analysis.verdicts.faults import INSIDE, OUTSIDE
from analysis.verdicts.judges import checked, effect, generic, output, ruled, stored_in
from analysis.verdicts.kinds import BORDERS, drawn, kinds
from analysis.verdicts.layers import TABLE
from analysis.verdicts.rules import Rules, stored
from ttr_numerics.arrays import cast
from ttr_numerics.pairs import additive, first_order, local, nonlinear, nonparametric, pairing, recurrent, second_order
from ttr_numerics.precision import FORMATS
from ttr_numerics.report import Study, read_study, render_html, render_markdown, write_study
from ttr_numerics.tolerance import rounding, row_norms

REPORTS = Path(__file__).parents[2] / "reports"
ELSEWHERE = ("regimes", "gradients", "state", "calls")  # what one generic output need not show


def test_the_corpus_has_more_kinds_than_were_asked_for_and_no_name_twice():
    names = [kind.name for kind in kinds()]
    assert len(set(names)) == len(names) >= 75
    assert all(kind.shows in ("outputs", *ELSEWHERE) and kind.causes for kind in kinds())
    assert all(kind.operator in {"rule", *INSIDE, *OUTSIDE} and kind.border in BORDERS for kind in kinds())


def test_every_kind_can_be_drawn_on_some_layer_and_all_families_have_one():
    found = {layer for kind in kinds() for layer, _ in kind.choices()}
    assert all(kind.choices() for kind in kinds()), [kind.name for kind in kinds() if not kind.choices()]
    for family in (additive, recurrent, first_order, nonlinear, second_order, nonparametric, local):
        assert found & {row.name for row in family.TABLE}, family.__name__


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("layer", TABLE)
def test_a_sound_implementation_is_the_layer_to_rounding_in_every_form(layer, library):
    row, own = pairing(layer), TABLE[layer]
    for T, optional in ((1, False), (35, True)):
        arrays = row.example(np.random.default_rng(T), (1, 2), optional, False, T=T)
        arrays = {n: x for n, x in arrays.items() if n in ("q", "k", "v", *row.arrays, *own.optional)}
        allowed = rounding(row.layer, arrays, FORMATS["float64"], forms=row.forms)
        given = {n: cast(x, library, "float64") if isinstance(x, np.ndarray) else x for n, x in arrays.items()}
        for chunk in own.chunks:
            o = np.asarray(own.compute(given, Rules(), chunk)[0])
            assert (row_norms(o - allowed.reference) <= allowed.bound).all(), (T, chunk)


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.name)
def test_the_fault_changes_the_output_and_the_control_does_not(kind):
    case = drawn(kind, 1, 0)
    foreign = stored_in(case)
    wrong, twin = output(case, case.faulty, foreign), output(case, case.sound, foreign)
    assert output(case, case.sound, foreign).tobytes() == twin.tobytes()
    if kind.shows == "outputs":
        assert effect(wrong, twin) > 0
    elif kind.shows in ("calls", "gradients"):
        assert effect(wrong, twin) == 0


def test_a_case_is_drawn_from_its_seed_and_differs_with_it():
    kind = kinds()[0]
    again, other = drawn(kind, 3, 0), drawn(kind, 4, 0)
    assert drawn(kind, 3, 0).arrays["q"].tobytes() == again.arrays["q"].tobytes()
    assert other.arrays["q"].tobytes() != again.arrays["q"].tobytes()


def test_short_formats_agree_with_the_library_that_knows_them():
    x = np.random.default_rng(0).standard_normal(1000).astype(np.float32) * np.float32(2.0) ** np.arange(
        -20, 20
    ).repeat(25)
    for form in ("bfloat16", "float16", "tf32"):
        expected = FORMATS[form].nearest(x.astype(np.float64))
        ties = np.abs(expected - x) == np.abs(2 * x.astype(np.float64) - expected - x)
        same = (stored(x, form) == expected) | ties
        assert same.all(), (form, x[~same][:3])


def test_a_row_says_what_was_caught_and_named_and_scores_count_it(tmp_path):
    kind = next(k for k in kinds() if k.name == "columns beyond 64 zero")
    case = drawn(kind, 0, 0)
    given = generic(case)
    o, twin = (output(case, f, given.foreign) for f in (case.faulty, case.sound))
    said = {True: ruled(case, o, given) | {"check": checked(case, o, given)}, False: ruled(case, twin, given)}
    rows = [
        measured.as_row(case, 0, faulty, 1.0, judge, what) for faulty, by in said.items() for judge, what in by.items()
    ]
    assert score(rows, "check")["kinds caught"] == score(rows, "check")["kinds named"] == 1
    study = Study("verdicts", "why?", verdicts.SEED, "command", {}, tuple(rows))
    write_study(tmp_path / "rows.jsonl", study)
    again = read_study(tmp_path / "rows.jsonl")
    section = verdicts.render(again.rows)
    assert render_markdown(section, again) == render_markdown(verdicts.render(rows), study)
    assert all(judge in render_html([(section, again)], "title", "lead") for judge in JUDGES)


@pytest.mark.skipif(not (REPORTS / "verdicts.jsonl").exists(), reason="measured on request, by `make verdicts`")
def test_committed_rows_render_to_the_committed_report_and_are_those_of_the_corpus():
    study = read_study(REPORTS / "verdicts.jsonl")
    assert render_markdown(verdicts.render(study.rows), study) == (REPORTS / "verdicts.md").read_text("utf-8")
    assert {row["kind"] for row in study.rows} == {kind.name for kind in kinds()}


def test_stored_rows_are_rendered_without_the_judged_code():
    script = "import sys; sys.modules['torch'] = None; from analysis import verdicts; print(verdicts.SEED)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr
