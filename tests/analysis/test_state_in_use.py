"""The study of state in use: read-outs are the layers', rows by cell, the page from rows, and faults it names."""

from typing import Any

import numpy as np
import pytest

from analysis.state_in_use import STUDY, fitting, layers_figure, measured, others, render, tables
from analysis.state_in_use.memories import GROUPS, MEMORIES, RIDGE
from analysis.state_in_use.memory import SMALL, Memory, Tokens, check_linear
from tests.analysis.odd_keys import ODD, written
from ttr_numerics import layers, tasks
from ttr_numerics.layers.omega import NewtonSchulz
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


def rounding(name: str, n: int, d: int) -> float:
    """Of sums of n products of rounded factors; a solve with H + ridge multiplies that by its condition number."""
    kalmanet = (1 + others.RATIO) / others.RATIO
    condition = {"mesa, ridge 0.25": 1 + n / RIDGE, "RLS, forgetting": 1 + n / SMALL, "Gated KalmaNet": kalmanet}
    condition["MesaNet, 30 CG steps"] = condition["mesa, ridge 0.25"]
    return 8 * n * d * 2.0**-53 * condition.get(name, 1.0)


@pytest.mark.parametrize("memory", MEMORIES.values(), ids=lambda memory: memory.name)
def test_the_read_out_at_the_last_key_is_the_layers_last_output(memory):
    n, d = 24, 6
    x = tokens(n, d, 8)
    q, k, rates = x.k, x.k, x.rates
    if memory.name == "RWKV-6":  # reads before it writes: asked once more, by a token that writes nothing
        more = ((x.k, x.k), (x.k, 0 * x.k), (x.rates, x.rates))
        q, k, rates = (np.concatenate([rows, last[:, -1:]], axis=1) for rows, last in more)
    A, H = memory.operator(Tokens(q, k, x.memory, rates)), memory.read(x)
    assert np.max(np.abs(np.triu(A, 1))) == 0  # causal
    assert np.max(np.abs(A[:, -1, :n] - H[:, -1])) <= rounding(memory.name, n, d) * np.max(np.abs(A))


@pytest.mark.parametrize("memory", MEMORIES.values(), ids=lambda memory: memory.name)
def test_every_layer_is_linear_in_its_values(memory):
    n, d = 24, 6
    x, rng = tokens(n, d, 8), np.random.default_rng(5)
    v, w = rng.standard_normal((2, 2, n, 3))
    for f in (memory.outputs, memory.recalled):
        first, second = f(x, v), f(x, w)
        size = np.max(np.abs(first)) + 2 * np.max(np.abs(second))
        assert np.max(np.abs(f(x, v + 2 * w) - first - 2 * second)) <= rounding(memory.name, n, d) * size


NOT_LINEAR = {
    "Huber delta rule": lambda x, v: layers.huber_delta_rule(x.q, x.k, v, beta=x.ones, delta=x.ones / 8),
    "lp delta rule": lambda x, v: layers.lp_delta_rule(x.q, x.k, v, beta=x.ones / 4, p=1.5),
    "TTT-Linear, layer norm": lambda x, v: layers.layer_norm_ttt_linear(
        x.q, x.k, v, eta=x.ones / 4, gain=np.ones(v.shape[-1]), shift=np.zeros(v.shape[-1])
    ),
    "TTT-MLP": lambda x, v: layers.ttt_mlp(
        x.q,
        x.k,
        v,
        eta=x.ones / 4,
        W_1=np.eye(x.k.shape[-1]) + 0 * x.k[:, :1],
        W_2=np.eye(x.k.shape[-1]) + 0 * v[:, :1],
    ),
    "Omega rule, orthogonalised": lambda x, v: layers.omega_rule(
        x.q, x.k, v, beta=x.ones / 4, window=2, orthogonalise=NewtonSchulz(5)
    ),
    "a bias": lambda x, v: layers.linear_attention(x.q, x.k, v + 1e-6),
}


@pytest.mark.parametrize("name", NOT_LINEAR)
def test_a_layer_that_is_not_linear_is_refused(name, monkeypatch):
    def outputs(x: Tokens, v: np.ndarray) -> np.ndarray:
        return NOT_LINEAR[name](x, v).o

    sound = MEMORIES["linear attention"]
    with pytest.raises(ValueError, match=f"linear in v, got {name}"):
        check_linear(Memory(name, outputs, sound.recalled))
    with pytest.raises(ValueError, match="linear in v"):
        check_linear(Memory(name, sound.outputs, outputs))
    cells = [c for c in small_cells() if c.get("layer") == "linear attention" and c["n"] == 16]
    monkeypatch.setitem(MEMORIES, "linear attention", Memory(name, outputs, sound.recalled))
    with pytest.raises(ValueError, match="linear in v"):
        run(cells[:1])


def test_momentum_uses_both_its_matrices_and_mini_batches_theirs_between_borders():
    n, d = 48, 6
    x = tokens(n, d, 8)
    for name, inside in (("delta rule with momentum", 24), ("Titans, linear", 24), ("TTT-Linear", 28)):
        size = measured.effective_state_size(MEMORIES[name].operator(x), inside)
        assert np.min(size) > d
        assert np.max(size) <= 2 * d
    at_border = measured.effective_state_size(MEMORIES["TTT-Linear"].operator(x), 24)
    assert np.max(at_border) <= d


def test_every_layer_of_the_table_has_a_line_and_belongs_to_one_family(rows):
    table = layers_figure.layers_table(rows)
    assert sorted(line[0] for line in table.rows) == sorted(MEMORIES)
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(MEMORIES)
    assert all(len(line) == len(table.columns) for line in table.rows)


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


@pytest.mark.parametrize("name", ODD)
def test_a_page_is_made_of_odd_keys_too(rows, tmp_path, name):
    study = STUDY.with_keys(written(tmp_path, name))
    own = run([cell for cell in study.cells if "keys" in cell], study)
    section = render([row for row in rows if "keys" not in row] + own)
    assert own
    assert {row["above"] for row in own if row["part"] == "profile"} <= {0}
    assert {row["below"] for row in own if row["part"] == "read-out"} == {0}
    assert any("left out" in sentence for sentence in section.limits) == (name == "zero keys")


def test_what_the_entropic_size_orders_is_computed_from_rows(rows):
    def said(order: int) -> str:
        ranked = sorted({row["entropic"] for row in rows if row["part"] == "read-out"})
        return render(
            [
                row | {"recalled": 0.5 + order * ranked.index(row["entropic"]) / 1e4} if "recalled" in row else row
                for row in rows
            ]
        ).answer

    assert "and between the 23 layers on random keys (1.00)" in said(1)
    assert "hardly between the 23 layers on random keys (-1.00)" in said(-1)


def violations(rows: list[Row]) -> list[int]:
    return [int(line[2]) for line in tables.bound_table(rows).rows]


def test_no_bound_is_passed_and_a_state_that_is_too_large_is_named(rows, monkeypatch):
    assert violations(rows) == [0, 0, 0, 0, 0]
    assert "(0 violations)" in render(rows).answer
    sound, list_of_keys = MEMORIES["linear attention"], MEMORIES["softmax"]
    leaking = Memory(
        "linear attention",
        lambda x, v: sound.outputs(x, v) + 1e-6 * list_of_keys.outputs(x, v),
        sound.recalled,
    )
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
