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
    """Write the page to read a result: FOLDER/report.html of maps or of a comparison, SCAN.html of a scan, and
    FOLDER/beside.html of maps by several models (`map --beside`), with a report.html of each. No network."""

    path = write_scan_page(source) if source.exists() and not source.is_dir() else write_folder_page(source)
    echo(json.dumps({"report": str(path)}) if as_json else f"report: {path.resolve()}")


def write_folder_page(folder: Path) -> Path:
    """The page of whatever record lies in the folder, else of its maps."""
    from phosphene.beside import record as beside
    from phosphene.diff import record as diff
    from phosphene.report import write_report
    from phosphene.report.beside import write_beside_report
    from phosphene.report.diff import write_diff_report

    pages = {diff.FILE: write_diff_report, beside.FILE: write_beside_report}
    return next((write for file, write in pages.items() if (folder / file).is_file()), write_report)(folder)


def write_scan_page(record: Path) -> Path:
    from phosphene.report.scan import write_scan_report
    from phosphene.scanner.record import Scan

    return write_scan_report(Scan.load(record), record.with_suffix(".html"))
