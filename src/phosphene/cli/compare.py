"""`phosphene compare`: is a map that was made again the same?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phosphene.cli.options import Json
from phosphene.cli.terminal import echo
from phosphene.core.text import make_one_line

if TYPE_CHECKING:
    from phosphene.evidence.compare import Comparison


def run_compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A .safetensors map, or a folder of maps.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="The same made again.")],
    as_json: Json = False,
) -> None:
    """Compare maps with the same made again: bit for bit or, read against other seeds, up to the noise of the seed.

    Maps of other seeds are those that `phosphene evaluate A --seeds N` has made.
    """
    from phosphene.evidence.compare import compare, pair_files

    comparisons = [compare(*pair) for pair in pair_files(first, second)]
    if as_json:
        echo(json.dumps([{**asdict(one), "verdict": one.verdict} for one in comparisons], indent=2))
    else:
        echo("\n".join(make_one_line(line) for one in comparisons for line in describe_comparison(one)))


def describe_comparison(comparison: Comparison) -> list[str]:
    """The verdict, the distance beside that of other seeds, and what the two artifacts say otherwise."""
    seeds = ", ".join(f"{cosine:.2f}" for cosine in comparison.seeds)
    beside = f"; other seeds: {seeds}" if seeds else ""
    distance = f"cosine {comparison.cosine:.4f}, largest difference {comparison.largest:.2g}{beside}"
    differences = [f"  {name}: {one} | {other}" for name, (one, other) in comparison.differ.items()]
    return [f"{comparison.concept}: {comparison.verdict}", f"  {distance}", *differences]
