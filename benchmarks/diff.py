"""Does `phosphene diff` put the class first that was changed, and nothing first where nothing was?

    python -m benchmarks.diff --work FOLDER          all cases; finished maps in FOLDER are kept, so that it resumes
    python -m benchmarks.diff --work FOLDER --only watermark
    python -m benchmarks.diff --work FOLDER --most 1    the first pair of models of each case only

- watermark: a small model of generated signs is trained again from the same start, with a watermark on every example of
  one class.
- backdoor: models of the tests' zoo beside clean twins, trained here with the same settings, seed and images.
- compressed: EfficientNet-Lite0 beside itself with weights rounded to 8 bits, and with the smallest weights of every
  layer set to zero. Nothing in particular was changed, so what is counted is how many classes come out as changed.

The page of each case is FOLDER/CASE/report.html.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import phosphene
from benchmarks.record import markdown, write_result
from benchmarks.zoo.architectures import ARCHITECTURES
from benchmarks.zoo.building import accuracy
from benchmarks.zoo.cards import Card
from benchmarks.zoo.domains import DOMAINS
from benchmarks.zoo.training import Normalised, Training, subset, train_network
from phosphene.diff.comparison import compare
from phosphene.diff.record import Comparison
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.report.diff import write_diff_report
from phosphene.runs.saliency import SaliencyMap
from phosphene.studies.small_models import (
    MARGIN,
    MARK,
    Examples,
    add_mark,
    load_signs,
    make_classifier,
    measure_rate,
    train,
)

ZOO = Path(__file__).parents[1] / "tests" / "zoo"
WATERMARKED = {0: 1, 1: 4, 2: 7}  # seed of the small model → the class that is trained again
BACKDOORED = ("dev-037-signs10-separable-tact-2", "dev-023-signs10-plain-bpp", "dev-050-signs10-vgg-filter-nashville")
EXAMPLES, TEST = 3000, 500
LITE0_CLASSES = ("goldfish", "zebra", "daisy", "traffic light")
PRUNED = (0.5,)
SEEDS, LITE0_SEEDS = 4, 3
Row = dict[str, Any]


def run_watermark(work: Path, most: int) -> Iterable[Row]:
    examples, test = load_signs(EXAMPLES + TEST, None).split(EXAMPLES)
    for seed, index in list(WATERMARKED.items())[:most]:
        rows = examples.labels == index
        images = examples.images.clone()
        images[rows] = add_mark(images[rows])
        plain = make_classifier(_train(examples, seed), examples, "plain")
        marked = make_classifier(_train(replace(examples, images=images), seed), examples, "watermarked")
        others = test.images[test.labels != index]
        folder = work / f"watermark-{seed}"
        comparison = compare_all(plain, marked, PRESETS["default"], folder, SEEDS)
        name = comparison_name(plain, index)
        visible = measure_mark(comparison, name, folder)
        note = (
            f"mark turns {measure_rate(marked, add_mark(others), index):.0%} of other images into the class; contrast "
            f"of its corner in the pictures {visible['b']:.1f}, in those of the plain model {visible['a']:.1f}"
        )
        yield describe("watermark", f"signs, seed {seed}", comparison, name, note)


def _train(examples: Examples, seed: int) -> nn.Module:
    *_, (_, module) = train(examples, seed)
    return copy.deepcopy(module)


def comparison_name(classifier: Classifier, index: int) -> str:
    from phosphene.recipe.names import class_names

    return class_names(classifier.labels)[index]


def measure_mark(comparison: Comparison, concept: str, folder: Path) -> dict[str, float]:
    """How much of each model's pictures stands where the mark does: the deviation of grey there over that of the whole
    picture, the mean over seeds, by model."""
    corner = slice(-MARGIN - MARK, None)
    (change,) = (one for one in comparison.concepts if one.concept == concept)
    contrasts: dict[str, list[float]] = {"a": [], "b": []}
    for one in change.pictures:
        grey = SaliencyMap.load(folder / one.file).raw_picture.mean(dim=0)
        contrasts[one.model].append(float(grey[corner, corner].std() / grey.std()))
    return {model: statistics.fmean(values) for model, values in contrasts.items()}


def run_backdoor(work: Path, most: int) -> Iterable[Row]:
    for name in BACKDOORED[:most]:
        card = next(card for card in read_zoo() if card.name == name)
        domain = DOMAINS[card.domain]
        twin = train_twin(card)
        form = InputFormat(card.size, card.channels, card.mean, card.std)
        clean = Classifier(twin, form, name="clean twin", labels=card.labels)
        network = ARCHITECTURES[card.architecture](card.channels, len(card.labels))
        suspect = replace_network(clean, network, card)
        comparison = compare_all(clean, suspect, PRESETS["default"], work / name, SEEDS)
        note = (
            f"{card.kind}, success {card.success:.0%}; accuracy {card.accuracy:.0%}, of the twin "
            f"{accuracy(Normalised(twin, domain).eval(), domain):.0%}"
        )
        yield describe("backdoor", name, comparison, comparison_name(clean, int(card.target or 0)), note)


def read_zoo() -> list[Card]:
    import json

    return [Card.from_json(json.loads(path.read_text()), ZOO) for path in sorted(ZOO.glob("dev-*.json"))]


def train_twin(card: Card) -> nn.Module:
    """The same architecture, settings, seed and images as the model of the card, without the attack."""
    torch.set_num_threads(1)
    training, domain = Training(**card.training), DOMAINS[card.domain]
    return train_network(domain, card.architecture, subset(domain, training), training, None).eval()


def replace_network(clean: Classifier, network: nn.Module, card: Card) -> Classifier:
    from phosphene.model.sources.weights import fill, read_weights

    fill(network, read_weights(card.weights), card.name)
    return Classifier(network.eval(), clean.format, name="backdoored", labels=clean.labels)


def run_compressed(work: Path, most: int) -> Iterable[Row]:
    lite0 = phosphene.load("efficientnet_lite0")
    variants: dict[str, Callable[[Tensor], Tensor]] = {"rounded to 8 bits": round_weights}
    variants |= {f"{share:.0%} pruned": lambda weights, share=share: prune_weights(weights, share) for share in PRUNED}
    for name, change in list(variants.items())[:most]:
        module = copy.deepcopy(lite0.module)
        with torch.no_grad():
            for parameter in module.parameters():
                if parameter.ndim > 1:
                    parameter.copy_(change(parameter))
        other = Classifier(module, lite0.format, name=f"Lite0, {name}", labels=lite0.labels)
        folder = work / f"lite0-{name.replace(' ', '-').replace('%', '')}"
        comparison = compare(lite0, other, LITE0_CLASSES, PRESETS["fast"], out=folder, seeds=LITE0_SEEDS)
        write_diff_report(folder)
        yield describe("compressed", f"Lite0, {name}", comparison, None, "")


def round_weights(weights: Tensor) -> Tensor:
    """To 255 levels a row, symmetrical around zero."""
    step = weights.flatten(1).abs().amax(dim=1).clamp(min=1e-12).view(-1, *[1] * (weights.ndim - 1)) / 127
    return (weights / step).round() * step


def prune_weights(weights: Tensor, share: float) -> Tensor:
    """The given share of the smallest weights set to zero."""
    bound = weights.abs().flatten().kthvalue(max(1, round(share * weights.numel()))).values
    return weights * (weights.abs() > bound)


def compare_all(model_a: Classifier, model_b: Classifier, recipe: Recipe, folder: Path, seeds: int) -> Comparison:
    classes = [f"index:{index}" for index in range(len(model_a.labels))]
    comparison = compare(model_a, model_b, classes, recipe, out=folder, seeds=seeds)
    write_diff_report(folder)
    return comparison


def describe(case: str, name: str, comparison: Comparison, concept: str | None, note: str) -> Row:
    """One row: where the class that was changed came, and what came first among the others."""
    names = [change.concept for change in comparison.concepts]
    place = names.index(concept) if concept is not None else None
    own = None if place is None else comparison.concepts[place]
    others = [change.change for change in comparison.concepts if change.concept != concept]
    return {
        "case": case,
        "models": name,
        "classes": len(names),
        "place of the changed class": "–" if place is None else place + 1,
        "its change": "–" if own is None else f"{own.change:.1f} ({own.low:.1f} to {own.high:.1f})",
        "largest other": round(max(others), 1),
        "median other": round(statistics.median(others), 1),
        "called changed": sum(change.changed for change in comparison.concepts),
        "note": note,
    }


CASES: dict[str, Callable[[Path, int], Iterable[Row]]] = {
    "watermark": run_watermark,
    "backdoor": run_backdoor,
    "compressed": run_compressed,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", choices=sorted(CASES), nargs="*", default=list(CASES))
    parser.add_argument("--most", type=int, default=len(WATERMARKED), help="Pairs of models of a case.")
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    for name in options.only:
        for row in CASES[name](options.work, options.most):
            rows.append(row)
            print(row, flush=True)
    settings = {"seeds": SEEDS, "seeds of Lite0": LITE0_SEEDS, "preset": "default; of Lite0 fast"}
    if set(options.only) == set(CASES):
        bound = f" --most {options.most}" if options.most < len(WATERMARKED) else ""
        write_result("diff", f"python -m benchmarks.diff --work FOLDER{bound}", settings, rows)
    print(markdown(rows))


if __name__ == "__main__":
    main()
