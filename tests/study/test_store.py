"""The journal: whole lines or nothing, whoever writes and whenever it is killed."""

import json
import multiprocessing

import pytest

from ttr_numerics.study import Entry, Store


def entry(key, value=0, error=None):
    return Entry(key, "study", {"n": 1}, ({"value": value},), error, 0.5)


def test_what_was_added_is_read_by_another(tmp_path):
    store = Store(tmp_path / "rows.jsonl")
    assert store.entries() == {}
    assert store.add(entry("a", 1.5))
    assert Store(store.path).entries() == {"a": entry("a", 1.5)}


def test_numbers_come_back_to_the_bit_infinite_ones_too(tmp_path):
    values = [0.1, 1 / 3, 5e-324, float("inf"), float("-inf"), -0.0, 2**53 + 1, "κ ≤ \n u", None, True]
    Store(tmp_path / "rows").add(entry("a", values))
    assert repr(Store(tmp_path / "rows").entries()["a"].rows[0]["value"]) == repr(values)


def test_a_second_row_of_a_key_is_dropped_but_success_follows_failure(tmp_path):
    store, other = Store(tmp_path / "rows"), Store(tmp_path / "rows")
    assert store.add(entry("a", error="ValueError: singular"))
    assert not other.add(entry("a", error="ValueError: again"))
    assert other.add(entry("a", 1))
    assert not store.add(entry("a", 2))
    assert Store(store.path).entries()["a"] == entry("a", 1)


@pytest.mark.parametrize("cut", range(2, 40, 3))
def test_a_line_cut_off_anywhere_is_not_read_and_not_built_upon(tmp_path, cut):
    store = Store(tmp_path / "rows")
    store.add(entry("a"))
    whole = store.path.read_bytes()
    store.add(entry("b"))
    store.path.write_bytes(whole + entry("b").line()[:-cut])
    again = Store(store.path)
    assert list(again.entries()) == ["a"]
    assert again.add(entry("c"))
    assert list(Store(store.path).entries()) == ["a", "c"]


def test_a_reader_that_came_in_the_middle_of_a_line_reads_it_later(tmp_path):
    store = Store(tmp_path / "rows")
    line = entry("a").line()
    store.path.write_bytes(line[:20])
    assert store.entries() == {}
    store.path.write_bytes(line)
    assert list(store.entries()) == ["a"]


def _write(path, name):
    store = Store(path)
    for i in range(200):
        store.add(entry(f"shared {i}", name))
        store.add(entry(f"{name} {i}", "x" * 5000))


def test_two_writers_at_once_lose_and_repeat_nothing(tmp_path):
    path, context = tmp_path / "rows", multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(path, name)) for name in "AB"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    keys = [json.loads(line)["key"] for line in path.read_text().splitlines()]
    assert len(keys) == len(set(keys)) == 600
    assert len(Store(path).entries()) == 600


def test_parquet_is_opened_by_pandas_polars_and_duckdb(tmp_path):
    import duckdb
    import pandas
    import polars

    store, path = Store(tmp_path / "rows"), tmp_path / "rows.parquet"
    store.add(entry("a", 1.5))
    store.add(Entry("b", "study", {"n": 2}, ({"value": 2.5, "note": "late"}, {"value": 3.5}), None, 0.1))
    store.add(entry("stale", 9.0))
    assert store.write_parquet(path, ["a", "b", "not there"]) == 3
    assert pandas.read_parquet(path)["value"].tolist() == [1.5, 2.5, 3.5]
    assert polars.read_parquet(path)["n"].to_list() == [1, 2, 2]
    assert duckdb.sql(f"select count(note) from '{path}'").fetchall() == [(1,)]
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".part"] == []
