"""From a named question to its page: measure what is missing, store the rows, read them back, render.

Both `ttr report` and `python -m analysis` come here.
"""

from ttr_numerics.publish.publishing import Published, publish, publish_analyses
from ttr_numerics.publish.refusal import Refusal
from ttr_numerics.publish.studies import JOURNALS, Unmeasured, measured_rows, on_cores
from ttr_numerics.publish.target import Analyses, Target, of_analysis, of_study, takes

__all__ = [
    "JOURNALS",
    "Analyses",
    "Published",
    "Refusal",
    "Target",
    "Unmeasured",
    "measured_rows",
    "of_analysis",
    "of_study",
    "on_cores",
    "publish",
    "publish_analyses",
    "takes",
]
