"""What a concept scores: the model's logits or, for a concept that names a `layer`, that layer's channels.

A channel has no scale of its own, so it is read in units of what it does when nothing is shown: the spatial mean `a` of
its activation becomes

    z = (a − mean of a) / deviation of a,

mean and deviation over `REFERENCES` draws of noise of five kinds that carry no map. `LAYER@center` and `LAYER@Y,X` read
one neuron of each channel instead of the mean. So the outputs of a layer are `(samples, channels)`, as logits are, and
a batch may hold concepts of both kinds.

A direction `w` reads `w · a`, in the same units, and beside it the controls `wₖ · a`, where `wₖ` holds the same weights
moved on by k channels: whether the direction is raised, or any mixture of channels like it, is then asked as it is
asked of a channel and the others of its layer. The direction of one channel alone is that channel.

Texts read the logits of the classes with those of the texts behind them, as `TextModel` gives them.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from phosphene.core.hooks import is_hookable
from phosphene.core.seeding import make_generator
from phosphene.errors import BadInput, UnknownConcept
from phosphene.model.classifier import Classifier
from phosphene.model.layout_search import find_layouts, require_layouts
from phosphene.model.texts import TextModel, find_text_model
from phosphene.recipe.concepts import Concept, Readout, readout_of
from phosphene.recipe.distributions import Flat, Gaussian, Grey, Pink, Uniform

REFERENCES = 40
KINDS = (Grey(), Gaussian(), Uniform(), Pink(), Flat())
DEAD = 0.1  # a channel that hardly moves is measured in tenths of its layer's usual deviation
CONTROLS = 2048  # copies of a direction on other channels; of wider layers every second or third
Scale = tuple[Tensor, Tensor]  # mean and deviation, (channels,) each


def read(classifier: Classifier, images: Tensor, concepts: Sequence[Concept]) -> list[Tensor]:
    """What each concept scores, in order: equal shares of the images' rows, `(samples, classes or channels)`."""
    readouts = [readout_of(concept) for concept in concepts]
    of_layers = {one for one in readouts if one is not None and one.layer is not None}
    scales = {one: measure_scale(classifier, one) for one in of_layers}
    names = {split_reading(str(one.layer))[0] for one in of_layers}
    texts = find_text_model(classifier) if any(one is not None and one.texts for one in readouts) else None
    names |= {texts.embedding} if texts else set()
    layouts = require_layouts(classifier, sorted(names)) if names else {}
    logits, layers = classifier.forward_with_layers(images, layouts)
    outputs: dict[Readout | None, Tensor] = {None: logits}
    for one, (mean, deviation) in scales.items():
        outputs[one] = (_summarize(one, layers) - mean) / deviation
    for one in {one for one in readouts if texts and one is not None and one.texts}:
        outputs[one] = append_texts(texts, logits, layers, one)
    share = len(images) // len(concepts)
    return [outputs[one][k * share : (k + 1) * share] for k, one in enumerate(readouts)]


def append_texts(model: TextModel | None, logits: Tensor, layers: Mapping[str, Tensor], readout: Readout) -> Tensor:
    """The logits of the classes, then those of the texts, `(N, classes + texts)`."""
    if model is None:
        raise BadInput("a text is asked of a model that reads no texts; expected a model such as clip:NAME")
    embedded = torch.tensor(readout.texts, device=logits.device)
    return torch.cat([logits, model.compare(layers[model.embedding], embedded).float()], dim=1)


def measure_scale(classifier: Classifier, readout: Readout | str) -> Scale:
    """Mean and deviation of what is read of a layer on noise without a map; measured once for each classifier."""
    readout = Readout(readout) if isinstance(readout, str) else readout
    return classifier.cache.get(("scale", readout), lambda: _measure_scale(classifier, readout))


