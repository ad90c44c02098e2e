"""The study of number formats: cells repeat, the page renders from rows, reference values come out, faults show."""

from typing import Any

import numpy as np
import pytest

from analysis.precision import iterations, measured, recursion, render, step_tables, storage
from analysis.precision.systems import EARLY, LOG, prescribed
from analysis.rows import chosen
from tests.analysis.odd_keys import ODD, written
from ttr_numerics.measure import bounds
from ttr_numerics.precision import FORMATS, contract_named, throughout
from ttr_numerics.report import Study as Stored
from ttr_numerics.report import render_markdown

STUDY = measured.STUDY
SMALL: tuple[dict[str, Any], ...] = (
    *({"part": "iterations", "solver": iterations.CG, "spectrum": s, "kappa": 51.0} for s in (LOG, EARLY)),
    {"part": "iterations", "solver": iterations.CHEBYSHEV, "spectrum": LOG, "kappa": 10.0},
    {"part": "keys", "keys": "minilm_layer0", "solver": iterations.CG, "tokens": 4},
    {"part": "kalmanet"},
    *({"part": "decay", "bits": bits} for bits in (8.5, 9.0)),
    *({"part": "state", "gate": gate, "tokens": 256} for gate in (0.99, 0.999)),
    {"part": "recursion", "decay": 0.95},
    *({"part": "overflow", "decay": 0.9, "dtype": dtype} for dtype in ("float32", "float16")),
    *(
        {"part": "gates", "block": 16, "dtype": dtype, "gate": gate}
        for dtype in ("float32", "float16")
        for gate in (-0.5, -1.0, -8.0)
    ),
    {"part": "digits", "dtype": "float32", "tokens": 1024},
)


def rows_of(cell: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell | row for row in STUDY.measure(dict(cell), STUDY.generator(cell))]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:  # κ = 51 takes 80 steps, in 16 bits 20
        patch.setattr(iterations, "MOST", {name: 128 for name in ("float64", "float32")})
        patch.setattr(iterations, "FEWER", 32)
        return [row for cell in SMALL for row in rows_of(cell)]


def markdown(rows: list[dict[str, Any]]) -> str:
    return render_markdown(render(rows), Stored("precision", "why?", 0, "command", {}, tuple(rows)))


def test_a_cell_gives_the_same_rows_again_whatever_was_measured_before(rows):
    again = [row for cell in SMALL[-3:] for row in rows_of(cell)]
    assert again == rows[-len(again) :]
    kept = [cell for cell in STUDY.cells if cell["part"] == "gates" and cell["gate"] == -8.0]
    part = STUDY.restricted({"gate": (-8.0,)}).cells
    assert all(cell in part for cell in kept)


def test_the_page_is_made_of_rows_alone_and_holds_no_nan(rows):
    text = markdown(rows)
    assert text == markdown(rows)
    assert "nan" not in text.lower().split()


def test_the_page_renders_without_stored_keys(rows):
    assert "stored keys" not in render([row for row in rows if row["part"] != "keys"]).figures[0].finding


def test_keys_of_any_length_and_width_are_asked(tmp_path, rows):
    rng = np.random.default_rng(0)
    path = tmp_path / "few.npz"
    np.savez(path, **{name: rng.standard_normal((2, 40, 8)) for name in "qkv"})
    study = STUDY.with_keys(str(path))
    cells = [cell for cell in study.cells if cell["part"] == "keys"]
    assert {cell["tokens"] for cell in cells} == {4, 8, 32}
    own = [cell | row for cell in cells[:1] for row in study.measure(dict(cells[0]), study.generator(cells[0]))]
    assert "few" in markdown([row for row in rows if row["part"] != "keys"] + own)


@pytest.mark.parametrize("name", ODD)
def test_a_page_is_made_of_odd_keys_too(tmp_path, rows, name, monkeypatch):
    monkeypatch.setattr(
        iterations,
        "CONTRACTS",
        {"float64": "float64", "float32": "float32", "bfloat16 products": "float32,operands=bfloat16"},
    )
    study = STUDY.with_keys(written(tmp_path, name))
    cell = next(cell for cell in study.cells if cell["part"] == "keys")
    own = [cell | row for row in study.measure(dict(cell), study.generator(cell))]
    section = render([row for row in rows if row["part"] != "keys"] + own)
    assert {row["bound_ratio"] <= 1 for row in own if row["format"] == "float64"} == {True}
    assert any("left out" in sentence for sentence in section.limits) == (name == "zero keys")


