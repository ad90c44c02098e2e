"""What the exact answer costs: the study runs small, counts right, marks what it sampled and shows a wrong answer."""

import dataclasses
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from analysis import performance
from analysis.performance import clock, counts, devices, ours, problems, profile, ridge_peers, targets, trials
from analysis.performance.contender import NUMPY, OURS, Contender, Library, error, torch_cpu, whole_over_share
from analysis.performance.problems import RIDGE, Size
from ttr_numerics import exact
from ttr_numerics.report import Study, read_study, render_html, render_markdown, write_study

REPORTS = Path(__file__).parents[2] / "reports"
TINY = Size(T=96, d=8, heads=2)
GRID: dict[str, Any] = {
    "main": TINY,
    "kernel": Size(T=40, d=4, heads=2),
    "lengths": (32, 64),
    "widths": (4, 8),
    "heads": (1, 2),
}


def quietly(iterable: Iterable[Any], total: int | None = None) -> Iterable[Any]:
    return iterable


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "RUNS", ((float("inf"), 3),))
        return performance.measure(quietly, **GRID)


def drawn(dtype: str = "float64", size: Size = TINY) -> problems.Sequence:
    return problems.draw(np.random.default_rng(7), size, dtype, -0.02)


def trial_rows(s: problems.Sequence, makers: trials.Makers, dtype: str = "float64") -> list[dict[str, Any]]:
    truths = {"ridge": problems.ridge_truth(s, RIDGE, 0.0)}
    return trials.timed_rows(trials.tried({"part": "ridge", "dtype": dtype}, TINY, makers, truths, 4))


def test_every_contender_is_measured_or_stated_absent(rows):
    for dtype in ("float64", "float32"):
        own = [row for row in rows if row["part"] == "ridge" and row["dtype"] == dtype]
        names = {row["contender"] for row in own}
        assert {f"exact.{name}" for name in ours.SOLVERS} <= names
        missing = {row["contender"] for row in own if "absent" in row}
        assert missing == {f"exact.{name}" for name in ours.SOLVERS if not hasattr(exact, name)}
        assert {"padasip FilterRLS", "statsmodels RecursiveLS", "scikit-learn Ridge a position"} <= names - missing
    gone = {row["contender"] for row in rows if "absent" in row}
    assert ("transformers torch_chunk_gated_delta_rule" in gone) == (importlib.util.find_spec("transformers") is None)


def test_every_answer_is_right_and_every_row_says_how_it_was_taken(rows):
    timed = [row for row in rows if "seconds" in row]
    # Right: to half of the digits, ten thousand times the rounding of the worst contender at this size.
    assert [row["contender"] for row in timed if not targets.right(row)] == []
    for row in timed:
        assert 0 < row["low"] <= row["seconds"] <= row["high"]
        assert row["device"]
        assert row["threads"] == trials.threads()
        assert row["routine"]
        assert row["library"].split()[1][0].isdigit()
        assert row["runs"] == 3


def test_a_share_is_marked_and_multiplied_up(rows):
    sampled = [row for row in rows if row.get("sampled")]
    assert all(row["factor"] > 1 and " of " in row["share"] for row in sampled)
    assert all(row["factor"] == 1 and row["share"] == "all" for row in rows if row.get("sampled") is False)
    padasip = targets.find(rows, "ridge", "padasip FilterRLS")
    assert padasip is not None
    assert (padasip["factor"], padasip["share"]) == (2 * 8, "1 of 2 heads, 1 of 8 columns")
    table = performance.render(rows).tables[1]
    assert "multiplied up" in table.note
    assert padasip["share"] in {row[-1] for row in table.rows}


def test_the_time_of_a_share_is_that_of_the_whole_over_its_factor():
    s = drawn()
    whole = ours.solver("ridge_prefixes", s, RIDGE, NUMPY)
    part = dataclasses.replace(whole, heads=1, positions=(3, 5, 90), columns=4)
    assert whole_over_share(part, TINY) == TINY.heads * (TINY.T / 3) * (TINY.d / 4)


