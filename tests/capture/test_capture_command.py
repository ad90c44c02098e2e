"""`ttr capture`: a file that `ttr check` and `ttr profile` read; one sentence for bad input, nothing half written."""

import json
import socket
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast, modeling_gguf_pytorch_utils

from tests.capture.test_capture import VOCABULARY, llama, qwen
from ttr_numerics import cli
from ttr_numerics.capture import captured, encoded, loaded, store
from ttr_numerics.capture.source import silence

WORDS = [f"w{i}" for i in range(VOCABULARY - 1)]


def saved(model: Any, folder: Path) -> Path:
    """The model and a tokenizer of words in a folder of their own."""
    model.save_pretrained(folder)
    words = Tokenizer(WordLevel({word: i for i, word in enumerate([*WORDS, "?"])}, unk_token="?"))
    words.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama on disk."""
    return saved(llama(), tmp_path_factory.mktemp("llama"))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """48 words."""
    path = tmp_path / "text.txt"
    path.write_text(" ".join(WORDS[(7 * i * i) % 61] for i in range(48)), encoding="utf-8")
    return path


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Status, standard output and standard error of a command."""
    status = cli.main([str(word) for word in words])
    return (status, *capsys.readouterr())


def no_network(*_: object, **__: object) -> None:
    """What stands in for every connection."""
    raise AssertionError("a connection was tried")


def test_what_is_stored_passes_check_and_profile_without_a_network(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Path, text: Path
) -> None:
    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    file = tmp_path / "keys.safetensors"
    status, out, err = run(
        capsys, "capture", "--model", model, "--text", text, "--layers", "1,0", "--tokens", 40, "-o", file
    )
    assert (status, err) == (0, "")
    commands = [line.split()[1:] for line in out.splitlines() if line.startswith("  ttr check")]
    assert len(commands) == 2
    for command in commands:
        status, out, err = run(capsys, *command)
        assert (status, err) == (0, "")
    status, out, _ = run(capsys, "profile", file, "--prefix", "layer1")
    assert status == 0
    assert "40 tokens, d_k 8, d_v 8" in out
    status, _, err = run(capsys, "profile", file, "--prefix", "layer2")
    assert (status, err.count("\n")) == (2, 1)
    assert "--prefix: expected one of layer0, layer1, got layer2" in err


def test_the_file_says_what_it_holds(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Path, text: Path
) -> None:
    file = tmp_path / "keys.safetensors"
    given = ("capture", "--model", model, "--text", text, "--layers", "1", "--dtype", "bfloat16", "--json", "-o", file)
    status, out, _ = run(capsys, *given)
    said = json.loads(out)
    assert status == 0
    assert said["layers"]["1"]["shapes"]["q"] == [4, 48, 8]
    with safe_open(file, "pt") as stored:
        metadata = stored.metadata()
        assert stored.get_tensor("layer1.k").dtype == torch.bfloat16
    assert {n: metadata[n] for n in ("model", "tokens", "layers", "dtype")} == {
        "model": str(model),
        "tokens": "48",
        "layers": "1",
        "dtype": "bfloat16",
    }
    assert json.loads(metadata["layer1"]) == {
        "layer": "softmax_attention",
        "scale": 8**-0.5,
        "grouped_heads": True,
        "departures": [],
    }


