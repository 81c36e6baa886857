"""Methods that explain one input, as Captum implements them: which pixels of THIS image speak for a class?

The only module that knows Captum. Each method is a function of a `Network`, an image in the network's own normalised
space, where the usual baseline of zero is the mean image, and a class; a heat map is made of its attribution:
absolute gradients for Saliency and SmoothGrad, the positive part of the sum over channels for the methods with a sign.

Source: captum.ai, N. Kokhlikyan et al., 2020.
"""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier

SAMPLES = 10  # noisy copies of SmoothGrad and GradientShap
STEPS = 16  # of Integrated Gradients
OCCLUDED, STRIDE = 0.22, 0.15  # side of the occluding square and its step, as shares of the image's side
AT_ONCE = 8  # images in a forward
SHIFT = 0.5  # the constant of Kindermans et al. (2019), in normalised units


@dataclass(frozen=True)
class Network:
    """A private copy of a classifier's module, and the layer of its deepest feature map, if any, for the Grad-CAMs."""

    module: nn.Module
    layer: nn.Module | None
    mean: Tensor
    std: Tensor

    @staticmethod
    def of(classifier: Classifier) -> Network:
        module = copy.deepcopy(classifier.module).eval()
        for parameter in module.parameters():
            parameter.requires_grad_(False)
        _make_guidable(module)
        form = classifier.format
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (form.mean, form.std))
        deepest = _deepest_feature_map(classifier)
        return Network(module, None if deepest is None else module.get_submodule(deepest), mean, std)

    def normalised(self, image: Tensor) -> Tensor:
        """`(C, H, W)` in [0,1] → `(1, C, H, W)` as the module wants it."""
        return (image[None] - self.mean) / self.std


Method = Callable[[Network, Tensor, int], Tensor]


def saliency(network: Network, image: Tensor, target: int) -> Tensor:
    """The absolute gradient of the logit."""
    return _captum().Saliency(network.module).attribute(image, target=target)


def smooth_grad(network: Network, image: Tensor, target: int) -> Tensor:
    """The same, averaged over noisy copies of the image."""
    captum = _captum()
    tunnel = captum.NoiseTunnel(captum.Saliency(network.module))
    with _fixed_noise():
        return tunnel.attribute(image, nt_type="smoothgrad", nt_samples=SAMPLES, stdevs=_spread(image), target=target)


def integrated_gradients(network: Network, image: Tensor, target: int) -> Tensor:
    """Gradients along the straight way from the mean image, times that way."""
    method = _captum().IntegratedGradients(network.module)
    return method.attribute(image, target=target, n_steps=STEPS, internal_batch_size=AT_ONCE * len(image))


def guided_grad_cam(network: Network, image: Tensor, target: int) -> Tensor:
    """Guided back-propagation times Grad-CAM."""
    method = _captum().GuidedGradCam(network.module, _layer(network))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it sets hooks and takes them off again is known
        return method.attribute(image, target=target)


def grad_cam(network: Network, image: Tensor, target: int) -> Tensor:
    """Activations of the deepest feature map, weighted by their mean gradients."""
    return _captum().LayerGradCam(network.module, _layer(network)).attribute(image, target=target)


def occlusion(network: Network, image: Tensor, target: int) -> Tensor:
    """What the logit loses when a square becomes the mean colour."""
    channels, height, width = image.shape[1:]
    window, stride = (
        (channels, _at_least_1(share * height), _at_least_1(share * width)) for share in (OCCLUDED, STRIDE)
    )
    with torch.no_grad():
        return _captum().Occlusion(network.module).attribute(
            image, sliding_window_shapes=window, strides=stride, target=target, perturbations_per_eval=AT_ONCE,
        )  # fmt: skip


def gradient_shap(network: Network, image: Tensor, target: int) -> Tensor:
    """Expected gradients between noisy copies of the image and the mean image, times the difference."""
    method = _captum().GradientShap(network.module)
    with _fixed_noise():
        return method.attribute(image, baselines=torch.zeros_like(image), n_samples=SAMPLES, stdevs=_spread(image) / 2,
                                target=target)  # fmt: skip


METHODS: dict[str, Method] = {
    "Saliency": saliency,
    "SmoothGrad": smooth_grad,
    "Integrated Gradients": integrated_gradients,
    "GradientShap": gradient_shap,
    "Guided Grad-CAM": guided_grad_cam,
    "Grad-CAM": grad_cam,
    "Occlusion": occlusion,
}


def heat(method: Method, network: Network, image: Tensor, target: int) -> Tensor:
    """The heat map `(H, W)` ≥ 0 of one normalised image `(1, C, H, W)`."""
    attribution = method(network, image.clone().requires_grad_(), target).detach().float()
    evidence = attribution.sum(dim=1, keepdim=True).clamp(min=0)
    return F.interpolate(evidence, size=image.shape[2:], mode="bilinear", align_corners=False)[0, 0]


class Shifted(nn.Module):
    """A network that takes a constant off every image before it looks."""

    def __init__(self, module: nn.Module, by: float) -> None:
        super().__init__()
        self.module, self.by = module, by

    def forward(self, images: Tensor) -> Any:
        return self.module(images - self.by)


def shifted(network: Network, by: float) -> Network:
    """The network that says of an image `by` brighter what the given one says of it (Kindermans et al., 2019)."""
    return replace(network, module=Shifted(network.module, by))


def _make_guidable(module: nn.Module) -> None:
    """Captum guides `nn.ReLU` alone, and hooks none that works in place; a bounded one becomes a ReLU with a bound."""
    for name, child in module.named_children():
        if isinstance(child, nn.ReLU6):
            setattr(module, name, _BoundedReLU())
        elif isinstance(child, nn.ReLU):
            setattr(module, name, nn.ReLU())
        else:
            _make_guidable(child)


class _BoundedReLU(nn.ReLU):
    def forward(self, images: Tensor) -> Tensor:
        return F.relu6(images)


def _deepest_feature_map(classifier: Classifier) -> str | None:
    """The last layer that still gives a map of at least 3×3."""

    def is_map(output: Tensor) -> Tensor | None:
        return output[:, 0] if output.ndim == 4 and min(output.shape[2:]) >= 3 else None

    layers = classifier.observe_layers(torch.full((1, *classifier.image_shape), 0.5), is_map)
    return list(layers)[-1] if layers else None


def _layer(network: Network) -> nn.Module:
    if network.layer is None:
        raise BadInput("Grad-CAM needs a layer of feature maps, and this model has none; choose a convolutional model")
    return network.layer


def _spread(image: Tensor) -> float:
    """15% of the image's range, as the authors of SmoothGrad advise."""
    return 0.15 * float((image.max() - image.min()).detach())


def _at_least_1(size: float) -> int:
    return max(1, round(size))


@contextlib.contextmanager
def _fixed_noise() -> Iterator[None]:
    """The same noise for every question; the caller's generator is as it was afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def _captum() -> Any:
    try:
        from captum import attr
    except ImportError as error:
        raise BadInput("comparing with input-specific methods needs Captum; `pip install phosphene[study]`") from error
    return attr
