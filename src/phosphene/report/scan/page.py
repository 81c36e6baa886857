"""The page of a scan: its record as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import UndefinedError

from phosphene.core.files import write_atomically
from phosphene.errors import DamagedArtifact
from phosphene.report.page import Picture, format_fields, render_template
from phosphene.report.scan import drawings, wording
from phosphene.report.scan.base import build_base_section, explain_scores, rank_differences
from phosphene.report.scan.pictures import build_pictures_section
from phosphene.report.scan.rerun import format_scan_command, format_scan_snippet
from phosphene.scanner.record import VERDICTS, ClassEvidence, Scan, Trigger

SHOWN = 25  # classes of the ranking that are visible at once; the others can be unfolded


@dataclass(frozen=True)
class Column:
    """A statistic of the ranking."""

    name: str
    label: str
    means: str


def write_scan_report(scan: Scan, path: Path) -> Path:
    """Write the page to `path` and return it; raises `DamagedArtifact` where the record is not what a scan writes."""
    write_atomically(path, render_scan(scan).encode())
    return path


def render_scan(scan: Scan) -> str:
    """The HTML of the page."""
    if scan.verdict not in VERDICTS or not scan.classes:
        raise DamagedArtifact(
            f"the verdict {scan.verdict!r} over {len(scan.classes)} classes is none; expected one of "
            f"{', '.join(VERDICTS)} over at least one class"
        )
    try:
        return render_template("scan.html", **_collect_values(scan))
    except (TypeError, ValueError, LookupError, AttributeError, UndefinedError) as error:
        raise DamagedArtifact(
            f"the record is no scan: {type(error).__name__} {error}; expected what `phosphene scan --json` prints"
        ) from error


def _collect_values(scan: Scan) -> dict[str, Any]:
    """What the template needs."""
    ranking = scan.ranking()
    return {
        "scan": scan,
        "ranking": ranking,
        "shown": SHOWN,
        "columns": _list_columns(scan.classes),
        "dots": drawings.place_dots(ranking),
        "wording": wording,
        "words": wording.WORDINGS[scan.verdict],
        "headline": wording.write_headline(scan),
        "advice": wording.list_advice(scan),
        "pictures": _embed_pictures(scan.trigger) if scan.trigger else {},
        "plot": drawings.build_plot(scan.curve) if scan.curve else None,
        "grid": _build_grid(scan),
        "base": build_base_section(scan),
        "scores_with_base": explain_scores(scan),
        "in_nats": scan.own_classes is not None or rank_differences(scan),
        "pictures_used": build_pictures_section(scan),
        "settings": format_fields({name: value for name, value in scan.settings.items() if value != ""}),
        "command": format_scan_command(scan),
        "snippet": format_scan_snippet(scan),
    }


def _build_grid(scan: Scan) -> drawings.Grid | None:
    if scan.pairs is None or len(scan.pairs.classes) < 2:
        return None
    target = scan.target.index if scan.target else None
    return drawings.build_grid(scan.pairs, [one.name for one in scan.classes], target)


def _embed_pictures(trigger: Trigger) -> dict[str, Picture]:
    names = ("mask", "pattern", "example", "stamped")
    return {name: drawings.embed_png(getattr(trigger, name), name) for name in names}


def _list_columns(classes: Sequence[ClassEvidence]) -> list[Column]:
    present = list(dict.fromkeys(name for one in classes for name in one.statistics))
    unknown = "a statistic that this version does not describe"
    known = wording.describe_statistics()
    return [Column(name, *known.get(name, (name, unknown))) for name in wording.order_statistics(present)]
