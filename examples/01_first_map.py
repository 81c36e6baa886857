"""One class of one model: what does EfficientNet-Lite0 look for in a goldfish?

python examples/01_first_map.py
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import phosphene


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=phosphene.PRESETS["default"].iterations)
    parser.add_argument("--out", type=Path, default=Path("example-maps/first"))
    options = parser.parse_args()

    classifier = phosphene.load("efficientnet_lite0")
    recipe = replace(phosphene.PRESETS["default"], iterations=options.iterations)
    [goldfish] = phosphene.make_maps(classifier, ["goldfish"], recipe, out=options.out)

    fidelity = goldfish.scores.fidelity
    print(f"{goldfish.concept}, class {goldfish.index} of {classifier.name}, map {tuple(goldfish.map.shape)}")
    print(f"fidelity: mean probability {fidelity.probability:.3f}, top-1 in {fidelity.top1:.0%} of the draws")
    print("the model takes the bare picture for:")
    for guess in goldfish.scores.top5:
        print(f"  {guess.probability:.3f}  {guess.name}")
    print(f"checks raised: {', '.join(goldfish.checks) or 'none'}")
    print(f"picture: {options.out / 'goldfish.png'}")


if __name__ == "__main__":
    main()
