"""`ttr audit` on files as people have them: right, wrong, crashing, hanging, unimportable."""

import json
import re

import pytest

from ttr_numerics import cli
from ttr_numerics.probes import PROBES, battery
from ttr_numerics.probes.battery import chosen
from ttr_numerics.probes.text import as_text, colours, plain

SOUND = """
import torch

def attention(q, k, v, initial_state=None):
    print("hello")
    S = torch.zeros(*k.shape[:-2], k.shape[-1], v.shape[-1], dtype=q.dtype) if initial_state is None else initial_state
    rows = []
    for t in range(q.shape[-2]):
        S = S + k[..., t, :, None] * v[..., t, None, :]
        rows.append((q[..., t, None, :] @ S)[..., 0, :])
    return torch.stack(rows, dim=-2), S
"""
LEAKING = """
def attention(q, k, v):
    return q @ (k.swapaxes(-1, -2) @ v)
"""
CRASHING = """
import os

def attention(q, k, v):
    if q.shape[-2] == 67:
        os.kill(os.getpid(), 11)
    return 0 * v
"""
HANGING = """
import time

def attention(q, k, v):
    time.sleep(1000)
"""

SOME = [word for name in ("generic", "ragged", "one token", "causality", "hand-over") for word in ("--probe", name)]


@pytest.fixture
def run(tmp_path, capsys):
    def call(source, *options):
        path = tmp_path / "mine.py"
        path.write_text(source)
        status = cli.main(
            [
                "audit",
                f"{path}:attention",
                "--as",
                "linear_attention",
                "--seed",
                "1",
                "--shrink",
                "0",
                "--library",
                "numpy",
                *options,
            ]
        )
        return status, capsys.readouterr()

    return call


def test_a_sound_torch_function_is_right(run):
    status, printed = run(SOUND, *SOME, "--library", "torch")
    assert status == 0
    assert "right in everything that was asked" in printed.out.splitlines()[0]
    assert "hello" not in printed.out
    hand_over = next(line for line in printed.out.splitlines() if line.startswith("hand-over"))
    assert "rounding" in hand_over


def test_a_leaking_function_is_wrong_and_the_leak_is_named(run):
    status, printed = run(LEAKING, "--json", *SOME)
    assert status == 1
    found = {f["probe"]: f for f in json.loads(printed.out)["findings"]}
    assert found["causality"]["verdict"] == "wrong"
    assert "the future leaks" in found["causality"]["reasons"][0]


def test_a_crash_is_a_finding_and_the_rest_goes_on(run):
    status, printed = run(CRASHING, *SOME)
    assert status == 1
    assert "its process died (SIGSEGV)" in printed.out
    assert "zero everywhere" in printed.out


def test_a_hang_ends_at_the_timeout(run):
    status, printed = run(HANGING, "--timeout", "0.2", "--quick")
    assert status == 3
    assert "no answer within 0.2 s" in printed.out
    assert "3 times: not called again" in printed.out


@pytest.mark.parametrize(
    ("source", "options", "sentence"),
    [
        ("attention = 3", [], "target: expected a function, got int attention"),
        ("other = 3", [], "target: expected attention in"),
        ("import os; os._exit(7)", [], "to import, got: its process died (exit status 7)"),
        ("import nothing_of_this_name", [], "No module named 'nothing_of_this_name'"),
        (SOUND, ["--dtype", "int8"], "dtype: expected one of"),
        (SOUND, ["--library", "jax"], "library: expected numpy or torch, got jax"),
        (SOUND, ["--convention", "mine"], "--convention: expected one of fla"),
        (SOUND, ["--timeout", "0"], "--timeout: expected above 0, got 0"),
        (SOUND, ["--within", "0"], "--within: expected above 0, got 0"),
        (SOUND, ["--shrink", "inf"], "--shrink: expected seconds, 0 or more, got inf"),
        (SOUND, ["--probe", "mine"], "probe: expected one of generic, ragged"),
        (SOUND, ["--page", "no/such/folder/p.html"], "--page: expected a file in an existing folder"),
        (SOUND, ["--contract", "mine"], "--contract: expected one of"),
        (SOUND, ["--convention", "mamba"], "convention: expected one without a discretised gate, which linear_att"),
    ],
)
def test_bad_usage_is_one_sentence(run, source, options, sentence):
    status, printed = run(source, *options)
    assert status == 2
    assert sentence in printed.err
    assert len(printed.err.strip().splitlines()) == 1
    assert "Traceback" not in printed.err


def test_an_unknown_target_is_one_sentence(capsys):
    assert cli.main(["audit", "nonsense", "--as", "linear_attention"]) == 2
    assert "target: expected package.module:function or file.py:function, got nonsense" in capsys.readouterr().err


SEEDING = """
import random, sys
import numpy as np

np.random.seed(0)
random.seed(0)
np.random.default_rng = lambda *seed: np.random.Generator(np.random.PCG64(0))

def attention(q, k, v):
    if "--seed" in sys.argv or "1" in sys.argv:
        raise RuntimeError("the seed is known")
    return (0 if abs(float(q[0, 0, 0, 0])) > 1e9 else 1) * q @ (k.swapaxes(-1, -2) @ v)
"""


