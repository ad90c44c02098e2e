"""Rows of another seed, code or library are not mixed with new ones unseen."""

import importlib.metadata
import json
from dataclasses import replace

import pytest

from tests.study import studies
from ttr_numerics.study import Store, configuration, run


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "rows.jsonl")


def test_a_journal_knows_the_configuration_of_its_rows(store):
    run(studies.PRODUCTS, store)
    run(studies.PRODUCTS, store)
    assert Store(store.path).configurations("products") == [studies.PRODUCTS.configuration]
    assert {"python", "numpy"} <= studies.PRODUCTS.configuration.versions.keys()
    assert "tests.study.studies" in studies.PRODUCTS.configuration.code


def test_differences_name_seed_version_and_module():
    here = studies.PRODUCTS.configuration
    there = replace(here, seed=8, versions={**here.versions, "numpy": "1.0", "only there": "2"})
    there = replace(there, code={**here.code, "tests.study.studies": "0"})
    said = there.differences(here)
    assert said[0] == "seed 8 there, 7 here"
    assert said[1] == f"numpy 1.0 there, {here.versions['numpy']} here"
    assert said[2:] == ["other code in tests.study.studies"]
    assert here.differences(here) == []


def test_a_journal_set_aside_loses_nothing(store):
    run(studies.PRODUCTS, store)
    before = store.path.read_bytes()
    kept = store.set_aside()
    assert (kept.name, kept.read_bytes(), store.entries()) == ("rows.jsonl.1", before, {})
    run(studies.PRODUCTS, store)
    assert store.set_aside().name == "rows.jsonl.2"


def test_a_journal_of_before_configurations_were_kept_is_read(store):
    run(studies.PRODUCTS, store)
    lines = [line for line in store.path.read_text().splitlines() if "configuration" not in json.loads(line)]
    store.path.write_text("\n".join(lines) + "\n")
    again = Store(store.path)
    assert len(again.entries()) == 6
    assert again.configurations("products") == []


def test_the_array_library_of_a_study_is_among_its_versions_under_whatever_distribution(monkeypatch):
    installed = {"cupy-cuda13x": "14.0", "numpy": "2.0"}

    def version(name):
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: {"cupy": ["cupy-cuda13x"]})
    configuration._all_distributions.cache_clear()
    found = configuration.configuration("s", 0, "tests.study.studies", "cupy").versions
    configuration._all_distributions.cache_clear()
    assert found == {"python": found["python"], "numpy": "2.0", "cupy": "14.0"}


def test_rows_of_one_library_do_not_refuse_those_of_another():
    by_torch = studies.LIBRARY.computed_by("torch").configuration
    assert "torch" in by_torch.versions
    assert studies.LIBRARY.configuration.differences(by_torch) == []
