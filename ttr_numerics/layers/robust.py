"""Online M-estimation and mirror descent: one step a token on a loss of the error, at the undecayed memory.

    e_t = v_t - k_t g(A_{t-1});   A_t = diag(exp log_decay_t) A_{t-1} + k_t' β_t ψ(e_t);   o_t = q_t g(A_t)

The influence ψ is the derivative of the loss; the link g maps the state A to the memory: the identity for gradient
descent, a softmax for exponentiated gradient. With both the identity and no leak it is the delta rule.
Reference: Behrouz et al. (MIRAS), arXiv 2504.13173.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from ttr_numerics.arrays import Array, as_residual, as_state, namespace, row_maximum
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_token
from ttr_numerics.recurrence import sequential

__all__ = ["entrywise_huber_delta_rule", "exponentiated_gradient_rule", "huber_delta_rule", "lp_delta_rule"]


def huber_delta_rule(
    q: Array,
    k: Array,
    v: Array,
    *,
    beta: Array,
    delta: Array,
    log_decay: Array | None = None,
    initial_state: Array | None = None,
) -> Output:
    """ψ(e) = e min(1, δ_t/‖e‖), the gradient of Huber's loss of the error's norm: whole errors are shortened to δ_t.

    beta, delta (..., T), delta above 0 and finite; log_decay (..., T) or (..., T, d_k), default 0. Does not change
    with a rotation of the values. Reference: MIRAS (Yaad), arXiv 2504.13173, the norm-based Huber bias.
    """
    return _online(_shortened, _identity, q, k, v, beta, log_decay, initial_state, _thresholds(delta, q))


def entrywise_huber_delta_rule(
    q: Array,
    k: Array,
    v: Array,
    *,
    beta: Array,
    delta: Array,
    log_decay: Array | None = None,
    initial_state: Array | None = None,
) -> Output:
    """ψ(e) = max(-δ_t, min(e, δ_t)), the gradient of Huber's loss of every entry: each is clipped at δ_t on its own.

    Arguments as of `huber_delta_rule`. Every value channel is a robust regression of its own.
    Reference: MIRAS, arXiv 2504.13173, the coordinate-wise Huber bias; Huber, Ann. Math. Stat. 35 (1964) 73.
    """
    return _online(_clipped, _identity, q, k, v, beta, log_decay, initial_state, _thresholds(delta, q))


def lp_delta_rule(
    q: Array,
    k: Array,
    v: Array,
    *,
    beta: Array,
    p: float,
    retention: float = 2.0,
    log_decay: Array | None = None,
    initial_state: Array | None = None,
) -> Output:
    """ψ(e) = sign(e)|e|^{p-1}, the gradient of Σ|e_j|^p/p; the memory is g(A) = A/‖A‖_r^{r-2}, r = `retention`.

    p at least 1; beta (..., T) carries no hidden factor p; the norm is that of all entries of A, and g(A) = A for
    r = 2. Reference: MIRAS (Moneta), arXiv 2504.13173, where the loss has no 1/p. The mirror map of ‖·‖_r also
    raises entries to a power, which the published g leaves out.
    """
    if not p >= 1:
        raise ValueError(f"p: expected at least 1, got {p}")
    if not retention >= 1:
        raise ValueError(f"retention: expected at least 1, got {retention}")
    link = _identity if retention == 2 else partial(_normalised, order=retention)
    return _online(partial(_power, p=p), link, q, k, v, beta, log_decay, initial_state)


def exponentiated_gradient_rule(
    q: Array,
    k: Array,
    v: Array,
    *,
    beta: Array,
    log_decay: Array | None = None,
    initial_state: Array | None = None,
) -> Output:
    """S_t = softmax(γ_t log S_{t-1} + k_t' β_t (v_t - k_t S_{t-1})), columns of S_t distributions over key channels.

    The state is the logits A, with S = softmax(A) over the key channels, zero for a uniform memory; γ = exp log_decay
    tempers towards it. Memories of mass c are calls with c q, c k and beta/c.
    Reference: Kivinen and Warmuth, Inf. Comput. 132 (1997) 1; MIRAS (Memora), arXiv 2504.13173.
    """
    return _online(_itself, _softmax, q, k, v, beta, log_decay, initial_state)


def _online(
    influence: Callable[..., Array],
    link: Callable[[Array], Array],
    q: Array,
    k: Array,
    v: Array,
    beta: Array,
    log_decay: Array | None,
    initial_state: Array | None,
    *thresholds: Array,
) -> Output:
    """The recursion of the module with ψ = `influence(e_t, *thresholds_t)`, g = `link`."""
    check_sequence(q, k, v)
    gate = namespace(q).zeros_like(q[..., 0]) if log_decay is None else log_decay
    gates = per_token("beta", beta, q), per_token("log_decay", gate, q, channels=True), *thresholds

    def step(A: Array, q: Array, k: Array, v: Array, beta: Array, log_decay: Array, *rows: Array) -> Any:
        xp = namespace(A)
        wanted = beta * influence(as_residual(v - k @ link(A)), *rows)
        A = xp.matrix_transpose(xp.exp(log_decay)) * A + xp.matrix_transpose(k) @ wanted
        return A, q @ link(as_state(A))

    return sequential(step, initial_matrix(initial_state, q, v), q, k, v, *gates)


def _thresholds(delta: Array, q: Array) -> Array:
    """delta (..., T, 1), refused unless above 0."""
    delta = per_token("delta", delta, q)
    if delta.dtype != object and not bool(namespace(delta).all(delta > 0)):  # NaN fails this comparison too
        raise ValueError(f"delta: expected above 0, got {float(namespace(delta).min(delta))}")
    return delta


def _itself(error: Array) -> Array:
    return error


_identity = _itself


def _shortened(error: Array, delta: Array) -> Array:
    return error * _shrinkage(namespace(error).sum(error * error, axis=-1, keepdims=True), delta)


def _clipped(error: Array, delta: Array) -> Array:
    return error * _shrinkage(error * error, delta)


def _shrinkage(square: Array, delta: Array) -> Array:
    """min(1, δ/√square). The maximum comes before the root: no division by zero, and a finite slope at zero."""
    xp = namespace(square)
    return delta / xp.sqrt(xp.maximum(square, delta * delta))


def _power(error: Array, p: float) -> Array:
    xp = namespace(error)
    return xp.sign(error) * xp.abs(error) ** (p - 1)


def _normalised(A: Array, order: float) -> Array:
    """A/‖A‖_r^{r-2}, 0 where A is 0."""
    xp = namespace(A)
    powers = xp.sum(xp.sum(xp.abs(A) ** order, axis=-1, keepdims=True), axis=-2, keepdims=True)
    return A / xp.where(powers == 0, xp.ones_like(powers), powers) ** ((order - 2) / order)


def _softmax(A: Array) -> Array:
    """Columns exp(a_ij)/Σ_i exp(a_ij)."""
    xp = namespace(A)
    rows = xp.matrix_transpose(A)
    weights = xp.exp(rows - row_maximum(rows))
    return xp.matrix_transpose(weights / xp.sum(weights, axis=-1, keepdims=True))
