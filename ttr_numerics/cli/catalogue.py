"""`ttr layers` and `ttr derive`: what the catalogue knows."""

import argparse
import json
from typing import Any

__all__ = ["add"]


def add(commands: Any) -> None:
    """The two commands and their flags."""
    layers = commands.add_parser("layers", help="print the catalogue: every layer and the regression it is")
    layers.add_argument("--json", action="store_true", help="the catalogue as JSON")
    layers.add_argument("--markdown", action="store_true", help="the catalogue as a Markdown table")
    layers.set_defaults(run=_layers)
    derive = commands.add_parser(
        "derive",
        help="print the derivation of a layer, proved in symbols while you wait",
        description="Print what a layer is, as equations between its own code on symbols and the closed form.",
        epilog="Exit status: 0 every equation proved, 1 one was not, 2 bad usage.",
    )
    derive.add_argument("layer", help="a name from `ttr layers`")
    derive.add_argument("--latex", action="store_true", help="as a LaTeX fragment")
    derive.set_defaults(run=_derive)


def _layers(arguments: argparse.Namespace) -> int:
    from ttr_numerics.pairs import catalogue
    from ttr_numerics.pairs.markdown import as_markdown
    from ttr_numerics.verdict.text import catalogue_json, catalogue_text

    if arguments.markdown:
        print(as_markdown(catalogue()))
    else:
        print(json.dumps(catalogue_json(catalogue()), indent=1) if arguments.json else catalogue_text(catalogue()))
    return 0


def _derive(arguments: argparse.Namespace) -> int:
    from ttr_numerics.derivations.text import as_latex, as_text
    from ttr_numerics.pairs import pairing

    row = pairing(arguments.layer)
    derivation = row.derivation()
    print((as_latex if arguments.latex else as_text)(row.name, derivation))
    return 1 if derivation.failures() else 0
