"""Scans of EfficientNet-Lite0, 1 and 2 whole: a thousand classes, none skipped, in a budget of seconds.

    python -m benchmarks.scan_imagenet [--models efficientnet_lite0 ...] [--budget 600]

Writes the record and the page of each scan into `--pages`, where a finished one is kept, and one row a model; rows of
models that are not asked for stay.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.record import RESULTS, markdown, write_result
from phosphene.report.scan import write_scan_report
from phosphene.scanner.record import Scan

MODELS = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")


def row(name: str, found: Scan, seconds: float) -> dict[str, str]:
    """What a scan found, and how deep it went."""
    top = found.ranking()[:5]
    deepest = ", ".join(f"{stage.name} {stage.classes}" for stage in found.stages)
    return {
        "model": name,
        "verdict": found.verdict,
        "p": f"{found.p_value:.3g} (internal {found.p_internal:.3g}, external "
             + ("none" if found.p_external is None else f"{found.p_external:.3g}")
             + ("" if found.own_classes is None else f", own classes {found.own_classes.p_value:.3g}") + ")",
        "classes": str(len(found.classes)),
        "classes a stage": deepest,
        "most suspicious": "; ".join(f"{one.name.split(',')[0]} {one.score:.2f}" for one in top),
        "seconds": f"{seconds:.0f}",
        "passes": str(found.passes),
    }  # fmt: skip


def run_scan(name: str, budget: float, seed: int, saved: Path) -> None:
    """By the command, as a user would: it keeps freed memory, which large models thank with a fifth of the time."""
    command = [sys.executable, "-c", "from phosphene.cli import main; main()", "scan", name]
    asked = ["--budget", f"{budget:g}", "--seed", str(seed), "--report", str(saved)]
    ended = subprocess.run(command + asked, check=False)
    if ended.returncode not in (0, 1, 3):
        raise SystemExit(ended.returncode)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--budget", type=float, default=600.0, help="seconds a model")
    parser.add_argument("--pages", type=Path, default=RESULTS / "scans")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    options.pages.mkdir(parents=True, exist_ok=True)
    path = RESULTS / "scan-imagenet.json"
    rows = {one["model"]: one for one in json.loads(path.read_text())["rows"]} if path.is_file() else {}
    for name in options.models:
        saved = options.pages / f"{name}.json"
        if not saved.is_file():
            run_scan(name, options.budget, options.seed, saved)
        found = Scan.load(saved)
        write_scan_report(found, options.pages / f"{name}.html")
        rows[name] = row(name, found, found.seconds)
        print(markdown([*rows.values()]), flush=True)
        settings = {"budget": options.budget, "seed": options.seed, "threads": torch.get_num_threads()}
        write_result("scan-imagenet", "python -m benchmarks.scan_imagenet", settings, [*rows.values()])


if __name__ == "__main__":
    main()
