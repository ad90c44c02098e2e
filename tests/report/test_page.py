"""The page and the Markdown: self-contained, escaped, in order, and the same text every time."""

from __future__ import annotations

import dataclasses
import itertools
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ttr_numerics import report
from ttr_numerics.report import Figure, Measured, Panel, Section, Study, Table, render_html, render_markdown
from ttr_numerics.report.notation import cell, number
from ttr_numerics.report.page import DATA_CAP

VOID = {"meta", "input", "br", "link", "img"}


class Reader(HTMLParser):
    """Collects tags with their attributes, headings, ids and tags left open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, name: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(name)) is not None]


@pytest.fixture
def page(section: Section, study: Study) -> str:
    return render_html([(section, study)], "Title", "Lead.")


def test_the_report_knows_no_other_room() -> None:
    for file in Path(report.__file__).parent.glob("*.py"):
        for room in re.findall(r"(?:from|import) (ttr_numerics[\w.]*)", file.read_text(encoding="utf-8")):
            assert room.startswith("ttr_numerics.report."), f"{file.name} imports {room}"


def test_rendering_twice_makes_the_same_text(section: Section, study: Study, page: str) -> None:
    assert render_html([(section, study)], "Title", "Lead.") == page
    assert render_markdown(section, study) == render_markdown(section, study)


def test_the_page_loads_nothing(page: str) -> None:
    reader = Reader(page)
    for address in reader.all("src") + reader.all("href") + reader.all("xlink:href"):
        assert re.match(r"#|data:image/png;|recall\.jsonl$", address), address
    assert not re.search(r"https?:|url\((?!#)|@import|@font-face", page)
    assert not {"link", "iframe", "object", "embed", "img", "base"} & {tag for tag, _ in reader.tags}
    assert "default-src 'none'" in page


def test_every_tag_is_closed_every_id_unique_and_every_inner_link_has_a_target(page: str) -> None:
    reader = Reader(page)
    ids = reader.all("id")
    assert reader.open == []
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in reader.all("href") if link.startswith("#")} <= set(ids)
    assert set(reader.all("aria-labelledby")) <= set(ids)


def test_headings_descend_one_step_at_a_time_from_a_single_first(page: str) -> None:
    levels = [int(tag[1]) for tag, _ in Reader(page).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_hostile_text_is_text(section: Section, study: Study, panel: Panel, page: str) -> None:
    bad = "<script>alert(1)</script>\"'&"
    figure = Figure("x", (dataclasses.replace(panel, title=bad, x_label=bad),), bad, bad)
    hostile = dataclasses.replace(section, title=bad, question=bad, answer=bad, figures=(figure,), limits=(bad,))
    found = render_html([(hostile, dataclasses.replace(study, command=bad))], bad, bad)
    assert found.count("<script>") == page.count("<script>") == 1
    assert Reader(found).open == []
    assert not re.search(r"(?<!\\)<script", render_markdown(hostile, study))


def test_a_reader_meets_answer_comparison_checks_figures_limits_and_command_in_this_order(
    section: Section, study: Study, page: str
) -> None:
    marks = ["As far as", "Compared.", "Checks", "Errors grow", "Means and", "What was not done", study.command]
    body = page[page.index("<main>") :]
    for text in (body, render_markdown(section, study).replace("![Means and intervals.]", "")):
        places = [text.index(mark) for mark in marks]
        assert places == sorted(places)


def test_the_data_lie_in_the_page_up_to_a_cap_and_are_linked_beyond_it(section: Section, study: Study) -> None:
    for points, beyond in ((DATA_CAP, 0), (DATA_CAP + 17, 17)):
        x = range(points)
        figure = Figure("x", (Panel("a", "x", "y", (Measured("m", x, x),)),), "Finding.", "Caption.")
        found = render_html([(dataclasses.replace(section, figures=(figure,), tables=()), study)], "t", "l")
        assert found.count("<tr><td>m</td>") == DATA_CAP
        assert (f"{beyond} more plotted points" in found) == (beyond > 0)


def test_numbers_have_three_digits_and_keep_their_full_value_for_sorting(page: str) -> None:
    assert '<td class="number" data-value="1.23456e-08">1.23×10⁻⁸</td>' in page


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.0009994, "9.99×10⁻⁴"),
        (0.0009996, "0.00100"),
        (0.001, "0.00100"),
        (0.9996, "1.00"),
        (99.96, "100"),
        (12345.0, "12300"),
        (99999.0, "1.00×10⁵"),
        (-2.5, "−2.50"),
        (float("-inf"), "−∞"),
        (float("nan"), "NaN"),
    ],
)
def test_a_number_is_rounded_before_its_form_is_chosen(value: float, text: str) -> None:
    assert number(value) == text


def test_what_is_missing_does_not_make_a_column_of_numbers_into_words(section: Section, study: Study) -> None:
    table = Table("t", ("a", "b"), ((1, "x"), (None, "y")))
    markdown = render_markdown(dataclasses.replace(section, tables=(table,)), study)
    assert "| ---: | --- |\n| 1 | x |\n| – | y |" in markdown
    assert cell(None) == "–"


def test_a_pipe_in_a_markdown_cell_does_not_start_another_column(section: Section, study: Study) -> None:
    table = Table("t", ("a", "`b|c`"), (("x|y", "`u|v`"),))
    lines = render_markdown(dataclasses.replace(section, tables=(table,)), study).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [3, 3, 3]


def test_markdown_links_the_figure_files(section: Section, study: Study) -> None:
    assert "](figures/recall-load.svg)" in render_markdown(section, study)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Figure("Not a name", (), "f", "c"), "a figure name makes file names"),
        (lambda: Figure("x", (), "f", "c"), "figure 'x' has no panels"),
        (lambda: Table("t", ("a",), (("b", "c"),)), "table 't': row 1 has 2 cells, expected 1"),
        (lambda: Section("s", "t", "q", "a", "c", (), (), "one"), "limits is one string"),  # type: ignore[arg-type]
    ],
)
def test_a_section_that_cannot_be_meant_is_refused(make: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()  # type: ignore[operator]
