"""Adding a layer touches one layer file and one catalogue entry: everything else follows from the entry."""

import numpy as np
import pytest

from tests.pairs.test_catalogue import both_sides
from ttr_numerics import catalogue, check, cli, exact
from ttr_numerics.arrays import namespace
from ttr_numerics.axes import check_sequence, initial_matrix
from ttr_numerics.choices import Choices, GradientStep, Linear, Uniform
from ttr_numerics.derivations import Derivation, Equation, symbolic
from ttr_numerics.pairs import Pairing, additive
from ttr_numerics.recurrence import sequential
from ttr_numerics.verdict import Word


def half_attention(q, k, v, *, initial_state=None):
    """S_t = S_{t-1} + k_t v_t' / 2: the layer file."""
    check_sequence(q, k, v)
    return sequential(_step, initial_matrix(initial_state, q, v), q, k, v)


def _step(S, q, k, v):
    S = S + namespace(k).matrix_transpose(k) @ v / 2
    return S, q @ S


def _derivation():
    q, k, v, _ = symbolic()
    state = half_attention(q, k, v).state
    return Derivation("half a step", (Equation("half of K'V", "S_2", state, k.T @ v / 2),) * 2)


ENTRY = Pairing(
    half_attention,
    Choices(Uniform(), Linear(), GradientStep(0.5)),
    identity="least squares with K'K replaced by 2I",
    partner=lambda q, k, v: exact.correlation_prefixes(q, k, v / 2),
    target="least squares (least_norm)",
    fit=None,
    domain="all inputs",
    source="this test",
    derivation=_derivation,
)


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setattr(additive, "TABLE", (*additive.TABLE, ENTRY))
    return ENTRY


def test_the_catalogue_the_command_line_and_the_check_know_it(toy, capsys, tmp_path):
    assert toy in catalogue()
    arrays = toy.example(np.random.default_rng(0))
    o = half_attention(**arrays).o
    verdict = check(o, "half_attention", **arrays)
    assert verdict.word is Word.ROUNDING
    assert "equals its exact partner, least squares with K'K replaced by 2I" in verdict.reasons[1]
    np.savez(tmp_path / "toy.npz", **arrays, o=2 * o)
    assert cli.main(["check", str(tmp_path / "toy.npz"), "--layer", "half_attention"]) == 1
    assert "equals linear_attention" in capsys.readouterr().out
    assert cli.main(["derive", "half_attention"]) == 0
    assert cli.main(["layers"]) == 0
    assert "half_attention(q, k, v)" in capsys.readouterr().out


def test_its_identity_holds(toy):
    one, other = both_sides(toy, toy.example(np.random.default_rng(0)))
    assert (np.linalg.norm(one.reference - other.reference, axis=-1) <= one.bound + other.bound).all()
