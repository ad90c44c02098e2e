"""The capacity study: independent cells, stored rows, reference values, and planted faults that its own table names."""

from typing import Any

import numpy as np
import pytest

from analysis.capacity import STUDY, matrices, memories, render, smoothers, stored
from analysis.capacity.checks import statement_table, statement_words, statements
from analysis.capacity.constants import universal_words
from analysis.capacity.dense import polynomial_sum
from analysis.capacity.matrices import ranks_among
from analysis.capacity.notions import (
    ALL,
    ARGMAX,
    CLOSE,
    DENSE,
    EXACT,
    KEYS,
    LEAST,
    LINEAR,
    LIST,
    LOG_DECAY,
    MATRIX,
    SIGNS,
    SOFTMAX,
    TOLERANCE,
)
from analysis.capacity.transitions import chosen, half, halves
from ttr_numerics import exact, features, gates, layers, tasks
from ttr_numerics.measure import bounds, ranks
from ttr_numerics.report import Study, read_study, render_markdown, write_study

DOUBLE = 2.0**-53


def small(cell: dict[str, Any]) -> bool:
    """A part of every part of the grid that takes some seconds."""
    n, d = cell.get("n", 0), cell.get("d", 0)
    if cell["part"] == KEYS:
        return n in (16, 64) and cell["keys"] != "minilm_layer0"
    if d == 32:
        return cell["part"] == MATRIX and cell["layer"] in (LINEAR, LEAST) and n <= 200
    if cell["part"] == DENSE:
        return d == 16 and cell["degree"] <= 2
    return n <= 300 and d in (4, 8, 16, 20)


CELLS = [cell for cell in STUDY.cells if small(cell)]


def measured(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [cell | row for cell in cells for row in STUDY.measure(cell, STUDY.generator(cell))]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return measured(CELLS)


def test_a_cell_gives_the_same_rows_in_any_company(rows):
    some = CELLS[::37]
    again = measured(some)
    assert 0 < len(again) < len(rows)
    assert [row for row in again if row not in rows] == []


def test_stored_rows_render_to_the_same_page_without_missing_numbers(rows, tmp_path):
    study = Study("capacity", "why?", STUDY.seed, "command", {}, tuple(rows))
    write_study(tmp_path / "rows.jsonl", study)
    again = read_study(tmp_path / "rows.jsonl")
    text = render_markdown(render(again.rows), again)
    assert text == render_markdown(render(rows), study)
    assert "nan" not in text.lower().replace(":", " ").split()


def test_keys_alone_render(rows):
    section = render(chosen(rows, part=KEYS))
    assert [figure.name for figure in section.figures] == ["keys"]
    assert "4-bit" in section.figures[0].caption


@pytest.mark.parametrize("shape", [(12, 256, 32), (2, 40, 8), (1, 1, 3)])
def test_keys_of_any_size_are_asked_and_drawn(shape, tmp_path):
    k = np.random.default_rng(0).standard_normal(shape)
    np.savez(tmp_path / "mine.npz", q=k, k=k, v=k[..., ::-1])
    (grid,) = STUDY.on_keys(*shape[-2:])
    cells = [{"keys": str(tmp_path / "mine.npz"), "content": "", **cell} for cell in grid.cells()][-2:]
    found = measured(cells)
    assert {row["n"] for row in found} <= set(range(1, shape[-2] + 1))
    assert render(found).figures[0].panels[0].title.startswith("mine")


def test_notions_are_ordered(rows):
    share = {tuple(row[k] for k in ("layer", "d", "n", "notion")): row["value"] for row in chosen(rows, part=MATRIX)}
    for (*cell, notion), value in share.items():
        if notion == EXACT:
            assert value <= share[(*cell, ARGMAX)] <= share[(*cell, LIST)]
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)


def test_ranks_of_some_items_are_those_of_all():
    rng = np.random.default_rng(1)
    O, V = rng.standard_normal((70, 5)), rng.standard_normal((70, 5))
    O[3], O[4, 0] = 0.0, np.nan
    V[10] = V[11]
    items = rng.permutation(70)[:40]
    assert np.array_equal(ranks_among(O[items], items, V), ranks(O, V)[items])


@pytest.mark.parametrize("layer", sorted(memories.MEMORIES))
def test_memories_are_their_layers(layer):
    n, d = 40, 8
    K, V = (tasks.isotropic_unit_keys(np.random.default_rng(s), (n, d)) for s in (0, 1))
    one = np.ones(n)
    reference = {
        memories.LINEAR: lambda: layers.linear_attention(K, K, V).o[-1],
        memories.GATED: lambda: layers.gated_linear_attention(K, K, V, log_decay=LOG_DECAY * one).o[-1],
        memories.DELTA: lambda: layers.delta_rule(K, K, V, beta=one).o[-1],
        memories.BEST_DELTA: lambda: layers.delta_rule(K, K, V, beta=bounds.best_constant_step(n, d) * one).o[-1],
        memories.MESA: lambda: layers.mesa(K, K, V, ridge=memories.RIDGE).o[-1],
        memories.LEAST: lambda: K[-1] @ exact.least_norm(K, V).S,
    }[layer]()
    # Some n d² operations on numbers of at most κ(K'K) in size, below 30 here.
    assert np.max(abs(K[-1] @ memories.MEMORIES[layer](K, V) - reference)) <= n * d * d * 30 * DOUBLE


