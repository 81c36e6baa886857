"""The report: one HTML file that shows every map of a folder, each picture beside its numbers.

The file needs nothing else: pictures are data URIs, styles are inline, there is no script. It is built from the
artifacts alone, one after the other, so that a folder of a thousand maps needs the memory of one.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import jinja2

from phosphene.core.files import write_atomically
from phosphene.report.evidence import Evidence, load_evidence
from phosphene.report.section import FULL, LEAN, Section, section
from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.store import artifact_paths

MANY = 100  # beyond this many maps pictures shrink and the development is left out


def write_report(folder: Path) -> Path:
    """Write `<folder>/report.html` and return its path; raises `ArtifactError` where there are no maps to show."""
    paths = artifact_paths(folder)
    detail = FULL if len(paths) <= MANY else LEAN
    sections = [section(SaliencyMap.load(path), number, detail) for number, path in enumerate(paths, start=1)]
    digests = {path.name: part.digest for path, part in zip(paths, sections, strict=True)}
    target = folder / "report.html"
    write_atomically(target, page(sections, load_evidence(folder, digests)).encode())
    return target


def page(sections: list[Section], found: Evidence | None = None) -> str:
    """The HTML of the report."""
    template = _environment().get_template("report.html")
    return template.render(
        sections=sections,
        evidence=found,
        models=_unique(section.model for section in sections),
        data_using=[part.concept for part in sections if any(check.name == "data-using" for check in part.checks)],
        lean=len(sections) > MANY,
        median_fidelity=statistics.median(part.fidelity[0].probability for part in sections if part.fidelity)
        if any(part.fidelity for part in sections) else None,
        version=version("phosphene"),
    )  # fmt: skip


def probability(share: float) -> str:
    """A softmax share as per cent: it is never nothing and never all, so it is not rounded to them."""
    if share < 0.001:
        return "<0.1%"
    return ">99.9%" if share > 0.999 else f"{share:.1%}"


def rate(share: float) -> str:
    """A counted or measured share as per cent; none and all are possible, and only they are called 0% and 100%."""
    return f"{share:.0%}" if share in (0, 1) else probability(share)


def p_value(value: float) -> str:
    """Two digits that count; below a thousandth the digits would promise more than a test can know."""
    return "<0.001" if value < 0.001 else f"{value:.2g}"


def number(value: float) -> str:
    """Two decimals and a true minus sign."""
    return f"{value:.2f}".replace("-", "−")


def _environment() -> jinja2.Environment:
    """Everything is escaped: names in an artifact are other people's text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("phosphene.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"probability": probability, "rate": rate, "number": number, "p_value": p_value}
    return environment


def _unique(models: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    seen: list[dict[str, object]] = []
    for model in models:
        if model not in seen:
            seen.append(model)
    return seen
