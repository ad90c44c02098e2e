"""`ttr capture`: queries, keys, values and outputs of a local model's attention layers."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

__all__ = ["add"]


def add(commands: Any) -> None:
    """The command and its flags."""
    capture = commands.add_parser(
        "capture",
        help="take queries, keys, values and outputs from a local transformers model",
        description="Let a local transformers model read a text, and store what its attention layers receive and "
        "return. Nothing is fetched from a network, and no code of the model's folder is run.",
        epilog="Exit status: 0 done, 2 bad usage or bad input.",
    )
    capture.add_argument("--model", required=True, metavar="PATH", help="a folder with config.json, or a .gguf file")
    capture.add_argument("--text", required=True, metavar="FILE", help="what the model reads, UTF-8")
    capture.add_argument("--layers", required=True, metavar="N,M", help="numbers of layers, from 0")
    capture.add_argument("--tokens", type=int, metavar="N", help="the first N tokens of the text (default: all)")
    capture.add_argument(
        "--dtype",
        choices=("float64", "float32", "float16", "bfloat16"),
        help="of the model while it reads (default: that of its weights)",
    )
    capture.add_argument("-o", "--output", required=True, metavar="FILE", help="the .safetensors file to write")
    capture.add_argument("--json", action="store_true", help="what was captured as JSON")
    capture.set_defaults(run=_capture)


def _capture(arguments: argparse.Namespace) -> int:
    numbers, output, text = _numbers(arguments.layers), _output(arguments.output), _text(arguments.text)
    try:
        from ttr_numerics.capture import captured, encoded, loaded, write
        from ttr_numerics.capture.source import dtype_of, silence
    except ImportError as error:
        raise ValueError(str(error)) from error
    silence()
    model, tokenizer = loaded(arguments.model, dtype_of(arguments.dtype))
    ids = encoded(model, tokenizer, text, arguments.tokens)
    layers = captured(model, ids, numbers)
    about = {"model": arguments.model, "text": arguments.text, "tokens": str(len(ids))}
    try:
        write(output, layers, about | {"dtype": str(model.dtype).removeprefix("torch.")})
    except OSError as error:
        raise ValueError(f"--output: cannot write {output}: {error.strerror or error}") from error
    if arguments.json:
        print(json.dumps({"file": str(output), **about, "layers": {n: _described(x) for n, x in layers.items()}}))
    else:
        print("\n".join(_line(output, number, layer) for number, layer in layers.items()))
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    numbers = text.split(",")
    if not all(part.strip().isdecimal() for part in numbers):
        raise ValueError(f"--layers: expected numbers such as 0,15, got {text}")
    return tuple(dict.fromkeys(map(int, numbers)))


def _output(text: str) -> Path:
    path = Path(text)
    if path.suffix != ".safetensors":
        raise ValueError(f"--output: expected a name ending in .safetensors, got {text}")
    if path.is_dir() or not path.absolute().parent.is_dir() or not os.access(path.absolute().parent, os.W_OK):
        raise ValueError(f"--output: expected a file in a folder that can be written, got {text}")
    return path


def _text(text: str) -> str:
    try:
        return Path(text).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--text: expected a readable file in UTF-8, got {text}: {error}") from error


def _described(layer: Any) -> dict[str, Any]:
    shapes = {name: list(x.shape) for name, x in layer.arrays.items()}
    return {
        "layer": layer.layer,
        "scale": layer.scale,
        "grouped_heads": layer.grouped_heads,
        "departures": list(layer.departures),
        "shapes": shapes,
    }


def _line(output: Path, number: int, layer: Any) -> str:
    """What the layer is, and the command that judges it."""
    shapes = ", ".join(f"{name} {tuple(x.shape)}" for name, x in layer.arrays.items())
    if layer.departures:
        return f"layer{number}: {shapes}; {layer.layer} but for: {'; '.join(layer.departures)}"
    flags = f"--layer {layer.layer} --scale {layer.scale!r}" + " --grouped-heads" * layer.grouped_heads
    return f"layer{number}: {shapes}\n  ttr check {output} --prefix layer{number} {flags}"
