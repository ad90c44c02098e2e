"""How a server calls a layer: in pieces, token by token, from a state it saved, for two requests in turn, packed.

Each schedule gives the outputs that one pass gives; a state that is dropped, consumed or read from the wrong slot
shows in nothing else.
"""

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from ttr_numerics.pairs import Pairing
from ttr_numerics.probes.agreement import agree, how
from ttr_numerics.probes.caller import SubjectError
from ttr_numerics.probes.pieces import continued, joined, part
from ttr_numerics.probes.probe import Found, NotApplicable, Probe, bound_of, drawn, timed
from ttr_numerics.probes.subject import Case, Subject
from ttr_numerics.verdict import Word

__all__ = ["SCHEDULES"]

Arrays = dict[str, Any]
BOUNDARIES = "cu_seqlens"
CHUNKS = ("chunk", "chunk_size")


def _against_one_pass(subject: Subject, arrays: Arrays, o: np.ndarray, words: str, rows: slice = slice(None)) -> Found:
    """`o` against what one pass over `arrays` gives, at tokens `rows`."""
    case = subject.case(arrays)
    whole = subject.answer(case).o[..., rows, :]
    good, ratio, first = agree(whole, o, lambda: 2 * bound_of(subject, case).bound[..., rows])
    if good:
        return Found(Word.ROUNDING, (f"{words}: what one pass gives, {how(whole, o)}",), ratio)
    place = (*first[:-1], first[-1] + (rows.start or 0))
    return Found(Word.WRONG, (f"{words}: not what one pass gives, first at {place}",), ratio)


def _handover(subject: Subject, rng: np.random.Generator) -> Found:
    """Pieces between four random places, one of them a single token."""
    arrays = drawn(subject, rng)
    cuts = sorted(rng.choice(np.arange(2, arrays["q"].shape[-2] - 1), 3, replace=False).tolist())
    cuts = sorted({*cuts, cuts[1] - 1})
    lengths = ", ".join(str(b - a) for a, b in pairwise([0, *cuts, arrays["q"].shape[-2]]))
    return _against_one_pass(subject, arrays, joined(subject, arrays, cuts), f"pieces of {lengths} tokens")


def _decode(subject: Subject, rng: np.random.Generator) -> Found:
    """A prefill of random length, then a call a token."""
    arrays = drawn(subject, rng, T=20)
    prefill = int(rng.integers(1, 10))
    o = joined(subject, arrays, range(prefill, 20))
    return _against_one_pass(subject, arrays, o, f"a prefill of {prefill}, then one by one")


def _resumed_twice(subject: Subject, rng: np.random.Generator) -> Found:
    """From one saved state other tokens are tried first, then the ones that count."""
    arrays, tried = drawn(subject, rng), drawn(subject, rng)
    saved = continued(subject, part(arrays, subject, 0, 12)).state
    continued(subject, part(tried, subject, 12, 20), saved)
    o = continued(subject, part(arrays, subject, 12, 24), saved).o
    return _against_one_pass(subject, arrays, o, "a saved state resumed a second time", slice(12, None))


def _rolled_back(subject: Subject, rng: np.random.Generator) -> Found:
    """Accept 8 tokens, run on for 9 in three calls, reject them, go on from the 8 with others."""
    arrays, rejected = drawn(subject, rng), drawn(subject, rng)
    accepted = continued(subject, part(arrays, subject, 0, 8))
    state = accepted.state
    for start in (8, 11, 14):
        state = continued(subject, part(rejected, subject, start, start + 3), state).state
    o = joined(subject, part(arrays, subject, 8, 24), (1, 5), accepted.state)
    return _against_one_pass(subject, arrays, o, "9 tokens run and rejected, others taken", slice(8, None))


def _interleaved(subject: Subject, rng: np.random.Generator) -> Found:
    """Two sequences in turn, each with its own state."""
    both = drawn(subject, rng), drawn(subject, rng)
    states: list[Any] = [None, None]
    pieces: list[np.ndarray] = []
    for start in range(0, 24, 6):
        for i, arrays in enumerate(both):
            done = continued(subject, part(arrays, subject, start, start + 6), states[i])
            states[i] = done.state
            pieces += [done.o] if i == 0 else []
    return _against_one_pass(subject, both[0], np.concatenate(pieces, axis=-2), "two sequences in turn")


