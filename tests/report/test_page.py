"""The page and the Markdown: self-contained, escaped, in order, and the same text every time."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.report.conftest import HOSTILE
from ttr_numerics import report
from ttr_numerics.report import (
    Figure,
    Heatmap,
    Measured,
    Panel,
    Section,
    Study,
    Table,
    Theory,
    render_html,
    render_markdown,
)
from ttr_numerics.report.notation import cell, number
from ttr_numerics.report.payload import embedded_json

VOID = {"meta", "input", "br", "wbr", "link", "img"}


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
    own = page.replace("https://github.com/leeoniya/uPlot", "")  # a comment of the vendored file
    assert not re.search(r"https?:|url\((?!#)|@import|@font-face", own)
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
    assert len(re.findall("<script[ >]", found)) == len(re.findall("<script[ >]", page))
    assert Reader(found).open == []
    assert not re.search(r"(?<!\\)<script", render_markdown(hostile, study))


def test_a_long_name_may_be_broken_between_its_parts_and_a_short_one_or_markup_never(
    section: Section, study: Study
) -> None:
    table = Table("Names", ("name",), (("`signed_smoother_prefixes`",), ("log_decay",), ("<b>long.and_hostile</b>",)))
    found = render_html([(dataclasses.replace(section, tables=(table,)), study)], "Title", "Lead.")
    assert "<td><code>signed_<wbr>smoother_<wbr>prefixes</code></td>" in found
    assert "<td>log_decay</td>" in found
    assert "<td>&lt;b&gt;long.<wbr>and_<wbr>hostile&lt;/<wbr>b&gt;</td>" in found


def test_a_reader_meets_answer_comparison_checks_figures_limits_and_command_in_this_order(
    section: Section, study: Study, page: str
) -> None:
    marks = ["As far as", "Compared.", "Checks", "Errors grow", "Means and", "What was not done", "To measure it again"]
    body = page[page.index("<main>") :]
    for text in (body, render_markdown(section, study).replace("![Means and intervals.]", "")):
        places = [text.index(mark) for mark in marks]
        assert places == sorted(places)


def payload(page: str) -> list[dict[str, Any]]:
    """The panels of the page's only figure."""
    found = re.findall(r'<script type="application/json">(.*?)</script>', page)
    assert len(found) == 1
    return list(json.loads(found[0])["panels"])


def test_what_a_figure_plots_lies_beside_it_once(panel: Panel, heatmap: Heatmap, page: str) -> None:
    lines, cells = payload(page)
    for series, found in zip(panel.series, lines["series"], strict=True):
        x = found["x"] if isinstance(found["x"], list) else lines["series"][found["x"]]["x"]
        assert x == list(series.x)
        assert [math.nan if y is None else y for y in found["y"]] == pytest.approx(series.y, rel=0, abs=0, nan_ok=True)
        assert (found.get("low"), found.get("high")) == (series.low and [*series.low], series.high and [*series.high])
    assert [found["kind"] for found in lines["series"]] == ["measured", "curve", "cloud", "theory"]
    assert lines["series"][3]["of"] == "delta rule"
    assert cells["values"] == [list(row) for row in heatmap.values]


def test_a_layer_of_another_name_is_what_the_page_filters_by(section: Section, study: Study) -> None:
    measured = Measured("n = 8", (1, 2), (1, 2), layer="delta rule")
    panels = (
        Panel("a", "x", "y", (measured,)),
        Panel("b", "x", "y", (Theory("law", (1, 2), (1, 2), of="n = 8"), Theory("free", (1, 2), (2, 2)))),
    )
    figure = Figure("x", panels, "Finding.", "Caption.")
    found = payload(render_html([(dataclasses.replace(section, figures=(figure,)), study)], "t", "l"))
    assert found[0]["series"][0]["layer"] == found[1]["series"][0]["layer"] == "delta rule"
    assert not {"of", "layer"} & found[1]["series"][1].keys()


def test_embedded_json_ends_no_element_and_gives_every_number_back_to_six_digits() -> None:
    hostile = '</script><!-- & \u2028\u2029 " 1e999'
    text = embedded_json({hostile: [hostile, 1 / 3, math.inf, -math.inf, math.nan, 1e-300, 2.0, 7, None]})
    assert not set("<>&\u2028\u2029") & set(text)
    ((name, values),) = json.loads(text).items()
    assert (name, values) == (hostile, [hostile, 0.333333, math.inf, -math.inf, None, 1e-300, 2, 7, None])


def test_a_figure_says_its_grid_intervals_theory_command_and_rows(section: Section, study: Study) -> None:
    said = {"grid": "n from 8 to `64`.", "interval": "One standard error.", "theory": "n/d, for n < d."}
    figure = dataclasses.replace(section.figures[0], **said)
    told = dataclasses.replace(section, figures=(figure,))
    page = render_html([(told, study)], "t", "l")
    facts = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page[: page.index('class="data"')])
    assert [name for name, _ in facts] == ["Grid", "Intervals", "Theory", "Command", "Rows"]
    assert facts[0][1] == "n from 8 to <code>64</code>."
    assert facts[2][1] == "n/d, for n &lt; d."
    markdown = render_markdown(told, study)
    assert "- Theory: n/d, for n \\< d.\n- Command: `python -m analysis recall`\n- Rows: [recall.jsonl]" in markdown
    bare = render_html([(section, study)], "t", "l")
    assert "<dt>Grid</dt>" not in bare
    assert "<dt>Command</dt>" in bare


def test_tables_of_reference_end_the_page_and_are_in_its_contents(section: Section, study: Study) -> None:
    table = Table("The catalogue", ("layer",), ((HOSTILE,),), "All of them.")
    page = render_html([(section, study)], "t", "l", [table])
    assert page.index('<section id="the-catalogue"') > page.index("To measure it again")
    assert '<a href="#the-catalogue">The catalogue</a>' in page
    assert Reader(page).open == []


def test_vendored_files_are_the_ones_that_were_looked_at() -> None:
    vendor = Path(report.__file__).parent / "vendor"
    stated = dict(re.findall(r"^\| `(.+?)` \| `([0-9a-f]{64})` \|$", (vendor / "README.md").read_text("utf-8"), re.M))
    assert stated.keys() == {path.name for path in vendor.iterdir()} - {"README.md"}
    for name, digest in stated.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest, name


def test_the_page_carries_the_licence_of_what_it_carries(page: str) -> None:
    assert "Copyright (c) 2022 Leon Sorokin" in page
    assert "Permission is hereby granted" in page


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
