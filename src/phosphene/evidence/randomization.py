"""Cascading parameter randomization: layers drawn anew, from the output towards the image.

A map that survives it does not show what the model has learned. Source: Adebayo et al., "Sanity checks for saliency
maps", NeurIPS 2018.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from phosphene.core.seeding import make_generator
from phosphene.evidence.layers import find_layers
from phosphene.model.classifier import Classifier
from phosphene.recipe.recipe import Recipe

# Share of the layers that own parameters, by stage; the last stage is an untrained network.
STAGES: dict[str, float] = {"head": 0.0, "top third": 1 / 3, "top two thirds": 2 / 3, "untrained": 1.0}
CALIBRATION_IMAGES = 32  # for the statistics of batch norms


def randomize_layers(classifier: Classifier, stage: str, recipe: Recipe) -> Classifier:
    """A private copy of the classifier whose top layers, the share of the stage but at least one, are drawn anew.

    Batch norms among them count their statistics on draws of the recipe's distribution: without that the activations
    of a deep network vanish, and its map would differ for that reason alone.
    """
    layers = find_layers(classifier)
    chosen = layers[: max(1, math.ceil(STAGES[stage] * len(layers)))]
    module = copy.deepcopy(classifier.module)
    parts = [module.get_submodule(name) for name in chosen]
    for position, part in enumerate(parts):
        reinitialize(part, recipe.seed + position)
    _recalibrate(classifier, module, [part for part in parts if isinstance(part, _BatchNorm)], recipe)
    return Classifier(
        module,
        classifier.format,
        name=f"{classifier.name}, {stage}",
        labels=classifier.labels,
        outputs=classifier.output_kind.name,
        output=classifier.output,
    )


def reinitialize(module: nn.Module, seed: int) -> None:
    """Draw the layer's parameters anew by its own `reset_parameters`; where it has none, shuffle them."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        if callable(reset := getattr(module, "reset_parameters", None)):
            reset()
            return
        for parameter in module.parameters(recurse=False):
            shuffled = parameter.flatten()[torch.randperm(parameter.numel()).to(parameter.device)]
            parameter.copy_(shuffled.view_as(parameter))


def _recalibrate(classifier: Classifier, module: nn.Module, norms: Sequence[_BatchNorm], recipe: Recipe) -> None:
    """Count the statistics of the batch norms anew, on draws without a map."""
    generator = make_generator(recipe.seed, "evidence/calibration", 0)
    images = recipe.distribution.draw(generator, CALIBRATION_IMAGES, classifier.image_shape)
    module.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
        norm.momentum = None  # a plain average over all draws
    with torch.no_grad():
        for batch in images.split(classifier.batch_size) if norms else ():
            module(classifier.normalize(batch.to(classifier.device)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.eval()
        norm.momentum = momentum
