"""Are accumulated gradients "geometrically correlated", as the paper says? Against single and against shuffled ones.

    python -m benchmarks.correlated            four development classes; goes on where it stopped

Gradients of the paper's choices alone on EfficientNet-Lite0, from fresh samples at one and the same map: none, and
the maps that they have made after 25 and after 50 iterations (those of `benchmarks.paper_recipe`, which
makes them where they are missing). Two halves of the samples are accumulated apart. *Neighbours* is the correlation of
a pixel with the one beside it, *at 4 pixels* with the one four away; *halves* is the correlation of the two
accumulations with each other, of which *coarse* is what is left after both are averaged over 8 by 8 pixels; *places* is
the correlation of where their energy lies, on the same squares. Shuffled gradients have the same numbers at other
places, for each sample others.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

import phosphene
from benchmarks.experiments import development_classes
from benchmarks.paper_recipe import PLAIN_ROW, locate_map, observe
from benchmarks.recognition import PLAIN
from benchmarks.record import RESULTS, load_observed, markdown, save_observed, write_result
from phosphene.core.seeding import make_generator
from phosphene.method.nudge import nudge
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept
from phosphene.recipe.draws import draw
from phosphene.recipe.grammar import parse

OBSERVED = RESULTS / "correlated-observed.json"
HALF = 32  # samples of a half
COUNTS = (1, 4, 16, HALF)
MAPS = {"no map": 0, "map after 25 iterations": 25, "map after 50 iterations": 50}
COLUMNS = ("neighbours", "at 4 pixels", "halves", "halves, coarse", "places")
SQUARE = 8


def collect_gradients(classifier: Classifier, concept: Concept, saliency: Tensor) -> Tensor:
    """Gradients of `2·HALF` samples at one map, `(samples, C, H, W)`."""
    recipe, rows = PLAIN, classifier.batch_size
    gradients = []
    for start in range(0, 2 * HALF, rows):
        generators = [make_generator(1, f"correlated/{concept.name}", start + row) for row in range(rows)]
        draws = draw(recipe.distribution, recipe.views, generators, 1, classifier.image_shape)
        gradients.append(nudge(classifier, [concept] * rows, saliency.expand(rows, -1, -1, -1), draws, recipe)[0])
    return torch.cat(gradients)


def shuffle(gradients: Tensor) -> Tensor:
    """Every gradient with its pixels at other places."""
    generator, side = torch.Generator().manual_seed(0), gradients.shape[-1]
    orders = [torch.randperm(gradients[0, 0].numel(), generator=generator) for _ in gradients]
    rows = [one.flatten(1)[:, order] for one, order in zip(gradients, orders, strict=True)]
    return torch.stack(rows).unflatten(2, (-1, side))


def measure(gradients: Tensor, count: int) -> list[float]:
    """The columns, for accumulations of `count` samples; means over as many accumulations as there are samples for."""
    first, second = (half.unflatten(0, (-1, count)).mean(dim=1) for half in gradients.split(HALF))
    both = torch.cat([first, second])
    coarse = [F.avg_pool2d(half, SQUARE) for half in (first, second)]
    places = [F.avg_pool2d(half.square().sum(dim=1, keepdim=True), SQUARE) for half in (first, second)]
    return [lag(both, 1), lag(both, 4), correlate(first, second), correlate(*coarse), correlate(*places)]


def lag(fields: Tensor, pixels: int) -> float:
    """Correlation of each pixel with the one so many away, across and down."""
    across = correlate(fields[..., pixels:], fields[..., :-pixels])
    return (across + correlate(fields[..., pixels:, :], fields[..., :-pixels, :])) / 2


def correlate(first: Tensor, second: Tensor) -> float:
    rows = [(one.flatten(1) - one.flatten(1).mean(dim=1, keepdim=True)) for one in (first, second)]
    return float(F.cosine_similarity(*rows).mean())


def summarize(record: dict[str, dict[str, list[float]]]) -> list[dict[str, Any]]:
    rows = []
    for key, lines in record.items():
        where, kind = key.split(" / ")
        means = [f"{fmean(column):.3f}" for column in zip(*lines.values(), strict=True)]
        rows.append({"at": where, "gradients": kind, "classes": len(lines), **dict(zip(COLUMNS, means, strict=True))})
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=4)
    options = parser.parse_args(arguments)
    classifier = phosphene.load("efficientnet_lite0").fold()
    classes = development_classes(32)[: options.classes]
    observe(PLAIN_ROW, [classifier, classifier, classifier], classes, max(MAPS.values()))
    for where, iterations in MAPS.items():
        for index in classes:
            if str(index) in load_observed(OBSERVED).get(f"{where} / one sample", {}):
                continue
            path = locate_map(PLAIN_ROW, index, iterations)
            saliency = load_file(path)["map"] if iterations else torch.zeros(classifier.image_shape)
            gradients = collect_gradients(
                classifier, parse(str(index), classifier.labels, scored=PLAIN.score), saliency
            )
            record, shuffled = load_observed(OBSERVED), shuffle(gradients)
            kinds = {f"{count} samples" if count > 1 else "one sample": (gradients, count) for count in COUNTS}
            kinds[f"{HALF} samples, shuffled"] = (shuffled, HALF)
            for kind, (some, count) in kinds.items():
                line = record.setdefault(f"{where} / {kind}", {})
                line[str(index)] = [round(value, 4) for value in measure(some, count)]
            save_observed(OBSERVED, record)
    rows = summarize(load_observed(OBSERVED))
    write_result("correlated", "python -m benchmarks.correlated", {"classes": classes}, rows)
    print(markdown(rows))


if __name__ == "__main__":
    main()