def test_steps_that_were_too_few_are_counted(rows):
    def falling(found: list[dict[str, Any]]) -> str:
        return step_tables.steps_table(found).note.partition("digit at all. In ")[2].partition(" of ")[0]

    reached = [row for row in rows if row.get("kind") == "reached"]
    settled = [row | {"needed": row["tried"] // 2} for row in reached]
    assert falling(settled) == "0"
    assert falling([settled[0] | {"needed": settled[0]["tried"]}, *settled[1:]]) == "1"


def test_kalmanet_errs_as_the_reference_does(rows):
    # The reference is one draw to two digits: it lies within three standard deviations of a draw, and its rounding.
    for row, known, digit in zip(chosen(rows, part="kalmanet"), (6.8e-2, 3.7e-3, 2.3e-4), (-3, -4, -5), strict=True):
        one_draw = (row["high"] - row["value"]) * row["trials"] ** 0.5
        assert abs(row["value"] - known) <= 3 * one_draw + 0.5 * 10.0**digit
        assert row["value"] < row["bound"]


def test_every_float64_error_is_below_its_bound(rows):
    own = [row for row in rows if row.get("kind") == "reached" and row["format"] in ("float64", "float32")]
    assert own
    assert all(row["bound_ratio"] <= 1 for row in own)


def test_the_table_of_bounds_exposes_a_solver_that_is_slightly_wrong(monkeypatch):
    sound = iterations.layers.chunked.mesa_cg

    def faulty(q: Any, *arrays: Any, **named: Any) -> Any:
        return sound(q * (1 + 1e-9), *arrays, **named)

    monkeypatch.setattr(iterations, "CONTRACTS", {"float64": "float64"})
    monkeypatch.setattr(iterations.layers.chunked, "mesa_cg", faulty)
    table = step_tables.bounds_table([row for cell in SMALL[1:2] for row in rows_of(cell)] + rows_of(SMALL[2]))
    broken = {line[0]: line[4] for line in table.rows}
    assert broken == {iterations.CG: 1, iterations.CHEBYSHEV: 0}


def test_refined_solutions_leave_a_residual_far_below_float64():
    p = prescribed(np.random.default_rng(0), LOG, 1e6, frobenius=False)
    exact = p.x[0].astype(np.longdouble) + p.rest[0]
    H, q = p.H[0].astype(np.longdouble), p.q[0].astype(np.longdouble)
    residual = q - exact @ H - np.longdouble(p.ridge[0]) * exact
    # A product of d terms in extended precision: d roundings of ‖H‖‖x‖, ‖H‖ = 1.
    roundoff = float(np.finfo(np.longdouble).eps)
    assert float(np.max(abs(residual))) <= 64 * roundoff * float(np.max(np.linalg.norm(p.x[0], axis=-1)))


def test_stored_states_are_rounded_as_the_library_rounds(rng):
    x = rng.standard_normal(4096).astype(np.float32)
    assert np.array_equal(storage.nearest(x), FORMATS["bfloat16"].nearest(x.astype(float)))
    up_or_down = storage.dithered(np.broadcast_to(x, (400, x.size)).copy(), rng)
    spacing = 2.0 ** (np.frexp(x)[1] - 8)
    assert np.all(abs(up_or_down - x) < spacing)
    # 400 draws with a standard deviation of at most half a spacing: the mean of 4096 averages is 0 to 6 of its own.
    mean = np.mean((up_or_down - x) / spacing)
    assert abs(mean) <= 6 * 0.5 / (400 * x.size) ** 0.5


def test_a_state_rounded_after_its_decay_forgets_less_and_both_cures_help(rows):
    at = chosen(rows, part="state", gate=0.999)
    error = {(row["rounded"], row["storage"]): row["value"] for row in at}
    once, twice = (error[rounded, storage.NEAREST] for rounded in (storage.ONCE, storage.TWICE))
    assert twice > once
    assert error[storage.TWICE, storage.STOCHASTIC] < twice
    assert error[storage.TWICE, storage.FEEDBACK] < once
    assert error[storage.ONCE, storage.SINGLE] < FORMATS["bfloat16"].u ** 2


def test_only_the_one_sided_recursion_fails_and_when_it_is_predicted(rows):
    for row in chosen(rows, part="recursion", kind="failure"):
        if row["form"] != recursion.ONE_SIDED:
            assert row["failed"] is None
        else:  # to a factor e⁵ in what has to grow
            assert abs(row["failed"] - row["horizon"]) <= 5 / (1 - row["decay"])


def test_wind_up_overflows_at_the_predicted_token(rows):
    found = {(row["dtype"], row["form"]): row["overflowed"] for row in chosen(rows, part="overflow")}
    assert found["float32", recursion.TWO_SIDED] == bounds.overflow_steps(0.9, float(np.finfo(np.float32).max)) == 843
    assert found["float16", recursion.TWO_SIDED] == 106
    assert found["float32", recursion.MESA] == 836


def test_the_factored_form_overflows_on_the_right_side_of_its_limit(rows):
    for row in chosen(rows, part="gates"):
        assert row["overflows"] == (row["form"] == "factored" and row["gate"] < row["limit"])


def test_emulated_formats_are_those_of_the_contract(rng):
    p = prescribed(rng, LOG, 10.0, frobenius=False)
    x = iterations.solved(iterations.CG, p, 3, contract_named("bfloat16"))
    assert np.array_equal(x, FORMATS["bfloat16"].nearest(x))


def test_in_float16_it_is_underflow_that_turns_conjugate_gradients_away_not_the_eleven_bits():
    p = prescribed(np.random.default_rng(0), LOG, 51.0, frobenius=False)
    size = np.linalg.norm(p.x, axis=(-2, -1))
    error = {
        name: np.linalg.norm(p.error(iterations.solved(iterations.CG, p, 64, throughout(FORMATS[name]))), axis=(-2, -1))
        for name in ("float16", "tf32")  # equal precision, exponents of 5 and 8 bits
    }
    assert np.all(error["tf32"] <= p.kappa * FORMATS["tf32"].u * size)
    assert np.any(error["float16"] > p.kappa * FORMATS["float16"].u * size)
