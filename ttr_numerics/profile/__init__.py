"""A profile of given keys: their covariance, what each layer recalls of them, which layer and settings serve them.

profile = profiled(k, v)          # k (..., T, d_k), v (..., T, d_v) or None
print(as_text(profile))
"""

from ttr_numerics.profile.keys import Keys
from ttr_numerics.profile.profile import Profile, Served, profiled
from ttr_numerics.profile.text import as_text

__all__ = ["Keys", "Profile", "Served", "as_text", "profiled"]