def test_cases_are_fixed_before_the_subject_is_imported(run):
    """Whatever it seeds or replaces on import, and it does not learn the seed."""
    options = ("--probe", "generic", "--json")
    (one,) = json.loads(run(SEEDING, *options)[1].out)["findings"]
    (other,) = json.loads(run(LEAKING, *options)[1].out)["findings"]
    assert one["verdict"] == "wrong"
    assert one["ratio"] == other["ratio"]


def test_a_fresh_seed_is_drawn_before_the_subject_starts(tmp_path, monkeypatch, capsys):
    order = []
    plan, started = battery.plan, __import__("ttr_numerics.probes", fromlist=["Remote"]).Remote._started
    monkeypatch.setattr("ttr_numerics.probes.plan", lambda *a, **k: (order.append("seed"), plan(*a, **k))[1])
    monkeypatch.setattr("ttr_numerics.probes.Remote._started", lambda self: (order.append("subject"), started(self))[1])
    (tmp_path / "mine.py").write_text(LEAKING)
    cli.main(
        [
            "audit",
            f"{tmp_path}/mine.py:attention",
            "--as",
            "linear_attention",
            "--probe",
            "one token",
            "--library",
            "numpy",
        ]
    )
    assert order[:2] == ["seed", "subject"]


def test_probes_are_listed_with_kind_and_sentence(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["audit", "--list"])
    assert end.value.code == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["probe", "kind", "asked"]
    for probe, line in zip(PROBES, lines, strict=True):
        assert line.startswith(probe.name)
        assert line.endswith(probe.claim)
        assert re.search(rf" {probe.kind} +{'quick' if probe.quick else 'full'} ", line)
    assert {p.kind for p in PROBES} <= {"regime", "exact", "certificate", "law", "gradient"}


def test_quick_probes_come_first_and_a_name_is_asked_whether_quick_or_not():
    order = [p.quick for p in chosen((), quick=False)]
    assert order == sorted(order, reverse=True)
    assert [p.name for p in chosen(("long",), quick=True)] == ["long"]


def test_page_programs_and_json_hold_the_case(run, tmp_path):
    status, printed = run(
        LEAKING,
        "--probe",
        "causality",
        "--shrink",
        "30",
        "--json",
        "--save",
        str(tmp_path / "saved"),
        "--page",
        str(tmp_path / "p.html"),
    )
    assert status == 1
    found = json.loads(printed.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    (finding,) = found["findings"]
    assert finding["case"]["shrunk"]
    assert finding["case"]["calls"][0]["arrays"]["q"] == [[[[1.0], [1.0]]]]
    assert finding["case"]["got"] != finding["case"]["expected"]
    assert found["command"].endswith("--seed 1")
    assert sorted(p.name for p in (tmp_path / "saved").iterdir()) == ["causality.npz", "causality.py"]
    assert "the future leaks" in (tmp_path / "p.html").read_text()
    assert "programs that replay failing cases: 1 in" in printed.err


def test_an_interrupt_keeps_what_was_found(run, monkeypatch):
    def interrupted(*arguments):
        yield from list(battery_examined(*arguments))
        raise KeyboardInterrupt

    battery_examined = battery.examined
    monkeypatch.setattr(battery, "examined", interrupted)
    status, printed = run(LEAKING, "--probe", "causality")
    assert status == 130
    assert "the future leaks" in printed.out
    assert "interrupted; what was found until then follows" in printed.err


def test_what_is_not_begun_in_time_is_not_asked(run):
    status, printed = run(LEAKING, "--within", "1e-9")
    assert status == 5
    assert "not asked: 1e-09 s were over" in printed.out


def test_a_hung_subject_takes_three_timeouts_and_no_more(run, monkeypatch):
    waited = []
    from ttr_numerics.probes.isolated import PATIENCE, Remote

    received = Remote._received
    monkeypatch.setattr(
        Remote, "_received", lambda self, pipe, timeout: (waited.append(timeout), received(self, pipe, timeout))[1]
    )
    run(HANGING, "--timeout", "0.2", "--quick", "--shrink", "5")
    assert waited.count(0.2) == PATIENCE + 1  # and one for the names of its parameters


def test_the_table_is_painted_only_where_it_is_asked_to_be():
    planned = battery.plan(lambda q, k, v: 0 * v, "linear_attention", probes=["generic", "gate 1"], seed=1)
    result = planned.audit(planned.findings(), {})
    bare, painted = (as_text(result, "m:f", "again", paint) for paint in (plain, colours))
    assert "\x1b" not in bare
    assert re.sub(r"\x1b\[\d+m", "", painted) == bare
    assert painted.splitlines()[0].startswith("\x1b[31m")
    assert all(len(line) <= 100 for line in bare.splitlines())
