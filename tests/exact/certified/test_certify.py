"""A certificate proves an output's error between two bounds, says why where it cannot, and overrules a reference."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.exact.certified.rationals import rational
from ttr_numerics import certify, check
from ttr_numerics.arrays.enclosure import RELATIVE
from ttr_numerics.cli import main
from ttr_numerics.convention import Convention
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.verdict import Proof, Word, certificate, judge

CASES = [("linear_attention", "float64"), ("gated_delta_rule", "float32"), ("mesa", "float64"), ("titans", "float32")]


def given(name: str, dtype: str, batch: tuple[int, ...] = (2,), T: int = 12) -> dict[str, Any]:
    """The row's example, as arrays of the dtype."""
    arrays = pairing(name).example(np.random.default_rng(0), batch=batch, T=T, d_k=4, d_v=4)
    return {n: x.astype(dtype) if isinstance(x, np.ndarray) else x for n, x in arrays.items()}


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_a_sound_output_is_proved_within_and_a_wrong_one_beyond(name: str, dtype: str) -> None:
    arrays = given(name, dtype)
    o = pairing(name).layer(**arrays).o
    found = certify(o, name, **arrays)
    assert found.proof is Proof.WITHIN
    assert found.verdict.word is check(o, name, **arrays).word is Word.ROUNDING
    assert found.status == 0
    tolerance = found.verdict.tolerance
    assert np.all(found.below <= found.above)
    # Rounding outwards, and twice the radius: in a row of d_v entries at most RELATIVE of the largest each.
    widest = 2 * np.spacing(found.above) + 2 * 4**0.5 * RELATIVE * found.verdict.magnitude
    assert np.all(found.above - found.below <= widest)
    wrong = o.copy()
    wrong[1, 7] += (3 * tolerance[1, 7]).astype(dtype)
    found = certify(wrong, name, **arrays)
    assert found.proof is Proof.OUTSIDE
    assert found.status == 1
    assert np.argwhere(found.below > tolerance).tolist() == [[1, 7]]
    assert "beyond the tolerance at 1 of 24 positions" in found.sentence


def test_the_bounds_hold_the_rational_error() -> None:
    arrays = given("linear_attention", "float32", batch=())
    o = pairing("linear_attention").layer(**arrays).o
    found = certify(o, "linear_attention", **arrays)
    q, k, v = (rational(arrays[n]) for n in "qkv")
    exact = (np.tril(np.ones((12, 12), dtype=int)) * (q @ k.T)) @ v
    squares = ((rational(o) - exact) ** 2).sum(axis=-1)
    bounds = zip(rational(found.below), squares, rational(found.above), strict=True)
    assert all(below**2 <= square <= above**2 for below, square, above in bounds)


@pytest.mark.parametrize("dtype", ["bfloat16", "bfloat16,state=float32"])
def test_the_exact_answer_is_that_of_the_inputs_as_they_arrive(dtype: str) -> None:
    arrays = given("gated_delta_rule", "float32")
    stored = {n: FORMATS["bfloat16"].nearest(x).astype(np.float32) if n in "qkv" else x for n, x in arrays.items()}
    o = pairing("gated_delta_rule").layer(**stored).o
    found = certify(o, "gated_delta_rule", dtype=dtype, **arrays)
    assert found.proof is Proof.WITHIN
    # The same output judged in float32 has the wrong inputs: those were not rounded.
    assert certify(o, "gated_delta_rule", **arrays).proof is Proof.OUTSIDE


def test_what_cannot_be_enclosed_keeps_its_verdict_and_says_why() -> None:
    arrays = given("mesa_cg", "float32", batch=(), T=4)
    o = pairing("mesa_cg").layer(**arrays).o
    found = certify(o, "mesa_cg", **arrays)
    assert found.proof is Proof.OPEN
    assert found.sentence.startswith("not proved: no enclosure with 4096 bits: its balls stay wide")
    assert found.status == 0
    assert found.verdict.reasons == check(o, "mesa_cg", **arrays).reasons
    assert certify(0 * o, "mesa_cg", **arrays).status == 1


