"""One class of one model: what does EfficientNet-Lite0 hold to be a goldfish?

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

    own = goldfish.scores.fidelity
    print(f"{goldfish.concept}, class {goldfish.index} of {classifier.name}, map {tuple(goldfish.map.shape)}")
    print(f"fidelity: mean probability {own['probability']:.3f}, top-1 in {own['top1']:.0%} of the draws")
    print("the bare picture is seen as:")
    for seen in goldfish.scores.top5:
        print(f"  {seen['probability']:.3f}  {seen['name']}")
    print(f"checks raised: {', '.join(goldfish.checks) or 'none'}")
    print(f"picture: {options.out / 'goldfish.png'}")


if __name__ == "__main__":
    main()
