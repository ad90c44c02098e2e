"""Trained associative recall: one cell, one row to the bit; what cannot recall is at chance; the page is its rows."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.mqar_trained import STUDY, cells, render, training
from analysis.mqar_trained.runs import beyond, chance, settings
from ttr_numerics.nn import TestTimeRegression
from ttr_numerics.report import Study, read_study, render_html, render_markdown, write_study

STEPS, TRIAL = 160, 10  # full lists from step 120


@pytest.fixture(autouse=True)
def few_sequences(monkeypatch):
    monkeypatch.setattr(cells, "TEST", 200)


def cell(layer, **more):
    return {"seed": 9, "task": cells.STORED, "d": 16, "layers": 1, "convolution": 2, "layer": layer} | more


def trained(of, steps, trial):
    (row,) = training.train_cell(of, STUDY.generator(of), steps, trial)
    return row


@pytest.mark.parametrize("layer", ["delta rule", "softmax attention"])
def test_a_cell_has_one_row_to_the_bit_whatever_ran_before(layer):
    of = cell(layer, task=cells.REASSIGNED, d=4)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    first, other = trained(of, 8, 4), trained(cell(layer, d=4), 4, 2)
    assert first == trained(of, 8, 4) != other
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_one_convolution_and_linear_attention_recall_and_without_it_no_run_is_above_chance():
    share = chance(cells.STORED)
    whole, bare = (trained(cell("linear attention", convolution=width), STEPS, TRIAL) for width in (2, 1))
    assert whole["value"] > 0.5
    assert beyond(whole, share)
    assert not beyond(bare, share)


def test_a_layer_that_gives_zeros_is_seen_as_chance(monkeypatch):
    read = TestTimeRegression.forward
    monkeypatch.setattr(TestTimeRegression, "forward", lambda self, x: 0 * read(self, x))
    row = trained(cell("linear attention"), STEPS, TRIAL)
    assert not beyond(row, chance(cells.STORED))
    assert "0 of 1 layers answer at least" in render([cell("linear attention") | row]).answer


def test_a_run_that_fails_is_a_row_that_says_where(monkeypatch):
    of, sound = cell("linear attention", d=4), training._loss
    monkeypatch.setattr(
        training,
        "_loss",
        lambda model, drawn: sound(model, drawn) * (float("nan") if drawn.tokens.shape[1] < 16 else 1),
    )
    row = trained(of, 6, 3)
    assert row["stopped"] == "step 1: the loss is not finite"
    assert row["value"] < 0.2


@pytest.mark.parametrize(
    "layer", ["linear attention", "normalised linear attention", "recursive least squares", "softmax attention"]
)
def test_without_a_convolution_the_order_of_the_list_changes_no_answer_of_an_order_blind_layer(layer):
    """So that 1/n bounds what such a layer can answer: every pairing of the listed tokens is as likely."""
    rng = np.random.default_rng(0)
    drawn = training.TASKS[cells.STORED](rng, 4, 1)
    listed = 2 * cells.PAIRS[cells.STORED]
    other = np.concatenate([rng.permuted(drawn.tokens[:, :listed], axis=-1), drawn.tokens[:, listed:]], axis=-1)
    answers = []
    for convolution in (1, 2):
        model = training._model(cell(layer, convolution=convolution), 1)
        with torch.no_grad():
            narrow = model(torch.from_numpy(drawn.tokens)).double()
            wide = model.double()
            here, there = (wide(torch.from_numpy(tokens)) for tokens in (drawn.tokens, other))
        # What float32 changes in units of roundoffs, 16 times, is what another order of the same sums may change.
        ratio = torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps
        allowance = 16 * ratio * float((narrow - here).abs().max())
        answers.append(float((here - there)[:, listed:].abs().max()) <= allowance)
    assert answers == [True, False]


def invented():
    """A row a cell, of numbers that depend on the cell."""
    rows = []
    for of in STUDY.cells:
        x = int(hashlib.sha256(str(of).encode()).hexdigest()[:6], 16) / 16**6
        spread = {"spread_before": 1 + x, "spread_after": None if x > 0.98 else 1 + 2 * x}
        curve = {f"step_{step}": x * step / cells.STEPS for step in cells.CHECKS}
        found = {"rate": cells.RATES[0], "stopped": "", "value": x, "low": 0.9 * x, "high": x + 0.1 * (1 - x)}
        rows.append(of | found | {"trials": 4.0, "validation": x} | spread | curve)
    return rows


@pytest.mark.parametrize("part", [slice(None), slice(0, 1), slice(21, 30)])
def test_whatever_is_stored_renders_the_same_from_the_file(part, tmp_path):
    study = Study("mqar_trained", STUDY.question, STUDY.seed, "command", {}, tuple(invented()[part]))
    write_study(tmp_path / "rows.jsonl", study)
    again = read_study(tmp_path / "rows.jsonl")
    section = render(again.rows)
    assert render_markdown(section, again) == render_markdown(render(study.rows), study)
    assert "nan" not in render_markdown(section, again).lower().split()
    last = replace(section, figures=section.figures[-1:])
    assert render_html([(last, again)], "title", "lead").count("<svg") == sum(len(f.panels) for f in last.figures)


def test_every_repetition_of_the_grid_has_the_same_settings():
    rows = invented()
    assert {len(s.rows) for s in settings(rows)} == {len({row["seed"] for row in rows})}


def test_a_recall_that_was_lost_is_in_the_answer():
    rows = [row | {"value": 0.99, "low": 0.98, "high": 1.0} for row in invented() if row["layer"] == "linear attention"]
    sound = render(rows).answer
    lost = render([row | {"value": 0.1, "low": 0.09, "high": 0.11} for row in rows]).answer
    assert sound.startswith("Yes")
    assert lost.startswith("Not for linear attention")
