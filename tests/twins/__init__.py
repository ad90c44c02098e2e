"""Naive twins: every layer once more, written from its published recursion, one head and one token at a time.

A twin takes the arrays of one head, in extended precision, and returns o (T, d_v). It imports nothing of the package:
with the exact partner it is the second oracle of each layer. One family a file, `TWINS` by layer name in each.
"""

from tests.twins import additive, first_order, local, nonlinear, nonparametric, recurrent, second_order

FAMILIES = (additive, recurrent, first_order, nonlinear, second_order, nonparametric, local)
TWINS = {name: twin for family in FAMILIES for name, twin in family.TWINS.items()}
