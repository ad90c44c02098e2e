"""A model and its tokenizer from a local folder or .gguf file; nothing is fetched, no code of the folder's is run."""

from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError

__all__ = ["dtype_of", "encoded", "loaded", "silence"]

# What transformers raises for a folder that is incomplete, damaged, or of an architecture that it does not know.
_UNREADABLE = (OSError, ValueError, KeyError, ImportError, SafetensorError)


def loaded(path: str | Path, dtype: torch.dtype | None = None) -> tuple[Any, Any]:
    """The model, without the head that predicts tokens, in `dtype` (default: that of its weights), and its tokenizer.

    `path` is a folder as `save_pretrained` writes it, or a .gguf file, whose weights are dequantised to float32.
    """
    path = Path(path)
    folder, named = (path.parent, {"gguf_file": path.name}) if path.suffix == ".gguf" else (path, {})
    if not path.exists() or (not named and not (path / "config.json").is_file()):
        raise ValueError(f"model: expected a folder with config.json, or a .gguf file, got {path}")
    for package in ("gguf", "accelerate") if named else ():
        if find_spec(package) is None:
            raise ValueError(f"model: expected {package}, which a .gguf file needs: pip install {package}")
    transformers = _transformers()
    local: Any = {"local_files_only": True, "trust_remote_code": False, **named}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), truncation_side="right", **local)
        model = transformers.AutoModel.from_pretrained(
            str(folder), dtype=dtype or (torch.float32 if named else "auto"), attn_implementation="eager", **local
        )
    except _UNREADABLE as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"model: expected one that transformers reads without network, got {path}: {said}") from error
    return model.eval(), tokenizer


def encoded(model: Any, tokenizer: Any, text: str, tokens: int | None = None) -> torch.Tensor:
    """The first `tokens` of the text (default: all), special tokens as the tokenizer puts them: (T,)."""
    if tokens is not None and tokens < 1:
        raise ValueError(f"tokens: expected at least 1, got {tokens}")
    shortened: Any = {} if tokens is None else {"truncation": True, "max_length": tokens}
    ids = tokenizer(text, return_tensors="pt", **shortened)["input_ids"][0]
    if tokens is not None and ids.shape[0] < tokens:
        raise ValueError(f"tokens: expected at most {ids.shape[0]}, which the text has, got {tokens}")
    if not ids.shape[0]:
        raise ValueError("text: expected at least one token, got none")
    longest = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if longest is not None and ids.shape[0] > longest:
        raise ValueError(f"tokens: expected at most {longest}, which the model was made for, got {ids.shape[0]}")
    return ids.long()


def silence() -> None:
    """Neither progress bars nor advice from transformers, in the rest of this process."""
    logging = _transformers().utils.logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with suppress(ImportError):  # the reader of .gguf files draws its bar by tqdm itself, which knows of no setting
        import_module("transformers.modeling_gguf_pytorch_utils").tqdm = logging.tqdm  # type: ignore[attr-defined]


def _transformers() -> ModuleType:
    try:
        return import_module("transformers")
    except ImportError as error:
        raise ValueError(f"model: expected transformers, got {error}: pip install transformers") from error


def dtype_of(name: str | None) -> torch.dtype | None:
    """torch's dtype of that name, None for none."""
    return None if name is None else getattr(torch, name)