def test_a_stored_model_is_captured_as_the_one_in_memory(tmp_path: Path, text: Path) -> None:
    model = qwen()
    again, tokenizer = loaded(saved(model, tmp_path / "qwen"))
    ids = encoded(again, tokenizer, text.read_text(), 30)
    assert ids.tolist() == [(7 * i * i) % 61 for i in range(30)]
    one, other = (captured(m, ids, (0,))[0] for m in (model, again))
    assert all(torch.equal(one.arrays[name], x) for name, x in other.arrays.items())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"--model": "nowhere"}, "model: expected a folder with config.json, or a .gguf file, got nowhere"),
        ({"--model": "broken"}, "model: expected one that transformers reads without network, got broken: "),
        ({"--layers": "7"}, "layers: expected some of 0 to 1, got 7"),
        ({"--layers": "last"}, "--layers: expected numbers such as 0,15, got last"),
        ({"--tokens": "49"}, "tokens: expected at most 48, which the text has, got 49"),
        ({"--tokens": "0"}, "tokens: expected at least 1, got 0"),
        ({"--text": "absent.txt"}, "--text: expected a readable file in UTF-8, got absent.txt"),
        ({"--text": "empty.txt"}, "text: expected at least one token, got none"),
        ({"--text": "latin.txt"}, "--text: expected a readable file in UTF-8, got latin.txt"),
        ({"-o": "keys.npz"}, "--output: expected a name ending in .safetensors, got keys.npz"),
        ({"-o": "no/keys.safetensors"}, "--output: expected a file in a folder that can be written, got no/keys"),
        ({"-o": "full.safetensors"}, "--output: cannot write full.safetensors: No space left on device"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    model: Path,
    text: Path,
    change: dict[str, str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text('{"model_type": "of-its-own", "auto_map": {}}')
    (tmp_path / "empty.txt").touch()
    (tmp_path / "latin.txt").write_bytes(b"\xe9t\xe9")
    if change.get("-o") == "full.safetensors":
        monkeypatch.setattr(store, "save_file", no_space)
    flags = {"--model": str(model), "--text": str(text), "--layers": "1", "-o": "keys.safetensors"} | change
    before = sorted(tmp_path.iterdir())
    status, out, err = run(capsys, "capture", *(word for flag in flags.items() for word in flag))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"ttr capture: {sentence}")
    assert sorted(tmp_path.iterdir()) == before


def no_space(arrays: object, path: Path, metadata: object) -> None:
    """Half a file, then a full disk."""
    path.write_bytes(b"half")
    raise OSError(28, "No space left on device")


def test_a_text_longer_than_the_model_was_made_for_is_refused(tmp_path: Path, text: Path) -> None:
    model, tokenizer = loaded(saved(llama(max_position_embeddings=16), tmp_path / "short"))
    with pytest.raises(ValueError, match="tokens: expected at most 16, which the model was made for, got 48"):
        encoded(model, tokenizer, text.read_text())


def test_an_array_stored_by_another_name_needs_no_prefix(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    k = np.random.default_rng(0).standard_normal((2, 20, 4))
    np.savez(tmp_path / "k.npz", k=k)
    assert run(capsys, "profile", tmp_path / "k.npz")[0] == 0
    _, _, err = run(capsys, "profile", tmp_path / "k.npz", "--prefix", "layer0")
    assert "--prefix: expected names with a prefix such as layer0.k, got k" in err


@pytest.mark.parametrize(
    ("package", "sentence"),
    [
        ("torch", "ttr_numerics.capture: expected torch, which is not installed: pip install torch"),
        ("transformers", "model: expected transformers, got import of transformers halted"),
    ],
)
def test_a_missing_package_is_one_sentence(tmp_path: Path, text: Path, package: str, sentence: str) -> None:
    """In a process of its own, which has imported nothing before."""
    (tmp_path / "config.json").write_text("{}")
    given = ["capture", "--model", tmp_path, "--text", text, "--layers", "0", "-o", tmp_path / "keys.safetensors"]
    code = (
        f"import sys; sys.modules[{package!r}] = None\nfrom ttr_numerics import cli; sys.exit(cli.main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", code, *map(str, given)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"ttr capture: {sentence}")
    assert f"pip install {package}" in done.stderr


@pytest.mark.parametrize("package", ["gguf", "accelerate"])
def test_what_a_gguf_file_needs_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str) -> None:
    for name in ("gguf", "accelerate"):
        there = ModuleType(name)
        there.__spec__ = ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, None if name == package else there)
    (tmp_path / "model.gguf").touch()
    sentence = f"^model: expected {package}, which a .gguf file needs: pip install {package}$"
    with pytest.raises(ValueError, match=sentence):
        loaded(tmp_path / "model.gguf")


def test_the_bar_of_a_gguf_file_is_silenced_with_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    silence()
    assert list(modeling_gguf_pytorch_utils.tqdm(range(3), desc="Converting")) == [0, 1, 2]
    assert capfd.readouterr() == ("", "")
