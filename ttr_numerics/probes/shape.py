"""The sizes that an implementation is declared to be used at."""

from dataclasses import dataclass

__all__ = ["Shape", "shape_named"]

_ORDER = ("T", "heads", "d_k", "d_v", "batch")


@dataclass(frozen=True)
class Shape:
    """q, k (batch, heads, T, d_k), v (batch, heads, T, d_v)."""

    T: int
    heads: int = 1
    d_k: int = 64
    d_v: int = 64
    batch: int = 1

    def __str__(self) -> str:
        return ", ".join(f"{name} = {getattr(self, name)}" for name in _ORDER)


def shape_named(text: str) -> Shape:
    """The sizes in a text such as "T=4096,heads=16,d=128": d stands for d_k and d_v; T must be there.

    >>> shape_named("T=4096, heads=16, d=128").d_v
    128
    """
    sizes: dict[str, int] = {}
    for part in text.split(","):
        name, _, number = (x.strip() for x in part.partition("="))
        if name not in (*_ORDER, "d") or not number.isdecimal() or not int(number):
            raise ValueError(f"shape: expected sizes such as T=4096,heads=16,d=128 (or d_k, d_v, batch), got {text}")
        sizes |= dict.fromkeys(("d_k", "d_v") if name == "d" else (name,), int(number))
    if "T" not in sizes:
        raise ValueError(f"shape: expected T=... among the sizes, got {text}")
    return Shape(**sizes)
