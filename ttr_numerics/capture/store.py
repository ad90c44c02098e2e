"""Captured layers as a .safetensors file: arrays `layer15.q`, metadata in words."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from ttr_numerics.capture.captured import Captured

__all__ = ["write"]


def write(path: str | Path, layers: Mapping[int, Captured], about: Mapping[str, str]) -> None:
    """`layer{number}.{name}` for every array, whole or not at all; `about` joins the metadata.

    Of each layer the metadata say, as JSON: the catalogue's layer, the scale, whether heads are grouped, departures.
    """
    path = Path(path)
    arrays: dict[str, torch.Tensor] = {}
    metadata = {**about, "layers": ",".join(map(str, layers))}
    for number, layer in layers.items():
        arrays |= {f"layer{number}.{name}": x for name, x in layer.arrays.items()}
        said = {"layer": layer.layer, "scale": layer.scale, "grouped_heads": layer.grouped_heads}
        metadata[f"layer{number}"] = json.dumps(said | {"departures": layer.departures})
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save_file(arrays, temporary, metadata)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
