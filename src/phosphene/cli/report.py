"""`phosphene report`: the page to read a result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from phosphene.cli.options import Json
from phosphene.cli.terminal import echo


def run_report(
    source: Annotated[
        Path,
        typer.Argument(metavar="FOLDER|SCAN", help="The --out folder of `map` or `diff`, or the JSON of a scan."),
    ],
    as_json: Json = False,
) -> None:
    """Write the page to read a result: FOLDER/report.html of maps or of a comparison, SCAN.html of a scan. One file, no
    network."""
    from phosphene.diff.record import FILE
    from phosphene.report import write_report
    from phosphene.report.diff import write_diff_report

    if source.exists() and not source.is_dir():
        path = write_scan_page(source)
    else:
        path = write_diff_report(source) if (source / FILE).is_file() else write_report(source)
    echo(json.dumps({"report": str(path)}) if as_json else f"report: {path.resolve()}")


def write_scan_page(record: Path) -> Path:
    from phosphene.report.scan import write_scan_report
    from phosphene.scanner.record import Scan

    return write_scan_report(Scan.load(record), record.with_suffix(".html"))
