"""Compare two models by what each makes of the other's pictures.

Each model draws every concept from several seeds. A picture `x` of the concept κ pleases model A by

    a(x) = s_κ(A, x) / noise of A  −  s_κ(B, x) / noise of B

more than model B, and the change of the concept is the mean of `a` over A's pictures less that over B's. Offsets and
scales of the two models cancel, pictures that both take alike give 0, and 2 means that each model is one deviation of
its own noise less pleased with the other's pictures than with its own. The noise of a model is the deviation of its
scores of its own pictures from seed to seed, pooled over the concepts. The interval is Welch's.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from phosphene.core.files import prepare_folder
from phosphene.core.intervals import CONFIDENCE, welch
from phosphene.diff.record import Comparison, ConceptChange, Opinion, PictureRecord
from phosphene.errors import BadInput, MeaninglessScore
from phosphene.method.recognition import resize_pictures
from phosphene.model.classifier import Classifier
from phosphene.model.outputs import is_top, probability
from phosphene.model.readout import read
from phosphene.model.record import ModelRecord
from phosphene.recipe.concepts import Concept, layer_of
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.runs.callbacks import Callbacks
from phosphene.runs.executors.executor import Executor
from phosphene.runs.executors.serial import Serial
from phosphene.runs.make import make, parse_concepts
from phosphene.runs.reference import MapReference

FEWEST_SEEDS = 2
SEEDS = 4


@dataclass(frozen=True)
class Side:
    """One of the two models, and the concepts as it knows them, in the same order as the other's."""

    name: str  # a or b
    classifier: Classifier
    concepts: tuple[Concept, ...]


def compare(
    model_a: Classifier,
    model_b: Classifier,
    concepts: Sequence[str | Concept],
    recipe: Recipe = PRESETS["default"],
    *,
    out: str | Path,
    seeds: int = SEEDS,
    executor: Executor = Serial(),
    callbacks: Callbacks = Callbacks(),
    overwrite: bool = False,
) -> Comparison:
    """Maps of every concept of both models from `seeds` seeds, in `out`, and the concepts ranked by their change.

    Finished maps in `out` are kept. Writes `diff.json`. Raises `BadInput` for models of different channels, for
    concepts that one of them does not have, and for fewer than two seeds.
    """
    if seeds < FEWEST_SEEDS:
        raise BadInput(f"{seeds} seeds say nothing of the noise between them; expected at least {FEWEST_SEEDS}")
    sides = pair_concepts(model_a, model_b, concepts, recipe)
    chosen = tuple(range(recipe.seed, recipe.seed + seeds))
    prepare_folder(Path(out))
    pictures: dict[str, list[PictureRecord]] = {}
    for side in sides:
        for seed in chosen:
            folder = Path(out) / side.name / f"seed-{seed}"
            made = make(
                side.classifier,
                side.concepts,
                replace(recipe, seed=seed),
                folder,
                executor=executor,
                callbacks=callbacks,
                overwrite=overwrite,
            )
            for reference in made:
                place = [concept.name for concept in side.concepts].index(reference.concept)
                name = sides[0].concepts[place].name
                pictures.setdefault(name, []).append(_judge(sides, side, place, seed, reference, Path(out)))
    comparison = rank(model_a, model_b, pictures, recipe, chosen)
    comparison.save(Path(out))
    return comparison


def pair_concepts(
    model_a: Classifier, model_b: Classifier, concepts: Sequence[str | Concept], recipe: Recipe
) -> tuple[Side, Side]:
    """The concepts as each model knows them. Where their classes differ, B is asked by the name that A has for them."""
    if model_a.format.channels != model_b.format.channels:
        raise BadInput(
            f"{model_a.name} takes images of {model_a.format.channels} channels, {model_b.name} of "
            f"{model_b.format.channels}; expected the same"
        )
    of_a = parse_concepts(model_a, concepts, recipe)
    same = model_a.labels == model_b.labels
    asked = [concept.name if isinstance(one, str) else one for one, concept in zip(concepts, of_a, strict=False)]
    of_b = parse_concepts(model_b, concepts if same else asked, recipe)
    if len(of_a) != len(of_b):
        raise BadInput(f"{model_a.name} and {model_b.name} do not tell the same of these concepts apart; ask for fewer")
    return Side("a", model_a, tuple(of_a)), Side("b", model_b, tuple(of_b))


def _judge(
    sides: tuple[Side, Side], owner: Side, place: int, seed: int, reference: MapReference, out: Path
) -> PictureRecord:
    picture = reference.load().raw_picture[None]
    opinions = [measure_opinion(side.classifier, side.concepts[place], picture) for side in sides]
    file = str(reference.path.relative_to(out))
    return PictureRecord(owner.name, seed, file, reference.scores.fidelity.probability, *opinions)


def measure_opinion(classifier: Classifier, concept: Concept, picture: Tensor) -> Opinion:
    """What a model makes of one bare picture `(1, C, H, W)`, resized to its own size."""
    with torch.no_grad():
        (outputs,) = read(classifier, resize_pictures(picture, classifier), [concept])
    kind = classifier.output_kind
    centered = outputs - outputs.mean(dim=1, keepdim=True) if layer_of(concept) is None and kind.exclusive else outputs
    numbers = (concept.score(centered), probability(outputs, concept, kind), is_top(outputs, concept, kind))
    score, share, seen = (number.item() for number in numbers)
    return Opinion(round(score, 4), round(share, 4), bool(seen))


def rank(
    model_a: Classifier,
    model_b: Classifier,
    pictures: Mapping[str, Sequence[PictureRecord]],
    recipe: Recipe,
    seeds: tuple[int, ...],
) -> Comparison:
    """The comparison with its concepts in the order of their change, the largest first."""
    noise_a, noise_b = (measure_noise(model, pictures) for model in ("a", "b"))
    changes = [measure_change(name, some, noise_a, noise_b, len(pictures)) for name, some in pictures.items()]
    return Comparison(
        model_a=ModelRecord.of(model_a),
        model_b=ModelRecord.of(model_b),
        recipe=recipe.to_json(),
        seeds=seeds,
        noise_a=round(noise_a, 4),
        noise_b=round(noise_b, 4),
        concepts=tuple(sorted(changes, key=lambda change: -change.change)),
    )


def measure_noise(model: str, pictures: Mapping[str, Sequence[PictureRecord]]) -> float:
    """Deviation of a model's scores of its own pictures from seed to seed, pooled over the concepts.

    Raises `MeaninglessScore` where every seed gives the same.
    """
    own = [
        [(one.by_a if model == "a" else one.by_b).score for one in some if one.model == model]
        for some in pictures.values()
    ]
    noise = math.sqrt(statistics.fmean(statistics.variance(scores) for scores in own))
    if noise == 0:
        raise MeaninglessScore(
            f"every seed gives model {model} the same scores; expected them to vary, there is nothing to measure a "
            "change against"
        )
    return noise


def measure_change(
    concept: str, pictures: Sequence[PictureRecord], noise_a: float, noise_b: float, concepts: int
) -> ConceptChange:
    """The change of one concept; `concepts` is the number that are looked at together."""
    first, second = (
        [one.by_a.score / noise_a - one.by_b.score / noise_b for one in pictures if one.model == model]
        for model in ("a", "b")
    )
    change = statistics.fmean(first) - statistics.fmean(second)
    low, high = welch(first, second)
    lowest, _ = welch(first, second, 1 - (1 - CONFIDENCE) / concepts)
    return ConceptChange(concept, round(change, 3), round(low, 3), round(high, 3), lowest > 0, tuple(pictures))
