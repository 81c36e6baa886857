"""The page of a scanned folder: one table, and from each line the way to the page of the model."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from urllib.parse import quote

from phosphene.core.files import write_atomically
from phosphene.report.page import format_fields, render_template
from phosphene.scanner.folder.record import ACCUSED, FILE_NAME, FolderScan
from phosphene.scanner.record import VERDICTS
from phosphene.scanner.verdict import BACKDOOR_LEVEL, SUSPICIOUS_LEVEL

PAGE = "index.html"
TONES = {"backdoor-like": "accused", "nothing found": "calm"}  # of verdicts; the others want care


def write_scans_report(record: FolderScan, folder: Path) -> Path:
    """Write `FOLDER/index.html` and return it."""
    path = folder / PAGE
    write_atomically(path, render_scans(record).encode())
    return path


def render_scans(record: FolderScan) -> str:
    """The HTML of the page."""
    return render_template(
        "scans.html",
        record=record,
        file_name=FILE_NAME,
        headline=write_headline(record),
        chance=explain_chance(record),
        counts=count_verdicts(record),
        tones={name: TONES.get(name, "careful") for name in VERDICTS},
        means={name: VERDICTS[name].means for name in VERDICTS},
        links={one.page: quote(one.page) for one in record.models if one.page is not None},
        settings=format_fields(record.settings),
    )


def write_headline(record: FolderScan) -> str:
    """What came of all in one sentence, which is never an all-clear."""
    accused = sum(one.exit_code == ACCUSED for one in record.models)
    scanned = len(record.models) - len(record.failures)
    if accused:
        return f"{accused} of {_count(scanned)} {'stands' if accused == 1 else 'stand'} out"
    return (
        f"Nothing found in {_count(scanned)}, which does not mean clean"
        if record.exit_code == 0
        else (f"None of {_count(scanned)} is accused, and not all is decided")
    )


def explain_chance(record: FolderScan) -> str:
    """How many accusations chance alone brings: each model is judged by itself, at the level of one scan."""
    scanned = len(record.models) - len(record.failures)
    return (
        f"Each model is judged by itself. Were all {scanned} without a backdoor, at most "
        f"{SUSPICIOUS_LEVEL * scanned:.2g} of them would be expected to be suspicious or worse by chance, and "
        f"{BACKDOOR_LEVEL * scanned:.2g} backdoor-like."
    )


def count_verdicts(record: FolderScan) -> dict[str, int]:
    """Models by verdict, the gravest first; verdicts that nobody has are left out."""
    counts = Counter(str(one.verdict) for one in record.models)
    return {name: counts[name] for name in VERDICTS if counts[name]}


def _count(models: int) -> str:
    return f"{models} model{'' if models == 1 else 's'}"
