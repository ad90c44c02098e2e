"""The page in a headless Chromium: nothing complains, figures answer, the filter filters, a phone scrolls one way.

Skipped only where there is no Chromium.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from itertools import combinations
from math import log
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.report.browser import Browser, Page, needs_chromium, running
from ttr_numerics.report import (
    Cloud,
    Figure,
    Heatmap,
    Measured,
    Panel,
    Section,
    Study,
    Table,
    Theory,
    figure_svg,
    page_drawings,
    render_html,
)
from ttr_numerics.report.ink import SHADES

pytestmark = needs_chromium

HOSTILE = (
    "</script><script>document.title='taken'</script><!-- <img src=x onerror=\"document.title='taken'\"> \u2028 '\"&"
)
STORED = Path(__file__).parents[2] / "reports" / "index.html"
LIVE = "document.querySelectorAll('.live')[{}]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running() as found:
        yield found


def two_sections(name: str = "delta rule") -> list[tuple[Section, Study]]:
    load = (0.25, 1.0, 4.0, 16.0)
    rule = Measured(name, load, (0.1, 0.3, 0.9, 2.0), (0.0, 0.2, 0.8, 1.5), (0.2, 0.4, 1.0, 2.5), layer=name)
    law = Theory("law", load, (0.1, 0.3, 0.8, 1.9), of=name)
    mesa = Measured("mesa", load, (0.01, 0.02, 0.05, 0.4), layer="mesa")
    narrow = Measured("d = 16", load, (0.5, 0.4, 0.3, 0.2), layer="softmax")
    both = Panel("Both", "load n/d", "error", (rule, mesa, law), x_log=True, y_log=True)
    named = Panel("By width", "load n/d", "error", (narrow, Theory("free", (0.25, 16.0), (0.1, 0.1))), x_ticks=load)
    heat = Heatmap("Heads", "load n/d", "head", (1, 2, 4), ("a", "b"), ((1, 2, 3), (4, 5, 6)), "error")
    cloud = Panel("Tokens", "x", "y", (Cloud("mesa", range(1, 600), range(1, 600), layer="mesa"),))
    figures = (
        Figure("both", (both, named), "Errors grow.", "Means and intervals.", "n", "One standard error.", "n/d"),
        Figure("cloud", (cloud, heat), "Tokens lie on a line.", "All of them."),
        Figure("widths", (named,), "Width helps.", "Means."),
    )
    wide = Table("Wide", tuple(f"column {i}" for i in range(30)), tuple((0.5,) * 30 for _ in range(20)))
    study = Study("recall", "How far?", 7, "python -m analysis recall " + "x" * 80, {"numpy": "2"}, ({"n": 1},) * 3)
    section = Section("recall", "Recall", "How far?", "As far as that.", "Nothing.", figures, (wide,))
    other = dataclasses.replace(section, name="other", title="Other", tables=())
    return [(section, study), (other, dataclasses.replace(study, analysis="other"))]


@pytest.fixture(scope="module")
def html() -> str:
    return render_html(two_sections(), "Title", "Lead.")


@pytest.fixture
def page(browser: Browser) -> Page:
    found = browser.page()
    found.resize(1280, 900)
    return found


@pytest.fixture
def show(page: Page, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens a page, makes all figures live, and in the end asks whether anything complained."""

    def opened(html: str, address: str = "") -> Page:
        file = tmp_path / "index.html"
        file.write_text(html, encoding="utf-8")
        page.open(file.as_uri() + address)
        live(page)
        return page

    yield opened
    assert page.complaints == []


def live(page: Page) -> None:
    """Bring every figure near the window, one after the other, until all are live."""
    page.ask(
        """(async () => {
          for (const panel of document.querySelectorAll(".panel")) {
            if (panel.closest(".figure.without, .panel.without")) continue;
            panel.scrollIntoView({ behavior: "instant" });
            for (let n = 0; n < 200 && !panel.classList.contains("is-live"); n += 1)
              await new Promise((done) => setTimeout(done, 20));
          }
        })()"""
    )
    page.until("[...document.querySelectorAll('.is-live:not(.heatmap)')].every((one) => one.querySelector('.live'))")


