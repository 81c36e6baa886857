"""One photograph: the heat maps of every method without the stamps and with them, and where the cause lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.model.classifier import Classifier
from phosphene.recipe.compositions import compose_clip
from phosphene.recipe.concepts import Concept
from phosphene.recipe.names import class_names
from phosphene.studies.attributions import METHODS, SHIFT, Network, compute_heat, shift_network
from phosphene.studies.folder import Part
from phosphene.studies.heat_maps import correlate_ranks, measure_share
from phosphene.studies.mislead.stamps import LEVEL, measure_energy, measure_psnr
from phosphene.studies.photographs import Photograph

SAVED_SIDE = 56  # side of the heat maps that are saved and drawn


def measure_photograph(
    classifier: Classifier,
    network: Network,
    photograph: Photograph,
    concepts: Sequence[Concept],
    stamps: Tensor,
    methods: Sequence[str],
) -> Part:
    """The heats of every method for the photograph's own class, and for each B before the stamp and after."""
    stamped = compose_clip(photograph.image[None], stamps)
    with torch.no_grad():
        logits = classifier(torch.cat([photograph.image[None], stamped]))
    own, *predicted = logits.argmax(dim=1).tolist()
    questions = _list_questions(photograph.image, own, stamped, [concept.targets[0] for concept in concepts])
    heats = {name: _compute_heats(network, name, questions) for name in methods}
    pairs = []
    for row, concept in enumerate(concepts):
        target = concept.targets[0]
        compared = {name: _compare_heats(heats[name], row, photograph.region, stamps) for name in methods}
        pair = {
            "photograph": photograph.name,
            "asked": concept.name,
            "absent": own != target,
            "fooled": own != target and predicted[row] == target,
            **_measure_change(photograph.image, stamped[row]),
            **_locate_cause(classifier, photograph, target, stamps[row]),
            "methods": compared,
        }
        pairs.append(pair)
    name, probability = class_names(classifier.labels)[own], float(logits[0].softmax(dim=0)[own])
    numbers = {"pairs": pairs, "own": name, "photograph": photograph.name, "sure": probability}
    region = {} if photograph.region is None else {"region": photograph.region}
    return Part(numbers, {"photograph": photograph.image, "stamped": stamped, **region, **heats})


def _list_questions(image: Tensor, own: int, stamped: Tensor, targets: Sequence[int]) -> list[tuple[Tensor, int]]:
    """The images and classes to explain: the own class, each B, and each B on its stamped photograph."""
    return [(image, own), *((image, target) for target in targets), *zip(stamped, targets, strict=True)]


def _measure_change(image: Tensor, stamped: Tensor) -> dict[str, float]:
    """How visible a stamp is: the largest change of a value in levels, and the PSNR in dB."""
    return {"largest": float((stamped - image).abs().max()) / LEVEL, "psnr": measure_psnr(image, stamped)}


def _compute_heats(network: Network, name: str, questions: Sequence[tuple[Tensor, int]]) -> Tensor:
    """The heats of one method: of each image and class, and last of the first ones again after the constant shift."""
    method, (image, own) = METHODS[name], questions[0]
    heats = [compute_heat(method, network, network.normalize(one), target) for one, target in questions]
    shifted = compute_heat(method, shift_network(network, SHIFT), network.normalize(image) + SHIFT, own)
    return torch.stack([_reduce(heat) for heat in (*heats, shifted)])


def _compare_heats(heats: Tensor, row: int, region: Tensor | None, stamps: Tensor) -> dict[str, float]:
    """The heat of one method for one class; `heats` are those of (own, each B, each B stamped, own shifted)."""
    own, clean, stamped = heats[0], heats[1 + row], heats[1 + len(stamps) + row]
    numbers = {
        "follows_stamp": correlate_ranks(stamped, _reduce(measure_energy(stamps[row]))),
        "unmoved": correlate_ranks(stamped, clean),
        "shift": correlate_ranks(heats[-1], own),
    }
    if region is not None:
        small = _reduce(region)
        shares = {"own_inside": own, "clean_inside": clean, "inside": stamped}
        numbers |= {name: measure_share(heat, small) for name, heat in shares.items()}
    return numbers


def _locate_cause(classifier: Classifier, photograph: Photograph, target: int, stamp: Tensor) -> dict[str, Any]:
    """The shares of the stamp's energy, and of its effect on the logit of B, on the object."""
    inside = photograph.region
    if inside is None:
        return {"outlined": False}
    versions = torch.stack([stamp, stamp * (1 - inside), stamp * inside, torch.zeros_like(stamp)])
    with torch.no_grad():
        full, without, alone, clean = classifier(compose_clip(photograph.image[None], versions))[:, target].tolist()
    # Shapley value of the half inside: what it adds, averaged over the order in which the two halves are added.
    effect = 0.5 * ((full - without) + (alone - clean)) / max(full - clean, 1e-6)
    return {
        "outlined": True,
        "area": float(inside.mean()),
        "effect_inside": effect,
        "cause_inside": measure_share(measure_energy(stamp), inside),
    }


def _reduce(plane: Tensor) -> Tensor:
    """A plane `(H, W)` at the side that is saved."""
    return F.adaptive_avg_pool2d(plane[None], min(SAVED_SIDE, plane.shape[-1]))[0]
