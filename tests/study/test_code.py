"""The code version follows what a study computes with, and nothing else."""

import sys

import pytest

from tests.study import studies
from ttr_numerics.study import Grid, Study
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


def test_cells_are_every_combination():
    assert Grid({"n": (1, 2), "d": (3,)}).cells() == [{"n": 1, "d": 3}, {"n": 2, "d": 3}]


def test_values_that_a_study_has_select_and_others_are_put_in_their_place():
    grids = (Grid({"part": ("a",), "n": (1, 2)}), Grid({"part": ("b",), "n": (2, 4), "d": (3,)}))
    study = Study("parts", "", studies.products, grids)
    assert [list(cell.values()) for cell in study.restricted({"part": ("b",)}).cells] == [["b", 2, 3], ["b", 4, 3]]
    assert [list(cell.values()) for cell in study.restricted({"n": (1,)}).cells] == [["a", 1]]
    assert [cell["n"] for cell in study.restricted({"n": (8, 2)}).cells] == [8, 2, 8, 2]
    assert [cell.get("d") for cell in study.restricted({"d": (5,)}).cells] == [None, None, 5, 5]
    with pytest.raises(ValueError, match=r"^axis: expected one of part, n, d, got m$"):
        study.restricted({"m": (1,)})


def test_a_package_that_passes_a_name_on_is_not_part_of_the_answer(package):
    through = {"study": "from mine.all import f\n"}
    before = package(**through, all="from mine.used import f\nfrom mine.other import x\n")
    assert package(**through, all="from mine.used import f\n") == before
    assert package(**through, all="from mine.used import f\n", used="def f():\n    return 2\n") != before
    assert package(**through, all="def f():\n    return 1\n") != before


def test_libraries_of_the_study_itself_are_told_from_those_of_ours(package):
    package(study="import numpy\nfrom ttr_numerics import arrays\n")
    assert code_of.own_libraries("mine.study") == ["numpy"]
    assert "scipy" in code_of.libraries("mine.study")


def test_a_study_that_computes_with_numpy_alone_is_keyed_by_its_own_file(package):
    package(study="import numpy\nfrom ttr_numerics.study import Grid, Study, placed\nfrom ttr_numerics import study\n")
    assert code_of.modules("mine.study").keys() == {"mine.study", "ttr_numerics.study"}
    assert code_of.libraries("mine.study") == ["numpy"]


def test_a_new_protocol_is_another_version(package, monkeypatch):
    before = package()
    monkeypatch.setattr(code_of, "PROTOCOL", code_of.PROTOCOL + 1)
    assert code_of.code_version("mine.study") != before


def test_of_our_tasks_those_it_imports_count(package):
    package(study="from ttr_numerics.study import Study\nfrom ttr_numerics.tasks import mqar\n")
    found = code_of.modules("mine.study").keys()
    assert "ttr_numerics.tasks.mqar" in found
    assert "ttr_numerics.tasks.stored" not in found
