"""The assertions: an audit of a function, a check of numbers; silence, or an AssertionError that is the verdict."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ttr_numerics.convention import Convention
from ttr_numerics.probes import Audit, Finding, audit
from ttr_numerics.testing.message import message
from ttr_numerics.testing.record import record
from ttr_numerics.verdict import Verdict, check
from ttr_numerics.verdict.text import as_text

__all__ = ["assert_layer", "assert_output"]


def assert_layer(
    function: Callable[..., Any],
    layer: str | Callable[..., Any],
    *,
    convention: Convention | None = None,
    dtype: str = "float32",
    contract: str | None = None,
    library: str = "torch",
    quick: bool = True,
    seed: int = 0,
) -> Audit:
    """Assert that `function` behaves as `layer` does under every probe; arguments as in `ttr_numerics.audit`.

    The seed is fixed, so that a test suite gives the same answer twice. Returns the audit. Raises AssertionError with
    the verdict where a probe says wrong, where the function fails to run, and where nothing is decided.

    >>> import ttr_numerics as ttr
    >>> assert_layer(ttr.layers.linear_attention, "linear_attention", library="numpy").status
    0
    """
    __tracebackhide__ = True
    found = audit(
        function,
        layer,
        convention=convention,
        dtype=dtype,
        contract=contract,
        library=library,
        quick=quick,
        seed=seed,
    )
    target = getattr(function, "__name__", type(function).__name__)
    record(target, found)
    if found.status:
        raise AssertionError(message(found, target))
    return found


def assert_output(
    o: Any,
    layer: str | Callable[..., Any],
    *,
    convention: Convention | None = None,
    dtype: str | None = None,
    **arrays: Any,
) -> Verdict:
    """Assert that the output `o` is what `layer` gives on `arrays`; arguments as in `ttr_numerics.check`.

    Returns the verdict. Raises AssertionError with the verdict where it is wrong or inconclusive.

    >>> import numpy as np, ttr_numerics as ttr
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 1, 8, 4))
    >>> assert_output(ttr.layers.softmax_attention(q, k, v).o, "softmax_attention", q=q, k=k, v=v).status
    0
    """
    __tracebackhide__ = True
    verdict = check(o, layer, dtype=dtype, convention=convention, **arrays)
    record("stored output", _as_audit(verdict))
    if verdict.status:
        raise AssertionError(as_text(verdict))
    return verdict


def _as_audit(verdict: Verdict) -> Audit:
    """One verdict as an audit of one probe."""
    finding = Finding(
        "given arrays",
        "equals the layer on the arrays of this test",
        verdict.word,
        verdict.reasons,
        float(np.max(verdict.ratio)),
    )
    return Audit(verdict.layer, verdict.arithmetic, 0, (finding,))
