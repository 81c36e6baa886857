"""Study 1: is input-specific saliency open to misleading attribution?

An imperceptible stamp, one for each class B and the same for every photograph, makes photograph A be called B. It is an
input-agnostic map itself, made on the pixel surface within a ball so small that nobody sees it, and so the cause of the
answer is known exactly. Then each method is asked on the stamped photograph why the model says B.

Three questions, after the first claim of Akhtar & Jalwana (AAAI 2023): (a) does the answer lie on the object of A, or
where the cause is? (b) does the answer depend on the class that is asked for? (c) does it change when nothing but a
constant is added to every image and taken off again inside the network (Kindermans et al., 2019)?
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.artifact import file_stem
from phosphene.classifier import Classifier
from phosphene.concepts import Concept, class_names, parse
from phosphene.errors import BadInput
from phosphene.estimator import estimate
from phosphene.evidence.similarity import different_pairs, looks
from phosphene.fidelity import recognition
from phosphene.geometry import Pixel
from phosphene.recipe import PRESETS, Recipe
from phosphene.refinement import bare_pictures, importance
from phosphene.sampling import STILL, Distribution, Pink, compose_clip
from phosphene.study.attributions import METHODS, Network, Shifted, heat, shifted
from phosphene.study.folder import Part, Parts
from phosphene.study.measures import rank_correlation, share_inside
from phosphene.study.photographs import Photograph, Shown, photographs

AGNOSTIC = "input-agnostic map"
ON_PHOTOGRAPHS, ON_NOISE = "made on the photographs", "made on noise"
STRENGTHS = (16.0, 32.0, 64.0)  # of input-agnostic maps as stamps, in units of 1/255
SHIFT = 0.5  # the constant of (c), in normalised units
KEPT = 56  # side of the heat maps that figures are drawn from


@dataclass(frozen=True)
class Settings:
    """`stamp` is the root mean square of a stamp in units of 1/255; `preset` makes the input-agnostic maps."""

    models: tuple[str, ...] = ("efficientnet_lite0", "efficientnet_lite2")
    classes: tuple[str, ...] = ("goldfish", "zebra", "jellyfish", "strawberry", "king penguin", "daisy")
    methods: tuple[str, ...] = tuple(METHODS)
    stamp: float = 3.5
    stamp_iterations: int = 120
    preset: str = "default"
    seed: int = 0


@dataclass(frozen=True)
class Findings:
    """What was measured on one model: a record a photograph and class, and the maps to draw."""

    model: str
    pairs: list[dict[str, Any]]  # every photograph with every class; `fooled` says whether the stamp worked
    photographs: list[Part]
    maps: Part
    reach: list[dict[str, Any]]  # how many pairs stamps of other makes and strengths turn


def measured(
    classifier: Classifier, settings: Settings, out: Path, photos: Path | None, told: Callable[[str], None],
    others: Sequence[Classifier] = (),
) -> Findings:  # fmt: skip
    """All that is measured on one model, resumed from the parts in `out`; `others` judge how alike its maps look."""
    folded = classifier.folded()
    network = Network.of(folded)
    shown = photographs(photos, _side(classifier))
    concepts = [parse(name, classifier.labels, model=classifier.name, scored="margin") for name in settings.classes]
    plain = [parse(name, classifier.labels, model=classifier.name) for name in settings.classes]
    recipe = replace(PRESETS[settings.preset], seed=settings.seed)
    folder, identity = out / file_stem(classifier.name), {
        "weights": classifier.fingerprint, "photographs": [[one.name, one.digest()] for one in shown],
        "classes": settings.classes, "stamp": [settings.stamp, settings.stamp_iterations, settings.seed],
    }  # fmt: skip
    parts = Parts(folder, identity | {"methods": settings.methods}, told)
    made = Parts(folder, identity | {"recipe": recipe.to_json(), "judges": [one.name for one in others]}, told)
    images = torch.stack([one.image for one in shown])
    stamps = parts.get("stamps", lambda: Part(tensors={
        "maps": stamps_of(folded, concepts, Shown(images), settings),
        "on noise": stamps_of(folded, concepts, Pink(), settings)})).tensors  # fmt: skip
    maps = made.get("maps", lambda: agnostic_maps(folded, plain, shown, recipe, [one.folded() for one in others]))
    tried = {ON_PHOTOGRAPHS: [(stamps["maps"], settings.stamp)], ON_NOISE: [(stamps["on noise"], settings.stamp)],
             AGNOSTIC: [(maps.tensors["maps"], strength) for strength in (settings.stamp, *STRENGTHS)]}  # fmt: skip
    reach = made.get("reach", lambda: Part({"tried": turned(folded, concepts, images, tried)}))
    answers = [
        parts.get(f"photograph-{file_stem(one.name)}", lambda one=one: answered(  # type: ignore[misc]
            folded, network, one, concepts, stamps["maps"], settings.methods))
        for one in shown
    ]  # fmt: skip
    pairs = [pair for part in answers for pair in part.numbers["pairs"]]
    return Findings(classifier.name, pairs, answers, maps, reach.numbers["tried"])


def _side(classifier: Classifier) -> int:
    channels, height, width = classifier.image_shape
    if channels != 3 or height != width:
        raise BadInput(f"{classifier.name} takes images of {channels}×{height}×{width}; expected a model of square "
                       f"colour photographs for this study")  # fmt: skip
    return height


def stamps_of(classifier: Classifier, concepts: Sequence[Concept], drawn: Distribution, settings: Settings) -> Tensor:
    """A map for each class `(classes, C, H, W)` of root mean square `stamp`/255: one for all that is drawn.

    Those that are used are made on the photographs themselves: within so small a ball one made on noise turns nothing.
    """
    radius = settings.stamp / 255 * math.prod(classifier.image_shape) ** 0.5
    recipe = Recipe(distribution=drawn, views=STILL, composition="clip", score="margin", geometry=Pixel(radius),
                    iterations=settings.stamp_iterations, step=0.0015, averaged=0.3, seed=settings.seed)  # fmt: skip
    return estimated_maps(classifier, concepts, recipe)


def turned(
    classifier: Classifier, concepts: Sequence[Concept], images: Tensor,
    tried: dict[str, list[tuple[Tensor, float]]],
) -> list[dict[str, Any]]:  # fmt: skip
    """How many pairs of photograph and class become the class, by what the stamp is and by its root mean square."""
    with classifier.frozen(), torch.no_grad():
        own = classifier(images).argmax(dim=1)
    rows = []
    for made, strengths in tried.items():
        for maps, strength in strengths:
            hits, seen = [], []
            for concept, one in zip(concepts, maps, strict=True):
                stamped = compose_clip(images, one[None] * (strength / 255 / one.square().mean().sqrt()))
                with classifier.frozen(), torch.no_grad():
                    now = classifier(stamped).argmax(dim=1)
                hits += (now == concept.targets[0])[own != concept.targets[0]].tolist()
                seen += [decibels(*pair) for pair in zip(images, stamped, strict=True)]
            rows.append({"made": made, "strength": strength, "turned": sum(hits), "of": len(hits),
                         "psnr": sum(seen) / len(seen)})  # fmt: skip
    return rows


def decibels(image: Tensor, stamped: Tensor) -> float:
    """Peak signal to noise: 20 log₁₀ of the range over the root mean square of the change."""
    return -10 * math.log10(max(float((stamped - image).square().mean()), 1e-12))


def answered(
    classifier: Classifier, network: Network, photograph: Photograph, concepts: Sequence[Concept], stamps: Tensor,
    methods: Sequence[str],
) -> Part:  # fmt: skip
    """What every method says about one photograph: of its own class, of each B before the stamp, and after."""
    stamped = compose_clip(photograph.image[None], stamps)
    with classifier.frozen(), torch.no_grad():
        logits, clean = classifier(stamped), classifier(photograph.image[None])[0]
    own = int(clean.argmax())
    kept: dict[str, Tensor] = {"photograph": photograph.image, "stamped": stamped}
    if photograph.region is not None:
        kept["region"] = photograph.region
    asked = [(own, photograph.image), *((c.targets[0], photograph.image) for c in concepts),
             *((c.targets[0], image) for c, image in zip(concepts, stamped, strict=True))]  # fmt: skip
    for name in methods:
        heats = [heat(METHODS[name], network, network.normalised(image), target) for target, image in asked]
        moved = heat(METHODS[name], shifted(network, SHIFT), network.normalised(photograph.image)
                     + SHIFT, own)  # fmt: skip
        kept[name] = _small(torch.stack([*heats, moved]))
    pairs = [
        {"photograph": photograph.name, "asked": concept.name, "absent": own != concept.targets[0],
         "fooled": own != concept.targets[0] and bool(logits[row].argmax() == concept.targets[0]),
         "largest": 255 * float((stamped[row] - photograph.image).abs().max()),
         "psnr": decibels(photograph.image, stamped[row]),
         **_cause(classifier, photograph, concept, stamps[row]),
         "methods": {name: _compared(kept[name], row, len(concepts), photograph.region, stamps[row])
                     for name in methods}}
        for row, concept in enumerate(concepts)
    ]  # fmt: skip
    return Part({"pairs": pairs, "own": class_names(classifier.labels)[own], "photograph": photograph.name,
                 "sure": float(clean.softmax(dim=0)[own])}, kept)  # fmt: skip


def _compared(heats: Tensor, row: int, classes: int, region: Tensor | None, stamp: Tensor) -> dict[str, float]:
    """The heat of one method for one class, `heats` being (own, each B, each B stamped, own shifted)."""
    own, clean, stamped = heats[0], heats[1 + row], heats[1 + classes + row]
    compared = {
        "follows_stamp": rank_correlation(stamped, _small(_energy(stamp))[0]),
        "follows_own": rank_correlation(stamped, own), "unmoved": rank_correlation(stamped, clean),
        "shift": rank_correlation(heats[-1], own),
    }  # fmt: skip
    if region is None:
        return compared
    small = _small(region[None])[0]
    return compared | {"own_inside": share_inside(own, small), "clean_inside": share_inside(clean, small),
                       "inside": share_inside(stamped, small)}  # fmt: skip


def _cause(classifier: Classifier, photograph: Photograph, concept: Concept, stamp: Tensor) -> dict[str, Any]:
    """Where the cause lies: the stamp's energy, and what the logit of B owes to the stamp's half on the object."""
    inside = photograph.region
    if inside is None:
        return {"outlined": False}
    versions = torch.stack([stamp, stamp * (1 - inside), stamp * inside, torch.zeros_like(stamp)])
    with classifier.frozen(), torch.no_grad():
        full, without, alone, clean = classifier(compose_clip(photograph.image[None], versions))[
            :, concept.targets[0]
        ].tolist()
    gain = max(full - clean, 1e-6)
    # Shapley's value of the two halves: what the half inside adds, averaged over the order in which they are laid on.
    effect = 0.5 * ((full - without) + (alone - clean)) / gain
    return {"outlined": True, "area": float(inside.mean()), "effect_inside": effect,
            "cause_inside": share_inside(_energy(stamp)[0], inside)}  # fmt: skip


def agnostic_maps(
    classifier: Classifier, concepts: Sequence[Concept], shown: Sequence[Photograph], recipe: Recipe,
    judges: Sequence[Classifier] = (),
) -> Part:  # fmt: skip
    """The maps of the same classes, made without any photograph, and what they say about the three questions.

    How alike two pictures are is what `judges` see in them, by preference other models than the maps' own.
    """
    maps = estimated_maps(classifier, concepts, recipe)
    unseen = _shifted_classifier(classifier, SHIFT)
    other = replace(recipe, seed=recipe.seed + 1)
    again, moved = estimated_maps(classifier, concepts, other), estimated_maps(unseen, concepts, recipe)
    evidence = importance(classifier, concepts, maps, recipe)
    pictures, *others = (bare_pictures(made, recipe) for made in (maps, again, moved))
    places = [importance(classifier, concepts, again, other), importance(unseen, concepts, moved, recipe)]
    (first, *rest) = (looks(made, judges or [classifier]) for made in (pictures, *others))
    numbers: dict[str, Any] = {
        "inside": {one.name: [share_inside(seen, one.region) for seen in evidence]
                   for one in shown if one.region is not None},
        "shifted_called": recognition(unseen, concepts, others[1])[:, 0].tolist(),
        "called": recognition(classifier, concepts, pictures)[:, 0].tolist(),
        "classes": [rank_correlation(evidence[i], evidence[j]) for i in range(len(maps)) for j in range(i)],
        "alike classes": different_pairs(first.to(first)["features"]).tolist(),
    }  # fmt: skip
    for name, place, look in zip(("seeds", "shift"), places, rest, strict=True):
        numbers[name] = [rank_correlation(a, b) for a, b in zip(evidence, place, strict=True)]
        numbers[f"alike {name}"] = first.to(look)["features"].diagonal().tolist()
    return Part(numbers, {"pictures": pictures, "evidence": _small(evidence), "maps": maps})


def estimated_maps(classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe) -> Tensor:
    """The maps of a recipe `(concepts, C, H, W)`, with nothing measured about them."""
    *_, last = estimate(classifier, concepts, recipe)
    return last.maps().detach()


def _shifted_classifier(classifier: Classifier, by: float) -> Classifier:
    """A classifier whose network takes a constant off every image, while nobody tells the method."""
    return Classifier(Shifted(classifier.module, by), classifier.format, name=f"{classifier.name} shifted",
                      labels=classifier.labels)  # fmt: skip


def _energy(stamp: Tensor) -> Tensor:
    return stamp.square().sum(dim=0, keepdim=True)


def _small(heats: Tensor) -> Tensor:
    """Heats `(N, H, W)` at the side that is kept."""
    return F.adaptive_avg_pool2d(heats, min(KEPT, heats.shape[-1]))
