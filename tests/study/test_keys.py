"""A study is asked of stored keys: those that are shipped, or a user's."""

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.study import studies
from ttr_numerics import tasks
from ttr_numerics.problem import ProblemError
from ttr_numerics.study import Store, run
from ttr_numerics.study.target import named


@pytest.fixture
def file(tmp_path):
    rng = np.random.default_rng(5)
    path = tmp_path / "mine.npz"
    np.savez(path, **{name: rng.standard_normal((2, 40, 8)).astype(np.float32) for name in "qkv"})
    return path


def test_the_cells_of_stored_keys_follow_their_length(file):
    assert [cell["n"] for cell in studies.KEYS.cells] == [8, 16, 8, 64]
    mine = studies.KEYS.with_keys(str(file))
    assert [(cell.get("keys"), cell["n"]) for cell in mine.cells] == [(None, 8), (None, 16), (str(file), 8)]
    assert mine.restricted({"n": (32,)}).cells[-1]["n"] == 32


def test_rows_belong_to_what_the_file_holds(file, tmp_path):
    store = Store(tmp_path / "rows.jsonl")
    run(studies.KEYS.with_keys(str(file)), store)
    np.savez(file, **{name: np.ones((2, 40, 8)) for name in "qkv"})
    again = run(studies.KEYS.with_keys(str(file)), store)
    assert (again.stored, again.computed) == (2, 1)
    assert [e.rows[0]["rms"] for e in store.entries().values()][-1] == 1.0


def test_a_study_that_asks_nothing_of_keys_refuses_them(file):
    with pytest.raises(ValueError, match=r"^--keys: expected a study of stored keys, got products"):
        studies.PRODUCTS.with_keys(str(file))


def test_what_is_shipped_and_what_a_file_holds_read_alike(file):
    assert tasks.stored("minilm_layer5").k.shape == tasks.minilm(5).k.shape
    np.savez(file, **{f"layer3.{name}": np.ones((5, 2)) for name in ("q", "keys", "v")})
    found = tasks.stored(f"{file}#layer3")
    assert (found.name, found.q.shape, found.o) == ("mine layer3", (1, 5, 2), None)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.int8, np.uint64, np.bool_])
def test_every_real_format_is_read_and_integers_and_truth_values_as_the_numbers_they_are(tmp_path, dtype):
    bits = np.random.default_rng(7).integers(2, size=(2, 5, 3))
    path = tmp_path / "mine.safetensors"
    save_file({name: bits.astype(dtype) for name in "kv"}, path)
    found = tasks.stored(str(path))
    assert found.k.dtype == np.float64
    assert np.array_equal(found.k, bits)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"k": np.ones((4, 2))}, r"^v: expected \(\.\.\., T, d\) in "),
        ({"k": np.ones((4, 2)), "v": np.ones((3, 2))}, r"^v: expected the heads and tokens of k"),
        ({"k": np.full((4, 2), np.nan), "v": np.ones((4, 2))}, r"^k: expected finite numbers, got 8 others"),
        ({"k": np.ones((4, 2)), "v": np.ones((4, 2)), "q": np.ones((4, 3))}, r"^q: expected a multiple of 1 heads"),
        ({"k": np.ones((4, 2), complex), "v": np.ones((4, 2))}, r"^k: expected real numbers, got complex128$"),
        ({"k": np.ones((4, 2)), "v": np.full((4, 2), "1.0")}, r"^v: expected real numbers, got <U3$"),
        ({"k": np.ones((4, 2)), "v": np.zeros((4, 2), "M8[s]")}, r"^v: expected real numbers, got datetime64\[s\]$"),
        ({"k": np.full((4, 2), None), "v": np.ones((4, 2))}, r"^k: expected a plain array, got pickled objects"),
    ],
)
def test_files_that_will_not_do_are_refused_in_a_sentence(file, arrays, sentence):
    np.savez(file, **arrays)
    with pytest.raises(ProblemError, match=sentence):
        tasks.stored(str(file))


def test_of_one_token_kernel_shape_asks_nothing(file):
    np.savez(file, k=np.ones((1, 1, 4)), v=np.ones((1, 1, 4)))
    with pytest.raises(ValueError, match=r"^--keys: expected keys that kernel_shape .* with 1 token of 4 channels$"):
        named("kernel_shape", keys=str(file))
