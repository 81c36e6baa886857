"""Models that have forgotten: layers drawn anew from the output towards the image.

A map that survives this does not show the model (Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018).
The last stage, everything drawn anew, is an untrained network.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from phosphene.core.seeding import make_generator
from phosphene.evidence.layers import layers_from_the_top
from phosphene.model.classifier import Classifier
from phosphene.recipe.recipe import Recipe

STAGES: dict[str, float] = {"head": 0.0, "top third": 1 / 3, "top two thirds": 2 / 3, "untrained": 1.0}
CALIBRATION = 32  # draws on which batch norms count their statistics anew


def forgetful(classifier: Classifier, stage: str, recipe: Recipe) -> Classifier:
    """A private copy of the classifier whose top layers, the share that the stage says, are drawn anew.

    Batch norms among them count their statistics on draws of the recipe's distribution: without that a deep
    network falls silent, and its map would differ for that reason alone.
    """
    layers = layers_from_the_top(classifier)
    chosen = layers[: max(1, math.ceil(STAGES[stage] * len(layers)))]
    module = copy.deepcopy(classifier.module)
    for position, name in enumerate(chosen):
        reinitialise(module.get_submodule(name), recipe.seed + position)
    _recalibrate(classifier, module, chosen, recipe)
    return Classifier(module, classifier.format, name=f"{classifier.name}, {stage}", labels=classifier.labels)


def reinitialise(module: nn.Module, seed: int) -> None:
    """The layer's own way of starting; where it has none, its parameters in random order."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        if callable(reset := getattr(module, "reset_parameters", None)):
            reset()
            return
        for parameter in module.parameters(recurse=False):
            shuffled = parameter.flatten()[torch.randperm(parameter.numel()).to(parameter.device)]
            parameter.copy_(shuffled.view_as(parameter))


def _recalibrate(classifier: Classifier, module: nn.Module, names: list[str], recipe: Recipe) -> None:
    norms = [norm for name in names if isinstance(norm := module.get_submodule(name), _BatchNorm)]
    if not norms:
        return
    images = recipe.distribution.draw(
        make_generator(recipe.seed, "evidence/calibration", 0), CALIBRATION, classifier.image_shape
    )
    module.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
        norm.momentum = None  # count all draws alike
    try:
        with torch.no_grad():
            for batch in images.split(classifier.batch_size):
                module(classifier.normalize(batch.to(classifier.device)))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.eval()
            norm.momentum = momentum
