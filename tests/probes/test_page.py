"""The audit's page: complete, self-contained, escaped."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from tests.probes import faulty
from ttr_numerics.probes import Audit, Finding, plan
from ttr_numerics.probes.page import as_page
from ttr_numerics.verdict import Word

PROBES = ["generic", "gate 1", "one token", "whole numbers", "causality"]
WILD = "<script>alert('mine & yours')</script>"


@pytest.fixture(scope="module")
def found():
    """A leaking subject's audit, its cases shown."""
    planned = plan(faulty.leaking, "linear_attention", probes=PROBES, seed=1)
    findings = list(planned.findings())
    return planned.audit(findings, dict(planned.cases(findings, 30.0)))


@pytest.fixture(scope="module")
def page(found):
    """The page of it."""
    return as_page([("mine.py:leaking", found)])


class Reader(HTMLParser):
    """Tags with attributes, and the text outside style and script."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.words, self.inside = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside += [tag] if tag in ("style", "script") else []

    def handle_endtag(self, tag):
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data):
        if not self.inside:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def test_the_page_says_everything_that_was_found(found, page):
    text = Reader(page).text
    assert text.startswith("mine.py:leaking as linear_attention: wrong")
    for finding in found.findings:
        assert {finding.probe, finding.claim, finding.kind} <= {
            w for w in (finding.probe, finding.claim, finding.kind) if w in text
        }
        assert finding.reasons[0] in text
    assert "2 tokens, 1 head, d_k = 1, d_v = 1" in text
    assert "ttr audit mine.py:leaking --as linear_attention --dtype float32 --library numpy --seed 1" in text
    assert f"numpy {np.__version__}" in text


def test_the_page_needs_nothing_else(page):
    reader = Reader(page)
    assert not {"link", "iframe", "object", "embed", "img", "base"} & {tag for tag, _ in reader.tags}
    assert not [a for _, a in reader.tags if "src" in a or a.get("href", "#").startswith("http")]
    assert "@import" not in page
    assert "url(" not in re.sub(r"url\(#[^)]*\)", "", page)
    assert "default-src 'none'" in page


def test_everything_drawn_has_words_for_those_who_do_not_see_it(page):
    tags = Reader(page).tags
    drawn = [a for tag, a in tags if tag == "svg"]
    assert len(drawn) >= 2
    assert all(a.get("role") == "img" and a.get("aria-label") for a in drawn)
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_texts_of_others_are_escaped(found):
    case = replace(found.findings[0].case, profile=None, said=WILD)
    wild = replace(found.findings[0], probe=WILD, claim=WILD, reasons=(WILD,), cause=WILD, case=case)
    page = as_page([(f"{WILD}.py:{WILD}", replace(found, findings=(wild,), contract=WILD))])
    assert "<script>alert" not in page
    assert WILD in Reader(page).text


def test_several_targets_have_contents_and_places_of_their_own(found):
    sound = Audit(
        "linear_attention", "float32", 0, (Finding("generic", "equals the layer", Word.ROUNDING, ("fine",), 0.1),)
    )
    bare = replace(found, findings=tuple(replace(f, case=None) for f in found.findings))
    page = as_page([("a test: one", bare), ("a test: two", sound)])
    reader = Reader(page)
    assert reader.text.startswith("Audits: 1 of 2 are wrong or failed to run")
    links = [a["href"].removeprefix("#") for tag, a in reader.tags if tag == "a"]
    ids = [a["id"] for _, a in reader.tags if "id" in a]
    assert set(links) <= set(ids)
    assert len(set(ids)) == len(ids)
    assert "ttr audit a test" not in page  # no command for what no command can call


@pytest.mark.parametrize("ratio", [0.0, np.inf, 1e300, 1e-300, float("nan")])
def test_any_ratio_can_be_drawn(ratio):
    finding = Finding("generic", "equals the layer", Word.WRONG, ("a reason",), ratio)
    page = as_page([("m:f", Audit("linear_attention", "float32", 0, (finding,)))])
    places = [float(x) for x in re.findall(r'<rect x="([^"]*)"', page)]
    assert all(0 <= x <= 440 for x in places)


def test_an_audit_of_nothing_has_a_page():
    assert "inconclusive" in Reader(as_page([("m:f", Audit("linear_attention", "float32", 0, ()))])).text
    assert "none of 0 is wrong" in Reader(as_page([])).text


def test_equal_audits_make_equal_pages(found, page):
    assert as_page([("mine.py:leaking", found)]) == page
