"""`ttr audit` on files as people have them: right, wrong, crashing, hanging, unimportable."""

import json

import pytest

from ttr_numerics import cli

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
    return q @ (k.transpose(-1, -2) @ v)
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


@pytest.fixture
def run(tmp_path, capsys):
    def call(source, *options):
        path = tmp_path / "mine.py"
        path.write_text(source)
        status = cli.main(
            ["audit", f"{path}:attention", "--as", "linear_attention", "--quick", "--seed", "1", *options]
        )
        return status, capsys.readouterr()

    return call


def test_a_sound_torch_function_is_right(run):
    status, printed = run(SOUND)
    assert status == 0
    assert "right in everything that was asked" in printed.out.splitlines()[0]
    assert "hello" not in printed.out
    hand_over = next(line for line in printed.out.splitlines() if line.startswith("hand-over"))
    assert "rounding" in hand_over


def test_a_leaking_function_is_wrong_and_the_leak_is_named(run):
    status, printed = run(LEAKING, "--json")
    assert status == 1
    found = {f["probe"]: f for f in json.loads(printed.out)["findings"]}
    assert found["causality"]["verdict"] == "wrong"
    assert "the future leaks" in found["causality"]["reasons"][0]


def test_a_crash_is_a_finding_and_the_rest_goes_on(run):
    status, printed = run(CRASHING)
    assert status == 1
    assert "its process died (SIGSEGV)" in printed.out
    assert "zero everywhere" in printed.out


def test_a_hang_ends_at_the_timeout(run):
    status, printed = run(HANGING, "--timeout", "0.2")
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
