"""What a concept scores: the model's logits or, for a concept that names a `layer`, that layer's channels.

A channel has no scale of its own, so it is read in units of what it does when nothing is shown: the spatial mean `a` of
its activation becomes

    z = (a − mean of a) / deviation of a,

mean and deviation over `REFERENCES` draws of noise of five kinds that carry no map. `LAYER@center` reads the neuron in
the middle of each channel instead of the mean. So the outputs of a layer are `(samples, channels)`, as logits are, and
a batch may hold concepts of both kinds.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from phosphene.core.hooks import is_hookable
from phosphene.core.seeding import make_generator
from phosphene.errors import BadInput, UnknownConcept
from phosphene.model.classifier import Classifier
from phosphene.model.layout_search import find_layouts, require_layouts
from phosphene.recipe.concepts import Concept, layer_of
from phosphene.recipe.distributions import Flat, Gaussian, Grey, Pink, Uniform

REFERENCES = 40
KINDS = (Grey(), Gaussian(), Uniform(), Pink(), Flat())
DEAD = 0.1  # a channel that hardly moves is measured in tenths of its layer's usual deviation
Scale = tuple[Tensor, Tensor]  # mean and deviation, (channels,) each


def read(classifier: Classifier, images: Tensor, concepts: Sequence[Concept]) -> list[Tensor]:
    """What each concept scores, in order: equal shares of the images' rows, `(samples, classes or channels)`."""
    wanted = {layer for concept in concepts if (layer := layer_of(concept)) is not None}
    scales = {layer: measure_scale(classifier, layer) for layer in wanted}
    names = {split_reading(layer)[0] for layer in wanted}
    logits, layers = classifier.forward_with_layers(images, require_layouts(classifier, names))
    outputs: dict[str | None, Tensor] = {None: logits}
    for layer, (mean, deviation) in scales.items():
        outputs[layer] = (_summarize(layer, layers) - mean) / deviation
    share = len(images) // len(concepts)
    return [outputs[layer_of(concept)][k * share : (k + 1) * share] for k, concept in enumerate(concepts)]


def measure_scale(classifier: Classifier, layer: str) -> Scale:
    """Mean and deviation of the channels of a layer on noise without a map; measured once for each classifier."""
    return classifier.cache.get(("scale", layer), lambda: _measure_scale(classifier, layer))


def _measure_scale(classifier: Classifier, layer: str) -> Scale:
    layouts = require_layouts(classifier, [split_reading(layer)[0]])
    generator = make_generator(0, f"reference/{layer}", 0)
    samples = [kind.draw(generator, REFERENCES // len(KINDS), classifier.image_shape) for kind in KINDS]
    with torch.no_grad():
        outputs = [_summarize(layer, classifier.forward_with_layers(images, layouts)[1]) for images in samples]
    values = torch.cat(outputs)
    deviation = values.std(dim=0)
    return values.mean(dim=0), deviation.clamp(min=DEAD * deviation.median().clamp(min=1e-12))


def check_readable(classifier: Classifier, concept: Concept) -> None:
    """Raise `UnknownConcept` where the model has no such layer or channel, with what it has."""
    layer = layer_of(concept)
    if layer is None:
        return
    name, known = split_reading(layer)[0], [name for name, _ in classifier.module.named_modules() if name]
    if name not in known or not is_hookable(classifier.module.get_submodule(name)):
        closest = difflib.get_close_matches(name, known, n=4, cutoff=0.3)
        hint = f"closest: {', '.join(closest)}" if closest else f"the first are {', '.join(known[:4])}"
        raise UnknownConcept(
            f"{classifier.name} has no layer {name!r}; {hint}. `phosphene list layers MODEL` shows all {len(known)}"
        )
    channels = len(measure_scale(classifier, layer)[0])
    if max(concept.targets) >= channels:
        raise UnknownConcept(
            f"no channel {max(concept.targets)}: layer {name} of {classifier.name} has {channels}, "
            f"expected 0 to {channels - 1}"
        )


def is_repeated(classifier: Classifier, layer: str | None) -> bool:
    """Whether the layer of a concept runs more than once in a forward."""
    if layer is None:
        return False
    return any(layout.calls > 1 for layout in require_layouts(classifier, [split_reading(layer)[0]]).values())


def count_channels(classifier: Classifier) -> dict[str, int]:
    """The layers whose channels can be asked for, in the order of computing, with how many each has."""

    def width(output: Tensor) -> Tensor:
        return torch.tensor([output.shape[1]])

    grey = torch.full((1, *classifier.image_shape), 0.5)
    seen = classifier.observe_layers(grey, width, find_layouts(classifier))
    return {layer: int(width) for layer, width in seen.items()}


def spatial_mean(output: Tensor) -> Tensor:
    """`(N, C)` from `(N, C, *positions)`."""
    return output.mean(dim=tuple(range(2, output.ndim))) if output.ndim > 2 else output


def central_neuron(output: Tensor) -> Tensor:
    """`(N, C)`: what each channel of a feature map `(N, C, H, W)` says of the middle of the image."""
    if output.ndim != 4:
        raise BadInput(f"@center needs a layer of feature maps; got one with outputs of {output.ndim} dimensions")
    return output[:, :, output.shape[2] // 2, output.shape[3] // 2]


READINGS: dict[str, Callable[[Tensor], Tensor]] = {"mean": spatial_mean, "center": central_neuron}


def split_reading(layer: str) -> tuple[str, str]:
    name, _, reading = layer.partition("@")
    return name, reading or "mean"


def _summarize(layer: str, outputs: dict[str, Tensor]) -> Tensor:
    name, reading = split_reading(layer)
    return READINGS[reading](outputs[name]).float()