def box(page: Page, element: str) -> tuple[float, float, float, float]:
    """Left, top, width and height in the window, into whose middle the element is scrolled."""
    page.ask(f"{element}.scrollIntoView({{ behavior: 'instant', block: 'center' }})")
    found = page.ask(
        f"(({{ left, top, width, height }}) => [left, top, width, height])({element}.getBoundingClientRect())"
    )
    return tuple(found)  # type: ignore[return-value]


def ends(page: Page, n: int) -> list[float]:
    """Of the axes of live panel n: x from, x to, y from, y to."""
    said = page.ask(f"{LIVE.format(n)}.dataset.x + ' ' + {LIVE.format(n)}.dataset.y")
    return [float(end) for end in said.split()]


# How many pixels of the first live canvas are of this colour.
PIXELS = """((canvas, colour) => {
  const { width, height } = canvas;
  const copy = Object.assign(document.createElement("canvas"), { width, height });
  const ink = copy.getContext("2d", { willReadFrequently: true });
  ink.drawImage(canvas, 0, 0);
  const { data } = ink.getImageData(0, 0, width, height);
  return data.reduce((n, _, i) => n + (i % 4 === 0 && data[i + 3] > 0
    && colour.every((value, part) => value === data[i + part])), 0);
})(document.querySelector(".live canvas"), COLOUR)"""


IMAGE = "data:image/svg+xml;charset=utf-8,"
IMAGE_PIXELS = PIXELS.replace(
    "{ width, height } = canvas", "{ naturalWidth: width, naturalHeight: height } = canvas"
).replace('document.querySelector(".live canvas")', "document.images[0]")


def ink(page: Page, n: int) -> int:
    """Pixels of the canvas of live panel n that are not empty."""
    any_colour = PIXELS.replace("colour.every((value, part) => value === data[i + part])", "true")
    return int(
        page.ask(
            any_colour.replace(
                'document.querySelector(".live canvas")', f"{LIVE.format(n)}.querySelector('canvas')"
            ).replace("COLOUR", "null")
        )
    )


def choose(page: Page, *layers: str) -> None:
    """Only these in the page's filter."""
    page.ask(
        "document.querySelectorAll('.layers input[type=checkbox]').forEach((box) => {"
        f" if (box.checked !== {json.dumps(layers)}.includes(box.value)) box.click(); }})"
    )


def test_figures_go_live_without_a_complaint_or_a_request(show: Callable[..., Page], html: str) -> None:
    page = show(html)
    assert page.ask("document.querySelectorAll('.live').length") == 8
    assert page.ask("document.querySelectorAll('.heatmap').length") == 2
    assert all(ink(page, n) > 1000 for n in range(8))
    assert page.ask("performance.getEntriesByType('resource').length") == 0


