"""Study 1 measured: every method asked about every photograph, without the stamp and with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.recipe.compositions import compose_clip
from phosphene.recipe.concepts import Concept
from phosphene.recipe.distributions import Distribution, Pink
from phosphene.recipe.grammar import class_names, parse
from phosphene.recipe.recipe import Recipe
from phosphene.runs.store import file_stem
from phosphene.studies.agnostic import recipe_for
from phosphene.studies.attributions import METHODS, SHIFT, Network, heat, shifted
from phosphene.studies.folder import Part, Parts
from phosphene.studies.measures import rank_correlation, share_inside
from phosphene.studies.mislead.maps import agnostic_maps
from phosphene.studies.mislead.stamps import LEVEL, decibels, energy, reach, stamps_of
from phosphene.studies.photographs import Photograph, Shown, photographs
from phosphene.studies.words import AGNOSTIC

ON_PHOTOGRAPHS, ON_NOISE = "made on the photographs", "made on noise"
STRENGTHS = (16.0, 32.0, 64.0)  # of input-agnostic maps as stamps, in levels
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
    folded, shown = classifier.fold(), photographs(photos, _side(classifier))
    images, concepts = torch.stack([one.image for one in shown]), _asked(classifier, settings)
    recipe = recipe_for(settings.preset, seed=settings.seed)
    identity = {
        "weights": classifier.fingerprint, "photographs": [[one.name, one.digest()] for one in shown],
        "classes": settings.classes, "stamp": [settings.stamp, settings.stamp_iterations, settings.seed],
    }  # fmt: skip
    folder = out / file_stem(classifier.name)
    parts = Parts(folder, identity | {"methods": settings.methods}, told)
    made = Parts(folder, identity | {"recipe": recipe.to_json(), "judges": [one.name for one in others]}, told)
    stamps = parts.get("stamps", partial(_stamped, folded, images, settings)).tensors
    other = replace(recipe, seed=recipe.seed + 1)
    maps = made.get("maps", partial(_mapped, folded, concepts, shown, recipe, other, others))
    ask = partial(answered, folded, Network.of(folded), concepts=concepts, stamps=stamps[ON_PHOTOGRAPHS],
                  methods=settings.methods)  # fmt: skip
    answers = [parts.get(f"photograph-{file_stem(one.name)}", partial(ask, one)) for one in shown]
    pairs = [pair for part in answers for pair in part.numbers["pairs"]]
    reached = made.get("reach", partial(_reached, folded, concepts, images, stamps, maps.tensors["maps"], settings))
    return Findings(classifier.name, pairs, answers, maps, reached.numbers["tried"])


def _stamped(classifier: Classifier, images: Tensor, settings: Settings) -> Part:
    """The stamps, found on photographs and on noise."""
    how = (settings.stamp, settings.stamp_iterations, settings.seed)
    drawn: dict[str, Distribution] = {ON_PHOTOGRAPHS: Shown(images), ON_NOISE: Pink()}
    return Part(tensors={name: stamps_of(classifier, _asked(classifier, settings, "margin"), one, *how)
                         for name, one in drawn.items()})  # fmt: skip


def _mapped(
    classifier: Classifier, concepts: Sequence[Concept], shown: Sequence[Photograph], recipe: Recipe, other: Recipe,
    others: Sequence[Classifier],
) -> Part:  # fmt: skip
    """Input-agnostic maps by two seeds; the judges are folded only if they are not there yet."""
    return agnostic_maps(classifier, concepts, shown, recipe, other, [one.fold() for one in others])


def _reached(
    classifier: Classifier, concepts: Sequence[Concept], images: Tensor, stamps: Mapping[str, Tensor], maps: Tensor,
    settings: Settings,
) -> Part:  # fmt: skip
    """How many photographs each stamp turns, and the maps themselves at several strengths."""
    tried = {name: [(stamps[name], settings.stamp)] for name in (ON_PHOTOGRAPHS, ON_NOISE)}
    tried[AGNOSTIC] = [(maps, strength) for strength in (settings.stamp, *STRENGTHS)]
    return Part({"tried": reach(classifier, concepts, images, tried)})


def _asked(classifier: Classifier, settings: Settings, scored: str = "logit") -> list[Concept]:
    return [parse(name, classifier.labels, model=classifier.name, scored=scored) for name in settings.classes]


def _side(classifier: Classifier) -> int:
    channels, height, width = classifier.image_shape
    if channels != 3 or height != width:
        raise BadInput(f"{classifier.name} takes images of {channels}×{height}×{width}; expected a model of square "
                       f"colour photographs for this study")  # fmt: skip
    return height


def answered(
    classifier: Classifier, network: Network, photograph: Photograph, concepts: Sequence[Concept], stamps: Tensor,
    methods: Sequence[str],
) -> Part:  # fmt: skip
    """What every method says about one photograph: of its own class, of each B before the stamp, and after."""
    stamped = compose_clip(photograph.image[None], stamps)
    with torch.no_grad():
        clean, *now = classifier(torch.cat([photograph.image[None], stamped]))
    own, targets = int(clean.argmax()), [concept.targets[0] for concept in concepts]
    asked = [(photograph.image, own), *((photograph.image, target) for target in targets),
             *zip(stamped, targets, strict=True)]  # fmt: skip
    heats = {name: _heats(network, name, asked) for name in methods}
    pairs = [
        {"photograph": photograph.name, "asked": concept.name, "absent": own != target,
         "fooled": own != target and int(logits.argmax()) == target,
         "largest": float((image - photograph.image).abs().max()) / LEVEL,
         "psnr": decibels(photograph.image, image),
         **_cause(classifier, photograph, target, stamp),
         "methods": {name: _compared(heats[name], row, len(targets), photograph.region, stamp) for name in methods}}
        for row, (concept, target, logits, image, stamp)
        in enumerate(zip(concepts, targets, now, stamped, stamps, strict=True))
    ]  # fmt: skip
    kept = {"photograph": photograph.image, "stamped": stamped}
    kept |= {} if photograph.region is None else {"region": photograph.region}
    return Part({"pairs": pairs, "own": class_names(classifier.labels)[own], "photograph": photograph.name,
                 "sure": float(clean.softmax(dim=0)[own])}, kept | heats)  # fmt: skip


def _heats(network: Network, name: str, asked: Sequence[tuple[Tensor, int]]) -> Tensor:
    """The heats of one method: of each question, and last of the first one again after the constant shift."""
    method, (image, own) = METHODS[name], asked[0]
    heats = [heat(method, network, network.normalised(one), target) for one, target in asked]
    moved = heat(method, shifted(network, SHIFT), network.normalised(image) + SHIFT, own)
    return torch.stack([_small(one) for one in (*heats, moved)])


def _compared(heats: Tensor, row: int, classes: int, region: Tensor | None, stamp: Tensor) -> dict[str, float]:
    """The heat of one method for one class, `heats` being (own, each B, each B stamped, own shifted)."""
    own, clean, stamped = heats[0], heats[1 + row], heats[1 + classes + row]
    compared = {
        "follows_stamp": rank_correlation(stamped, _small(energy(stamp))),
        "unmoved": rank_correlation(stamped, clean), "shift": rank_correlation(heats[-1], own),
    }  # fmt: skip
    if region is None:
        return compared
    small = _small(region)
    return compared | {"own_inside": share_inside(own, small), "clean_inside": share_inside(clean, small),
                       "inside": share_inside(stamped, small)}  # fmt: skip


def _cause(classifier: Classifier, photograph: Photograph, target: int, stamp: Tensor) -> dict[str, Any]:
    """Where the cause lies: the stamp's energy, and what the logit of B owes to the stamp's half on the object."""
    inside = photograph.region
    if inside is None:
        return {"outlined": False}
    versions = torch.stack([stamp, stamp * (1 - inside), stamp * inside, torch.zeros_like(stamp)])
    with torch.no_grad():
        full, without, alone, clean = classifier(compose_clip(photograph.image[None], versions))[:, target].tolist()
    # Shapley's value of the two halves: what the half inside adds, averaged over the order in which they are laid on.
    effect = 0.5 * ((full - without) + (alone - clean)) / max(full - clean, 1e-6)
    return {"outlined": True, "area": float(inside.mean()), "effect_inside": effect,
            "cause_inside": share_inside(energy(stamp), inside)}  # fmt: skip


def _small(plane: Tensor) -> Tensor:
    """A plane `(H, W)` at the side that is kept."""
    return F.adaptive_avg_pool2d(plane[None], min(KEPT, plane.shape[-1]))[0]
