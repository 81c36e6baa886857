"""Methods that explain one input, as Captum implements them: which pixels of one image are evidence for a class?

The only module of the studies that imports Captum. A method is a function of a `Network`, an image in the network's
normalised space, where the usual baseline of zero is the mean image, and a class. A heat map is made of the
attribution: absolute gradients for Saliency and SmoothGrad, the positive part of the sum over channels for the others.

Source: captum.ai, N. Kokhlikyan et al., 2020.
"""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier

SAMPLES = 10  # noisy copies of SmoothGrad and GradientShap
STEPS = 16  # of Integrated Gradients
WINDOW, STRIDE = 0.22, 0.15  # side of the occluding square and its step, as shares of the image's side
BATCH = 8  # images in a forward pass
SHIFT = 0.5  # the constant of Kindermans et al. (2019), in normalised units


@dataclass(frozen=True)
class Network:
    """A private copy of a classifier's module, and the layer of its deepest feature map, if any, for Grad-CAM."""

    module: nn.Module
    layer: nn.Module | None
    mean: Tensor
    std: Tensor

    @staticmethod
    def of(classifier: Classifier) -> Network:
        module = copy.deepcopy(classifier.module).eval()
        for parameter in module.parameters():
            parameter.requires_grad_(False)
        _replace_relus(module)
        form = classifier.format
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (form.mean, form.std))
        deepest = _find_deepest_feature_map(classifier)
        return Network(module, None if deepest is None else module.get_submodule(deepest), mean, std)

    def normalize(self, image: Tensor) -> Tensor:
        """`(C, H, W)` in [0,1] → `(1, C, H, W)`, the module's input."""
        return (image[None] - self.mean) / self.std


Method = Callable[[Network, Tensor, int], Tensor]


def input_gradient(network: Network, image: Tensor, target: int) -> Tensor:
    """The absolute gradient of the logit."""
    return _import_captum().Saliency(network.module).attribute(image, target=target)


def smooth_grad(network: Network, image: Tensor, target: int) -> Tensor:
    """The absolute gradient, averaged over noisy copies of the image."""
    captum = _import_captum()
    method = captum.NoiseTunnel(captum.Saliency(network.module))
    noise = _noise_deviation(image)
    with _fixed_noise():
        return method.attribute(image, nt_type="smoothgrad", nt_samples=SAMPLES, stdevs=noise, target=target)


def integrated_gradients(network: Network, image: Tensor, target: int) -> Tensor:
    """Mean gradient on the straight line from the mean image to the image, times their difference."""
    method = _import_captum().IntegratedGradients(network.module)
    return method.attribute(image, target=target, n_steps=STEPS, internal_batch_size=BATCH * len(image))


def guided_grad_cam(network: Network, image: Tensor, target: int) -> Tensor:
    """Guided back-propagation times Grad-CAM."""
    method = _import_captum().GuidedGradCam(network.module, _require_layer(network))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Captum warns that it sets hooks, and removes them again
        return method.attribute(image, target=target)


def grad_cam(network: Network, image: Tensor, target: int) -> Tensor:
    """Activations of the deepest feature map, weighted by their mean gradients."""
    return _import_captum().LayerGradCam(network.module, _require_layer(network)).attribute(image, target=target)


def occlusion(network: Network, image: Tensor, target: int) -> Tensor:
    """How far the logit falls when a square is set to the mean colour."""
    channels, height, width = image.shape[1:]
    window, stride = (
        (channels, max(1, round(share * height)), max(1, round(share * width))) for share in (WINDOW, STRIDE)
    )
    method = _import_captum().Occlusion(network.module)
    with torch.no_grad():
        return method.attribute(image, window, stride, target=target, perturbations_per_eval=BATCH)


def gradient_shap(network: Network, image: Tensor, target: int) -> Tensor:
    """Expected gradients between noisy copies of the image and the mean image, times the difference."""
    method = _import_captum().GradientShap(network.module)
    baseline, noise = torch.zeros_like(image), _noise_deviation(image) / 2
    with _fixed_noise():
        return method.attribute(image, baseline, n_samples=SAMPLES, stdevs=noise, target=target)


METHODS: dict[str, Method] = {
    "Saliency": input_gradient,
    "SmoothGrad": smooth_grad,
    "Integrated Gradients": integrated_gradients,
    "GradientShap": gradient_shap,
    "Guided Grad-CAM": guided_grad_cam,
    "Grad-CAM": grad_cam,
    "Occlusion": occlusion,
}


def compute_heat(method: Method, network: Network, image: Tensor, target: int) -> Tensor:
    """The heat map `(H, W)` ≥ 0 of one normalised image `(1, C, H, W)`."""
    attribution = method(network, image.clone().requires_grad_(), target).detach().float()
    evidence = attribution.sum(dim=1, keepdim=True).clamp(min=0)
    return F.interpolate(evidence, size=image.shape[2:], mode="bilinear", align_corners=False)[0, 0]


class ShiftedModule(nn.Module):
    """A module that subtracts a constant from its input."""

    def __init__(self, module: nn.Module, by: float) -> None:
        super().__init__()
        self.module, self.by = module, by

    def forward(self, images: Tensor) -> Any:
        return self.module(images - self.by)


def shift_network(network: Network, by: float) -> Network:
    """A network with the same outputs for images that are brighter by `by` (Kindermans et al., 2019)."""
    return replace(network, module=ShiftedModule(network.module, by))


def _replace_relus(module: nn.Module) -> None:
    """Captum guides `nn.ReLU` only, and none that works in place; `nn.ReLU6` becomes a subclass of `nn.ReLU`."""
    for name, child in module.named_children():
        if isinstance(child, nn.ReLU6):
            setattr(module, name, _BoundedReLU())
        elif isinstance(child, nn.ReLU):
            setattr(module, name, nn.ReLU())
        else:
            _replace_relus(child)


class _BoundedReLU(nn.ReLU):
    def forward(self, images: Tensor) -> Tensor:
        return F.relu6(images)


def _find_deepest_feature_map(classifier: Classifier) -> str | None:
    """The last layer with feature maps of at least 3×3."""

    def is_map(output: Tensor) -> Tensor | None:
        return output[:, 0] if output.ndim == 4 and min(output.shape[2:]) >= 3 else None

    layers = classifier.observe_layers(torch.full((1, *classifier.image_shape), 0.5), is_map)
    return list(layers)[-1] if layers else None


def _require_layer(network: Network) -> nn.Module:
    if network.layer is None:
        raise BadInput("Grad-CAM needs a layer of feature maps, and this model has none; choose a convolutional model")
    return network.layer


def _noise_deviation(image: Tensor) -> float:
    """15% of the image's range, as the authors of SmoothGrad advise."""
    return 0.15 * float((image.max() - image.min()).detach())


@contextlib.contextmanager
def _fixed_noise() -> Iterator[None]:
    """The same noise in every call; Captum draws from torch and, in GradientShap, from numpy. Both are restored."""
    state = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        np.random.seed(0)
        try:
            yield
        finally:
            np.random.set_state(state)


def _import_captum() -> Any:
    try:
        from captum import attr
    except ImportError as error:
        raise BadInput("comparing with input-specific methods needs Captum; `pip install phosphene[study]`") from error
    return attr
