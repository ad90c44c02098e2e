"""The runner: measure, store, read back, render; one sentence and a status where it cannot."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import analysis.__main__ as runner
from ttr_numerics import progress
from ttr_numerics.report import Drawing, Figure, Measured, Panel, Section, page_drawings, read_study


def measure(progress: Any) -> list[dict[str, Any]]:
    return [{"n": n, "error": n / 7} for n in progress(range(1, 4))]


def render(rows: Sequence[dict[str, Any]]) -> Section:
    series = Measured("m", [row["n"] for row in rows], [row["error"] for row in rows])
    figure = Figure("line", (Panel("a", "n", "error", (series,)),), "It grows.", "Caption.")
    return Section("fake", "Fake", "Does it grow?", f"Up to {rows[-1]['n']}.", "Nothing.", (figure,))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("analysis.fake", "Does it\ngrow?\n\nNot the question.")
    module.__dict__.update(SEED=5, measure=measure, render=render)
    monkeypatch.setitem(sys.modules, "analysis.fake", module)
    monkeypatch.setattr(runner, "ANALYSES", ("fake",))
    monkeypatch.setattr(runner, "ON_REQUEST", ())
    return module


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "reports"


@pytest.fixture
def on_request(fake: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A second analysis, measured only when named."""
    module = types.ModuleType("analysis.slow", "What does it cost?")
    section = dataclasses.replace(render([{"n": 1, "error": 1.0}]), name="slow")
    module.__dict__.update(SEED=6, measure=measure, render=lambda rows: section)
    monkeypatch.setitem(sys.modules, "analysis.slow", module)
    monkeypatch.setattr(runner, "ON_REQUEST", ("slow",))
    return module


