"""What a user may give a scan beside the model: a base, and clean pictures. A scan needs neither."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phosphene.cli.options import Source

if TYPE_CHECKING:
    from phosphene.model.classifier import Classifier
    from phosphene.scanner.record import Scan

TENSORS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")


@dataclass(frozen=True)
class Given:
    """Optional evidence."""

    against: Annotated[
        str | None,
        typer.Option(
            metavar="BASE",
            help="A clean base or an earlier checkpoint: as MODEL, as weights for the same --factory, or as the JSON "
            "of its scan. What differs from it counts too.",
        ),
    ] = None
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="One or more clean pictures, on which what is found is tried."),
    ] = None


def open_against(base: str, model: str | None, source: Source) -> Classifier | Scan:
    """The record of a scan (.json); tensors for the same factory or MODEL where that takes weights; else a MODEL.

    Raises `ArtifactError` for a JSON file that is no scan, and what `Source.load` raises.
    """
    path = Path(base)
    if path.suffix == ".json" and path.is_file():
        from phosphene.scanner.record import Scan

        return Scan.load(path)
    if path.suffix in TENSORS and path.is_file() and (source.factory or source.weights):
        return replace(source, weights=path).load(model).replace(name=path.stem)
    return replace(source, weights=None, factory=None).load(base)


def describe_given(scan: Scan) -> list[str]:
    """What the base adds, and what the candidate does to the pictures, a line each."""
    lines = []
    if scan.against is not None:
        from phosphene.report.scan.base import summarize_base

        lines.append(f"base: {summarize_base(scan.against)}")
    if scan.images is not None:
        from phosphene.report.scan.pictures import summarize_pictures

        lines.append(f"pictures: {summarize_pictures(scan.images)}")
    return lines
