"""Study 3: the variety of concepts, the size of models, and training.

Maps of classes, sets of classes, differences and channels, made by the same loop on models of growing size, each read
by the others; the paper's choices beside the default's; and a small model that is asked at each stage of its training,
from random weights on, when its concepts appear.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from phosphene.artifact import SaliencyMap, file_stem
from phosphene.classifier import Classifier
from phosphene.concepts import Classes, Concept, parse
from phosphene.estimator import estimate
from phosphene.fidelity import excitation, fidelity, recognition, resized
from phosphene.jobs import Listener, make_maps
from phosphene.reading import KINDS, read
from phosphene.recipe import PRESETS, Recipe
from phosphene.refinement import bare_pictures
from phosphene.sampling import seeded
from phosphene.study.folder import Part, Parts
from phosphene.study.small import Examples, SmallNet, accuracy, classifier_of, generated_signs, trained

HELD_OUT = 600
SMALL = "small model"  # trained here, on generated signs
WIDTH, BATCH = 24, 50
NOISES = 8  # draws of each kind of noise that a channel is shown


@dataclass(frozen=True)
class Settings:
    """`stages` are the steps of training at which the small model is asked for `signs` (indices of its classes)."""

    models: tuple[str, ...] = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
    classes: tuple[str, ...] = ("goldfish", "zebra", "golden retriever", "daisy", "traffic light", "goose")
    sets: tuple[str, ...] = ("beagle, pug, collie, Siberian husky", "strawberry, orange, lemon, pineapple")
    differences: tuple[str, ...] = ("zebra - sorrel", "tiger cat - tabby")
    channels: tuple[str, ...] = (
        "blocks.0:3", "blocks.1:5", "blocks.2:7", "blocks.3:10", "blocks.4:37", "blocks.5:50", "blocks.6:100",
    )  # fmt: skip
    presets: tuple[str, ...] = ("paper", "default")
    compared: tuple[str, ...] = ("goldfish", "zebra", "golden retriever", "daisy")
    small_classes: tuple[str, ...] = ("0", "2", "3", "4", "5")  # of the small model, signs by their index
    small_sets: tuple[str, ...] = ("0, 1", "2, 5")
    small_differences: tuple[str, ...] = ("0 - 1", "3 - 4")
    small_channels: tuple[str, ...] = ("features.0:3", "features.3:5", "features.6:7")
    signs: tuple[int, ...] = (0, 2, 3, 4, 5)
    stages: tuple[int, ...] = (0, 10, 30, 60, 120, 240, 480)
    training: int = 3000
    seed: int = 0


@dataclass(frozen=True)
class Asked:
    """What one model was asked: its maps by kind of concept, what was measured beside them, and the texts."""

    model: str
    maps: dict[str, list[SaliencyMap]]  # class, set, difference, channel
    gaps: list[dict[str, Any]]  # a record a difference
    noise: list[dict[str, float]]  # for each channel, its score on each kind of noise


@dataclass(frozen=True)
class Findings:
    """Maps by model and by preset, with the others' opinions in their scores, and a part for each stage of training."""

    asked: list[Asked]  # the models, and last the small one
    presets: dict[str, list[SaliencyMap]]
    stages: list[Part]
    examples: Tensor  # one image of each sign, (signs, C, S, S)


def measured(settings: Settings, load: Callable[[str], Classifier], out: Path, told: Callable[[str], None]) -> Findings:
    """All that is measured, resumed from what lies in `out`."""
    models = {name: load(name) for name in settings.models}
    listener = Listener(finished=lambda saliency, path: told(saliency.concept))
    wanted = {"class": settings.classes, "set": settings.sets, "difference": settings.differences,
              "channel": settings.channels}  # fmt: skip
    everything = []
    for name, model in models.items():
        others = [other.folded() for key, other in models.items() if key != name]
        everything.append(asked(name, model, others, wanted, settings, out / file_stem(name), listener, told))
    first, *rest = settings.models
    judges = [models[name].folded() for name in rest]
    presets = {
        preset: make_maps(models[first], settings.compared, replace(PRESETS[preset], seed=settings.seed),
                          out=out / f"preset-{preset}", verifiers=judges, listener=listener)
        for preset in settings.presets
    }  # fmt: skip
    training, test = generated_signs(settings.training + HELD_OUT, None).split(settings.training)
    decisive = ("signs", "stages", "training", "seed")
    parts = Parts(out, {name: value for name, value in asdict(settings).items() if name in decisive}, told)
    stages = [parts.get(f"stage-{step}", make) for step, make in _stages(settings, training, test)]
    wanted = {"class": settings.small_classes, "set": settings.small_sets, "difference": settings.small_differences,
              "channel": settings.small_channels}  # fmt: skip
    small, other = (_small(settings, training, test, parts, seed) for seed in (settings.seed, settings.seed + 1))
    everything.append(asked(SMALL, small, [other], wanted, settings, out / SMALL, listener, told))
    examples = torch.stack([test.of_class(sign, 1)[0] for sign in settings.signs])
    return Findings(everything, presets, stages, examples)


