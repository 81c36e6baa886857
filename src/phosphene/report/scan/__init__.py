"""The page of a backdoor scan: one HTML file from its record alone; neither the model nor torch models are needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import UndefinedError

from phosphene.core.files import write_atomically
from phosphene.errors import DamagedArtifact
from phosphene.report import _environment
from phosphene.report.scan import drawings, wording
from phosphene.report.scan.again import command, snippet
from phosphene.report.section import Picture, worded
from phosphene.scanner.record import VERDICTS, ClassEvidence, Scan, Trigger

SHOWN = 25  # classes of the ranking that are in sight; the rest folds away


@dataclass(frozen=True)
class Column:
    """A statistic of the ranking."""

    name: str
    label: str
    means: str


def write_scan_report(scan: Scan, path: Path) -> Path:
    """Write the page to `path` and return it; raises `DamagedArtifact` where the record is not what a scan writes."""
    write_atomically(path, scan_page(scan).encode())
    return path


def scan_page(scan: Scan) -> str:
    """The HTML of the page."""
    if scan.verdict not in VERDICTS or not scan.classes:
        raise DamagedArtifact(f"the verdict {scan.verdict!r} over {len(scan.classes)} classes is none; expected one of "
                              f"{', '.join(VERDICTS)} over at least one class")  # fmt: skip
    try:
        return _environment().get_template("scan.html").render(_told(scan))
    except (TypeError, ValueError, LookupError, AttributeError, UndefinedError) as error:
        raise DamagedArtifact(
            f"the record is no scan: {type(error).__name__} {error}; expected what `phosphene scan --json` prints"
        ) from error


def _told(scan: Scan) -> dict[str, Any]:
    ranking, names = scan.ranking(), [one.name for one in scan.classes]
    target = scan.target.index if scan.target else None
    return {
        "scan": scan,
        "ranking": ranking, "shown": SHOWN, "columns": _columns(scan.classes), "dots": drawings.dots(ranking),
        "wording": wording, "words": wording.WORDINGS[scan.verdict],
        "headline": wording.headline(scan), "advice": wording.advice(scan),
        "pictures": _pictures(scan.trigger) if scan.trigger else {},
        "plot": drawings.plot(scan.curve) if scan.curve else None,
        "grid": drawings.grid(scan.pairs, names, target) if scan.pairs and len(scan.pairs.classes) > 1 else None,
        "settings": {name.replace("_", " "): worded(value) for name, value in scan.settings.items()},
        "command": command(scan), "snippet": snippet(scan),
    }  # fmt: skip


def _pictures(trigger: Trigger) -> dict[str, Picture]:
    return {name: drawings.picture(getattr(trigger, name), name) for name in ("mask", "pattern", "example", "stamped")}


def _columns(classes: tuple[ClassEvidence, ...]) -> list[Column]:
    present = list(dict.fromkeys(name for one in classes for name in one.statistics))
    unknown = "a statistic that this version has no words for"
    words = wording.statistic_words()
    return [Column(name, *words.get(name, (name, unknown))) for name in wording.statistic_names(present)]
