"""The capacity study: independent cells, stored rows, reference values, and planted faults that its own table names.

By other array libraries: torch here, CuPy where there is a device, array-api-strict to hold the code to the standard.
"""

from typing import Any

import array_api_strict
import numpy as np
import pytest

from analysis.capacity import ASKED, STUDY, dense, kernels, matrices, memories, render, smoothers, stored
from analysis.capacity.checks import statement_table, statement_words, statements
from analysis.capacity.constants import universal_words
from analysis.capacity.dense import polynomial_sum
from analysis.capacity.kernel_laws import feature_dimension, harmonics, resolved_degree
from analysis.capacity.kernel_table import over_typical, typical_error
from analysis.capacity.matrices import ranks_among
from analysis.capacity.notions import (
    ALL,
    ARGMAX,
    BANDWIDTHS,
    CLOSE,
    DENSE,
    EVERY,
    EXACT,
    GAIN,
    KERNEL_RIDGE,
    KERNELS,
    KEYS,
    LEAST,
    LINEAR,
    LIST,
    LOG_DECAY,
    MATRIX,
    SIGNS,
    SMOOTHER,
    SOFTMAX,
    THEOREM,
    TOLERANCE,
)
from analysis.capacity.transitions import chosen, half, halves, values
from tests.analysis.odd_keys import ODD, written
from tests.conftest import STRICT_DEVICE
from tests.test_gpu import LIBRARIES
from ttr_numerics import exact, features, gates, layers, tasks
from ttr_numerics.arrays import concat
from ttr_numerics.measure import bounds, ranks
from ttr_numerics.report import Study, read_study, render_markdown, write_study
from ttr_numerics.study import placed

DOUBLE = 2.0**-53


def small(cell: dict[str, Any]) -> bool:
    """A part of every part of the grid that takes some seconds."""
    n, d = cell.get("n", 0), cell.get("d", 0)
    if cell["part"] == KEYS:
        return n in (16, 64) and cell["keys"] != "minilm_layer0"
    if d == 32:
        return cell["part"] == MATRIX and cell["layer"] in (LINEAR, LEAST) and n <= 200
    if cell["part"] == KERNELS:
        return n <= 200
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


@pytest.mark.parametrize("name", ODD)
def test_a_page_is_made_of_odd_keys_too(name, tmp_path):
    found = measured([cell for cell in STUDY.with_keys(written(tmp_path, name)).cells if "keys" in cell])
    section = render(found)
    assert section.figures[0].panels[0].title.startswith(name)
    assert any("left out" in limit for limit in section.limits) == (name in ("zero keys", "zero values"))


def test_tokens_without_a_value_are_left_out_and_counted(tmp_path):
    found = measured([cell for cell in STUDY.with_keys(written(tmp_path, "zero values")).cells if "keys" in cell])
    assert {row["without_value"] for row in found} == {1}
    assert max(row["n"] for row in found) == 39
    np.savez(tmp_path / "none.npz", **{name: np.zeros((1, 3, 2)) + (name != "v") for name in "qkv"})
    with pytest.raises(ValueError, match="v: expected a token of .*none.npz with no value of norm 0, got none"):
        measured([cell for cell in STUDY.with_keys(str(tmp_path / "none.npz")).cells if "keys" in cell])


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
        memories.GATED_DELTA: lambda: layers.gated_delta_rule(K, K, V, log_decay=LOG_DECAY * one, beta=one).o[-1],
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


@pytest.mark.parametrize(("degree", "d", "n"), [(1, 16, 9), (1, 32, 11), (2, 16, 40), (4, 16, 200)])
def test_signs_are_those_of_sums_in_whole_numbers_and_zero_has_none(degree, d, n):
    cell = {"part": DENSE, "degree": degree, "d": d, "n": n}
    found = chosen(measured([cell]), notion=SIGNS)[0]
    rng, shares = STUDY.generator(cell), []
    for _ in range(found["trials"]):
        K, V = (rng.choice([-1.0, 1.0], (n, d)).astype(np.int64) for _ in range(2))
        sums = (K[: found["items"]] @ K.T) ** degree @ V * V[: found["items"]]
        shares.append(np.mean(np.all(sums > 0, axis=-1)))
    assert found["value"] == np.mean(shares)