def _chunks(subject: Subject, rng: np.random.Generator) -> Found:
    """The same sequence in chunks of 16, 32 and 64 tokens."""
    name = next((n for n in CHUNKS if n in subject.caller.parameters()), None)
    if name is None:
        raise NotApplicable(f"the subject takes no {' or '.join(CHUNKS)}")
    case = subject.case(drawn(subject, rng, T=72))
    o: dict[int, np.ndarray] = {}
    for length in (16, 32, 64):
        try:
            o[length] = subject.answer(Case(case.ours, case.foreign | {name: length})).o
        except SubjectError as error:
            refused = f"{name} = {length} is refused: {error}"
    if len(o) < 2:
        raise NotApplicable(refused)
    first, *others = o
    allowed = cache(lambda: 2 * bound_of(subject, case).bound)
    found = {length: agree(o[first], o[length], allowed) for length in others}
    ratio = max(x[1] for x in found.values())
    bad = [f"{length} from token {x[2][-1]} on" for length, x in found.items() if not x[0]]
    if bad:
        return Found(Word.WRONG, (f"chunks of {' and of '.join(bad)} differ from chunks of {first}",), ratio)
    return Found(Word.ROUNDING, (f"chunks of {', '.join(map(str, o))} tokens agree",), ratio)


def _packed(subject: Subject, rng: np.random.Generator) -> Found:
    """Three sequences of 7, 1 and 16 tokens on one time axis against the three alone."""
    if BOUNDARIES not in subject.caller.parameters():
        raise NotApplicable(f"the subject takes no {BOUNDARIES}")
    arrays, ends = drawn(subject, rng), [0, 7, 8, 24]
    case = subject.case(arrays)
    packed = subject.unnoted.answer(Case(case.ours, case.foreign | {BOUNDARIES: np.array(ends)})).o
    alone = [subject.case(part(arrays, subject, *piece)) for piece in pairwise(ends)]
    o = np.concatenate([subject.answer(x).o for x in alone], axis=-2)

    def allowed() -> np.ndarray:
        return 2 * np.concatenate([bound_of(subject, x).bound for x in alone], axis=-1)

    good, ratio, first = agree(packed, o, allowed)
    if good:
        return Found(Word.ROUNDING, ("sequences of 7, 1 and 16 tokens packed together do not see each other",), ratio)
    return Found(Word.WRONG, (f"packed sequences differ from separate ones, first at {first}",), ratio)


def _stateless(row: Pairing) -> Callable[..., Any]:
    """The initial state is taken, and dropped."""
    return _receiving(row, lambda states, state: None)


def _receiving(row: Pairing, choose: Callable[[list[Any], Any], Any]) -> Callable[..., Any]:
    """The layer begun from `choose(all final states so far, the state given)`."""
    first: dict[str, Any] = {}
    states: list[Any] = []

    def faulty(q: Any, k: Any, v: Any, initial_state: Any = None, **named: Any) -> Any:
        first.update({x.name: named[x.name] for x in row.arguments if x.in_state and x.name in named})
        begun = None if initial_state is None else choose(states, initial_state)
        out = row.layer(q, k, v, **(first | named if begun is None else named | {"initial_state": begun}))
        states.append(out.state)
        return out

    return faulty


def _latest(row: Pairing) -> Callable[..., Any]:
    """The state left by the last call is read, whichever was given."""
    return _receiving(row, lambda states, state: states[-1])


def _consuming(row: Pairing) -> Callable[..., Any]:
    """A state is good for one call: given again, it is empty."""
    used: list[Any] = []

    def choose(states: list[Any], state: Any) -> Any:
        again = any(state is x for x in used)
        used.append(state)
        return None if again else state

    return _receiving(row, choose)


def _chunked(row: Pairing) -> Callable[..., Any]:
    """Every chunk begins from nothing."""

    def faulty(q: Any, k: Any, v: Any, chunk: int = 64, **named: Any) -> Any:
        arrays, long = {"q": q, "k": k, "v": v, **named}, timed(row)
        pieces = [
            {n: x[:, :, start : start + chunk] if n in long else x for n, x in arrays.items()}
            for start in range(0, q.shape[2], chunk)
        ]
        return np.concatenate([row.layer(**x).o for x in pieces], axis=2)

    return faulty


def _unpacked(row: Pairing) -> Callable[..., Any]:
    """The boundaries are taken, and forgotten."""

    def faulty(q: Any, k: Any, v: Any, cu_seqlens: Any = None, **named: Any) -> Any:
        return row.layer(q, k, v, **named)

    return faulty


SCHEDULES = (
    Probe("hand-over", "pieces that hand over the state equal one pass", _handover, _stateless, tags=("law",)),
    Probe("decode", "prefill and single steps equal one pass", _decode, _stateless, tags=("law",)),
    Probe("resumed twice", "a saved state can be used again", _resumed_twice, _consuming, tags=("law",)),
    Probe("roll back", "tokens can be rejected and others taken", _rolled_back, _latest, tags=("law",)),
    Probe("interleaved", "two sequences in turn do not see each other", _interleaved, _latest, tags=("law",)),
    Probe("chunk lengths", "the length of a chunk changes nothing", _chunks, _chunked, tags=("law",)),
    Probe("packed", "packed sequences equal separate ones", _packed, _unpacked, tags=("law",)),
)
