"""What may be audited, and how it is called: modules, classes, keywords alone, flags, and what cannot be called."""

import numpy as np
import pytest
import torch

from ttr_numerics.convention import torch_sdpa
from ttr_numerics.probes import Here, SubjectError, audit, resolve
from ttr_numerics.probes.target import prepared
from ttr_numerics.verdict import Word

MODULES = """
import torch

class Attention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(()))
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, q, k, v):
        S = torch.cumsum(k[..., :, None] * v[..., None, :], dim=-3)
        return self.dropout(self.gain * (q[..., None, :] @ S)[..., 0, :])

class Sized(Attention):
    def __init__(self, heads):
        super().__init__()

made = Attention()
number = 3
"""
Q = {n: np.arange(24.0).reshape(1, 2, 3, 4) / (i + 1) for i, n in enumerate("qkv")}


@pytest.fixture
def place(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MODULES)
    return path


@pytest.mark.parametrize("name", ["Attention", "made"])
def test_a_torch_module_and_its_class_are_audited_in_the_dtype_asked_for(place, name):
    few = ["generic", "one token", "storage"]
    result = audit(
        resolve(f"{place}:{name}"), "linear_attention", library="torch", dtype="bfloat16", probes=few, seed=0
    )
    assert [f.word for f in result.findings] == [Word.ROUNDING] * 3


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Sized", "expected a class that is made without arguments, got Sized: "),
        ("number", "target: expected a function, got int number"),
        ("missing", "target: expected missing in"),
    ],
)
def test_what_cannot_be_called_is_one_sentence(place, name, sentence):
    with pytest.raises(ValueError, match=sentence):
        resolve(f"{place}:{name}")


def test_queries_keys_and_values_may_be_keywords_alone():
    def attention(*, query, key, value, scale=1.0):
        return query + 2 * key + 3 * value

    o = Here(attention).call(Q, "numpy", "float64").o
    assert np.array_equal(o, Q["q"] + 2 * Q["k"] + 3 * Q["v"])


def test_a_compiled_function_that_hides_its_signature_is_called_by_position():
    assert Here(torch.nn.functional.scaled_dot_product_attention).parameters() == ()
    result = audit(
        torch.nn.functional.scaled_dot_product_attention,
        "bidirectional_softmax_attention",
        library="torch",
        convention=torch_sdpa,
        probes=["generic", "d_k ≠ d_v"],
        seed=0,
    )
    assert result.status == 0


def test_a_final_state_is_asked_for_where_there_is_a_flag():
    def attention(q, k, v, initial_state=None, output_final_state=False):
        return q, ("state" if output_final_state else None)

    assert Here(attention).call(Q, "numpy", "float32").state == "state"


def test_a_function_of_one_array_is_said_to_fail():
    with pytest.raises(SubjectError, match="TypeError: .* 1 positional argument"):
        Here(lambda qkv: qkv).call(Q, "numpy", "float32")


def test_whole_numbers_stay_whole():
    def packed(q, k, v, cu_seqlens):
        assert cu_seqlens.dtype == torch.int64
        return q

    assert Here(packed).call(Q | {"cu_seqlens": np.array([0, 3])}, "torch", "bfloat16").changed == ()


def test_a_file_finds_its_neighbours_as_a_script_does(tmp_path):
    (tmp_path / "neighbour_of_mine.py").write_text("def f(q, k, v):\n    return v\n")
    (tmp_path / "importing.py").write_text("from neighbour_of_mine import f\n")
    assert resolve(f"{tmp_path / 'importing.py'}:f")(1, 2, 3) == 3


def test_the_weights_of_a_module_that_is_audited_stay_its_owners():
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout())
    copy = prepared(module, "mine")
    copy.to(torch.bfloat16)
    assert module[0].weight.dtype is torch.float32
    assert module.training
    assert not copy.training


@pytest.mark.parametrize(
    ("o", "sentence"),
    [
        (lambda v: v.to(torch.complex64), "expected real numbers as output, got complex64"),
        (lambda v: v.to_sparse(), "TypeError: can.t convert Sparse"),
        (lambda v: None, "expected an array as output, got NoneType"),
    ],
)
def test_an_output_that_is_no_array_of_real_numbers_is_one_sentence(o, sentence):
    x = np.ones((1, 1, 2, 2))
    with pytest.raises(SubjectError, match=sentence):
        Here(lambda q, k, v: o(v)).call({"q": x, "k": x, "v": x}, "torch", "float32")


def test_an_error_that_cannot_be_written_is_still_a_sentence():
    class SilentError(Exception):
        def __str__(self):
            raise RuntimeError

    def broken(q, k, v, error):
        raise error

    x = np.ones((1, 1, 2, 2))
    for error, words in ((SilentError(), "SilentError: "), (ValueError("\udc80"), r"ValueError: \\udc80")):
        with pytest.raises(SubjectError, match=f"^{words}$"):
            Here(lambda q, k, v, e=error: broken(q, k, v, e)).call({"q": x, "k": x, "v": x}, "torch", "float32")