@pytest.mark.parametrize("bandwidth", BANDWIDTHS)
def test_kernel_ridge_of_all_pairs_is_the_last_of_its_prefixes(bandwidth):
    K, V = (tasks.isotropic_unit_keys(np.random.default_rng(s), (60, 8)) for s in (8, 9))
    kernel, ridge = exact.kernels.Gaussian(bandwidth), 2.0**-10
    expected = exact.kernel_ridge_prefixes(K, K, V, kernel=kernel, ridge=ridge).o[-1]
    # Two Cholesky solutions of κ ≤ (n + λ)/λ, read by a row of n numbers up to 1.
    allowed = 2 * 60 * 60 * (60 + ridge) / ridge * DOUBLE
    assert np.max(abs(kernels.kernel_ridge(K[-1:], K, V, bandwidth, ridge)[0] - expected)) <= allowed


def off_their_law(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of exact recall by kernel ridge that are on the wrong side of ½ well below or above n = N."""
    found = []
    for bandwidth, layer in KERNEL_RIDGE.items():
        for row in chosen(rows, part=KERNELS, layer=layer, notion=EXACT):
            filled = row["n"] / harmonics(row["d"], resolved_degree(bandwidth))
            if (filled <= 0.75 and row["value"] < 0.5) or (filled >= 0.95 and row["value"] > 0.5):
                found.append(row)
    return found


def test_kernel_ridge_resolves_the_degrees_its_law_says_and_a_larger_ridge_does_not(rows, monkeypatch):
    assert off_their_law(rows) == []
    sound = kernels.kernel_ridge
    monkeypatch.setattr(kernels, "kernel_ridge", lambda q, K, V, h, ridge: sound(q, K, V, h, 256 * ridge))
    assert off_their_law(measured([cell for cell in CELLS if cell.get("layer") in KERNEL_RIDGE.values()]))


def test_typical_weights_are_within_a_factor_two_where_mean_weights_are_off_by_ten(rows):
    assert all(0.5 < ratio < 2 for layer in kernels.GAINS for ratio in over_typical(rows, layer))
    row = chosen(rows, part=KERNELS, layer=SMOOTHER, d=64, notion=EXACT)[0]
    L, W = (bounds.softmax_load(row["n"], 64, gain) for gain in (32.0, 64.0))
    assert 10 * row["median_error"] < (L * L + W) ** 0.5


def test_typical_weights_without_an_end_are_mean_weights():
    n, d, gain = 10**6, 4, 1.0
    L, W = (bounds.softmax_load(n, d, beta) for beta in (gain, 2 * gain))
    # What the end leaves out is ln 2 of the n - 1 keys, none of weight above 1.
    slack = 4 * np.log(2) / min(L, W)
    assert abs(typical_error(n, d, gain) / ((L * L + W) ** 0.5 / (1 + L)) - 1) <= slack


def test_harmonics_are_the_rank_of_the_polynomials_on_the_sphere():
    for d, degree in ((4, 1), (4, 2), (5, 3)):
        K = tasks.isotropic_unit_keys(np.random.default_rng(d), (200, d))
        gram = exact.kernels.Polynomial((1.0,) * (degree + 1))(K, K)
        assert np.linalg.matrix_rank(gram) == harmonics(d, degree)


def test_the_feature_dimension_is_that_of_independent_keys():
    d, pairs = 16, 200_000
    squares = np.sum(np.prod([tasks.isotropic_unit_keys(np.random.default_rng(s), (pairs, d)) for s in (0, 1)], 0), -1)
    fourth = squares**4
    assert abs(np.mean(fourth) - 1 / feature_dimension(d)) <= 5 * np.std(fourth) / pairs**0.5  # one in a million


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


OTHERS = ["torch", pytest.param("cupy", marks=[*LIBRARIES[0].marks, pytest.mark.gpu])]
PLACING = (matrices, smoothers, dense, kernels, stored)


def asked_of(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in ASKED)


def beyond_ties(expected: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows `found` whose shares differ from NumPy's, `expected`, by more answers than are ties to within rounding.

    Scores in float32 can be near, which `near_ties` counts; sums of ±1 are whole and equal. Margins of scores in
    float64 are continuous: n² of them a draw, each within n d κ(K)² u < 1e-9 of 0 with a probability of about that, so
    that in all of these cells together one tie is expected in 1e3 runs.
    """
    own = {asked_of(row): row for row in expected}
    outside = []
    for row in found:
        draws, share = row["trials"], own[asked_of(row)]["value"]
        answers = draws * (1 if row["notion"] == ALL else row.get("items", row["n"]))
        ties = near_ties(row) if row["part"] == EVERY else 0
        if abs(row["value"] - share) > ties / answers + draws * DOUBLE:  # and the rounding of a mean of shares
            outside.append(row)
    return outside


def near_ties(row: dict[str, Any]) -> int:
    """Items with a score in float64 nearer to their own than 4 times NumPy's error in float32, at both ends."""
    cell = {name: row[name] for name in ("part", "layer", "d", "n")}
    rng, memory, found = STUDY.generator(cell), memories.MEMORIES[row["layer"]], 0
    for _ in range(row["trials"]):
        K, V = (matrices._unit_rows(rng, row["n"], row["d"], np.float32) for _ in range(2))
        K64, V64 = K.astype(float), V.astype(float)
        O = K64 @ memory(K64, V64)
        error = np.max(np.linalg.norm(K @ memory(K, V) - O, axis=-1))
        scores = O @ V64.T
        margins = np.abs(scores - np.diagonal(scores)[:, None])
        np.fill_diagonal(margins, np.inf)
        found += int(np.count_nonzero(np.min(margins, axis=-1) <= 8 * error))
    return found


def by(library: str, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return measured([{"library": library, **cell} for cell in cells])


@pytest.mark.parametrize("library", OTHERS)
def test_another_library_recalls_the_same_but_for_ties(rows, library):
    found = by(library, [*CELLS[::7], *(cell for cell in CELLS if cell["part"] in (GAIN, THEOREM))])
    assert {row["part"] for row in found} == {row["part"] for row in rows}
    assert {row["library"] for row in found} == {library}
    assert beyond_ties(rows, found) == []


def test_the_code_keeps_to_the_array_standard_on_any_device(rows, monkeypatch):
    def on_device(cell: dict[str, Any], *arrays: np.ndarray) -> tuple[Any, ...]:
        return tuple(array_api_strict.asarray(x, device=STRICT_DEVICE) for x in arrays)

    for module in PLACING:
        monkeypatch.setattr(module, "placed", on_device)
    cells = [*CELLS[3::23], *(cell for cell in CELLS if cell["part"] == KERNELS and cell["n"] < 100)]
    assert beyond_ties(rows, measured(cells)) == []


def test_every_library_is_given_the_same_pairs(monkeypatch):
    given: list[np.ndarray] = []

    def noted(cell: dict[str, Any], *arrays: np.ndarray) -> tuple[Any, ...]:
        given.extend(arrays)
        return placed(cell, *arrays)

    for module in PLACING:
        monkeypatch.setattr(module, "placed", noted)
    cells = [next(cell for cell in CELLS if cell["part"] == part) for part in values(CELLS, "part")]
    measured(cells)
    half = len(given)
    by("torch", cells)
    assert len(given) == 2 * half
    assert all(np.array_equal(one, other) for one, other in zip(given[:half], given[half:], strict=True))


def last_two_swapped(x: Any) -> Any:
    """Rows of which the last two have changed places."""
    return concat([x[..., :-2, :], x[..., -1:, :], x[..., -2:-1, :]], -2)


@pytest.mark.parametrize("part", [MATRIX, EVERY, SOFTMAX, DENSE, KEYS])
def test_a_library_that_stores_two_keys_in_each_others_place_is_caught(rows, part, monkeypatch):
    memory, smoother, kernel_sum = memories.MEMORIES[LINEAR], exact.kernel_smoother, dense.polynomial_sum
    cells = [
        cell for cell in CELLS if cell["part"] == part and cell.get("layer", LINEAR) == LINEAR and 8 <= cell["n"] < 30
    ][-2:]
    monkeypatch.setitem(memories.MEMORIES, LINEAR, lambda K, V: memory(last_two_swapped(K), V))
    monkeypatch.setattr(
        smoothers.exact, "kernel_smoother", lambda q, K, V, kernel: smoother(q, last_two_swapped(K), V, kernel=kernel)
    )
    monkeypatch.setattr(dense, "polynomial_sum", lambda q, K, V, p: kernel_sum(q, last_two_swapped(K), V, p))
    found = by("torch", cells)
    monkeypatch.undo()
    assert beyond_ties(rows, found)


def test_a_page_of_torch_names_it_and_a_page_of_both_mixes_no_line(rows):
    of_torch = [{"library": "torch"} | row for row in rows]
    alone, both = (render(rows), render(of_torch)), render([*of_torch, *rows])
    assert all(figure.grid.endswith("Computed by torch.") for figure in alone[1].figures)
    assert [figure.panels for figure in both.figures] == [f.panels for section in alone for f in section.figures]
    assert f"Of {len(rows)} rows that torch computed too, {len(rows)} come out the same to the last bit" in both.answer