def test_the_gate_is_one_of_retnets():
    assert gates.retnet(8)[3] == LOG_DECAY


def test_writing_by_blocks_changes_nothing_but_rounding(monkeypatch):
    K, V = (tasks.isotropic_unit_keys(np.random.default_rng(s), (100, 8)) for s in (2, 3))
    whole = {layer: memory(K, V) for layer, memory in memories.MEMORIES.items()}
    monkeypatch.setattr(memories, "BLOCK", 7)
    for layer, memory in memories.MEMORIES.items():
        assert np.max(abs(memory(K, V) - whole[layer])) <= 100 * 64 * 30 * DOUBLE


def test_the_smoother_is_softmax_attention():
    K, V = (tasks.isotropic_unit_keys(np.random.default_rng(s), (50, 6)) for s in (4, 5))
    smoothed = exact.kernel_smoother(K[:9], K, V, kernel=exact.kernels.Exponential(7.0**-0.5))
    attended = layers.bidirectional_softmax_attention(7.0 * K, K, V).o[:9]
    # Logits of size 7, a mean of 50 values, twice.
    assert np.max(abs(smoothed - attended)) <= 2 * 2 * (7 * (6 + 2) + 50) * DOUBLE


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_polynomial_sums_are_linear_attention_on_features(degree):
    K = np.random.default_rng(6).choice([-1.0, 1.0], (30, 6)) / 6**0.5
    V = np.random.default_rng(7).choice([-1.0, 1.0], (30, 4))
    if degree == 3:
        expected = (K[:5] @ K.T) ** 3 @ V
    else:
        F = K if degree == 1 else features.quadratic(K)
        expected = F[:5] @ layers.linear_attention(F, F, V).state
    # exp and log of numbers of degree ≤ 3: some ulps of each of 30 terms of size at most 1.
    assert np.max(abs(polynomial_sum(K[:5], K, V, degree) - expected)) <= 30 * 64 * DOUBLE


def test_half_is_found_where_a_normal_curve_has_it():
    from scipy import stats

    n = np.array([10, 20, 40, 80, 160])
    share = stats.norm.cdf(-1.3 * np.log(n / 50))
    found = half([{"n": int(a), "value": float(b)} for a, b in zip(n, share, strict=True)])
    assert found is not None
    assert abs(found - 50) <= 50 * 1e4 * DOUBLE  # quantiles and logarithms invert each other to a few thousand ulps
    assert half([{"n": 1, "value": 0.9}, {"n": 2, "value": 0.8}]) is None


def test_what_is_proved_holds_and_a_wrong_softmax_is_named(rows, monkeypatch):
    assert "BROKEN" not in statement_words(statements(rows))
    sound = smoothers.exact.kernel_smoother
    monkeypatch.setattr(
        smoothers.exact, "kernel_smoother", lambda q, K, V, kernel: sound(q, K, V, kernel=kernel) * 1.01
    )
    cells = [cell for cell in CELLS if cell["part"] == SOFTMAX and cell["gain"] == 2.0] + [{"part": "theorem", "d": 24}]
    faulty = [row for row in rows if row["part"] != SOFTMAX] + measured(cells)
    assert "BROKEN" in statement_words(statements(faulty))
    assert statement_table(statements(faulty)).rows[0][3] > 0


def test_a_least_squares_that_is_off_by_a_billionth_is_named(rows, monkeypatch):
    sound = memories.MEMORIES[LEAST]
    monkeypatch.setitem(memories.MEMORIES, LEAST, lambda K, V: sound(K, V) * (1 + 1e-7))
    cells = [cell for cell in CELLS if cell.get("layer") == LEAST and cell["d"] == 16 and cell["part"] == MATRIX]
    assert "least squares is exact for n ≤ d" in statement_words(statements(measured(cells)))


def test_a_memory_with_one_key_in_ten_turned_misses_the_universal_curve(monkeypatch):
    cells = [
        {"part": MATRIX, "layer": LINEAR, "d": 64, "n": n}
        for n in sorted({cell["n"] for cell in STUDY.cells if cell.get("d") == 64 and cell.get("layer") == LINEAR})
        if 0.8 < bounds.argmax_load(n, 64) < 2.3
    ]
    assert universal_words(measured(cells)).startswith("4 of 4")
    sound = memories.MEMORIES[LINEAR]

    def turned(K: np.ndarray, V: np.ndarray) -> np.ndarray:
        signs = np.where(np.arange(len(K)) % 10 == 0, -1, 1).astype(K.dtype)
        return sound(K * signs[:, None], V)

    monkeypatch.setitem(matrices.MEMORIES, LINEAR, turned)
    assert not universal_words(measured(cells)).startswith("4 of 4")


def test_stored_keys_see_the_same_layers_as_random_ones(rows):
    assert set(stored.READERS) > set(memories.MEMORIES)
    assert {row["layer"] for row in chosen(rows, part=KEYS)} == set(stored.READERS)


def test_every_notion_comes_to_one_half_on_the_way(rows):
    assert len(halves(chosen(rows, part=MATRIX, layer=LINEAR, notion=ARGMAX))[0])
    assert len(halves(chosen(rows, part=SOFTMAX, gain=1.0, notion=CLOSE))[0])
    assert {row["notion"] for row in rows} == {EXACT, ARGMAX, LIST, ALL, CLOSE, SIGNS}
    assert TOLERANCE == 0.1
