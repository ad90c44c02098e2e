"""How far rounding alone may move a layer's output, per token and head: derived from data, never typed.

The layer's own code runs R times in float64 with random rounding errors of the declared contract (stochastic
replicas, `arrays.rounded`) and once in that arithmetic itself. So do its other sound forms, such as chunk-parallel
ones, whose errors can be far larger (a triangular system of correlated keys); the widest counts. For replica errors
e_r and a sound subject's error e, exchangeable Gaussian vectors of any covariance, ‖e‖² R / Σ‖e_r‖² has its heaviest
tail where the covariance has rank one, where it is F(1, R). So

    bound = max( t_R(1 - α/2N) · √(Σ‖e_r‖²/R),  3 ‖e_nearest‖ ) + output rounding + underflow,

with N positions judged together and α the chance of one false alarm in the whole comparison, for subjects that round
like one of the forms. The factor 3 on the runs to nearest covers rounding that is biased (repeated keys, constant
gates), which random errors do not show; float64, whose own run is the reference, is run with four bits fewer instead,
and that error divided by 2⁴. Where keys, values and gates are all constant, sound code of another order reached 2.6.
R, α and that 3 are choices; the rest is derived. What runs, sums term by term among it, is said in one place, `policy`.

In a head where the bound exceeds most answers, and runs to nearest miss by a whole one at a tenth of the positions,
errors are no longer linear in the roundings: the bound is infinite wherever it exceeds the answer.

Output rounding is that of a format coarser than the contract's finest, u‖o_t‖; underflow is what the operations of the
contract's widest floor, and the output's, may lose.
"""

from ttr_numerics.tolerance.bound import BIAS, FALSE_ALARM, Rounding, quantile, rounding
from ttr_numerics.tolerance.norms import row_norms
from ttr_numerics.tolerance.policy import REPLICAS
from ttr_numerics.tolerance.runs import run_as

__all__ = ["BIAS", "FALSE_ALARM", "REPLICAS", "Rounding", "quantile", "rounding", "row_norms", "run_as"]
