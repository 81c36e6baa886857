"""Peak memory of maps, scans and pages, each in a process of its own.

Iterations are few: what a run holds at once depends on its batches, not on how long it goes on.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

import phosphene
from benchmarks.hostile.targets import FAST_SCAN
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.recipe.recipe import PRESETS
from phosphene.report.maps import write_report
from phosphene.runs.make import make, make_maps
from phosphene.scanner.memory import estimate_memory
from phosphene.scanner.scanning import scan

QUICK = replace(PRESETS["fast"], iterations=2, restarts=1)
MAPS = 1000  # of the page
COLUMNS = ("peak, MB", "estimated, MB", "seconds")


def measure(work: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    cases: dict[str, Callable[[], object]] = {}
    for count in (1, 8, 64, 512):
        cases[f"map, {count} classes, small network"] = partial(_make_small_maps, work / "memory", count)
    for count in (1, 8, 64):
        cases[f"map, {count} classes, efficientnet_lite0"] = partial(_make_maps, work / "memory", count)
    for side in (28, 32, 64):
        cases[f"scan at {side} pixels, small network"] = partial(_scan_small, side)
    cases["scan at 224 pixels, efficientnet_lite0"] = _scan_large
    cases[f"report of {MAPS} maps"] = partial(write_thousand, work / "thousand")
    rows = []
    for name, case in cases.items():
        if not names or name in names:
            found = _measure(case)
            print({"case": name, **found}, flush=True)
            rows.append({"case": name, **{column: found.get(column, "–") for column in COLUMNS}})
    return rows


def small_network(side: int, classes: int, channels: int = 3) -> Classifier:
    """Four convolutions, as small image classifiers have them."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        widths = (channels, 32, 64, 64, 128)
        layers: list[nn.Module] = []
        for place, (before, after) in enumerate(pairwise(widths)):
            stride = 2 if place % 2 else 1
            layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes))
    return Classifier(module.eval(), InputFormat((side, side), channels, (0.5,), (0.25,)), name=f"small {side}")


def _make_small_maps(folder: Path, count: int) -> None:
    _make_into(small_network(32, 512), folder, count)


def _make_maps(folder: Path, count: int) -> None:
    _make_into(phosphene.load("efficientnet_lite0"), folder, count)


def _make_into(classifier: Classifier, folder: Path, count: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for _ in make(classifier, [f"index:{k}" for k in range(count)], QUICK, folder):
        pass


def _scan_small(side: int) -> dict[str, object]:
    return _scan(small_network(side, 10, 1 if side == 28 else 3))


def _scan_large() -> dict[str, object]:
    return _scan(phosphene.load("efficientnet_lite0"))


def _scan(classifier: Classifier) -> dict[str, object]:
    """All stages, with as many images at once as a full scan has."""
    settings = replace(FAST_SCAN, surrogates=1, images=8, surrogate_iterations=1, long_iterations=1, top=1, controls=1)
    estimated = round(estimate_memory(classifier.fold()) / 1e6)
    scan(classifier, settings)
    return {"estimated, MB": estimated}


def write_thousand(folder: Path) -> dict[str, object]:
    """The page of a thousand maps; one map of a small network of 112 pixels under a thousand names."""
    if len(list(folder.glob("*.safetensors"))) < MAPS:
        folder.mkdir(parents=True, exist_ok=True)
        [saliency] = make_maps(small_network(112, 10), ["0"], replace(QUICK, iterations=12))
        for number in range(MAPS):
            replace(saliency, concept=f"class {number}").save(folder / f"class-{number}.safetensors")
    page = write_report(folder)
    pages = [page, *sorted(folder.glob("report-*.html"))]
    return {
        "page, MB": round(page.stat().st_size / 1e6, 1),
        "all pages, MB": round(sum(one.stat().st_size for one in pages) / 1e6, 1),
    }


def _measure(case: Callable[[], object]) -> dict[str, Any]:
    """Peak resident memory in MB of a forked process, the interpreter and its libraries included."""
    import json
    import time

    out, into = os.pipe()
    started = time.monotonic()
    if (child := os.fork()) == 0:
        os.close(out)
        status = 1
        try:
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
            facts = case()
            peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
            record = {"peak, MB": round(int(peak.split()[1]) / 1000), **(facts if isinstance(facts, dict) else {})}
            os.write(into, json.dumps(record).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(into)
    with os.fdopen(out) as stream:
        text = stream.read()
    os.waitpid(child, 0)
    seconds = round(time.monotonic() - started)
    return {**(json.loads(text) if text else {"peak, MB": None}), "seconds": seconds}
