"""Every derivation is proved, and one that is wrong is seen."""

from dataclasses import replace

import numpy as np
import pytest
import sympy

from ttr_numerics import catalogue, cli
from ttr_numerics.derivations import Derivation, Equation, symbolic
from ttr_numerics.derivations.text import as_latex, as_text


@pytest.mark.parametrize("row", catalogue(), ids=lambda row: row.name)
def test_every_equation_is_proved(row):
    derivation = row.derivation()
    assert [equation.claim for equation in derivation.failures()] == []
    assert len(derivation.equations) >= 2
    # An equation between two equal expressions proves nothing: something was computed on one side.
    assert all(equation.left is not equation.right for equation in derivation.equations)


@pytest.mark.parametrize("row", catalogue(), ids=lambda row: row.name)
def test_a_derivation_with_one_term_changed_fails(row):
    for equation in row.derivation().equations:
        right = np.array(equation.right, dtype=object)
        right[(0,) * right.ndim] += sympy.Rational(1, 7)
        assert not Equation(equation.claim, equation.name, equation.left, right).holds()


@pytest.mark.parametrize("row", catalogue(), ids=lambda row: row.name)
def test_derive_prints_every_claim(row, capsys):
    assert cli.main(["derive", row.name]) == 0
    printed = capsys.readouterr().out
    assert all(equation.claim in printed for equation in row.derivation().equations)
    assert "NOT PROVED" not in printed


def test_an_unproved_equation_is_said_and_costs_the_exit_status(capsys, monkeypatch):
    q, k, _, _ = symbolic()
    row = catalogue()[0]
    wrong = Derivation("nothing", (Equation("queries are keys", "q", q, k),))
    monkeypatch.setattr("ttr_numerics.pairs.pairing", lambda name: replace(row, derivation=lambda: wrong))
    assert cli.main(["derive", row.name]) == 1
    assert "NOT PROVED" in capsys.readouterr().out


def test_shapes_that_differ_are_refused():
    q, _, v, _ = symbolic()
    with pytest.raises(ValueError, match="expected shape"):
        Equation("unequal", "q", q, v).holds()


def test_latex_names_every_claim():
    row = catalogue()[0]
    text = as_latex(row.name, row.derivation())
    assert text.startswith(r"\paragraph{linear\_attention}")
    assert text.count(r"\item") == len(row.derivation().equations)
    assert as_text(row.name, row.derivation()).startswith("linear_attention")
