"""A picture alone is no proof: two models that took no part in making the map classify it too.

python examples/05_another_models_opinion.py
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import phosphene
from phosphene.runs.scores import Guess

VERIFIERS = ("efficientnet_lite1", "efficientnet_lite2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=phosphene.PRESETS["default"].iterations)
    parser.add_argument("--out", type=Path, default=Path("example-maps/opinion"))
    options = parser.parse_args()

    classifier = phosphene.load("efficientnet_lite0")
    verifiers = [phosphene.load(name).fold() for name in VERIFIERS]
    recipe = replace(phosphene.PRESETS["default"], iterations=options.iterations)
    maps = phosphene.make_maps(classifier, ["zebra"], recipe, out=options.out, verifiers=verifiers)
    for saliency in maps:
        print(
            f"{saliency.concept}, made by {classifier.name}, which takes it for: {format_guesses(saliency.scores.top5)}"
        )
        for opinion in saliency.scores.opinions:
            verdict = "agrees" if opinion.top1 else "disagrees"
            print(f"{opinion.model} {verdict} (log p {opinion.log_probability:.2f}): {format_guesses(opinion.top5)}")


def format_guesses(guesses: Sequence[Guess]) -> str:
    return ", ".join(f"{guess.name} {guess.probability:.2f}" for guess in guesses[:3])


if __name__ == "__main__":
    main()
