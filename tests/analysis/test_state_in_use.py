"""The study of state in use: read-outs are the layers', rows by cell, the page from rows, and faults it names."""

from typing import Any

import numpy as np
import pytest

from analysis.state_in_use import STUDY, fitting, measured, render, tables
from analysis.state_in_use.memories import MEMORIES, RIDGE, SMALL, Memory, Tokens
from ttr_numerics import tasks
from ttr_numerics.measure import bounds
from ttr_numerics.report import Study, read_study, render_markdown, write_study

Row = dict[str, Any]


def run(cells: list[Row], study: Any = STUDY) -> list[Row]:
    return [cell | row for cell in cells for row in study.measure(dict(cell), study.generator(cell))]


def small_cells() -> list[Row]:
    found = [c for c in STUDY.cells if "keys" not in c and (c["n"] <= 128 or c["part"] == "fit")]
    found = [c for c in found if c["part"] != "fit" or (c["n"] in (16, 31, 32, 64, 256))]
    own = [c for c in STUDY.cells if c.get("keys") == "minilm_layer5" and c["n"] <= 64 and c["part"] == "read-out"]
    return found + own


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measured, "TRIALS", 2)
        patch.setattr(fitting, "TRIALS", 6)
        return run(small_cells())


def tokens(n: int, d: int, memory: int) -> Tokens:
    rng = np.random.default_rng(3)
    q, k = (tasks.isotropic_unit_keys(rng, (2, n, d)) for _ in range(2))
    return Tokens(q, k, memory, rng.uniform(size=k.shape))


@pytest.mark.parametrize("memory", MEMORIES.values(), ids=lambda memory: memory.name)
def test_the_read_out_at_the_last_key_is_the_layers_last_output(memory):
    n = 24
    x = tokens(n, 6, 8)
    asked = Tokens(x.k, x.k, x.memory, x.rates)
    A, H = memory.operator(asked), memory.read(x)
    assert np.max(np.abs(np.triu(A, 1))) == 0  # causal
    # Both are sums of n products of rounded factors; a solve with H + ridge multiplies that by its condition number.
    condition = {"mesa, ridge 0.25": 1 + n / RIDGE, "RLS, forgetting": 1 + n / SMALL}.get(memory.name, 1.0)
    assert np.max(np.abs(A[:, -1] - H[:, -1])) <= 8 * n * 6 * 2.0**-53 * condition * np.max(np.abs(A))


def test_a_cell_alone_gives_the_same_rows():
    part = [cell for cell in small_cells() if cell["n"] == 16 and cell["part"] == "read-out"][::3]
    assert run(part[::-1]) == [row for row in reversed(run(part))]


def test_the_page_comes_from_stored_rows(rows, tmp_path):
    study = Study("state_in_use", "why?", STUDY.seed, "command", {}, tuple(rows))
    write_study(tmp_path / "rows.jsonl", study)
    again = read_study(tmp_path / "rows.jsonl")
    text = render_markdown(render(again.rows), again)
    assert text == render_markdown(render(study.rows), study)
    assert not {"nan", "inf"} & set(text.lower().split())


def test_keys_of_a_users_file_make_a_page_too(rows, tmp_path):
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((3, 2, 40, 8))
    np.savez(tmp_path / "own.npz", q=q, k=k, v=v)
    study = STUDY.with_keys(str(tmp_path / "own.npz"))
    own = run([cell for cell in study.cells if "keys" in cell], study)
    section = render([row for row in rows if "keys" not in row] + own)
    assert any("own" in panel.title for figure in section.figures for panel in figure.panels)


def violations(rows: list[Row]) -> list[int]:
    return [int(line[2]) for line in tables.bound_table(rows).rows]


def test_no_bound_is_passed_and_a_state_that_is_too_large_is_named(rows, monkeypatch):
    assert violations(rows) == [0, 0, 0, 0]
    assert "(0 violations)" in render(rows).answer
    sound, list_of_keys = MEMORIES["linear attention"], MEMORIES["softmax"]
    leaking = Memory("linear attention", lambda x: sound.operator(x) + 1e-6 * list_of_keys.operator(x), sound.read)
    monkeypatch.setitem(MEMORIES, "linear attention", leaking)
    cells = [c for c in small_cells() if c["part"] == "profile" and c["layer"] == "linear attention"]
    others = [row for row in rows if row["part"] != "profile" or row["layer"] != "linear attention"]
    assert violations(others + run(cells))[0] > 0


def test_a_memory_that_reports_less_rank_than_it_uses_falls_below_the_floor(monkeypatch):
    cells = [c for c in small_cells() if c.get("layer") == "mesa, ridge 0.25" and c["n"] == 16][:1]
    sound = measured.numerical_rank
    monkeypatch.setattr(measured, "numerical_rank", lambda H: sound(H) // 2)
    assert run(cells)[0]["below"] > 0


def test_random_keys_reproduce_the_reference_values():
    # (n-1)/d and the delta rule's recursion, d = 32, 8 draws: within 3 standard errors.
    wanted = {"linear attention": bounds.linear_attention_error}
    wanted["delta rule, β = 1"] = lambda n, d: float(np.mean(bounds.delta_rule_errors(n, d, 1.0)))
    wanted["delta rule, β = 1/2"] = lambda n, d: float(np.mean(bounds.delta_rule_errors(n, d, 0.5)))
    cells = [c for c in STUDY.cells if c["part"] == "read-out" and c.get("cond") == 1.0 and c["layer"] in wanted]
    found = run([cell for cell in cells if 16 <= cell["n"] <= 128])
    for row in found:
        formula = wanted[row["layer"]](row["n"], row["d"])
        assert abs(row["error"] - formula) <= 3 * (row["error_high"] - row["error"])
    assert len(found) == 12


def test_a_fit_that_ignores_its_noise_misses_the_closed_form(monkeypatch):
    cells = [c for c in STUDY.cells if c["part"] == "fit" and c["noise"] == 1.0 and c["n"] in (64, 128)]
    assert {line[3] for line in tables.check_table(run(cells)).rows} == {0}
    sound = fitting.exact.least_norm
    monkeypatch.setattr(fitting.exact, "least_norm", lambda K, V: sound(K[:, ::2], V[:, ::2]))
    assert next(line for line in tables.check_table(run(cells)).rows if line[0] == fitting.LEAST)[3] > 0
