"""Copy the record and the figures of a study into the repository, for the tables and pictures of the docs.

    phosphene study bias --out study-bias
    python -m benchmarks.studies bias study-bias

A second run of a study with other data gets a name of its own, such as `bias-fashion`, and no figures.
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
    "forged": ("forgeries", "doubts"),
    "signature": ("signatures.jpg", "public.jpg"),
    "concepts": ("classes.jpg", "combined.jpg", "channels.jpg", "presets.jpg", "training", "curve"),
}  # photographs and pictures like them are saved as JPEG
LARGEST = (1200, 2200)  # pixels of a photograph-like picture in the docs


def copy_study(name: str, study: Path) -> list[Path]:
    """Copy the record and the figures of a finished study; returns the paths that were written."""
    written = [RESULTS / f"study-{name}.json"]
    shutil.copyfile(study / "study.json", written[0])
    for figure in SHOWN.get(name, ()):
        source, target = study / f"{Path(figure).stem}.png", PICTURES / f"study-{name}-{figure}"
        if target.suffix == ".jpg":
            picture = Image.open(source).convert("RGB")
            picture.thumbnail(LARGEST)
            picture.save(target, quality=85, optimize=True)
        else:
            target = target.with_suffix(".png")
            shutil.copyfile(source, target)
        written.append(target)
    return written


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help=f"one of {', '.join(SHOWN)}, or one of them with more words after a dash")
    parser.add_argument("study", type=Path, help="the --out folder of `phosphene study`")
    arguments = parser.parse_args()
    for path in copy_study(arguments.name, arguments.study):
        print(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
