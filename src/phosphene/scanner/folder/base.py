"""The base of all models of a folder: measured once, as deep as a budget allows, and kept beside the scans."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from phosphene.core.files import prepare_folder, write_atomically
from phosphene.core.records import from_plain, open_seal, parse_json, seal, to_plain
from phosphene.errors import DamagedArtifact
from phosphene.model.classifier import Classifier
from phosphene.scanner.against.base import Base, measure_base
from phosphene.scanner.budget import Budget
from phosphene.scanner.examination import Examination
from phosphene.scanner.folder.identity import describe_scanner
from phosphene.scanner.measuring import prepare_classifier
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.pictures import load_pictures
from phosphene.scanner.reference import SHIPPED, Reference, load_shipped
from phosphene.scanner.scanning import choose_backgrounds, plan_depth
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import STATISTICS

FILE_NAME = "base.json"


@dataclass(frozen=True)
class KeptBase:
    """What was asked, and the base that was measured for it."""

    asked: Mapping[str, Any]
    base: Base


def measure_base_once(
    classifier: Classifier,
    settings: Settings,
    out: Path,
    *,
    budget: float | None = None,
    calibration: Path | None = None,
    images: Path | None = None,
) -> Base:
    """The base in `OUT/base.json` where it is the one that is asked for; else it is measured, and written there.

    A budget in seconds makes it as deep as a scan of such a model within that budget is; it is measured on the pictures
    of the folder `images` where a scan would be. Raises `DamagedArtifact` where the file cannot be read, `BadInput`
    where the budget is too small.
    """
    table = load_shipped() if calibration is None else Reference.load(calibration)
    pictures = None if images is None else load_pictures(images, classifier.image_shape)
    settings = replace(choose_backgrounds(settings, pictures, table), clear=1.0)  # of a base everything is measured
    scanner = describe_scanner(calibration, SHIPPED)
    model = {
        "fingerprint": classifier.fingerprint,
        "format": classifier.format,
        "output": classifier.output,
        "outputs": classifier.output_kind.name,
        "behavior": classifier.behavior,
        "labels": list(classifier.labels),
    }
    asked = to_plain({"model": model, "settings": settings, "budget": budget, **scanner})
    kept = read_base(out / FILE_NAME)
    if kept is not None and kept.asked == asked:
        return kept.base
    private = prepare_classifier(classifier)
    planned = Budget(ModelSize.of(private), (*STATISTICS.values(), Examination()), budget)
    searched = pictures.for_search if pictures is not None and settings.backgrounds else None
    base = measure_base(classifier, plan_depth(planned, settings, private, table), pictures=searched)
    prepare_folder(out)
    record = seal(to_plain(KeptBase(asked, base)))
    write_atomically(out / FILE_NAME, (json.dumps(record, indent=1) + "\n").encode())
    return base


def read_base(path: Path) -> KeptBase | None:
    """None where there is no file. Raises `DamagedArtifact` where it cannot be read."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return from_plain(KeptBase, open_seal(parse_json(content), required=True))
    except ValueError as error:
        raise DamagedArtifact(
            f"{str(path)!r} is damaged ({error}); remove it, and the base is measured again"
        ) from error
