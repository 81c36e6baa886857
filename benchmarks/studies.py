"""Keep what a study found: its record for the tables of the docs, and the figures that they show.

    phosphene study bias --out study-bias
    python -m benchmarks.studies bias study-bias

A second run of a study with other data is kept under a name of its own, such as `bias-fashion`, without figures.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from PIL import Image

from benchmarks.record import RESULTS

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
SHOWN = {
    "mislead": ("example", "object", "classes", "shift"),
    "bias": ("shown", "heats"),
    "concepts": ("classes.jpg", "combined.jpg", "channels.jpg", "presets.jpg", "training", "curve"),
}  # photographs and pictures like them are kept as JPEG


def keep(name: str, study: Path) -> list[Path]:
    """Copy the record and the figures of a finished study; returns what was written."""
    kept = [RESULTS / f"study-{name}.json"]
    shutil.copyfile(study / "study.json", kept[0])
    for figure in SHOWN.get(name, ()):
        source, target = study / f"{Path(figure).stem}.png", PICTURES / f"study-{name}-{figure}"
        if target.suffix == ".jpg":
            Image.open(source).convert("RGB").save(target, quality=88)
        else:
            target = target.with_suffix(".png")
            shutil.copyfile(source, target)
        kept.append(target)
    return kept


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help=f"one of {', '.join(SHOWN)}, or one of them with more words after a dash")
    parser.add_argument("study", type=Path, help="the --out folder of `phosphene study`")
    arguments = parser.parse_args()
    for path in keep(arguments.name, arguments.study):
        print(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
