"""One run: a small language model learns multi-query associative recall, and what it then recalls is counted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from analysis.mqar_trained import cells
from ttr_numerics.arrays import LinAlgError
from ttr_numerics.measure.covariance import participation_ratio
from ttr_numerics.measure.intervals import proportion_interval
from ttr_numerics.nn import LanguageModel, TestTimeRegression
from ttr_numerics.tasks.mqar import AssociativeRecall, mqar, neutral_filler, reassigned_mqar

__all__ = ["train_cell"]

Draw = Callable[[np.random.Generator, int, int], AssociativeRecall]
Row = dict[str, Any]


def _stored(rng: np.random.Generator, batch: int, part: int) -> AssociativeRecall:
    """`batch` sequences of 1/part of the length and of the pairs."""
    length, pairs = cells.LENGTH // part, cells.PAIRS[cells.STORED] // part
    return mqar(rng, batch, length, pairs, vocabulary=cells.VOCABULARY, filler=neutral_filler)


def _reassigned(rng: np.random.Generator, batch: int, part: int) -> AssociativeRecall:
    length, pairs = cells.LENGTH // part, cells.PAIRS[cells.REASSIGNED] // part
    return reassigned_mqar(rng, batch, length, pairs, 2, vocabulary=cells.VOCABULARY, filler=neutral_filler)


TASKS: dict[str, Draw] = {cells.STORED: _stored, cells.REASSIGNED: _reassigned}


def train_cell(cell: Row, rng: np.random.Generator, steps: int = cells.STEPS, trial: int = cells.TRIAL) -> list[Row]:
    """One row: of the learning rates the one with the least validation loss after `trial` steps goes on to `steps`."""
    start, stream = (int(x) for x in rng.integers(2**62, size=2))
    draw = TASKS[cell["task"]]
    validation, test = draw(rng, cells.VALIDATION, 1), draw(rng, cells.TEST, 1)
    with _reproducible():
        runs = [_Run(_model(cell, start), draw, np.random.default_rng(stream), rate, steps) for rate in cells.RATES]
        before = _key_spread(runs[0].model, test)
        tried = [run.advanced(trial, validation) for run in runs]
        best = int(np.argmin([_loss_or_infinity(run, validation) for run in runs]))
        run = runs[best]
        curve = tried[best] | run.advanced(steps - trial, validation)
        correct = proportion_interval(_shares(run.model, test), cells.PAIRS[cell["task"]])
        return [
            {"rate": run.rate, "stopped": run.stopped}
            | {name: float(x) for name, x in correct._asdict().items()}
            | {"validation": float(np.mean(_shares(run.model, validation)))}
            | {"spread_before": before, "spread_after": _key_spread(run.model, test)}
            | {f"step_{step}": share for step, share in curve.items()}
        ]


@contextmanager
def _reproducible() -> Iterator[None]:
    """One thread and one order of summation."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)


def _model(cell: Row, start: int) -> LanguageModel:
    """As it starts from the seed `start`."""
    layer = cells.LAYERS[cell["layer"]]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(start)
        mixers = [
            TestTimeRegression(
                cells.WIDTH,
                layer.name,
                d_k=cell["d"],
                convolution=cell["convolution"],
                optional=layer.optional,
                numbers=layer.numbers,
                learned=tuple(layer.numbers),
            )
            for _ in range(cell["layers"])
        ]
        return LanguageModel(cells.VOCABULARY, cells.WIDTH, mixers)


@dataclass
class _Run:
    """A model on its way, by Adam at `rate`: warmed up, cooled down over the last third of `steps`, short lists first.

    Lists of full length at once leave many a start at guessing among the listed values for hundreds of steps.
    """

    model: LanguageModel
    draw: Draw
    rng: np.random.Generator
    rate: float
    steps: int
    stopped: str = ""
    done: int = 0

    def __post_init__(self) -> None:
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=self.rate)

    def advanced(self, n: int, validation: AssociativeRecall) -> dict[int, float]:
        """Validation accuracy at the checks among the next `n` steps; a run that fails stays where it is."""
        found = {}
        for _ in range(n):
            self.done += 1
            if not self.stopped:
                self._step()
            if self.done in cells.CHECKS:
                found[self.done] = float(np.mean(_shares(self.model, validation)))
        return found

    def _step(self) -> None:
        part = next((part for until, part in cells.SHORTER.items() if self.done <= until), 1)
        left = (self.steps - self.done + 1) / self.steps
        self.optimiser.param_groups[0]["lr"] = self.rate * min(1.0, self.done / cells.WARMING, 3 * left)
        try:
            loss = _loss(self.model, self.draw(self.rng, cells.BATCH, part))
        except LinAlgError as error:
            self.stopped = f"step {self.done}: {error}"
            return
        if not bool(loss.isfinite()):
            self.stopped = f"step {self.done}: the loss is not finite"
            return
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()


def _loss(model: LanguageModel, drawn: AssociativeRecall) -> torch.Tensor:
    """Mean negative log probability, in nats, of the answers."""
    asked = torch.from_numpy(drawn.mask)
    logits = model(torch.from_numpy(drawn.tokens))[asked]
    return torch.nn.functional.cross_entropy(logits, torch.from_numpy(drawn.targets)[asked])


def _loss_or_infinity(run: _Run, drawn: AssociativeRecall) -> float:
    """The loss, infinite for a run that has failed."""
    try:
        with torch.no_grad():
            loss = float(_loss(run.model, drawn))
    except LinAlgError:
        return float("inf")
    return loss if not run.stopped and np.isfinite(loss) else float("inf")


def _shares(model: LanguageModel, drawn: AssociativeRecall) -> np.ndarray:
    """Share of the answers (batch,) that score highest among all words, sequence by sequence; 0 where it fails."""
    try:
        with torch.no_grad():
            said = model(torch.from_numpy(drawn.tokens)).argmax(dim=-1).numpy()
    except LinAlgError:
        return np.zeros(len(drawn.tokens))
    return ((said == drawn.targets) & drawn.mask).sum(axis=-1) / drawn.mask.sum(axis=-1)


def _key_spread(model: LanguageModel, drawn: AssociativeRecall) -> float | None:
    """Participation ratio of the last layer's keys at the list's values, over all sequences; None if not finite."""
    mixer, seen = model.mixers[-1], []
    assert isinstance(mixer, TestTimeRegression)
    hook = mixer.convolutions["k"].register_forward_hook(lambda module, given, result: seen.append(result[0]))
    try:
        with torch.no_grad():
            model(torch.from_numpy(drawn.tokens))
    except LinAlgError:
        return None
    finally:
        hook.remove()
    stored = 2 * cells.PAIRS[cells.STORED]
    with torch.no_grad():
        K = mixer.normalise.forward(seen[0][:, 1:stored:2]).flatten(0, 1).numpy()
    return float(participation_ratio(K)) if np.isfinite(K).all() else None
