"""Measure, store, read back, render: `python -m analysis [NAME ...] [--render-only] [--out FOLDER]`.

Each analysis writes its rows, a Markdown report and figures; the page `index.html` is made of all that are
stored. What is in `ON_REQUEST` is measured only when named: it takes long, other libraries along, or its rows are
times, which no second run repeats. `ttr report` in this folder does the same. Exit status: 0 done, 2 a bad name, stored
rows or folder, 3 a cell failed, 130 interrupted (what was finished is kept).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.layer_names import layer_names
from ttr_numerics.publish import Analyses, Refusal, publish_analyses

ANALYSES = (
    "recall_error",
    "conditioning",
    "precision",
    "capacity",
    "age",
    "key_covariance",
    "state_in_use",
    "qk_norm",
    "mqar",
    "design_space",
)
ON_REQUEST = (
    "kernel_shape",
    "switching",
    "drift",
    "mqar_trained",
    "performance",
    "peers",
    "ecosystem",
    "soundness",
    "verdicts",
)
TITLE = "Sequence layers as regressors"
LEAD = (
    "A sequence layer with associative memory is a regression fitted at test time. How far layers are from "
    "the regression each of them stands for, why, and how certain that is: on random keys and on the keys of "
    "a language model."
)


def registered() -> Analyses:
    """What `ttr report` finds in this folder."""
    return Analyses("analysis", ANALYSES, ON_REQUEST, TITLE, LEAD, layer_names())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the analyses named on the command line, all of them by default; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description=(__doc__ or "").partition("\n")[0])
    named = f"any of {', '.join(ANALYSES)} (default: all of these)"
    named += "".join(f", or {name}, measured only when named" for name in ON_REQUEST)
    parser.add_argument("names", nargs="*", metavar="NAME", help=named)
    parser.add_argument("--render-only", action="store_true", help="render the stored rows, measure nothing")
    parser.add_argument("--out", type=Path, default=Path("reports"), metavar="FOLDER", help="default: reports")
    options = parser.parse_args(arguments)
    try:
        done = publish_analyses(registered(), options.names, options.out, measuring=not options.render_only)
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nInterrupted; the analyses that had finished are in {options.out}.", file=sys.stderr)
        return 130
    print("\n".join(done.lines()))
    print("\n".join(done.failures), end="\n" if done.failures else "", file=sys.stderr)
    return 3 if done.failures else 0


if __name__ == "__main__":
    sys.exit(main())
