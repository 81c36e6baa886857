"""A picture alone is no proof: two models that took no part in making the map say what they see in it.

python examples/05_another_models_opinion.py
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import phosphene

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
        print(f"{saliency.concept}, dreamed up by {classifier.name}, which sees: {worded(saliency.scores.top5)}")
        for opinion in saliency.scores.opinions:
            verdict = "agrees" if opinion["top1"] else "disagrees"
            log_p = opinion["log_probability"]
            print(f"{opinion['model']} {verdict} (log p {log_p:.2f}): {worded(opinion['top5'])}")


def worded(top: list[dict]) -> str:
    return ", ".join(f"{seen['name']} {seen['probability']:.2f}" for seen in top[:3])


if __name__ == "__main__":
    main()