def everything(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("fake")
def test_a_run_stores_rows_and_writes_report_figure_and_page(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["--out", str(out)]) == 0
    assert everything(out).keys() == {"fake.jsonl", "fake.md", "figures/fake-line.svg", "index.html"}
    study = read_study(out / "fake.jsonl")
    assert (study.question, study.seed, study.command) == ("Does it grow?", 5, "python -m analysis fake")
    said = capsys.readouterr().out
    assert str(out / "index.html") in said
    assert str(out / "fake.md") in said


def test_every_figure_is_drawn_once_and_stands_on_the_page_and_in_its_file(
    on_request: types.ModuleType, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []

    def drawing(panels: Sequence[Panel], name: str) -> tuple[Drawing, ...]:
        drawn.append(name)
        return page_drawings(panels, name)

    monkeypatch.setattr("ttr_numerics.report.page.page_drawings", drawing)
    assert runner.main(["--out", str(out), "fake", "slow"]) == 0
    assert drawn == ["fake-line", "slow-line"]
    (found,) = page_drawings(render([{"n": n, "error": n / 7} for n in (1, 2, 3)]).figures[0].panels, "fake-line")
    assert found.svg in (out / "index.html").read_text(encoding="utf-8")
    assert found.inside in (out / "figures" / "fake-line.svg").read_text(encoding="utf-8")
    drawn.clear()
    assert runner.main(["--out", str(out), "--render-only", "slow"]) == 0
    assert drawn == ["slow-line", "fake-line"]  # the other, of which no file is written, for the page alone


@pytest.mark.usefixtures("fake")
def test_lines_are_filtered_by_the_layers_that_the_analyses_name(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layers = '"layer":"mesa'
    runner.main(["--out", str(out)])
    assert layers not in (out / "index.html").read_text(encoding="utf-8")
    monkeypatch.setattr(runner, "layer_names", lambda: {"m": "mesa"})
    runner.main(["--out", str(out), "--render-only"])
    page = (out / "index.html").read_text(encoding="utf-8")
    assert layers in page
    assert '"label":"m"' in page


def test_rendering_stored_rows_again_measures_nothing_and_makes_the_same_bytes(
    fake: types.ModuleType, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.main(["--out", str(out)])
    before = everything(out)
    monkeypatch.delattr(fake, "measure")
    assert runner.main(["--render-only", "--out", str(out)]) == 0
    assert everything(out) == before


@pytest.mark.usefixtures("on_request")
def test_an_analysis_on_request_is_measured_only_when_named(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["--out", str(out)]) == 0
    assert not (out / "slow.jsonl").exists()
    assert "measured only when named, by `python -m analysis slow`" in capsys.readouterr().out
    assert runner.main(["slow", "--out", str(out)]) == 0
    assert read_study(out / "slow.jsonl").command == "python -m analysis slow"


def test_the_page_shows_what_an_analysis_on_request_has_stored(
    on_request: types.ModuleType, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.main(["slow", "--out", str(out)])
    before = (out / "slow.jsonl").read_bytes()
    monkeypatch.delattr(on_request, "measure")
    assert runner.main(["--out", str(out)]) == 0
    assert (out / "slow.jsonl").read_bytes() == before
    assert 'id="slow"' in (out / "index.html").read_text(encoding="utf-8")
    (out / "slow.md").unlink()
    assert runner.main(["--render-only", "--out", str(out)]) == 0
    assert (out / "slow.md").exists()


def test_what_is_rendered_is_what_was_stored(fake: types.ModuleType, out: Path) -> None:
    seen: list[object] = []
    fake.__dict__["render"] = lambda rows: seen.extend(rows) or render(rows)
    runner.main(["--out", str(out)])
    assert seen[:3] == list(read_study(out / "fake.jsonl").rows)


@pytest.mark.usefixtures("fake")
def test_a_figure_that_is_no_longer_drawn_is_removed_and_nothing_else_is(out: Path) -> None:
    (out / "figures").mkdir(parents=True)
    for name in ("fake-old.svg", "faker-old.svg", "other-line.svg"):
        (out / "figures" / name).touch()
    runner.main(["--out", str(out)])
    assert {path.name for path in (out / "figures").iterdir()} == {
        "fake-line.svg",
        "faker-old.svg",
        "other-line.svg",
    }


def one_sentence(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.endswith(".\n")
    assert "Traceback" not in error
    return error


@pytest.mark.usefixtures("fake")
def test_an_unknown_name_is_one_sentence_and_status_2(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["fake", "fakir", "--out", str(out)]) == 2
    assert one_sentence(capsys) == "There is no analysis 'fakir'; there are fake.\n"
    assert not out.exists()


@pytest.mark.usefixtures("fake")
def test_missing_rows_are_one_sentence_and_status_2(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["--render-only", "--out", str(out)]) == 2
    assert "run `python -m analysis fake --out " in one_sentence(capsys)


@pytest.mark.usefixtures("fake")
def test_corrupt_rows_are_one_sentence_and_status_2(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out.mkdir()
    (out / "fake.jsonl").write_text("x\n", encoding="utf-8")
    assert runner.main(["--render-only", "--out", str(out)]) == 2
    assert "fake.jsonl, line 1: not JSON" in one_sentence(capsys)


def test_an_unwritable_folder_is_found_before_measuring(
    fake: types.ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    del fake.__dict__["measure"]
    assert runner.main(["--out", str(tmp_path / "file" / "reports")]) == 2
    assert one_sentence(capsys).startswith("Cannot write to ")


def test_an_interrupt_is_status_130_and_keeps_what_was_stored(
    fake: types.ModuleType, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runner.main(["--out", str(out)])
    before = everything(out)

    def interrupted(progress: Any) -> list[dict[str, Any]]:
        raise KeyboardInterrupt

    fake.__dict__["measure"] = interrupted
    assert runner.main(["--out", str(out)]) == 130
    assert everything(out) == before
    assert "Interrupted" in capsys.readouterr().err


def test_a_fault_inside_an_analysis_is_not_taken_for_bad_input(fake: types.ModuleType, out: Path) -> None:
    def faulty(progress: Any) -> list[dict[str, Any]]:
        raise ValueError("a fault of ours")

    fake.__dict__["measure"] = faulty
    with pytest.raises(ValueError, match="a fault of ours"):
        runner.main(["--out", str(out)])


def test_progress_passes_everything_on_and_says_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    assert list(progress.progress_named("fake")(range(3))) == [0, 1, 2]
    said = capsys.readouterr()
    assert said.out == ""
    assert "fake: 2 of 3 done" in said.err


@pytest.mark.parametrize(("seconds", "rate"), [(2.0, "2.0 s each"), (0.25, "4.0 a second"), (40.0, "40 s each")])
def test_a_line_of_progress_says_the_rate_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seconds: float, rate: str
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr(progress.time, "monotonic", itertools.count(0.0, seconds).__next__)
    assert len(list(progress.progress_named("fake")(iter(range(4)), total=4))) == 4
    lines = capsys.readouterr().err.splitlines()
    # The clock is read once at the start and once an item, and an item of an iterator is done when it comes.
    assert lines[1] == f"fake: 2 of 4 done after {2 * seconds:.0f} s, {rate}, about {2 * seconds:.0f} s left"


def test_a_line_of_progress_says_no_rate_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    assert list(progress.progress_named("fake")([1])) == [1]
    assert capsys.readouterr().err == "fake: 0 of 1 done after 0 s\n"
