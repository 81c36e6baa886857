"""What a concept needs the model for before it can be asked: embeddings of texts, and directions fitted to images.

A direction that tells the images of one folder from those of another is a concept activation vector: the normal of the
plane that a logistic regression on a layer's channels puts between them. It is as good as it tells images apart that
it was not fitted to, which is measured and kept with it.

Source: B. Kim et al., "Interpretability Beyond Feature Attribution: Quantitative Testing with Concept Activation
Vectors (TCAV)", ICML 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from phosphene.core.images import list_images, load_image
from phosphene.core.intervals import wilson
from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.model.layout_search import require_layouts
from phosphene.model.readout import check_layer, spatial_mean, split_reading
from phosphene.model.texts import find_text_model
from phosphene.recipe.concepts import Origin
from phosphene.recipe.directions import digest_direction, normalize_direction

FEWEST = 8  # images of a folder
PENALTY = 1e-2  # of the squared weights, whose channels have deviation 1
FOLDS = 4


@dataclass(frozen=True)
class ModelResolver:
    """Answers for one classifier, each question once."""

    classifier: Classifier

    @property
    def reads_texts(self) -> bool:
        return find_text_model(self.classifier) is not None

    def embed_texts(self, texts: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        model = find_text_model(self.classifier)
        if model is None:
            raise BadInput(f"{self.classifier.name} reads no texts; expected a model such as clip:NAME")
        with torch.no_grad():
            return tuple(map(tuple, model.embed_texts(texts).float().cpu().tolist()))

    def fit_direction(self, layer: str, positive: str, negative: str) -> tuple[tuple[float, ...], Origin]:
        key = ("direction", layer, positive, negative)
        return self.classifier.cache.get(key, lambda: fit_direction(self.classifier, layer, positive, negative))


def fit_direction(classifier: Classifier, layer: str, positive: str, negative: str) -> tuple[tuple[float, ...], Origin]:
    """The direction in a layer's channels, of length 1, that tells the images of one folder from those of another.

    Raises `BadInput` where a folder has fewer than `FEWEST` images, or where the layer gives the same for all of them.
    """
    check_layer(classifier, layer)
    ones, zeros = (_read_activations(classifier, layer, Path(folder)) for folder in (positive, negative))
    features, labels = torch.cat([ones, zeros]), torch.cat([torch.ones(len(ones)), torch.zeros(len(zeros))])
    deviation = features.std(dim=0)
    if not deviation.any():
        raise BadInput(f"layer {layer} gives the same for every image of {positive!r} and {negative!r}")
    used = (deviation > 1e-6 * deviation.max()).float()
    standard = (features - features.mean(dim=0)) / deviation.clamp(min=1e-30) * used
    weights = normalize_direction((_fit(standard, labels) / deviation.clamp(min=1e-30) * used).double().numpy())
    accuracy, interval = _cross_validate(standard, labels)
    counts = (len(ones), len(zeros))
    return weights, Origin(f"{positive} vs {negative}", digest_direction(weights), counts, accuracy, interval)


def _read_activations(classifier: Classifier, layer: str, folder: Path) -> Tensor:
    """Spatial means of the layer's channels for every image of a folder, `(images, channels)`."""
    files = list_images(folder)
    if len(files) < FEWEST:
        raise BadInput(f"{str(folder)!r} has {len(files)} images; expected at least {FEWEST} to fit a direction to")
    name, size = split_reading(layer)[0], classifier.batch_size
    parts = []
    for start in range(0, len(files), size):
        images = torch.stack([load_image(file, classifier.image_shape) for file in files[start : start + size]])
        with torch.no_grad():
            outputs = classifier.forward_with_layers(images, require_layouts(classifier, [name]))[1]
        if name not in outputs:
            raise BadInput(f"layer {name!r} gives no tensor of features when the model runs; choose another layer")
        parts.append(spatial_mean(outputs[name]).float().cpu())
    return torch.cat(parts)


def _fit(features: Tensor, labels: Tensor) -> Tensor:
    """Weights of a logistic regression with an offset; both kinds count alike, however many images each has."""
    parameters = torch.zeros(features.shape[1] + 1, requires_grad=True)
    share = labels.mean()
    balance = torch.where(labels > 0, 0.5 / share, 0.5 / (1 - share))
    optimizer = torch.optim.LBFGS([parameters], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = features @ parameters[1:] + parameters[0]
        value = F.binary_cross_entropy_with_logits(logits, labels, balance) + PENALTY * parameters[1:].square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return parameters[1:].detach()


def _cross_validate(features: Tensor, labels: Tensor) -> tuple[float, tuple[float, float]]:
    """Mean of both kinds' shares of images that are told right by weights fitted without them, and its interval.

    The offset is the middle between the means of both kinds on the images that the weights were fitted to.
    """
    right = torch.zeros(len(labels))
    folds = torch.cat([torch.arange(int(count)) % FOLDS for count in (labels.sum(), (1 - labels).sum())])
    for fold in range(FOLDS):
        kept, left = folds != fold, folds == fold
        weights = _fit(features[kept], labels[kept])
        projected, known = features @ weights, labels > 0
        middle = (projected[kept & known].mean() + projected[kept & ~known].mean()) / 2
        right[left] = ((projected[left] > middle) == known[left]).float()
    share = (right[labels > 0].mean() + right[labels == 0].mean()).item() / 2
    return round(share, 4), wilson(share, len(labels))
