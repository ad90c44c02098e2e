"""What theory expects of a layer on the keys that it is given, when values are random: its exact solver's weights."""

import numpy as np

from analysis.age.subject import Subject, by_age
from ttr_numerics.measure import bounds

__all__ = ["expected_errors"]

ENTRIES = 2**22  # of the ages of all pairs, channel by channel, that exact solvers hold at once


def expected_errors(subject: Subject, K: np.ndarray, d_v: int) -> np.ndarray | None:
    """The expected error (m, tokens) by age, given the keys K (m, n, d); None where what is read is not linear in v.

    Unit vectors as values, row j of I for pair j, make the outputs of the exact solver the weights of the pairs.
    """
    if subject.solver is None:
        return None
    n, d = K.shape[1:]
    size = subject.period * max(1, ENTRIES // (n * n * d))
    found = []
    for part in (K[i : i + size] for i in range(0, len(K), size)):
        one = np.broadcast_to(np.eye(n), (len(part), n, n)).copy()
        W = subject.solver(subject.layer, subject.arguments(part, one), part, one) / subject.value_gates(n)
        found.append(bounds.weighted_sum_errors(W, subject.value_gates(d_v)))
    return by_age(np.concatenate(found), subject)
