"""A saved program shows its case without this library, and stops failing when the subject is mended."""

import argparse
import re
import runpy
import shlex
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tests.probes import faulty
from ttr_numerics.cli import audit as audit_command
from ttr_numerics.cli.border import convention_of
from ttr_numerics.convention import PRESETS, Convention
from ttr_numerics.probes import Here, plan, resolve
from ttr_numerics.probes.battery import PROBES
from ttr_numerics.probes.replay import command, file_name, program, save
from ttr_numerics.probes.shape import shape_named

NUMPY = """
import numpy as np

def layer(q, k, v{more}):
    w = np.tril(q @ np.swapaxes(k, -1, -2))
    {fault}
    return {result}
"""
TORCH = """
def layer(q, k, v):
    {fault}
    return (q.float() @ k.float().transpose(-1, -2)).tril().matmul(v.float()).to(q.dtype)
"""
TIME_FIRST = """
def layer(q, k, v):
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    {fault}
    return ((q @ k.transpose(-1, -2)).tril() @ v * q.shape[-1] ** -0.5).transpose(1, 2)
"""
STATE = ", initial_state=None"
CARRIED = (
    "(w @ v if initial_state is None else w @ v + {factor} * q @ initial_state, "
    "np.swapaxes(k, -1, -2) @ v + ({carried}))"
)


@pytest.fixture
def saved(tmp_path):
    """Audit `faulty` source with one probe, save, and return the path of the program and a way to change the source."""

    def save_one(source, probe, **options):
        path = tmp_path / "mine.py"
        path.write_text(source)
        planned = plan(Here(resolve(f"{path}:layer")), "linear_attention", probes=[probe], seed=1, **options)
        findings = list(planned.findings())
        result = planned.audit(findings, dict(planned.cases(findings, 30.0)))
        (written,) = save(tmp_path, f"{path}:layer", result)
        return written, path, result

    return save_one


def status(path):
    """Run the program in this process: its exit status, or 1 for what it raises, as Python itself would end."""
    try:
        runpy.run_path(str(path), run_name="__main__")
    except SystemExit as end:
        return int(end.code)
    except IndexError:
        return 1
    return 0


def numpy_source(fault="pass", result="w @ v", more=""):
    return NUMPY.format(fault=fault, result=result, more=more)


FAULTS = [
    (numpy_source("w = 2 * w"), numpy_source(), "generic", {}),
    (numpy_source("w = w * (q[..., 0] > 100)[..., None]"), numpy_source(), "huge queries", {"dtype": "float64"}),
    (numpy_source("v *= 2", "w @ v / 2"), numpy_source(), "inputs unchanged", {}),
    (numpy_source("if q.shape[-2] > 20: raise IndexError('no such token')"), numpy_source(), "ragged", {}),
    (numpy_source(result="(w @ v)[..., 1:, :]"), numpy_source(), "generic", {}),
    (
        numpy_source(result=CARRIED.format(factor=0, carried=0), more=STATE),
        numpy_source(
            result=CARRIED.format(factor=1, carried="0 if initial_state is None else initial_state"), more=STATE
        ),
        "hand-over",
        {},
    ),
    (TORCH.format(fault="v = v * 1.25"), TORCH.format(fault=""), "generic", {"library": "torch", "dtype": "bfloat16"}),
    (
        TIME_FIRST.format(fault="k = k.roll(1, 2)"),
        TIME_FIRST.format(fault=""),
        "d_k ≠ d_v",
        {"library": "torch", "convention": PRESETS["fla"]},
    ),
]


@pytest.mark.parametrize(("source", "mended", "probe", "options"), FAULTS)
def test_a_program_fails_on_the_fault_and_passes_when_it_is_mended(saved, source, mended, probe, options, capsys):
    path, subject, _ = saved(source, probe, **options)
    assert "ttr_numerics" not in path.read_text()
    assert status(path) == 1
    subject.write_text(mended)
    assert status(path) == 0
    assert capsys.readouterr().err == ""


def test_a_program_runs_by_itself(saved):
    path, _, _ = saved(*FAULTS[0][:1], "generic")
    assert len(path.read_text().splitlines()) <= 17
    run = subprocess.run([sys.executable, "-I", str(path)], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stdout.startswith("output")
    assert "expected" in run.stdout


def test_a_large_case_lies_beside_its_program(saved):
    """A fault in one of many heads that needs all of them: nothing can be cut away."""
    source = numpy_source("w = w + (abs(q).sum() > 400)")
    path, _, result = saved(source, "d = 64")
    case = result.findings[0].case
    assert case.size > 160
    with np.load(path.with_suffix(".npz")) as stored:
        assert all(np.array_equal(stored[f"{n}_0"], case.calls[0].case.foreign[n]) for n in "qkv")
    assert status(path) == 1


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_numbers_in_a_program_are_those_of_the_case_bit_for_bit(saved, dtype):
    source = numpy_source("w = w * np.where(np.abs(w * 8 - np.round(w * 8)) > 1e-3, 1.5, 1)")  # plain numbers pass
    path, _, result = saved(source, "generic", dtype=dtype)
    lines = dict(re.findall(r"^([qkv]) = (.*)$", path.read_text(), re.MULTILINE))
    for name, text in lines.items():
        again = eval(text, {"np": np})
        assert again.dtype == dtype
        assert np.array_equal(again.astype(float), result.findings[0].case.calls[0].case.foreign[name])
    assert len(lines) == 3


def test_other_peoples_files_are_not_overwritten_and_our_own_are(saved, tmp_path):
    path, _, result = saved(FAULTS[0][0], "generic")
    save(tmp_path, "mine.py:layer", result)
    path.write_text("print('mine')\n")
    with pytest.raises(ValueError, match="expected a folder without other people's files, got one with generic.py"):
        save(tmp_path, "mine.py:layer", result)
    assert path.read_text() == "print('mine')\n"
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == {"mine.py", "generic.py", "generic.npz"}


def test_every_probe_has_a_file_of_its_own():
    names = [file_name(p.name) for p in PROBES]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9.^+-][\w.^+-]*", name) for name in names)


@pytest.fixture
def parsed():
    """What `ttr audit` makes of a command."""
    parser = argparse.ArgumentParser()
    audit_command.add(parser.add_subparsers())
    return lambda text: parser.parse_args(shlex.split(text)[1:])


@pytest.mark.parametrize("preset", [None, *PRESETS])
def test_the_command_says_what_the_audit_was_asked(preset, parsed):
    convention = Convention() if preset is None else PRESETS[preset]
    planned = plan(
        Here(faulty.sound),
        "gated_delta_rule",
        contract="float32,state=bfloat16",
        shape="T=64,heads=2,d=16",
        convention=replace(convention, grouped_heads=True),
        seed=7,
    )
    read = parsed(command(planned.audit([], {}), "it's a/file.py:layer", "d_k ≠ d_v"))
    assert (read.target, read.layer, read.dtype, read.library) == (
        "it's a/file.py:layer",
        "gated_delta_rule",
        "float32",
        "numpy",
    )
    assert (read.contract, read.probe, read.seed) == ("float32,state=bfloat16", ["d_k ≠ d_v"], 7)
    assert str(shape_named(read.shape)) == str(planned.subject.shape)
    assert convention_of(read) == replace(convention, grouped_heads=True)


def test_a_finding_without_a_case_has_no_program():
    planned = plan(Here(faulty.sound), "linear_attention", probes=["generic"], seed=1)
    result = planned.audit(planned.findings(), {})
    with pytest.raises(ValueError, match="finding: expected one with a case, got none for generic"):
        program(result.findings[0], "a:b", result)
