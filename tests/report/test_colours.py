"""The colours of figures are told apart by all, and one table has them all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ttr_numerics.report
from tests.report.colours import SIMULATED, cielab, contrast, linear, nearest
from ttr_numerics.report.ink import SHADES

APART = 20.0  # some nine just noticeable differences of 2.3 (Mahy, Van Eycken, Oosterlinck 1994)
LINES = [name for name in SHADES if name.startswith("hue")] + ["ink"]  # theories of no series are drawn in ink
OF_TEXT = ("ink", "label", "hue-0", "hue-1")  # links and buttons, and the word no
REPORT = Path(ttr_numerics.report.__file__).parent


def lines(scheme: str) -> dict[str, str]:
    return {name: getattr(SHADES[name], scheme) for name in LINES}


# sRGB in CIELAB for D65, as B. Lindbloom's and other calculators publish it.
@pytest.mark.parametrize(
    ("colour", "published"),
    [
        ("#ff0000", ("53.24", "80.09", "67.20")),
        ("#00ff00", ("87.73", "-86.18", "83.18")),
        ("#0000ff", ("32.30", "79.19", "-107.86")),
        ("#ffffff", ("100.00", "0.00", "0.00")),
    ],
)
def test_cielab_is_that_of_published_tables(colour: str, published: tuple[str, ...]) -> None:
    assert tuple(f"{abs(c) if abs(c) < 1e-9 else c:.2f}" for c in cielab(linear(colour))) == published


@pytest.mark.parametrize("eyes", SIMULATED)
def test_the_simulations_leave_greys_as_they_are(eyes: str) -> None:
    """The rows of each matrix sum to one, to the six digits that are printed."""
    assert [f"{total:.5f}" for total in SIMULATED[eyes].sum(axis=1)] == ["1.00000"] * 3


@pytest.mark.parametrize("eyes", SIMULATED)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_any_two_lines_of_a_figure_are_told_apart_whatever_colours_are_seen(scheme: str, eyes: str) -> None:
    difference, one, other = nearest(list(lines(scheme).values()), eyes)
    assert difference >= APART, (one, other)


def test_two_hues_that_fall_together_in_deuteranopia_are_caught() -> None:
    """An orange and an ochre that are far apart to the normal eye."""
    planted = list((lines("light") | {"hue-1": "#c4480c", "hue-4": "#8f6a00"}).values())
    difference, one, other = nearest(planted, "deuteranopia")
    assert difference < APART
    assert (one, other) == ("#c4480c", "#8f6a00")
    assert nearest([one, other], "normal vision")[0] > 2 * APART


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_and_markers_have_a_contrast_of_three_and_text_of_four_and_a_half(scheme: str) -> None:
    paper = getattr(SHADES["paper"], scheme)
    for name in (*LINES, *OF_TEXT):
        needed = 4.5 if name in OF_TEXT else 3.0
        assert contrast(getattr(SHADES[name], scheme), paper) >= needed, name


def test_text_is_set_in_colours_that_text_may_have_and_none_is_named_outside_the_table() -> None:
    css = (REPORT / "templates" / "page.css").read_text(encoding="utf-8")
    assert set(re.findall(r"(?<![-\w])color: var\(--([\w-]+)\)", css)) <= {*OF_TEXT, "axis"}
    for file in [*REPORT.glob("*.py"), *REPORT.glob("templates/*")]:
        if file.name != "ink.py":
            assert not re.search(r"#[0-9a-fA-F]{6}\b|\brgba?\(", file.read_text(encoding="utf-8")), file.name
