"""The pytest plugin as its users run it: in a pytest of their own, alone and with workers."""

import pytest

pytest_plugins = ["pytester"]

SUITE = """
import numpy as np
import pytest
from ttr_numerics import layers
from ttr_numerics.testing import assert_output

@pytest.mark.parametrize("factor", [1.0, 1.01])
def test_mine(factor):
    q, k, v = np.random.default_rng(0).standard_normal((3, 1, 12, 4))
    assert_output(factor * layers.linear_attention(q, k, v).o, "linear_attention", q=q, k=k, v=v)
"""


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n", "2")], ids=["alone", "two workers"])
def test_the_page_holds_every_assertion_and_the_failures_read_as_verdicts(pytester, workers):
    pytester.makepyfile(test_mine=SUITE)
    result = pytester.runpytest_subprocess("--ttr-report", "verdicts.html", *workers)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*linear_attention in float64: wrong*", "*ttr_numerics: verdicts: *verdicts.html*"])
    page = (pytester.path / "verdicts.html").read_text(encoding="utf-8")
    assert "test_mine.py::test_mine[1.0]" in page
    assert "test_mine.py::test_mine[1.01]" in page
    assert page.rstrip().endswith("</html>")


def test_without_the_option_nothing_is_written_or_said(pytester):
    pytester.makepyfile(test_mine=SUITE)
    result = pytester.runpytest_subprocess("-k", "1.0]")
    result.assert_outcomes(passed=1, deselected=1)
    assert "ttr_numerics:" not in result.stdout.str()
    assert not list(pytester.path.glob("*.html"))


@pytest.mark.parametrize("place", [".", "missing/page.html"])
def test_a_place_where_no_page_can_be_is_refused_before_any_test_runs(pytester, place):
    pytester.makepyfile(test_mine=SUITE)
    result = pytester.runpytest_subprocess("--ttr-report", place)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--ttr-report: expected a file in an existing folder, got {place}*"])


def test_no_assertion_no_page(pytester):
    pytester.makepyfile(test_mine="def test_other(): pass")
    result = pytester.runpytest_subprocess("--ttr-report", "verdicts.html")
    result.stdout.fnmatch_lines(["*no verdict was asked for*"])
    assert not (pytester.path / "verdicts.html").exists()
