"""The loop itself: `estimate` yields the map as it develops; here a picture of every few iterations becomes a GIF.

python examples/04_watch_it_develop.py
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import phosphene
from phosphene.core.images import to_image
from phosphene.method.scaling import render_pictures
from phosphene.recipe.grammar import parse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=phosphene.PRESETS["fast"].iterations)
    parser.add_argument("--out", type=Path, default=Path("example-maps/development"))
    options = parser.parse_args()

    classifier = phosphene.load("efficientnet_lite0").fold()  # same logits, faster
    concept = parse("flamingo", classifier.labels)
    recipe = replace(phosphene.PRESETS["fast"], iterations=options.iterations)
    every = max(1, options.iterations // 15)
    frames = []
    for progress in phosphene.estimate(classifier, [concept], recipe):
        if progress.iteration % every == 0 or progress.iteration == recipe.iterations - 1:
            [picture] = render_pictures(progress.maps(), recipe)
            frames.append(to_image(picture))
            print(f"iteration {progress.iteration:4}  score {progress.scores[0]:7.2f}")

    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{concept.name}.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=200, loop=0)
    print(f"{len(frames)} frames: {path}")


if __name__ == "__main__":
    main()
