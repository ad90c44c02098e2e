"""What a wrong output might be instead: one table of variants, by theme, the border's first."""

from ttr_numerics.verdict.variants.border import BORDER
from ttr_numerics.verdict.variants.gates import GATES
from ttr_numerics.verdict.variants.heads import HEADS
from ttr_numerics.verdict.variants.numbers import NUMBERS
from ttr_numerics.verdict.variants.others import LAYERS, SOFTMAX
from ttr_numerics.verdict.variants.states import STATES
from ttr_numerics.verdict.variants.steps import STEPS
from ttr_numerics.verdict.variants.tokens import MASKS, ORDERS, TOKENS
from ttr_numerics.verdict.variants.variant import Candidate, Change, Variant, candidates

__all__ = ["VARIANTS", "Candidate", "Change", "Variant", "candidates"]

VARIANTS: tuple[Variant, ...] = (
    *BORDER,
    *GATES,
    *STEPS,
    *ORDERS,
    *TOKENS,
    *STATES,
    *SOFTMAX,
    *NUMBERS,
    *MASKS,
    *HEADS,
    *LAYERS,
)