def test_small_rows_render_and_render_again_the_same(rows, tmp_path):
    study = Study("performance", "why?", performance.SEED, "command", {}, tuple(rows))
    write_study(tmp_path / "rows.jsonl", study)
    again = read_study(tmp_path / "rows.jsonl")
    section = performance.render(again.rows)
    text = render_markdown(section, again)
    assert text == render_markdown(performance.render(rows), study)
    assert "nan" not in text.lower().split()
    page = render_html([(section, again)], "title", "lead")
    assert page.count("<svg") == sum(len(figure.panels) for figure in section.figures)


def test_committed_rows_render_to_the_committed_report():
    study = read_study(REPORTS / "performance.jsonl")
    text = render_markdown(performance.render(study.rows), study)
    assert text == (REPORTS / "performance.md").read_text("utf-8")


def test_without_an_accelerator_no_row_is_of_one(rows):
    assert any(row["part"] == "device" for row in rows) == any(devices.accelerators())
    said = " ".join(performance.render(rows).limits)
    assert ("No accelerator was found" in said) != any(devices.accelerators())


def test_the_contenders_of_an_accelerator_run_on_any_device_of_torch():
    rows = performance.device_rows(TINY, Library("torch", "a device", torch.from_numpy))
    timed = [row for row in rows if "seconds" in row]
    assert {row["device"] for row in timed} == {"a device"}
    assert {"exact.ridge_prefixes", "layers.chunked.gated_delta_rule"} < {row["contender"] for row in timed}
    assert all(targets.right(row) for row in timed)


def test_a_wrong_answer_is_shown_with_its_error_and_meets_no_figure(rows, monkeypatch):
    sound = exact.ridge_prefixes

    def scaled(*given: Any, **options: Any) -> Any:
        o, state = sound(*given, **options)
        return type(sound(*given, **options))(1.001 * o, state)

    monkeypatch.setattr(exact, "ridge_prefixes", scaled)
    s = drawn()
    planted = trial_rows(s, [("exact.ridge_prefixes", lambda: ours.solver("ridge_prefixes", s, RIDGE, NUMPY))])
    assert abs(planted[0]["error"] - 1e-3) < 1e-3 * targets.ROUNDOFF["float64"] ** 0.5
    assert not targets.right(planted[0])
    kept = [row for row in rows if (row["part"], row.get("contender")) != ("ridge", "exact.ridge_prefixes")]
    table = performance.render(kept + planted).tables
    assert "Not the answer" in table[1].note
    assert "exact.ridge_prefixes (numpy" in table[1].note
    assert dict((row[0], row[-1]) for row in table[0].rows)["exact.ridge_prefixes: error"] == "missed"
    assert targets.TARGETS[0].measure(planted, "float64") is None


def test_an_answer_that_is_not_a_number_is_not_right():
    s = drawn()
    bad = Contender("bad", OURS, "numpy 0", "nothing", "ridge", lambda: np.full(s.v.shape, np.nan))
    assert not targets.right(trial_rows(s, [("bad", lambda: bad)])[0])


def test_an_error_at_one_position_of_one_head_is_found():
    s = drawn()
    o = exact.ridge_prefixes(s.q, s.k, s.v, ridge=RIDGE).o
    o[1, -1, 3] += np.linalg.norm(o[1, -1])
    contender = ours.solver("ridge_prefixes", s, RIDGE, NUMPY)
    truths = {"ridge": problems.ridge_truth(s, RIDGE, 0.0)}
    away = error(contender, o, truths, range(2), problems.checked(TINY.T, 4))
    assert abs(away - 1) < targets.ROUNDOFF["float64"] ** 0.5


def test_a_sampled_answer_is_judged_at_the_positions_it_gives():
    s = drawn()
    for contender in (ridge_peers.scipy_lstsq(s, RIDGE), ridge_peers.scipy_cholesky(s, RIDGE)):
        truths = {"ridge": problems.ridge_truth(s, RIDGE, 0.0)}
        o = contender.run()
        assert error(contender, o, truths, (), problems.checked(TINY.T, 4)) < targets.ROUNDOFF["float64"] ** 0.5
        assert error(contender, o[:, ::-1], truths, (), problems.checked(TINY.T, 4)) > 0.1