def test_what_is_too_large_is_refused_before_it_costs_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate, "OPERATIONS", 2 * 12 * 4 * 4 - 1)
    arrays = given("delta_rule", "float32")
    found = certify(pairing("delta_rule").layer(**arrays).o, "delta_rule", **arrays)
    assert found.sentence.startswith("not proved: it takes 4e+02 operations on balls and more")
    assert found.status == 0


def test_an_output_that_is_not_finite_is_beyond_every_tolerance() -> None:
    arrays = given("delta_rule", "float32")
    o = pairing("delta_rule").layer(**arrays).o
    o[0, 3] = np.nan
    found = certify(o, "delta_rule", **arrays)
    assert found.proof is Proof.OUTSIDE
    assert np.isinf(found.below[0, 3])
    json.loads(json.dumps(found.to_json(), allow_nan=False))


def test_a_reference_that_errs_is_overruled(monkeypatch: pytest.MonkeyPatch) -> None:
    # A float64 reference moved by 1e-3 calls the sound output wrong and its own copy right: the certificate does not.
    arrays = given("delta_rule", "float32")
    o = pairing("delta_rule").layer(**arrays).o

    def erring(*given: Any, **more: Any) -> Any:
        bound = judge.__dict__["sound"](*given, **more)
        return replace(bound, reference=bound.reference * (1 + 1e-3))

    monkeypatch.setitem(judge.__dict__, "sound", judge.rounding)
    monkeypatch.setattr(judge, "rounding", erring)
    assert check(o, "delta_rule", **arrays).status == 1
    found = certify(o, "delta_rule", **arrays)
    assert (found.proof, found.status) == (Proof.WITHIN, 0)
    assert "the float64 reference has an error of its own beyond the tolerance" in found.verdict.reasons[0]
    moved = (o * (1 + 1e-3)).astype(np.float32)
    assert check(moved, "delta_rule", **arrays).status == 0
    found = certify(moved, "delta_rule", **arrays)
    assert (found.proof, found.status) == (Proof.OUTSIDE, 1)


def test_packed_sequences_are_certified_one_by_one() -> None:
    arrays = given("gated_linear_attention", "float32", batch=())
    ends, layer = np.array([0, 5, 12]), pairing("gated_linear_attention").layer
    parts = [layer(**{n: x[a:b] for n, x in arrays.items()}).o for a, b in ((0, 5), (5, 12))]
    o = np.concatenate(parts)
    found = certify(o, "gated_linear_attention", convention=Convention(), cu_seqlens=ends, **arrays)
    assert found.proof is Proof.WITHIN
    assert found.above.shape == (12,)
    o[8] *= 1.01
    found = certify(o, "gated_linear_attention", convention=Convention(), cu_seqlens=ends, **arrays)
    assert found.proof is Proof.OUTSIDE
    assert found.sentence.startswith("of 2 packed sequences, in number 1")


@pytest.fixture
def stored(tmp_path: Path) -> Any:
    """A function that stores arrays and an output, and gives the file's name."""

    def store(arrays: dict[str, Any], o: np.ndarray) -> str:
        np.savez(tmp_path / "case.npz", o=o, **arrays)
        return str(tmp_path / "case.npz")

    return store


def test_the_command_prints_the_certificate(stored: Any, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = given("gated_delta_rule", "float32")
    o = pairing("gated_delta_rule").layer(**arrays).o
    assert main(["check", stored(arrays, o), "--layer", "gated_delta_rule", "--certify"]) == 0
    out = capsys.readouterr().out
    assert "certificate: proved: the error is within the tolerance at every position" in out
    assert "(balls of 128 bits, " in out
    file = stored(arrays, np.float32(1.01) * o)
    assert main(["check", file, "--layer", "gated_delta_rule", "--certify", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["certificate"]["proof"] == "beyond tolerance for certain"
    assert np.shape(found["certificate"]["below"]) == (2, 12)
    assert found["status"] == 1


def test_the_command_without_the_library_is_bad_usage(
    stored: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = given("linear_attention", "float32")
    file = stored(arrays, pairing("linear_attention").layer(**arrays).o)
    monkeypatch.setitem(sys.modules, "flint", None)
    assert main(["check", file, "--layer", "linear_attention", "--certify"]) == 2
    assert "--certify: python-flint: expected to be installed" in capsys.readouterr().err
    assert main(["check", file, "--layer", "linear_attention"]) == 0
