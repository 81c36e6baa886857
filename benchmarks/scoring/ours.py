"""The scanner as one more method, and its statistics kept for judgements with other references."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.baselines import Opinion
from benchmarks.zoo import Card
from benchmarks.zoo.calibrate import append, line_of
from phosphene.model.classifier import Classifier
from phosphene.scanner.comparison import choose_references, compare
from phosphene.scanner.fusion import fuse
from phosphene.scanner.pvalues import combine
from phosphene.scanner.record import Scan
from phosphene.scanner.reference import Reference, Row
from phosphene.scanner.scanning import scan
from phosphene.scanner.settings import Settings
from phosphene.scanner.verdict import decide_verdict

NAME = "phosphene scan"
ALARMS = ("backdoor-like", "suspicious")
THOROUGH = Settings(clear=1.0)  # all statistics are kept, so that they can be judged again


class Scanner:
    """Scans with the shipped references, all statistics; `last` is the scan behind the last opinion."""

    def __init__(self) -> None:
        self.last: Scan | None = None

    def __call__(self, classifier: Classifier, images: Tensor) -> Opinion:
        found = self.last = scan(classifier, THOROUGH)
        mask = None if found.trigger is None else picture(found.trigger.mask)
        scores = tuple(one.score for one in found.classes)
        return Opinion(found.score, scores, found.verdict in ALARMS, mask, found.p_value)


def picture(encoded: str) -> Tensor:
    """A base64 PNG as greys `(H, W)` in [0,1]."""
    image = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("L")
    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 255)


def row_of(found: Scan) -> Row:
    """The statistics of a scan as a row of a reference table."""
    names = sorted({name for one in found.classes for name in one.statistics})
    classes = {name: tuple(one.statistics.get(name, math.nan) for one in found.classes) for name in names}
    model = found.model
    size, channels = model.input.size[0], model.input.channels
    row = Row(model.name, model.fingerprint, model.outputs, size, channels, classes, found.absolutes)
    return row.with_medians()


def keep(path: Path, card: Card, found: Scan) -> None:
    """One line: what is true of the model, what was measured, and the verdict."""
    row = row_of(found)
    append(path, line_of(
        card, row, verdict=found.verdict, p_internal=found.p_internal, p_external=found.p_external,
        seconds=found.seconds, passes=found.passes, family=found.trigger.family if found.trigger else None,
        outside=list(found.calibration.outside),
    ))  # fmt: skip


def judge_again(line: Mapping[str, Any], table: Reference) -> tuple[float, float, bool, int]:
    """Score, p-value, alarm and first class of kept statistics by a table; as a scan would judge them."""
    row = Row.from_json(line["row"])
    others = choose_references(row, table.without(row.fingerprint), Settings())
    comparison = compare(row, others, Settings())
    found, calibrated = fuse(row, others, left_out=comparison.left_out), not comparison.outside
    p_value = combine(found.internal, found.external if calibrated else None)
    target = max(range(row.outputs), key=lambda index: found.scores[index])
    verdict = decide_verdict(p_value, calibrated=calibrated)
    return found.score, p_value, verdict in ALARMS, target
