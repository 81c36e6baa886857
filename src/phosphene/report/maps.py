"""The page of a folder of maps: every map with each picture beside its numbers.

It is built from the artifacts alone, one after the other, so that a folder of a thousand maps needs the memory of one.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from phosphene.core.files import clear_leftovers, write_atomically
from phosphene.report.evidence import Evidence, load_evidence
from phosphene.report.page import render_template
from phosphene.report.section import FULL, LEAN, Section, describe_map
from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.store import artifact_paths

MANY = 100  # beyond this many maps pictures are smaller and the development is left out


def write_report(folder: Path) -> Path:
    """Write `<folder>/report.html` and return its path; raises `ArtifactError` where there are no maps to show."""
    paths = artifact_paths(folder)
    detail = FULL if len(paths) <= MANY else LEAN
    sections = [describe_map(SaliencyMap.load(path), number, detail) for number, path in enumerate(paths, start=1)]
    digests = {path.name: section.digest for path, section in zip(paths, sections, strict=True)}
    target = folder / "report.html"
    clear_leftovers(folder)
    write_atomically(target, render_report(sections, load_evidence(folder, digests)).encode())
    return target


def render_report(sections: Sequence[Section], scores: Evidence | None = None) -> str:
    """The HTML of the page; `scores` are those of the whole run, where `phosphene evaluate` has measured them."""
    return render_template(
        "report.html",
        sections=sections,
        evidence=scores,
        models=list(dict.fromkeys(section.model for section in sections)),
        data_using=[section.concept for section in sections if section.uses_data],
        lean=len(sections) > MANY,
        median_fidelity=statistics.median(section.scores.fidelity.probability for section in sections),
        version=version("phosphene"),
    )
