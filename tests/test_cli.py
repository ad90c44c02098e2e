"""The command line: right statuses, one sentence for every bad input, never a traceback."""

import json
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file

from tests.verdict.test_words import inputs
from ttr_numerics import cli, layers
from ttr_numerics.pairs import pairing


@pytest.fixture
def arrays():
    """A sound gated delta rule in float32, as a file would hold it."""
    a = inputs(dtype=np.float32)
    a.pop("ridge")
    return {**a, "o": layers.gated_delta_rule(**a).o}


def run(capsys, path, arrays, *options, layer="gated_delta_rule"):
    """Write `arrays` to `path`, check it, and return status, standard output, standard error."""
    if arrays is not None:
        np.savez(path, **arrays)
    status = cli.main(["check", str(path), "--layer", layer, *options])
    out, err = capsys.readouterr()
    return status, out, err


def test_a_sound_file_is_right(capsys, tmp_path, arrays):
    status, out, err = run(capsys, tmp_path / "a.npz", arrays)
    assert (status, err) == (0, "")
    assert out.startswith("gated_delta_rule in float32: right: the difference is rounding [rounding]")
    assert "detectable" in out


NUMBERS_AND_MORE = ("ttt_mlp", "omega_rule", "hopfield", "gated_delta_product", "original_mesa", "rwkv4")


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("name", NUMBERS_AND_MORE)
def test_counts_numbers_and_arrays_without_time_come_from_files(capsys, tmp_path, name, suffix):
    row = pairing(name)
    drawn = row.example(np.random.default_rng(0), T=12, d_k=4, d_v=4)
    narrow = {n: x.astype(np.float32) if isinstance(x, np.ndarray) else x for n, x in drawn.items()}
    narrow = {n: float(np.float32(x)) if isinstance(x, float) else x for n, x in narrow.items()}
    stored = {n: np.asarray(x, dtype=np.float32) for n, x in narrow.items()} | {"o": row.layer(**narrow).o}
    for o, expected in ((stored["o"], 0), (stored["o"][::-1].copy(), 1)):
        if suffix == ".npz":
            np.savez(tmp_path / "a.npz", **{**stored, "o": o})
        else:
            save_file({**stored, "o": o}, tmp_path / "a.safetensors")
        status, _, err = run(capsys, tmp_path / f"a{suffix}", None, layer=name)
        assert (status, err) == (expected, "")


@pytest.mark.parametrize(
    ("layer", "name", "value", "sentence"),
    [
        ("omega_rule", "window", 2.5, "window: expected a whole number, at least 1, got 2.5"),
        ("original_mesa", "ridge", -1.0, "ridge: expected above 0, got -1"),
        ("hopfield", "steps", 0, "steps: expected a whole number, at least 1, got 0"),
    ],
)
def test_numbers_outside_their_domain_get_one_sentence(capsys, tmp_path, layer, name, value, sentence):
    row = pairing(layer)
    drawn = row.example(np.random.default_rng(0), T=12, d_k=4, d_v=4)
    stored = {n: np.asarray(x, dtype=np.float32) for n, x in drawn.items()} | {"o": np.zeros((2, 12, 4), np.float32)}
    status, out, err = run(capsys, tmp_path / "a.npz", {**stored, name: np.asarray(value)}, layer=layer)
    assert (status, out) == (2, "")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_a_wrong_file_has_status_one(capsys, tmp_path, arrays):
    status, out, _ = run(capsys, tmp_path / "a.npz", {**arrays, "o": arrays["o"] * np.float32(1.01)})
    assert status == 1
    assert "first at token 0 of head 0" in out


def test_nan_in_the_output_has_status_one(capsys, tmp_path, arrays):
    arrays["o"][0, 3] = np.nan
    status, out, _ = run(capsys, tmp_path / "a.npz", arrays)
    assert status == 1
    assert "NaN or infinite" in out


def test_json_is_complete_and_legal(capsys, tmp_path, arrays):
    arrays["o"][0, 3] = np.nan
    status, out, _ = run(capsys, tmp_path / "a.npz", arrays, "--json")
    verdict = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert (verdict["status"], verdict["verdict"], verdict["first_wrong"]) == (status, "wrong", [0, 3])
    assert np.shape(verdict["per_position"]["tolerance"]) == arrays["beta"].shape
    assert verdict["per_position"]["error"][0][3] == "inf"


def test_a_bfloat16_safetensors_file_is_read_as_such(capsys, tmp_path):
    q, k, v = (torch.from_numpy(inputs()[n]).bfloat16() for n in "qkv")
    o = layers.linear_attention(q.float(), k.float(), v.float()).o.bfloat16()
    save_torch_file({"q": q, "k": k, "v": v, "o": o}, tmp_path / "a.safetensors")
    status, out, _ = run(capsys, tmp_path / "a.safetensors", None, layer="linear_attention")
    assert status == 0
    assert out.startswith("linear_attention in bfloat16")
    status, out, _ = run(capsys, tmp_path / "a.safetensors", None, "--dtype", "float32", layer="linear_attention")
    assert status == 0  # float32 arithmetic, stored in bfloat16


