"""The code version follows what a study computes with, and nothing else."""

import sys

import pytest

from ttr_numerics.study import Grid
from ttr_numerics.study import code as code_of


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of a study, a module it uses, and one that it does not."""
    sources = {"__init__": "", "study": "from mine.used import f\n", "other": "x = 1\n"}
    sources["used"] = "def f():\n    return 1\n"
    (tmp_path / "mine").mkdir()
    monkeypatch.syspath_prepend(tmp_path)

    def version(**changed):
        for name, source in {**sources, **changed}.items():
            (tmp_path / "mine" / f"{name}.py").write_text(source)
        for cached in (code_of._source, code_of._tree, code_of._syntax):
            cached.cache_clear()
        for name in [n for n in sys.modules if n.partition(".")[0] == "mine"]:
            del sys.modules[name]
        return code_of.code_version("mine.study")

    return version


def test_comments_docstrings_layout_and_other_modules_do_not_count(package):
    before = package()
    assert package(used='"""New words."""\n\n\ndef f():  # why\n    """More."""\n    return (1)\n') == before
    assert package(other="x = 2\n") == before


def test_what_it_reaches_counts(package):
    assert package(used="def f():\n    return 2\n") != package()
    assert package(study="from mine.used import f\nfrom mine import other\n") != package()
    assert package(study="def g():\n    from . import used\n") != package(study="def g():\n    pass\n")


def test_cells_are_every_combination_and_an_unknown_axis_is_refused():
    grid = Grid({"n": (1, 2), "d": (3,)})
    assert grid.cells() == [{"n": 1, "d": 3}, {"n": 2, "d": 3}]
    assert grid.restricted({"n": (5,)}).cells() == [{"n": 5, "d": 3}]
    with pytest.raises(ValueError, match=r"^axis: expected one of n, d, got m$"):
        grid.restricted({"m": (1,)})