def _measure_scale(classifier: Classifier, readout: Readout) -> Scale:
    name = split_reading(str(readout.layer))[0]
    layouts = require_layouts(classifier, [name])
    generator = make_generator(0, f"reference/{readout.layer}", 0)
    samples = [kind.draw(generator, REFERENCES // len(KINDS), classifier.image_shape) for kind in KINDS]
    with torch.no_grad():
        outputs = [_summarize(readout, classifier.forward_with_layers(images, layouts)[1]) for images in samples]
    values = torch.cat(outputs)
    deviation = values.std(dim=0)
    return values.mean(dim=0), deviation.clamp(min=DEAD * deviation.median().clamp(min=1e-12))


def check_readable(classifier: Classifier, concept: Concept) -> None:
    """Raise `UnknownConcept` where the model has no such layer or channel, with what it has."""
    readout = readout_of(concept)
    if readout is not None and readout.texts and find_text_model(classifier) is None:
        raise BadInput(f"{classifier.name} reads no texts; {concept.name!r} needs a model such as clip:NAME")
    if readout is None or readout.layer is None:
        return
    check_layer(classifier, readout.layer)
    width = count_weights(classifier, readout.layer)
    if readout.weights and len(readout.weights) != width:
        raise BadInput(
            f"the direction {concept.name!r} has {len(readout.weights)} numbers, and layer "
            f"{split_reading(readout.layer)[0]} of {classifier.name} has {width} channels; expected as many"
        )
    channels = len(measure_scale(classifier, readout)[0])
    if max(concept.targets) >= channels:
        raise UnknownConcept(
            f"no channel {max(concept.targets)}: layer {split_reading(readout.layer)[0]} of {classifier.name} has "
            f"{channels}, expected 0 to {channels - 1}"
        )


def count_weights(classifier: Classifier, layer: str) -> int:
    """The number of channels of a layer."""
    return len(measure_scale(classifier, Readout(layer))[0])


def check_layer(classifier: Classifier, layer: str) -> None:
    """Raise `UnknownConcept` where the model has no such layer, or none whose output can be observed."""
    name, known = split_reading(layer)[0], [name for name, _ in classifier.module.named_modules() if name]
    if name not in known or not is_hookable(classifier.module.get_submodule(name)):
        closest = difflib.get_close_matches(name, known, n=4, cutoff=0.3)
        hint = f"closest: {', '.join(closest)}" if closest else f"the first are {', '.join(known[:4])}"
        raise UnknownConcept(
            f"{classifier.name} has no layer {name!r}; {hint}. `phosphene list layers MODEL` shows all {len(known)}"
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


def read_neuron(output: Tensor, place: str) -> Tensor:
    """`(N, C)`: what each channel of a feature map says at `center` or `Y,X`. Raises `BadInput` outside the map."""
    if output.ndim != 4:
        raise BadInput(f"@{place} needs a layer of feature maps; got one with outputs of {output.ndim} dimensions")
    height, width = output.shape[2:]
    row, column = (height // 2, width // 2) if place == "center" else map(int, place.split(","))
    if row >= height or column >= width:
        raise BadInput(
            f"no neuron at @{place}: the feature map is {height} × {width}, expected @0,0 to @{height - 1},{width - 1}"
        )
    return output[:, :, row, column]


def split_reading(layer: str) -> tuple[str, str]:
    """The name of a layer, and where it is read: `mean`, `center` or `Y,X`."""
    name, _, reading = layer.partition("@")
    return name, reading or "mean"


def _summarize(readout: Readout, outputs: Mapping[str, Tensor]) -> Tensor:
    name, reading = split_reading(str(readout.layer))
    if name not in outputs:
        raise BadInput(f"layer {name!r} gives no tensor of features when the model runs; choose another layer")
    channels = (spatial_mean(outputs[name]) if reading == "mean" else read_neuron(outputs[name], reading)).float()
    return channels @ direction_and_controls(readout.weights).to(channels.device) if readout.weights else channels


def direction_and_controls(weights: Sequence[float]) -> Tensor:
    """`(channels, 1 + controls)`: a direction, then the same weights moved on by a channel each, at most `CONTROLS`."""
    direction = torch.tensor(weights, dtype=torch.float32)
    stride = -(-len(direction) // CONTROLS)
    return torch.stack([direction.roll(moved) for moved in range(0, len(direction), stride)], dim=1)