def test_dtype_declares_what_npz_cannot_say(capsys, tmp_path):
    q, k, v = (torch.from_numpy(inputs()[n]).bfloat16() for n in "qkv")
    o = layers.linear_attention(q, k, v).o
    stored = {name: x.float().numpy() for name, x in {"q": q, "k": k, "v": v, "o": o}.items()}
    assert run(capsys, tmp_path / "a.npz", stored, layer="linear_attention")[0] == 1
    assert run(capsys, tmp_path / "a.npz", stored, "--dtype", "bfloat16", layer="linear_attention")[0] == 0


def test_obvious_aliases_are_taken_and_said(capsys, tmp_path, arrays):
    arrays["query"] = arrays.pop("q")
    arrays["attn_output"] = arrays.pop("o")
    status, _, err = run(capsys, tmp_path / "a.npz", arrays)
    assert status == 0
    assert err.splitlines() == ["ttr check: query is read as q", "ttr check: attn_output is read as o"]


def test_two_possible_aliases_are_not_guessed_between(capsys, tmp_path, arrays):
    arrays["query"] = arrays["Q"] = arrays.pop("q")
    status, _, err = run(capsys, tmp_path / "a.npz", arrays)
    assert status == 2
    assert "q: expected" in err


def spoil(name, value):
    """The arrays with one replaced."""
    return lambda a: {**a, name: value(a[name]) if callable(value) else value}


def put(value, *index):
    """A copy of an array with one entry set."""

    def change(x):
        x = x.copy()
        x[index] = value
        return x

    return change


