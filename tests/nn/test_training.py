"""Two layers in a small causal language model learn to recall."""

from math import log

import pytest
import torch

from ttr_numerics.nn import LanguageModel, TestTimeRegression

VOCABULARY, P = 16, 8
# A reader that knows which P tokens the first half holds, but not their order, has at place j of the second half P - j
# candidates for the next one, each as likely: its expected loss is at least the mean of log 1, ..., log(P - 1).
CHANCE = sum(log(m) for m in range(1, P)) / (P - 1)


def halves(order: torch.Generator, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """n times P different tokens, and the same in an order of their own."""
    first = torch.stack([torch.randperm(VOCABULARY, generator=order)[:P] for _ in range(n)])
    return first, torch.stack([row[torch.randperm(P, generator=order)] for row in first])


def loss(model: LanguageModel, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Mean negative log probability, in nats, of each token of the second half but its first."""
    logits = model(torch.cat([first, second], dim=1))[:, P:-1]
    return torch.nn.functional.cross_entropy(logits.reshape(-1, VOCABULARY), second[:, 1:].reshape(-1))


@pytest.mark.parametrize("layer", ["delta_rule"])
def test_a_repeated_pattern_is_recalled_below_what_order_blind_readers_reach(layer: str) -> None:
    order = torch.Generator().manual_seed(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mixers = [TestTimeRegression(32, layer, heads=2, gain=8.0) for _ in range(2)]
        model = LanguageModel(VOCABULARY, 32, mixers)
        optimiser = torch.optim.AdamW(model.parameters(), lr=0.03)
        for _ in range(70):
            first, _ = halves(order, 16)
            optimiser.zero_grad()
            loss(model, first, first).backward()
            optimiser.step()
    first, shuffled = halves(order, 64)
    with torch.no_grad():
        assert float(loss(model, first, first)) < CHANCE
        # The same tokens in another order hold nothing to recall: whoever recalls is worse than chance.
        assert float(loss(model, first, shuffled)) > CHANCE
