"""Un-normalised softmax: a Hebbian memory on the infinitely many features of the exponential kernel."""

from ttr_numerics.arrays import Array, concat, namespace, quiet
from ttr_numerics.axes import Cache, Output, check_sequence, extended
from ttr_numerics.layers.blocks import causal
from ttr_numerics.layers.softmax import exponentials

__all__ = ["exponential_attention"]


def exponential_attention(q: Array, k: Array, v: Array, *, initial_state: Cache | None = None) -> Output:
    """o_t = Σ_{i≤t} exp(q_t·k_i) v_i: linear attention on features φ with φ(x)'φ(y) = exp(x'y).

    Nothing divides, so nothing stabilises: a row is summed in units of its largest weight, and is ±inf where the
    answer overflows (88.7 nats in float32). The state is `Cache(k, v)`: φ has no finite form.
    Reference: Katharopoulos et al., arXiv 2006.16236, section 3.2 (the numerator of softmax); arXiv 2501.12352, 3.1.
    """
    check_sequence(q, k, v)
    cache = extended(initial_state, k, v)
    xp, outputs = namespace(q), []
    for block in causal(q, cache.k.shape[-2]):
        k, v = (x[..., block.keys, :] for x in cache)
        weights, largest = exponentials(q[..., block.rows, :] @ xp.matrix_transpose(k), block.visible)
        with quiet():  # an answer beyond the largest number is infinite
            outputs.append(xp.exp(largest) * (weights @ v))
    return Output(concat(outputs, -2) if outputs else cache.v[..., :0, :], cache)
