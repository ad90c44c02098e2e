"""The one recurrence, twice: the time loop that defines a layer, and the chunk-parallel form that computes it.

*Sequential*: (S_t, o_t) = step(S_{t-1}, x_t). A causal layer with a state of fixed size is its step.

*Chunk-parallel*, for states that are linear in themselves,

    S_t = diag(exp log_decay_t) S_{t-1} + k_t' (v_t - e_t S_{t-1});   o_t = q_t S_t.

The row e_t reads the undecayed state; to read the decayed one a layer substitutes e_t ← e_t exp(log_decay_t), which
divides by nothing. With Γ the decay between two tokens of a chunk, its own included, Γ⁻ the same without its own,
and S the state before the chunk, the written rows w_t = v_t - e_t S_{t-1} solve one unit lower triangular system T,
and everything else is a matrix product:

    T = I + tril(EΓ⁻K', -1);   [U | R] = T⁻¹ [V | EΓ⁻_0];   W = U - R S;
    O = (QΓ_0) S + tril(QΓK') W;   S ← Γ_C S + (KΓ_C)' W.

Only W, O and S depend on the state: the first line is solved for many chunks at once, by substitution. Solving for
V - EΓ⁻_0 S chunk by chunk is slower, and no more accurate: errors of the two were within a factor 2.2 of each other in
float32 and float64, for random, repeated, near-parallel and unnormalised keys, β up to 2. Without e (additive layers)
W = V. A token that writes several times is several rows, one after the other, of which the first alone decays.
Reference: Yang et al., arXiv 2406.06484, section 3.2 (the UT transform); arXiv 2412.06464, section 3.3.
"""

from ttr_numerics.recurrence.chunks import chunk_parallel, micro_steps
from ttr_numerics.recurrence.loop import sequential
from ttr_numerics.recurrence.rows import Rows

__all__ = ["Rows", "chunk_parallel", "micro_steps", "sequential"]
