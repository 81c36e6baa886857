"""Concepts add, subtract, scale and join: in text, as on the command line, or with Python's operators.

python examples/02_concept_algebra.py
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import phosphene
from phosphene.recipe.grammar import parse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=phosphene.PRESETS["default"].iterations)
    parser.add_argument("--out", type=Path, default=Path("example-maps/algebra"))
    options = parser.parse_args()

    classifier = phosphene.load("efficientnet_lite0")
    recipe = replace(phosphene.PRESETS["default"], iterations=options.iterations)
    zebra, sorrel = (parse(name, classifier.labels) for name in ("zebra", "sorrel"))
    concepts = [
        "tabby - tiger cat",  # a difference: what tells the first from the second
        "beagle, pug, collie",  # a set: any of them will do
        0.5 * zebra + sorrel,  # a weighted sum, here in Python
    ]
    for saliency in phosphene.make_maps(classifier, concepts, recipe, out=options.out):
        raised = ", ".join(classifier.labels[index].split(",")[0] for index in saliency.targets)
        fidelity, best = saliency.scores.fidelity.probability, saliency.scores.top5[0]
        print(
            f"{saliency.concept}: raises {raised}; fidelity {fidelity:.3f}; "
            f"the model takes the bare picture for {best.name} ({best.probability:.3f})"
        )
    print(f"pictures: {options.out}")


if __name__ == "__main__":
    main()