def asked(
    name: str, model: Classifier, others: Sequence[Classifier], wanted: dict[str, tuple[str, ...]], settings: Settings,
    folder: Path, listener: Listener, told: Callable[[str], None],
) -> Asked:  # fmt: skip
    """Every kind of concept of one model; the others judge."""
    recipe = replace(PRESETS["default"], seed=settings.seed)
    texts = [text for kind in wanted.values() for text in kind]
    made = iter(make_maps(model, texts, recipe, out=folder, verifiers=others, listener=listener))
    maps = {kind: [next(made) for _ in texts] for kind, texts in wanted.items()}
    identity = {"weights": [one.fingerprint for one in (model, *others)], "recipe": recipe.to_json(), "wanted": wanted}
    folded = model.folded()

    def beside() -> Part:
        gaps = [gap(folded, others, parse(text, model.labels), saliency, recipe)
                for text, saliency in zip(wanted["difference"], maps["difference"], strict=True)]  # fmt: skip
        return Part(
            {"gaps": gaps, "noise": [on_noise(folded, parse(text, model.labels)) for text in wanted["channel"]]}
        )

    numbers = Parts(folder, identity, told).get("beside", beside).numbers
    return Asked(name, maps, numbers["gaps"], numbers["noise"])


def gap(
    classifier: Classifier, others: Sequence[Classifier], concept: Concept, saliency: SaliencyMap, recipe: Recipe
) -> dict[str, Any]:
    """A difference in logits: on fresh draws with its map and without, and on the bare picture as others see it."""
    with_map, without = excitation(classifier, concept, saliency.map, recipe)
    seen = []
    for other in others:
        with other.frozen(), torch.no_grad():
            picture = resized(saliency.raw_picture[None], other)
            seen.append(concept.score(read(other, picture, [concept])[0]).item())
    return {"with_map": with_map, "without": without, "others": seen}


def on_noise(classifier: Classifier, channel: Concept) -> dict[str, float]:
    """How strongly each kind of noise excites a channel on its own, in the deviations that it is scored in."""
    generator = seeded(0, f"noise/{channel.name}", 0)
    scores = {}
    for kind in KINDS:
        with classifier.frozen(), torch.no_grad():
            images = kind.draw(generator, NOISES, classifier.image_shape)
            scores[type(kind).__name__.lower()] = channel.score(read(classifier, images, [channel])[0]).mean().item()
    return scores


def _small(settings: Settings, training: Examples, test: Examples, parts: Parts, seed: int) -> Classifier:
    """The small model at the end of its training, kept, so that it is trained once."""

    def train() -> Part:
        *_, (_, module) = trained(training, seed, epochs=_epochs(settings, training), width=WIDTH)
        return Part(tensors=dict(module.state_dict()))

    module = SmallNet(test.images.shape[1], len(test.names), WIDTH)
    module.load_state_dict(parts.get(f"network-{seed}", train).tensors)
    return classifier_of(module.eval(), test, f"{SMALL}-{seed}")


def _epochs(settings: Settings, training: Examples) -> int:
    return -(-max(settings.stages) * BATCH // len(training.labels))


def _stages(settings: Settings, training: Examples, test: Examples) -> list[tuple[int, Callable[[], Part]]]:
    """A maker for each stage; the network is trained once, when the first of them is called."""
    kept: dict[int, torch.nn.Module] = {}

    def network(step: int) -> torch.nn.Module:
        if not kept:
            kept.update({number: copy.deepcopy(module) for number, module in trained(
                training, settings.seed, epochs=_epochs(settings, training), batch=BATCH, width=WIDTH)
                if number in settings.stages})  # fmt: skip
        return kept[step]

    def stage(step: int) -> Part:
        classifier, end = (classifier_of(network(at), test, f"signs-{at}") for at in (step, max(settings.stages)))
        return one_stage(classifier, end, settings, test, step)

    return [(step, lambda step=step: stage(step)) for step in settings.stages]  # type: ignore[misc]


def one_stage(classifier: Classifier, end: Classifier, settings: Settings, test: Examples, step: int) -> Part:
    """The maps of the signs at one stage, the model's own fidelity to them, and what the trained model calls them."""
    recipe = replace(PRESETS["default"], seed=settings.seed)
    concepts: list[Concept] = [Classes((sign,), str(sign)) for sign in settings.signs]
    maps = _maps(classifier, concepts, recipe)
    pictures = bare_pictures(maps, recipe)
    own = [fidelity(classifier, concept, one, recipe).probability for concept, one in zip(concepts, maps, strict=True)]
    called = recognition(end, concepts, pictures)
    numbers: dict[str, Any] = {"step": step, "accuracy": accuracy(classifier, test), "own": own,
                               "called": called[:, 0].tolist(), "probability": called[:, 1].exp().tolist()}  # fmt: skip
    return Part(numbers, {"pictures": pictures})


def _maps(classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe) -> Tensor:
    *_, last = estimate(classifier, concepts, recipe)
    return last.maps().detach()
