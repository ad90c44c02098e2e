"""Variants of time: rows early or late, masks that are off, orders of forgetting, correcting and reading."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from ttr_numerics.pairs import pairing
from ttr_numerics.verdict.evidence import Evidence
from ttr_numerics.verdict.variants.moved import shifted
from ttr_numerics.verdict.variants.variant import Change, Variant
from ttr_numerics.verdict.verdict import Word

__all__ = ["MASKS", "ORDERS", "TOKENS"]

_CHUNKS = (16, 32, 64, 128, 256)
_ASKED = 4  # queries of each chunk that are compared


def _row_moved(name: str, tokens: int, evidence: Evidence) -> Iterator[Change]:
    for x, words in shifted(evidence, name, tokens):
        yield Change(evidence.changed(**{name: x}), detail=words)


def _exclusive(evidence: Evidence) -> Iterator[Change]:
    """o_t from what the query would read one token before; only where nothing but rows and numbers is given."""
    if evidence.row.causal and evidence.T > 1 and _rows_alone(evidence):
        early = {**evidence.between(0, -1), "q": evidence.arrays["q"][..., 1:, :]}
        yield Change(early, rows=slice(1, None))


def _leaking(evidence: Evidence) -> Iterator[Change]:
    if evidence.row.causal and evidence.T > 1:
        q = evidence.arrays["q"]
        late = np.concatenate([q[..., :1, :], q[..., :-1, :]], axis=-2)
        yield Change(evidence.changed(q=late), rows=slice(0, -1), place=lambda o: o[..., 1:, :])


def _rows_alone(evidence: Evidence) -> bool:
    return all(n in ("q", "k", "v") or not np.ndim(x) for n, x in evidence.arrays.items())


def _asked_at_the_end(chunk: int, evidence: Evidence) -> Iterator[Change]:
    """Some queries of each chunk asked at its last token: copy j asks there what the chunk's j-th chosen token asks."""
    q, T = evidence.arrays["q"], evidence.T
    if not evidence.row.causal or T < 2:
        return
    starts = np.arange(0, T, chunk)
    ends = np.minimum(starts + chunk, T) - 1
    places = np.unique(np.linspace(0, min(chunk, T) - 1, _ASKED).astype(int))
    tokens = np.minimum(starts + places[:, None], ends)  # (copies, chunks)
    asked = np.broadcast_to(q, (len(places), *q.shape)).copy()
    for copy, chosen in zip(asked, tokens, strict=True):
        copy[..., ends, :] = q[..., chosen, :]
    n = len(places)
    copies = {m: np.broadcast_to(x, (n, *x.shape)) if np.ndim(x) else x for m, x in evidence.arrays.items()}

    def place(o: np.ndarray) -> np.ndarray:
        o = np.moveaxis(o[..., ends, :], 0, -3)
        return o.reshape(*o.shape[:-3], -1, o.shape[-1])

    words = f"{chunk}, compared at {n} tokens of each"
    yield Change({**copies, "q": asked}, detail=words, rows=tokens.reshape(-1), place=place)


def _chunk_masks(evidence: Evidence) -> Iterator[Change]:
    for chunk in _CHUNKS:
        if chunk < evidence.T:
            yield from _asked_at_the_end(chunk, evidence)


def _no_mask(evidence: Evidence) -> Iterator[Change]:
    if evidence.row.name != "softmax_attention":  # whose other layer it is, compared at every token
        yield from _asked_at_the_end(evidence.T, evidence)


def _error_first(evidence: Evidence) -> Iterator[Change]:
    """S_t = D S_{t-1} + k'β(v - k S_{t-1}): Comba that erases along its own key."""
    if evidence.row.name == "gated_delta_rule":
        row = pairing("comba")
        yield Change(evidence.changed(p=evidence.arrays["k"]), layer=row.layer, forms=row.forms)


def _error_last(evidence: Evidence) -> Iterator[Change]:
    """S_t = D S_{t-1} + k'β(v - p D S_{t-1}): in p the gates of the rows that it reads."""
    if evidence.row.name == "comba":
        a = evidence.arrays
        yield Change(evidence.changed(p=a["p"] * np.exp(evidence.row_factor(a["log_decay"]))))


def _uncorrected(evidence: Evidence) -> Iterator[Change]:
    """S_t = D S_{t-1} + k'β v: nothing is erased."""
    a = evidence.arrays
    if evidence.row.name not in ("delta_rule", "gated_delta_rule", "longhorn", "comba", "huber_delta_rule"):
        return
    row = pairing("gated_linear_attention" if "log_decay" in a else "linear_attention")
    given = {n: x for n, x in a.items() if n in ("q", "k", "log_decay", "initial_state")}
    yield Change({**given, "v": a["v"] * a["beta"][..., None]}, layer=row.layer, forms=row.forms)


def _decay_last(evidence: Evidence) -> Iterator[Change]:
    """S_t = D_t(S_{t-1} + ...): each gate one token later, the newest one on what is read."""
    gate = _one_gate(evidence)
    if gate is not None:
        late = next(x for x, _ in shifted(evidence, "log_decay", 1))
        q = evidence.arrays["q"] * np.exp(evidence.row_factor(gate))
        yield Change(evidence.changed(log_decay=late, q=q))


def _one_gate(evidence: Evidence) -> np.ndarray | None:
    gate = evidence.arrays.get("log_decay")
    return gate if gate is not None and evidence.row.causal and evidence.T > 1 else None


def _read_before(decayed: bool, evidence: Evidence) -> Iterator[Change]:
    """o_t = q_t S_{t-1}, or q_t D_t S_{t-1}: what token t - 1 reads with the next query; with S_0 the first row too."""
    gate, q = evidence.arrays.get("log_decay"), evidence.arrays["q"]
    if not evidence.row.causal or evidence.T < 2 or (gate is None and (decayed or _rows_alone(evidence))):
        return
    aged = q * np.exp(evidence.row_factor(gate)) if decayed and gate is not None else q
    yield Change({**evidence.between(0, -1), "q": aged[..., 1:, :]}, rows=slice(1, None))


TOKENS = (
    *(
        Variant(f"{name}.{word}", f"{name} {word} by one token{{detail}}", partial(_row_moved, name, n), Word.WRONG)
        for name in ("k", "v", "q")
        for word, n in (("late", 1), ("early", -1))
    ),
)
MASKS = (
    Variant("mask.exclusive", "an exclusive mask (token t sees 1..t-1, off by one)", _exclusive),
    Variant("mask.leak", "a mask that leaks the future (token t sees 1..t+1, off by one)", _leaking),
    Variant("mask.chunk", "a mask by chunks: token t sees its whole chunk of {detail}", _chunk_masks, Word.WRONG, True),
    Variant("mask.none", "no causal mask: every token sees the whole sequence of {detail}", _no_mask, Word.WRONG, True),
)
ORDERS = (
    Variant("order.error_before_decay", "the error taken before the decay", _error_first),
    Variant("order.error_after_decay", "the error taken after the decay", _error_last),
    Variant("order.decay_last", "the decay after the write", _decay_last),
    Variant(
        "order.read_before_write", "read before the write (the state before its decay)", partial(_read_before, False)
    ),
    Variant("order.read_decayed", "read before the write (the state after its decay)", partial(_read_before, True)),
    Variant("order.no_correction", "no correction: values are written, nothing is erased", _uncorrected, Word.WRONG),
)
