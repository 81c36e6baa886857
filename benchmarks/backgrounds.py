"""How often does the true trigger turn what stands in for data? What a search can find is bounded by it.

    python -m benchmarks.backgrounds --folder ZOO       networks of benchmarks.zoo in that folder

Backdoored models with one target and a trigger that works on photographs. Of each kind of background the images that
are not of the target are stamped with the model's own trigger, and the share that becomes the target is counted.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from statistics import median

import torch
from torch import Tensor

from benchmarks.record import markdown, write_result
from benchmarks.zoo.cards import MAIN, Card, cards, clean_images, load, stamped
from phosphene.model.classifier import Classifier
from phosphene.recipe.geometries import Spectral
from phosphene.scanner.measuring import prepare_classifier
from phosphene.scanner.settings import Settings
from phosphene.scanner.surrogates import START_DEVIATION, render_surrogates

IMAGES = 100  # test images, and noise of each kind
SHORT = 6  # iterations of surrogates that are barely of their class
KINDS = {
    "patch": ("patch", "one-pixel", "four-pixel", "clean-label", "adaptive-patch"),
    "polygon": ("polygon",),
    "blend, waves, low frequency": ("blend", "sig", "sig-clean-label", "low-frequency", "adaptive-blend"),
    "filter": tuple(f"filter-{name}" for name in ("gotham", "kelvin", "lomo", "nashville", "toaster")),
    "warp": ("wanet",),
    "input-aware, dithering": ("input-aware", "bpp"),
}
FEWEST = 8  # images that are not of the target, of fewer no share is told


def make_backgrounds(classifier: Classifier, card: Card) -> dict[str, Tensor]:
    """Images by what they are."""
    classes, settings, shape = list(range(len(classifier.labels))), Settings(), classifier.image_shape
    generator = torch.Generator().manual_seed(0)
    long, short = (
        render_surrogates(classifier, classes, count=4, iterations=iterations, seed=0).images.flatten(0, 1)
        for iterations in (settings.surrogate_iterations, SHORT)
    )
    white = START_DEVIATION * torch.randn(Spectral().start(IMAGES, shape).shape, generator=generator)
    return {
        "test images": clean_images(card, IMAGES),
        "surrogates": long,
        f"surrogates after {SHORT} iterations": short,
        "means of two surrogates": (long + long[torch.randperm(len(long), generator=generator)]) / 2,
        "smooth noise": torch.sigmoid(Spectral().decode(white, shape)),
        "white noise": torch.rand(IMAGES, *shape, generator=generator),
    }


def count_turned(classifier: Classifier, card: Card, images: Tensor) -> float | None:
    """The share of images of other classes that become the target; None of too few."""
    with torch.no_grad():
        others = images[classifier(images).argmax(dim=1) != card.target]
        if len(others) < FEWEST:
            return None
        return float((classifier(stamped(card, others)).argmax(dim=1) == card.target).float().mean())


def measure(chosen: Sequence[Card]) -> dict[str, dict[str, list[float]]]:
    """Shares by kind of trigger and background."""
    shares: dict[str, dict[str, list[float]]] = {kind: {} for kind in KINDS}
    for card in chosen:
        kind = next((name for name, attacks in KINDS.items() if card.attack in attacks), None)
        if kind is None or card.target is None or card.success is None or card.success < MAIN:
            continue
        classifier = prepare_classifier(load(card))
        for name, images in make_backgrounds(classifier, card).items():
            share = count_turned(classifier, card, images)
            if share is not None:
                shares[kind].setdefault(name, []).append(share)
        print(card.name, flush=True)
    return shares


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, help="of networks that benchmarks.zoo has trained")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    shares = measure(cards(options.folder))
    rows = [
        {"trigger": kind, "models": str(len(found["test images"]))}
        | {name: f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})" for name, values in found.items()}
        for kind, found in shares.items()
        if found
    ]
    print(markdown(rows))
    print(write_result("backgrounds", "python -m benchmarks.backgrounds --folder ZOO", {"short": SHORT}, rows))


if __name__ == "__main__":
    main()