def test_dragging_zooms_and_a_double_click_shows_all(show: Callable[..., Page], html: str) -> None:
    page = show(html)
    whole = ends(page, 0)
    x, y, width, height = box(page, LIVE.format(0) + ".querySelector('.u-over')")
    before = ink(page, 0)
    page.drag((x + 0.3 * width, y + 0.25 * height), (x + 0.6 * width, y + 0.75 * height))
    page.until(f"{LIVE.format(0)}.classList.contains('zoomed')")
    near = ends(page, 0)
    # Logarithmic axes: the chosen shares of the decades, to a pixel of some 240.
    share = [0.3, 0.6, 0.25, 0.75]
    for i, end in enumerate(near):
        low, high = whole[2 * (i // 2)], whole[2 * (i // 2) + 1]
        assert end == pytest.approx(low * (high / low) ** share[i], rel=(high / low) ** (2 / 200) - 1)
    assert ink(page, 0) != before
    for clicks in (1, 2):
        page.mouse("Pressed", x + width / 2, y + height / 2, clicks)
        page.mouse("Released", x + width / 2, y + height / 2, clicks)
    page.until(f"!{LIVE.format(0)}.classList.contains('zoomed')")
    assert ends(page, 0) == whole


def test_the_pointer_reads_a_point_with_its_interval(show: Callable[..., Page], html: str) -> None:
    page = show(html)
    x, y, width, height = box(page, LIVE.format(0) + ".querySelector('.u-over')")
    low, high, bottom, top = ends(page, 0)
    across, up = log(1 / low) / log(high / low), log(0.3 / bottom) / log(top / bottom)
    page.mouse("Moved", x + across * width + 2, y + (1 - up) * height - 2)
    said = page.until(f"{LIVE.format(0)}.querySelector('.reading:not([hidden])')?.innerText")
    for part in ("load n/d: 1\n", "error: 0.300"):
        assert part in said + "\n"
    assert ("delta rule" in said and "0.200 to 0.400" in said) or "law" in said


def test_keys_step_through_the_points_and_zoom(show: Callable[..., Page], html: str) -> None:
    page = show(html)
    whole = ends(page, 0)
    page.ask(f"{LIVE.format(0)}.focus()")
    said = []
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.key(key)
        said.append(
            page.ask(f"{LIVE.format(0)}.querySelector('.reading').innerText").replace("\n\n", "\n").splitlines()
        )
    assert said[0] == ["delta rule", "load n/d: 0.25", "error: 0.100", "interval: 0 to 0.200"]
    assert said[1] == ["delta rule", "load n/d: 1", "error: 0.300", "interval: 0.200 to 0.400"]
    assert said[2] == ["mesa", "load n/d: 1", "error: 0.0200"]
    page.key("+")
    near = ends(page, 0)
    assert near[1] / near[0] == pytest.approx((whole[1] / whole[0]) ** 0.5, rel=1e-2)
    page.key("0")
    assert ends(page, 0) == whole


def test_a_legend_entry_shows_and_hides_its_series_in_the_drawing_for_print_too(
    show: Callable[..., Page], html: str
) -> None:
    page = show(html)
    before = ink(page, 0)
    entry = "document.querySelector('.legend button')"
    page.ask(f"{entry}.click()")
    assert page.ask(f"{entry}.getAttribute('aria-pressed')") == "false"
    assert ink(page, 0) < before
    hidden = "[...document.querySelector('.panel svg').querySelectorAll('[data-s].off')].map((part) => part.dataset.s)"
    assert set(page.ask(hidden)) == {"0"}
    page.ask(f"{entry}.click()")
    assert ink(page, 0) == before
    assert page.ask(hidden) == []


SHOWN = """[...document.querySelectorAll('.live')].map((live) =>
  [...live.querySelectorAll('.legend li:not([hidden])')].map((entry) => entry.textContent).join(' '))"""


def test_the_filter_leaves_the_chosen_layer_everywhere_and_is_kept_in_the_address(
    show: Callable[..., Page], html: str
) -> None:
    page = show(html)
    names = "[...document.querySelectorAll('.layers input[type=checkbox]')].map((box) => box.value)"
    assert page.ask(names) == ["delta rule", "mesa", "softmax"]
    choose(page, "mesa")
    assert page.ask(SHOWN)[:2] == ["mesa", "free"]
    drawn = "#recall--both .panel:first-child svg [data-s]:not(.off)"
    assert set(page.ask(f"[...document.querySelectorAll('{drawn}')].map((part) => part.dataset.s)")) == {"1"}
    without = "[...document.querySelectorAll('.figure.without')].map((figure) => figure.id)"
    assert page.ask(without) == ["recall--widths", "other--widths"]
    assert "Nothing of what is chosen" in page.ask("document.querySelector('#recall--widths').innerText")
    assert "1 of the 2 panels, left out here" in page.ask("document.querySelector('#recall--both').innerText")
    assert page.ask("document.querySelector('.layers summary').innerText") == "Layers shown: mesa (in 4 of 6 figures)"
    seen = "[...document.querySelectorAll('#recall--both .panel')].map((panel) => panel.offsetWidth > 0)"
    assert page.ask(seen) == [True, False]
    assert page.ask("location.hash") == "#layers=mesa"
    again = show(html, "#other&layers=softmax,delta%20rule")
    assert again.ask(SHOWN)[0] == "delta rule law"
    assert again.ask("location.hash") == "#other&layers=delta%20rule,softmax"
    again.ask("document.querySelector('.layers button').click()")
    assert again.ask(SHOWN)[0] == "delta rule mesa law"
    assert again.ask("location.hash") == "#other"


def named_apart() -> list[tuple[Section, Study]]:
    """Two studies of one layer under two labels, the second beside a line of keys, which are no layer."""
    ((section, study), (other, theirs)) = two_sections()
    load = (0.25, 1.0, 4.0, 16.0)
    lines = (
        Measured("best step", load, (0.2, 0.3, 0.5, 0.9), layer="delta rule"),
        Theory("recursion", load, (0.2, 0.3, 0.5, 0.9), of="best step"),
        Measured("gain 16", load, (0.1, 0.1, 0.2, 0.3), layer="softmax"),
        Measured("random keys", load, (1.0, 1.0, 1.0, 1.0)),
        Theory("bound of softmax", load, (2.0, 2.0, 2.0, 2.0), layer="softmax"),
    )
    panels = (Panel("Steps", "load n/d", "error", lines), Panel("Keys", "load n/d", "rank", lines[3:4]))
    figures = (Figure("steps", panels, "Steps help.", "Means."), Figure("keys", panels[1:], "Keys differ.", "Ranks."))
    return [(section, study), (dataclasses.replace(other, figures=figures), theirs)]


def test_one_layer_is_found_in_two_studies_that_call_it_by_two_names(show: Callable[..., Page]) -> None:
    page = show(render_html(named_apart(), "Title", "Lead."))
    boxes = (
        "[...document.querySelectorAll('.layers fieldset')].map((one) => one.innerText.replace(/\\s+/g, ' ').trim())"
    )
    page.ask("document.querySelector('.layers').open = true")
    assert page.ask(boxes) == [
        "In several studies delta rule 2 studies softmax 2 studies",
        "In one study mesa 2 figures",
    ]
    choose(page, "delta rule")
    other = "[...document.querySelectorAll('#other .live')].map((live) => live.innerText.includes({}))"
    assert page.ask(SHOWN)[0] == "delta rule law"
    legend = "[...document.querySelectorAll('#other--steps .legend li:not([hidden])')].map((one) => one.textContent)"
    assert page.ask(legend) == ["best step", "recursion", "random keys"]
    assert page.ask("!document.querySelector('#other--keys.without')")
    assert page.ask(other.format("'Keys'")) == [False, True, True]
    choose(page, "softmax")
    assert page.ask(legend) == ["gain 16", "random keys", "bound of softmax"]


def test_a_layer_is_found_by_what_its_lines_are_called(show: Callable[..., Page]) -> None:
    page = show(render_html(named_apart(), "Title", "Lead."))
    page.ask("document.querySelector('.layers').open = true")
    labels = "[...document.querySelectorAll('.layers label')].filter((one) => one.offsetWidth)"
    left = f"{labels}.map((one) => one.innerText.trim())"
    seek = (
        "((search) => {{ search.value = {}; search.dispatchEvent(new Event('input')); }})"
        "(document.querySelector('.layers input[type=search]'))"
    )
    page.ask(seek.format("'Best'"))
    assert page.ask(left) == ["delta rule 2 studies"]
    page.ask(seek.format("'nothing'"))
    assert page.ask(left) == []
    assert "No layer of this page" in page.ask("document.querySelector('.layers').innerText")
    page.ask(seek.format("''"))
    assert len(page.ask(left)) == 3


def test_a_page_whose_lines_name_no_layer_is_filtered_by_its_lines(show: Callable[..., Page]) -> None:
    load = (0.25, 1.0, 4.0)
    lines = (Measured("mine", load, load), Measured("theirs", load, load), Theory("law", load, load, of="mine"))
    ((section, study), _) = two_sections()
    figures = (Figure("lines", (Panel("Lines", "x", "y", lines),), "Lines rise.", "Means."),)
    html = render_html([(dataclasses.replace(section, figures=figures), study)], "Title", "Lead.")
    page = show(html, "#lines=theirs")
    summary = "document.querySelector('.layers summary').innerText"
    assert page.ask(summary) == "Lines shown: theirs (in 1 of 1 figure)"
    assert page.ask(SHOWN) == ["theirs"]
    choose(page, "mine")
    assert page.ask(SHOWN) == ["mine law"]
    assert page.ask("location.hash") == "#lines=mine"


def test_a_heat_map_reads_its_cells_by_pointer_and_key(show: Callable[..., Page], html: str) -> None:
    page = show(html)
    heat = "document.querySelector('.heatmap')"
    x, y, width, height = box(page, f"{heat}.querySelector('svg')")
    left, top, across, up = page.ask(
        "JSON.parse(document.querySelectorAll('.figure script')[1].textContent).panels[1].box"
    )
    _, _, units, tall = page.ask(f"{heat}.querySelector('svg').getAttribute('viewBox').split(' ').map(Number)")
    page.mouse("Moved", x + (left + across * 0.9) / units * width, y + (top + up * 0.1) / tall * height)
    reading = f"{heat}.querySelector('.reading:not([hidden])')?.innerText"
    assert page.until(reading).split() == ["load", "n/d:", "4", "head:", "b", "error:", "6.00"]
    page.ask(f"{heat}.focus()")
    page.key("ArrowLeft")
    assert page.until(reading).split() == ["load", "n/d:", "2", "head:", "b", "error:", "5.00"]


def test_the_table_of_a_figure_is_made_when_it_is_opened_and_sorts(show: Callable[..., Page], html: str) -> None:
    page = show(html)
    details = "document.querySelector('#recall--both details')"
    assert page.ask(f"{details}.querySelectorAll('td').length") == 0
    page.ask(f"{details}.open = true")
    page.until(f"{details}.querySelectorAll('table').length === 2")
    third = f"[...{details}.querySelector('tbody').rows].map((row) => row.cells[2].textContent)"
    assert page.ask(third)[:5] == ["0.100", "0.300", "0.900", "2.00", "0.0100"]
    page.ask(f"{details}.querySelectorAll('th button')[2].click()")
    assert page.ask(third)[:3] == ["0.0100", "0.0200", "0.0500"]


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_scrolls_sideways(show: Callable[..., Page], width: int) -> None:
    page = show(render_html(two_sections("a layer of a rather long name " * 4), "Title", "Lead."))
    page.resize(width, 800, mobile=width < 500)
    page.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.ask("innerWidth") == width
    assert page.until(f"document.scrollingElement.scrollWidth <= {width}")


def test_the_words_of_the_last_tick_are_whole(show: Callable[..., Page]) -> None:
    line = Measured("m", (1.0, 1000.0), (1.0, 2.0))
    panel = Panel("Ends at its last tick", "x", "y", (line,), x_log=True, x_range=(1.0, 1000.0))
    ((section, study), _) = two_sections()
    figures = (Figure("end", (panel,), "Ends.", "All."),)
    page = show(render_html([(dataclasses.replace(section, figures=figures), study)], "Title", "Lead."))
    last_columns = PIXELS.replace("getImageData(0, 0, width, height)", "getImageData(width - 2, 0, 2, height)")
    seen = last_columns.replace("colour.every((value, part) => value === data[i + part])", "true")
    assert ends(page, 0)[:2] == [1.0, 1000.0]
    assert ink(page, 0) > 1000
    assert page.ask(seen.replace("COLOUR", "null")) == 0


def test_hostile_names_are_shown_as_they_are(show: Callable[..., Page]) -> None:
    ((section, study), _) = two_sections(HOSTILE)
    both = section.figures[0]
    named = {"title": HOSTILE, "x_label": HOSTILE, "y_label": HOSTILE}
    panels = tuple(dataclasses.replace(panel, **named) for panel in both.panels)
    figure = dataclasses.replace(both, panels=panels, finding=HOSTILE, caption=HOSTILE, grid=HOSTILE)
    hostile = dataclasses.replace(section, title=HOSTILE, answer=HOSTILE, figures=(figure,), limits=(HOSTILE,))
    page = show(render_html([(hostile, dataclasses.replace(study, command=HOSTILE))], "Title", HOSTILE))
    page.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    choose(page, HOSTILE)
    page.ask(f"{LIVE.format(0)}.focus()")
    page.key("ArrowRight")
    assert page.ask("document.title") == "Title"
    assert page.ask("document.images.length") == 0
    assert "onerror" in page.ask(f"{LIVE.format(0)}.querySelector('.reading').innerText")
    assert "onerror" in page.ask("decodeURIComponent(location.hash)")


def test_without_a_script_and_in_print_the_drawings_are_there(show: Callable[..., Page], html: str) -> None:
    page = show(html)
    shown = "[...document.querySelectorAll('.panel > svg')].every((svg) => svg.getBoundingClientRect().width > 100)"
    assert not page.ask(shown)
    page.call("Emulation.setEmulatedMedia", media="print")
    assert page.ask(shown)
    assert page.ask("[...document.querySelectorAll('.live')].every((live) => live.getBoundingClientRect().width === 0)")
    page.call("Emulation.setEmulatedMedia", media="screen")
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.call("Page.reload")
    page.until("document.readyState === 'complete' && !document.querySelector('.live')")
    assert page.ask(shown)


# Of every table, whether it is printed across, and its name where its box or a cell's words leave A4 within margins.
PRINTED = """[...document.querySelectorAll('main table')].map((table) => {
  const across = getComputedStyle(table.closest('.table')).page === 'wide';
  const room = (across ? 297 - 24 : 210 - 24) / 25.4 * 96;
  const cells = [...table.querySelectorAll('th, td')].filter((cell) => cell.scrollWidth > cell.clientWidth + 1);
  const out = table.getBoundingClientRect().width > room + 1 || cells.length > 0;
  return [across, out ? table.caption.textContent : '']; })"""


def cut_in_print(page: Page) -> list[str]:
    """Names of the tables that a printed page cuts, each laid out as wide as the sheet that it says it needs."""
    page.call("Emulation.setEmulatedMedia", media="print")
    page.call("Emulation.setScrollbarsHidden", hidden=True)
    found = []
    for across, width in ((False, 210 - 24), (True, 297 - 24)):
        page.resize(round(width / 25.4 * 96), 900)
        found += [name for needs, name in page.ask(PRINTED) if needs is across and name]
    return found


def tabled(*columns: int) -> str:
    """A page of tables of so many columns each, under heads of several words and one name that is long."""
    tables = tuple(
        Table(f"Of {n}", tuple(f"bfloat16 products {i}: error" for i in range(n)), ((1.23456e-11,) * n,) * 3)
        for n in columns
    )
    named = Table("Long", ("a", "b"), (("x" * 300, "a `" + "some.module.name." * 12 + "` of it"),))
    ((section, study), _) = two_sections()
    return render_html([(dataclasses.replace(section, tables=(*tables, named)), study)], "Title", "Lead.")


def test_print_cuts_no_table(show: Callable[..., Page]) -> None:
    page = show(tabled(3, 8, 12, 15, 30))
    assert cut_in_print(page) == []
    assert [across for across, _ in page.ask(PRINTED)] == [False, False, True, True, True, True]


def test_a_planted_table_that_print_cuts_is_found(show: Callable[..., Page]) -> None:
    html = tabled(12)
    heads = "th.number { white-space: normal; max-width: 9rem; }"
    assert heads in html
    page = show(html.replace(heads, ""))
    assert cut_in_print(page) == ["Of 12"]


def test_wide_tables_are_printed_across_and_nothing_else(show: Callable[..., Page]) -> None:
    page = show(tabled(3, 15))
    printed = base64.b64decode(page.call("Page.printToPDF", preferCSSPageSize=True)["data"])
    sizes = [tuple(map(float, box)) for box in re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed)]
    across = [wide > high for wide, high in sizes]
    assert {round(side) for size in sizes for side in size} == {595, 842}
    assert across[0] is False
    assert across[-1] is False
    assert True in across


def test_dark_pages_draw_in_their_own_colours_and_light_ones_in_theirs(show: Callable[..., Page], html: str) -> None:
    page = show(html)
    for scheme in ("light", "dark", "light"):
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        drawn = getattr(SHADES["hue-0"], scheme)
        page.until(f"{PIXELS} > 0".replace("COLOUR", str([int(drawn[i : i + 2], 16) for i in (1, 3, 5)])))


def a_file() -> str:
    ((section, _), _) = two_sections()
    label = "a layer of a rather long name, at its best step"
    long = tuple(Measured(f"{label} {i}", (0.25, 1.0), (1e-7, 1.0)) for i in range(3))
    panels = (*section.figures[0].panels, *section.figures[1].panels, Panel("Long", "x", "y", long, y_log=True))
    return figure_svg(page_drawings(panels, "name"), "A figure")


def test_the_file_of_a_figure_follows_the_scheme_where_it_is_an_image(page: Page, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<body><img></body>", encoding="utf-8")
    page.open((tmp_path / "index.html").as_uri())
    for scheme in ("light", "dark"):
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        page.ask(f"document.images[0].src = {json.dumps(IMAGE + quote(a_file()))}")
        page.ask("document.images[0].decode()")
        assert page.ask("document.images[0].naturalWidth") > 1000
        for name in ("paper", "hue-0", "ink"):
            drawn = getattr(SHADES[name], scheme)
            colour = str([int(drawn[i : i + 2], 16) for i in (1, 3, 5)])
            assert page.ask(IMAGE_PIXELS.replace("COLOUR", colour)) > 50, (scheme, name)
    assert page.complaints == []


def collisions(page: Page) -> list[str]:
    """Words of an opened figure's file that leave it or run into another."""
    words = page.ask(
        "[...document.querySelectorAll('text')].map((text) => {"
        " const { left, top, right, bottom } = text.getBoundingClientRect();"
        " return [left, top, right, bottom, text.textContent]; })"
    )
    wide, high = page.ask(
        "(({ width, height }) => [width.baseVal.value, height.baseVal.value])(document.documentElement)"
    )
    assert len(words) > 40
    found = [word for left, top, right, bottom, word in words if min(left, top, wide - right, high - bottom) < -1]
    for one, two in combinations(words, 2):
        across = min(one[2], two[2]) - max(one[0], two[0])
        down = min(one[3], two[3]) - max(one[1], two[1])
        found += [f"{one[4]} | {two[4]}"] if across > 1 and down > 4 else []
    return found


def test_no_word_of_a_figures_file_runs_into_another_or_out_of_the_file(page: Page, tmp_path: Path) -> None:
    (tmp_path / "figure.svg").write_text(a_file(), encoding="utf-8")
    page.open((tmp_path / "figure.svg").as_uri())
    assert collisions(page) == []
    restyle = "document.querySelectorAll('text').forEach((text) => {{ text.style = '{}'; }})"
    for fonts in ("DejaVu Sans", "Liberation Sans", "sans-serif"):
        page.ask(restyle.format(f"font-family: {fonts}"))
        assert collisions(page) == [], fonts
    page.ask(restyle.format("font-size: 16px"))
    assert len(collisions(page)) > 10


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_of_the_stored_reports_works_too(show: Callable[..., Page], width: int) -> None:
    page = show(STORED.read_text(encoding="utf-8"))
    assert page.ask("document.querySelectorAll('.live').length") > 40
    page.resize(width, 800, mobile=width < 500)
    assert page.until(f"document.scrollingElement.scrollWidth <= {width}")


def test_print_cuts_no_table_of_the_stored_reports(show: Callable[..., Page]) -> None:
    assert cut_in_print(show(STORED.read_text(encoding="utf-8"))) == []


def test_the_page_of_the_stored_reports_is_under_six_megabytes() -> None:
    assert STORED.stat().st_size < 6e6


def test_a_planted_fault_in_a_script_is_heard(browser: Browser, html: str, tmp_path: Path) -> None:
    page = browser.page()
    begin = "const livePlot = (panel, holder) => {"
    assert begin in html
    (tmp_path / "index.html").write_text(html.replace(begin, f"{begin} fault();"), encoding="utf-8")
    page.resize(1280, 900)
    page.open((tmp_path / "index.html").as_uri())
    page.ask("document.querySelector('.panel').scrollIntoView({ behavior: 'instant' })")
    page.until("!!document.querySelector('.is-live')")
    page.ask("new Promise((done) => setTimeout(done, 200))")
    assert any("fault" in complaint for complaint in page.complaints)
