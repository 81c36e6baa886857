"""A model of one's own: state its input format, name its classes, make its maps, read them back from disk.

    python examples/03_own_model.py

The model is trained here, in seconds, on three kinds of drawings: discs, squares and stripes.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

import phosphene
from phosphene.runs.store import load_all

SIDE = 32
LABELS = ("disc, circle", "square", "stripes")


def draw_images(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Grey drawings `(count, 1, 32, 32)` in [0,1] on noise, of random size and place, and their classes."""
    kinds = torch.randint(3, (count,), generator=generator)
    centre = 12 + 8 * torch.rand(count, 2, 1, 1, generator=generator)
    radius = 5 + 5 * torch.rand(count, 1, 1, generator=generator)
    rows, columns = torch.arange(SIDE).view(1, -1, 1) - centre[:, 0], torch.arange(SIDE).view(1, 1, -1) - centre[:, 1]
    disc = rows.square() + columns.square() < radius.square()
    square = (rows.abs() < radius) & (columns.abs() < radius)
    stripes = (rows * torch.ones_like(columns) / radius * 6).sin() > 0
    ink = torch.stack([disc, square, stripes], dim=1)[torch.arange(count), kinds].float()
    noise = 0.1 * torch.randn(count, SIDE, SIDE, generator=generator)
    return (0.3 + 0.5 * ink + noise).clamp(0, 1)[:, None], kinds


def train_network() -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2, padding=2),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(32, len(LABELS)),
    )
    optimiser = torch.optim.Adam(module.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(150):
        images, kinds = draw_images(64, generator)
        loss = nn.functional.cross_entropy(module((images - 0.5) / 0.25), kinds)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=phosphene.PRESETS["default"].iterations)
    parser.add_argument("--out", type=Path, default=Path("example-maps/own"))
    options = parser.parse_args()

    input_format = phosphene.InputFormat(size=(SIDE, SIDE), channels=1, mean=(0.5,), std=(0.25,))
    classifier = phosphene.Classifier(train_network(), input_format, name="drawings", labels=LABELS)
    images, kinds = draw_images(300, torch.Generator().manual_seed(1))
    with torch.no_grad():
        accuracy = (classifier(images).argmax(dim=1) == kinds).float().mean()
    print(f"{classifier.name}: right on {accuracy:.0%} of 300 new drawings, weights {classifier.fingerprint[:12]}")

    recipe = replace(phosphene.PRESETS["default"], iterations=options.iterations)
    phosphene.make_maps(classifier, ["circle", "square", "stripes", "disc - square"], recipe, out=options.out)

    for saliency in load_all(options.out):  # what `phosphene show` and `phosphene report` read
        own, flat = saliency.scores.fidelity, saliency.scores.fidelity_elsewhere["flat"]
        fidelities = f"fidelity {own.probability:.3f}, on flat colours {flat.probability:.3f}"
        print(f"{saliency.concept:13} {fidelities}, {saliency.passes} passes")
    print(f"pictures: {options.out}")


if __name__ == "__main__":
    main()
