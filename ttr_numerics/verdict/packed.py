"""One verdict on several sequences that came packed together."""

from collections.abc import Sequence

import numpy as np

from ttr_numerics.verdict.verdict import Verdict, Word

__all__ = ["joined"]

_GRAVEST_FIRST = (
    Word.WRONG,
    Word.OTHER_LAYER,
    Word.CONVENTION,
    Word.INCONCLUSIVE,
    Word.ILL_CONDITIONED,
    Word.ROUNDING,
)


def joined(verdicts: Sequence[Verdict]) -> Verdict:
    """The gravest word with the reasons of the first sequence that earns it; figures side by side along time."""
    if len(verdicts) == 1:
        return verdicts[0]
    word = next(w for w in _GRAVEST_FIRST if any(v.word is w for v in verdicts))
    n, grave = next((n, v) for n, v in enumerate(verdicts) if v.word is word)
    first, *rest = grave.reasons
    figures = {
        name: np.concatenate([getattr(v, name) for v in verdicts], axis=-1)
        for name in ("error", "tolerance", "magnitude", "predicted")
    }
    condition = np.max([v.condition for v in verdicts], axis=0)
    sentence = f"of {len(verdicts)} packed sequences, in number {n} (counted from 0): {first}"
    return Verdict(**{**vars(grave), **figures, "condition": condition, "reasons": (sentence, *rest)})