BAD = {
    "missing array": (lambda a: {n: x for n, x in a.items() if n != "beta"}, "beta: expected for gated_delta_rule"),
    "missing output": (lambda a: {n: x for n, x in a.items() if n != "o"}, "o: expected for gated_delta_rule"),
    "shape of v": (spoil("v", lambda x: x[:, :-1]), "v: expected shape (2, 48, 8), got (2, 47, 8)"),
    "shape of beta": (spoil("beta", lambda x: x[..., None]), "beta: expected shape (2, 48), got (2, 48, 1)"),
    "grouped heads": (spoil("k", lambda x: x[:1]), "--grouped-heads"),
    "one axis": (spoil("q", lambda x: x[0, 0]), "q: expected shape (..., T, d)"),
    "NaN in q": (spoil("q", put(np.nan, 1, 5, 2)), "q: expected finite entries, got nan first at (1, 5, 2)"),
    "infinity in v": (spoil("v", put(np.inf, 0, 0, 0)), "v: expected finite entries, got inf first at (0, 0, 0)"),
    "NaN in log_decay": (spoil("log_decay", put(np.nan, 0, 4)), "log_decay: expected finite entries, got nan"),
    "positive log_decay": (spoil("log_decay", put(0.5, 1, 4)), "log_decay: expected at most 0"),
    "linear gates": (spoil("log_decay", np.exp), "linear gates? give their natural logarithm"),
    "empty sequence": (lambda a: {n: x[:, :0] for n, x in a.items()}, "without an empty axis"),
    "complex": (spoil("q", lambda x: x + 0j), "q: expected a real floating dtype, got complex"),
    "integers": (spoil("k", lambda x: x.astype(int)), "k: expected a real floating dtype, got int64"),
    "booleans": (spoil("o", lambda x: x > 0), "o: expected a real floating dtype, got bool"),
    "text": (spoil("v", np.array(["a"])), "v: expected a real floating dtype"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_get_one_sentence_and_status_two(capsys, tmp_path, arrays, case):
    change, sentence = BAD[case]
    status, out, err = run(capsys, tmp_path / "a.npz", change(arrays))
    assert (status, out) == (2, "")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_minus_infinity_in_log_decay_is_legal(capsys, tmp_path, arrays):
    arrays["log_decay"][0, 4] = -np.inf
    arrays["o"] = layers.gated_delta_rule(**{n: x for n, x in arrays.items() if n != "o"}).o
    assert run(capsys, tmp_path / "a.npz", arrays)[0] == 0


def damaged(tmp_path, kind):
    """A file that cannot be read."""
    path = tmp_path / ("a.safetensors" if "safetensors" in kind else "a.txt" if kind == "suffix" else "a.npz")
    if kind == "pickled":
        np.savez(path, q=np.array([{"a": 1}], dtype=object))
    elif kind == "truncated":
        np.savez(path, q=np.zeros((2, 3)))
        path.write_bytes(path.read_bytes()[:-40])
    elif kind == "truncated inside":
        np.savez_compressed(path, q=np.random.default_rng(0).standard_normal(1000))
        data = bytearray(path.read_bytes())
        data[200:400] = bytes(200)
        path.write_bytes(data)
    elif kind == "truncated safetensors":
        save_file({"q": np.zeros((2, 3))}, path)
        path.write_bytes(path.read_bytes()[:-8])
    elif kind == "integer safetensors":
        save_file({"q": np.zeros((2, 3), np.int8)}, path)
    elif kind == "directory":
        path.mkdir()
    elif kind != "absent":
        path.write_bytes(b"hello" if kind != "empty" else b"")
    return path


def test_arrays_the_layer_does_not_use_are_named(capsys, tmp_path, arrays):
    arrays["o"] = layers.linear_attention(arrays["q"], arrays["k"], arrays["v"]).o
    status, _, err = run(capsys, tmp_path / "a.npz", arrays, layer="linear_attention")
    assert status == 0
    assert err.strip() == "ttr check: not used by linear_attention: beta, log_decay"


def test_a_scale_does_not_hide_a_wrong_dtype(capsys, tmp_path, arrays):
    status, _, err = run(capsys, tmp_path / "a.npz", {**arrays, "q": arrays["q"].astype(int)}, "--scale", "2")
    assert status == 2
    assert "q: expected a real floating dtype, got int64" in err


def test_grouped_heads_need_a_head_axis(capsys, tmp_path, arrays):
    flat = {n: x[0] for n, x in arrays.items()}
    status, _, err = run(capsys, tmp_path / "a.npz", flat, "--grouped-heads")
    assert status == 2
    assert "q: expected shape (..., heads, T, d) for grouped heads" in err


def test_byte_order_does_not_matter(capsys, tmp_path, arrays):
    assert run(capsys, tmp_path / "a.npz", {n: x.astype(x.dtype.newbyteorder(">")) for n, x in arrays.items()})[0] == 0


def test_an_array_file_that_is_no_archive_is_refused(capsys, tmp_path, arrays):
    np.save(tmp_path / "a.npy", arrays["q"])
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    status, _, err = run(capsys, tmp_path / "a.npz", None)
    assert status == 2
    assert "not a zip archive" in err


UNREADABLE = (
    *("pickled", "truncated", "truncated inside", "truncated safetensors", "integer safetensors", "garbage"),
    *("garbage safetensors", "empty", "absent", "directory", "suffix"),
)


@pytest.mark.parametrize("kind", UNREADABLE)
def test_unreadable_files_get_one_sentence_and_status_two(capsys, tmp_path, kind):
    status, out, err = run(capsys, damaged(tmp_path, kind), None)
    assert (status, out) == (2, "")
    assert err.startswith(("ttr check: file: expected", "ttr check: q: expected"))
    assert len(err.splitlines()) == 1
    if kind == "pickled":
        assert "pickled" in err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--dtype", "int8"), "--dtype: expected one of float64"),
        (("--contract", "bfloat17"), "--contract: expected one of float64"),
        (("--contract", "float32,state=int8"), "--contract: expected state in one of float64"),
        (("--contract", "bfloat16", "--dtype", "float32"), "--contract: expected without --dtype, got both"),
        (("--scale", "big"), "--scale: expected a number or 1/sqrt(d), got big"),
        (("--scale", "nan"), "--scale: expected a positive finite number, got nan"),
        (("--layer", "attention"), "layer: expected one of linear_attention"),
    ],
)
def test_bad_options_get_one_sentence_and_status_two(capsys, tmp_path, arrays, options, sentence):
    status, _, err = run(capsys, tmp_path / "a.npz", arrays, *options)
    assert status == 2
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_no_command_is_bad_usage(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([])
    assert stop.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_an_interrupt_has_status_130(capsys, monkeypatch, tmp_path, arrays):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ttr_numerics.problem.read_arrays", interrupt)
    assert run(capsys, tmp_path / "a.npz", arrays)[0] == 130


def test_layers_prints_every_row_and_json(capsys):
    assert cli.main(["layers"]) == 0
    text = capsys.readouterr().out
    assert cli.main(["layers", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == [name for name in (r["name"] for r in rows) if f"{name}(q, k, v" in text]
    assert len(rows) == len(layers.__all__)


def test_help_imports_nothing_heavy():
    code = (
        "import sys, ttr_numerics.cli as c\n"
        "try: c.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'scipy', 'sympy', 'torch', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_bfloat16_arrays_of_ml_dtypes_are_known_by_name(tmp_path):
    from ttr_numerics.problem import dtype_name

    assert dtype_name("o", np.zeros(2, ml_dtypes.bfloat16)) == "bfloat16"
