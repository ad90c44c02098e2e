"""Every key that `Verdict.cause` may have, with its sentence: stable names for programs that read verdicts.

A key may hold {name} or {role} and {format}; two variants at once are "first+second".
"""

import re

from ttr_numerics.verdict.variants import VARIANTS

__all__ = ["CAUSES", "is_cause"]

CAUSES: dict[str, str] = {v.cause: v.sentence for v in reversed(VARIANTS)} | {
    "scale.factor": "queries times a number that was fitted",
    "keys.factor": "keys times a number that was fitted",
    "values.factor": "values times a number that was fitted",
    "state.factor": "the initial state times a number that was fitted",
    "{name}.factor": "an argument, a gate or a step times a number that was fitted",
    "norm.eps": "the declared l2 norm with another eps",
    "output.zero": "zero everywhere, or in every wrong head",
    "output.nan": "NaN or infinite wherever it is wrong",
    "output.flushed": "the smallest entries are zero",
    "output.late": "token t holds the answer of t - 1",
    "output.early": "token t holds the answer of t + 1",
    "output.negated": "the other sign",
    "output.factor": "one number times the answer",
    "output.factor_per_head": "a number of each head times the answer",
    "output.factor_per_token": "a number of each token times the answer",
    "output.offset": "the answer plus a constant row",
    "layout.swapped": "the numbers of (T, H, d_v) read as (H, T, d_v)",
    "heads.permuted": "heads or batch entries in another order",
    "heads.repeated": "one head's answer in two places",
    "heads.mixed": "heads or batch entries with a share of their neighbour's",
    "columns.reversed": "columns reversed",
    "columns.halves": "the two halves of the columns exchanged",
    "columns.rolled": "columns rolled",
    "columns.permuted": "columns in another order",
    "columns.tail": "wrong in the last columns alone",
    "rows.reversed": "tokens reversed",
    "rows.rolled": "tokens rolled",
    "rows.permuted": "tokens in another order",
    "rows.zero": "some rows zero",
    "rows.stale": "some rows hold the row before",
    "rows.first": "wrong at the first token alone",
    "rows.last": "wrong at the last token alone",
    "rows.tail": "wrong in the tokens left over after whole chunks",
    "rows.chunk_starts": "wrong at the first token of every chunk alone",
    "rows.chunk_ends": "wrong at the last token of every chunk alone",
    "head.one": "wrong in one head alone",
    "batch.one": "wrong in one batch entry alone",
    "contract.{role}={format}": "one role kept in a coarser format than declared",
    "contract.dtype={format}": "everything computed in a coarser format than declared",
}


def is_cause(key: str) -> bool:
    """Whether `key` is one of the table, or a pair of them.

    >>> is_cause("gate.base2"), is_cause("contract.state=bfloat16"), is_cause("scale.root+norm.k"), is_cause("bug")
    (True, True, True, False)
    """
    patterns = [re.sub(r"\\{\w+\\}", r"\\w+", re.escape(cause)) for cause in CAUSES]
    return all(any(re.fullmatch(pattern, part) for pattern in patterns) for part in key.split("+"))
