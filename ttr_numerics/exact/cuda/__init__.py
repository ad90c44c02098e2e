"""Prefix solvers as CUDA kernels, for a caller who has a device and asks for them; nothing chooses them.

The kernels have been compiled for sm_80 and sm_90 and their arithmetic verified on a CPU, not timed on a device.
"""

from ttr_numerics.exact.cuda.correlation_prefixes import correlation_prefixes_by_kernel
from ttr_numerics.exact.cuda.ridge_prefixes import ridge_prefixes_by_kernel

__all__ = ["correlation_prefixes_by_kernel", "ridge_prefixes_by_kernel"]