class Counted(np.ndarray):
    """An array whose matrix products add 2 m n k for each matrix of the stack to `flops`."""

    flops = 0

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        plain = [x.view(np.ndarray) if isinstance(x, Counted) else x for x in inputs]
        target = None if out is None else tuple(x.view(np.ndarray) for x in out)
        result = getattr(ufunc, method)(*plain, out=target, **options)
        if ufunc is np.matmul:
            Counted.flops += 2 * result.size * plain[0].shape[-1]
        return out[0] if out is not None else np.asarray(result).view(Counted)


@pytest.mark.parametrize("size", [Size(96, 8, 2), Size(128, 4, 3)])
def test_the_flops_of_the_reference_are_those_of_a_counted_run(size, monkeypatch):
    monkeypatch.setattr(Counted, "flops", 0)
    s = drawn(size=size)
    ours.linear_attention_by_chunks(*(x.view(Counted) for x in (s.q, s.k, s.v)))
    assert Counted.flops == size.heads * counts.linear_attention(size.T, size.d, size.d)


def test_the_flops_of_our_linear_attention_are_those_of_a_counted_run():
    contender = ours.chunked_layer("linear_attention", drawn(), torch_cpu())
    with FlopCounterMode(display=False) as counter:
        contender.run()
    assert counter.get_total_flops() == TINY.heads * counts.linear_attention(TINY.T, TINY.d, TINY.d)


def test_the_flops_of_our_solver_are_those_of_a_counted_run():
    # torch's counter sees matrix products. A substitution, c² (d_k + d_v) flops a chunk, is none of them when LAPACK
    # does it, and at most twice as many when it is done by products of whole blocks.
    contender = ours.solver(ours.INNOVATION, drawn(), RIDGE, torch_cpu())
    with FlopCounterMode(display=False) as counter:
        contender.run()
    T, d, heads = TINY
    products = heads * counts.ridge_by_innovation_products(T, d, d)
    assert products <= counter.get_total_flops() <= products + heads * 2 * T * counts.CHUNK * 2 * d


def test_extra_memory_is_that_of_the_arrays_alive_at_once():
    def run() -> np.ndarray:
        first = np.ones(1000)
        second = np.ones(500)
        return first[:500] + second  # two temporaries and the answer

    overhead = 4096  # of the array objects themselves
    assert 0 <= clock.extra_memory(run) - 8 * 2000 < overhead


def test_turns_are_interleaved_and_each_gets_its_runs():
    called: list[str] = []
    contenders = [Contender(name, OURS, "", "", "ridge", lambda name=name: called.append(name)) for name in "abc"]
    first = [clock.Run(seconds, seconds) for seconds in (0.0, clock.RUNS[0][0] * 2, 1e9)]
    found = clock.interleaved(contenders, first, np.random.default_rng(0))
    runs = clock.RUNS[0][1], clock.RUNS[1][1]
    assert [len(each) for each in found] == [*runs, clock.ONCE]
    assert [called.count(name) for name in "abc"] == [*runs, 0]
    places = [i for i, name in enumerate(called) if name == "b"]
    assert max(np.diff(places)) <= 2 * len(called) / len(places), "the runs of one are spread over those of the other"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_steps_of_the_profile_are_those_of_the_solver(dtype):
    s = drawn(dtype, Size(T=96, d=8, heads=2))
    _, moved, _, substituted, answered, updated, state = (step.run() for step in profile.steps(s))
    out = exact.ridge_prefixes_by_innovation(s.q, s.k, s.v, ridge=RIDGE)
    # The same operations on the same numbers: to the bit, the chunk in the middle being the second of three.
    assert np.array_equal(answered, out.o[:, 32:64])
    assert np.array_equal(np.stack(state), np.stack(out.state))
    after = exact.recursive_least_squares_by_innovation(s.q[:, :64], s.k[:, :64], s.v[:, :64], ridge=RIDGE).state
    assert np.array_equal(updated, np.concatenate([after.P, -after.S], axis=-1))
    assert substituted.shape == moved.shape


def test_the_flops_of_the_profile_are_those_counted_for_the_solver():
    s = drawn()
    counted = counts.ridge_by_innovation(TINY.T, TINY.d, TINY.d)  # to the last whole flop
    assert abs(sum(step.flops for step in profile.steps(s)) - counted) < 1
