"""A small causal language model around any mixing modules: x ← x + mix(norm x), logits by the embedding."""

from collections.abc import Sequence

import torch

__all__ = ["LanguageModel"]


class LanguageModel(torch.nn.Module):
    """Logits (B, T, vocabulary) of the next token for tokens (B, T).

    One residual block a module of `mixers`, each (B, T, width) to (B, T, width); no feed-forward part and no
    positions, so that what the model recalls, its mixers recall. Embeddings are tied to the logits.
    """

    def __init__(self, vocabulary: int, width: int, mixers: Sequence[torch.nn.Module]) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(vocabulary, width)
        torch.nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.mixers = torch.nn.ModuleList(mixers)
        self.norms = torch.nn.ModuleList(torch.nn.RMSNorm(width) for _ in range(len(mixers) + 1))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits after every token."""
        x = self.embedding(tokens)
        *before, last = self.norms
        for norm, mixer in zip(before, self.mixers, strict=True):
            x = x + mixer(norm(x))
        return last(x) @ self.embedding.weight.T
