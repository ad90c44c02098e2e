"""Flags that say in which convention a subject's arrays come, and in which arithmetic."""

import argparse
from dataclasses import replace
from typing import Any

__all__ = ["convention_of", "declared"]


def convention_of(arguments: argparse.Namespace) -> Any:
    """The declared preset, with --scale and --grouped-heads put on it where they are given."""
    from ttr_numerics.convention import PRESETS, Convention

    if arguments.convention is not None and arguments.convention not in PRESETS:
        raise ValueError(f"--convention: expected one of {', '.join(PRESETS)}, got {arguments.convention}")
    base = PRESETS[arguments.convention] if arguments.convention else Convention()
    scale = base.scale if arguments.scale is None else _scale(arguments.scale)
    return replace(base, scale=scale, grouped_heads=base.grouped_heads or arguments.grouped_heads)


def declared(text: str | None, flag: str) -> str | None:
    """The precision contract that `flag` was given, where it was. Raises ValueError for what is none."""
    from ttr_numerics.precision import contract_named

    if text is not None:
        try:
            contract_named(text)
        except ValueError as error:
            raise ValueError(f"{flag}: {str(error).partition(': ')[2]}") from error
    return text


def _scale(text: str) -> Any:
    from ttr_numerics.convention import inverse_root

    if text.replace(" ", "") == "1/sqrt(d)":
        return inverse_root
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"--scale: expected a number or 1/sqrt(d), got {text}") from None
    if not 0 < value < float("inf"):
        raise ValueError(f"--scale: expected a positive finite number, got {text}")
    return value
