"""The small record of a whole atlas, which is not committed itself: its scores, and a sheet of its worst classes.

    phosphene atlas efficientnet_lite0 --preset fast --verifier efficientnet_lite1 --out DIR
    python -m benchmarks.atlas DIR lite0 --preset fast --kills killed.json

Every artifact is read again, and one that cannot be is counted. `--kills` is the log of `benchmarks.killed_atlas`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from PIL import Image, ImageDraw

from benchmarks.record import RESULTS
from phosphene.atlas.record import FILE_NAME, Atlas, AtlasClass, load_atlas
from phosphene.atlas.summary import explain_fidelity, find_entangled, find_worst, summarize
from phosphene.core.images import to_image
from phosphene.errors import PhospheneError
from phosphene.runs.saliency import SaliencyMap

WORST, PAIRS, NEAREST = 20, 20, 3
SHEET, COLUMNS, SIDE, LINE = "docs/pictures/atlas-{}.jpg", 5, 168, 18


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("name", help="The record is results/atlas-NAME.json, the sheet docs/pictures/atlas-NAME.jpg.")
    parser.add_argument("--preset", required=True, help="With which the atlas was made.")
    parser.add_argument("--commit", default="", help="Of this repository, that it was made at.")
    parser.add_argument("--kills", type=Path)
    options = parser.parse_args(arguments)
    atlas = load_atlas(options.folder / FILE_NAME)
    assert atlas is not None, f"no {FILE_NAME} in {options.folder}; run `phosphene atlas` first"
    log = json.loads(options.kills.read_text()) if options.kills else {}
    valid, invalid = count_valid(options.folder)
    settings = {
        "preset": options.preset,
        "commit": options.commit,
        "model": atlas.model.name,
        "outputs": atlas.model.outputs,
        "artifacts read again": valid,
        "artifacts damaged": invalid,
        "kills of the driver": sum(one["whom"] == "driver" for one in log.get("kills", ())),
        "kills of a worker": sum(one["whom"] == "worker" for one in log.get("kills", ())),
        "kills of a Ray worker": sum(one["whom"] == "ray worker" for one in log.get("kills", ())),
        "finished maps changed by a kill": log.get("changed", 0),
        "seconds a class": round(fmean(one.seconds for one in atlas.classes), 2),
        "MB a class": round(measure_size(options.folder) / len(atlas.classes) / 1e6, 3),
    }
    write_record(options.name, settings, atlas)
    draw_sheet(options.folder, find_worst(atlas, WORST)).save(SHEET.format(options.name), quality=80, optimize=True)
    print(json.dumps(settings, indent=1))


def count_valid(folder: Path) -> tuple[int, int]:
    """How many artifacts are what was written, and how many are not."""
    valid = invalid = 0
    for path in folder.glob("*.safetensors"):
        try:
            SaliencyMap.load(path)
            valid += 1
        except PhospheneError:
            invalid += 1
    return valid, invalid


def measure_size(folder: Path) -> int:
    """Bytes of maps and pictures."""
    return sum(path.stat().st_size for kind in ("*.safetensors", "*.png") for path in folder.glob(kind))


def write_record(name: str, settings: dict[str, Any], atlas: Atlas) -> None:
    """One line a class, so that a difference of two atlases can be read."""
    parts = {
        "command": f"python -m benchmarks.atlas DIR {name} --preset {settings['preset']}",
        "settings": settings,
        "recipe": atlas.recipe,
        "machine": atlas.versions,
        "summary": summarize(atlas),
        "worst": [{**describe(one), "why": explain_fidelity(one)} for one in find_worst(atlas, WORST)],
        "entangled": find_entangled(atlas, PAIRS),
        "families": describe_families(atlas),
        "failures": [vars(one) for one in atlas.failures],
    }
    head = json.dumps(parts, indent=1, ensure_ascii=False)[:-2]
    rows = ",\n".join(json.dumps(describe(one), ensure_ascii=False) for one in atlas.classes)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"atlas-{name}.json").write_text(f'{head},\n "classes": [\n{rows}\n]}}\n')


def describe(one: AtlasClass) -> dict[str, Any]:
    return {
        "class": one.concept,
        "index": one.index,
        "family": one.family,
        "fidelity": one.fidelity,
        "top1": one.top1,
        "elsewhere": dict(one.elsewhere),
        "seen": one.seen,
        "top5": [[guess.name, guess.probability] for guess in one.top5],
        "judges": {judge.model: [judge.agrees, judge.best] for judge in one.judgements},
        "area": one.effective_area,
        "passes": one.passes,
        "checks": list(one.checks),
        "near": [[near.concept, near.share] for near in one.neighbours[:NEAREST]],
    }


def describe_families(atlas: Atlas) -> list[dict[str, Any]]:
    """Means of each chapter, the lowest fidelity first."""
    families: dict[str, list[AtlasClass]] = {}
    for one in atlas.classes:
        families.setdefault(one.family, []).append(one)
    rows = [
        {
            "family": name,
            "classes": len(some),
            "fidelity": round(fmean(one.fidelity for one in some), 3),
            "on uniform noise": round(fmean(one.elsewhere.get("uniform", 0.0) for one in some), 3),
            "seen bare": round(fmean(one.seen for one in some), 3),
            "other models agree": round(fmean(one.agreement or 0.0 for one in some), 3),
            "effective area": round(fmean(one.effective_area for one in some), 3),
        }
        for name, some in families.items()
    ]
    return sorted(rows, key=lambda row: row["fidelity"])


def draw_sheet(folder: Path, classes: Sequence[AtlasClass]) -> Image.Image:
    """Their whole pictures with names, the worst first."""
    rows = -(-len(classes) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (SIDE + 6) - 6, rows * (SIDE + LINE + 6) - 6), "white")
    draw = ImageDraw.Draw(sheet)
    for number, one in enumerate(classes):
        picture = to_image(SaliencyMap.load(folder / one.file).raw_picture).convert("RGB").resize((SIDE, SIDE))
        x, y = number % COLUMNS * (SIDE + 6), number // COLUMNS * (SIDE + LINE + 6)
        sheet.paste(picture, (x, y))
        draw.text((x + 2, y + SIDE + 2), f"{one.concept[:22]}  {one.fidelity:.2f}", fill="black")
    return sheet


if __name__ == "__main__":
    main()
