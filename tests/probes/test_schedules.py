"""Serving schedules: what dropping, consuming or confusing states does, on functions as people write them."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from ttr_numerics.pairs import pairing
from ttr_numerics.probes import audit
from ttr_numerics.probes.schedules import SCHEDULES
from ttr_numerics.verdict import Word

STATES = [p.name for p in SCHEDULES if p.name not in ("chunk lengths", "packed")]


def words(function, layer="gated_delta_rule", probes=STATES, **given):
    found = audit(function, layer, library="torch", probes=probes, seed=4, **given).findings
    return {f.probe: f.word for f in found}, [f.reasons for f in found if f.failed]


def token_loop(q, k, v, beta, log_decay, initial_state=None):
    """A gated delta rule with a float32 state, one token after another."""
    given = q.dtype
    q, k, v, beta, log_decay = (x.float() for x in (q, k, v, beta, log_decay))
    S = torch.zeros(*k.shape[:2], k.shape[-1], v.shape[-1]) if initial_state is None else initial_state
    rows = []
    for t in range(q.shape[2]):
        S = torch.exp(log_decay[:, :, t, None, None]) * S
        error = v[:, :, t] - torch.einsum("bhk,bhkv->bhv", k[:, :, t], S)
        S = S + torch.einsum("bhk,bhv->bhkv", beta[:, :, t, None] * k[:, :, t], error)
        rows.append(torch.einsum("bhk,bhkv->bhv", q[:, :, t], S))
    return torch.stack(rows, dim=2).to(given), S


def in_place(q, k, v, beta, log_decay, initial_state=None):
    """The same, the state kept where it was handed in."""
    o, S = token_loop(q, k, v, beta, log_decay, initial_state)
    if initial_state is None:
        return o, S
    initial_state.copy_(S)
    return o, initial_state


def test_a_sound_loop_passes_every_schedule_in_sixteen_bits():
    found, failed = words(token_loop, dtype="bfloat16")
    assert failed == []
    assert set(found.values()) == {Word.ROUNDING}


def test_a_state_overwritten_where_it_was_handed_in_is_found_when_it_is_needed_again():
    found, _ = words(in_place)
    assert {n for n, word in found.items() if word is Word.WRONG} == {"resumed twice", "roll back"}


def test_a_decay_forgotten_at_every_start_is_found_in_pieces():
    def undecayed(q, k, v, beta, log_decay, initial_state=None):
        first = torch.arange(q.shape[2]) > 0
        return token_loop(q, k, v, beta, log_decay * first if initial_state is not None else log_decay, initial_state)

    found, _ = words(undecayed)
    assert set(found.values()) == {Word.WRONG}


def test_chunks_that_lose_their_last_token_are_found_by_their_length():
    def chunked(q, k, v, chunk_size=32):
        at = torch.arange(k.shape[2]) % chunk_size
        v = v * (at != chunk_size - 1)[:, None]
        return (q[..., None, :] @ torch.cumsum(k[..., :, None] * v[..., None, :], dim=2))[..., 0, :]

    assert words(chunked, "linear_attention", ["chunk lengths"])[0] == {"chunk lengths": Word.WRONG}


@pytest.mark.parametrize(("separate", "word"), [(True, Word.ROUNDING), (False, Word.WRONG)])
def test_packed_sequences_are_told_apart_by_their_boundaries(separate, word):
    def packed(q, k, v, cu_seqlens=None):
        ends = [0, q.shape[2]] if cu_seqlens is None or not separate else cu_seqlens.tolist()
        layer = pairing("softmax_attention").layer
        pieces = [layer(*(x[:, :, a:b] for x in (q, k, v))).o for a, b in pairwise(ends)]
        return torch.cat(pieces, dim=2)

    assert words(packed, "softmax_attention", ["packed"])[0] == {"packed": word}


def test_splits_are_drawn_anew_from_the_seed():
    def said(seed):
        found = audit(pairing("delta_rule").layer, "delta_rule", probes=["hand-over"], seed=seed).findings
        return found[0].reasons[0]

    assert said(1) == said(1)
    assert len({said(seed) for seed in range(4)}) > 1
    assert np.all([" 1, " in said(seed) for seed in range(4)])
