"""One question a script: each measures, stores its rows, and renders a section from the stored rows alone.

One BLAS thread, set before NumPy is loaded: on small matrices a second one only waits, NumPy's and SciPy's pools
fight over the cores, and the last digits of stored rows would depend on the machine's number of cores.
"""

import os

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
