"""Small networks of many families, trained once and kept in a folder that is not committed."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.zoo.architectures import ARCHITECTURES
from benchmarks.zoo.domains import DOMAINS, TEST, Domain, Images
from benchmarks.zoo.training import Normalised, Training, fit
from phosphene.model.input_format import InputFormat
from phosphene.model.outputs import find_tensor
from phosphene.model.sources.libraries import import_timm, import_torchvision
from phosphene.recipe.recipe import PRESETS

CACHE = Path(__file__).resolve().parent / "cache"
DIGITS_TEST = 300
REAL = 200  # images of a class, for the confidence in it


@dataclass(frozen=True)
class Net:
    """One network: the data that it is trained on, the side of its images, and how it is built without weights.

    `moved` networks learn from images that are shifted, zoomed and turned, as far as the default preset moves a map.
    The signs are drawn at all places anyway.
    """

    name: str
    domain: str | Domain
    build: Callable[[], nn.Module]
    rate: float = 3e-3
    samples: int = 12000
    epochs: int = 2
    moved: bool = True
    side: int | None = None  # None: the data's own
    channels_last: bool = False  # as Keras has images

    @property
    def data(self) -> Domain:
        return self.domain if isinstance(self.domain, Domain) else _domains()[self.domain]

    @property
    def form(self) -> InputFormat:
        form = self.data.form
        return form if self.side is None else InputFormat((self.side, self.side), form.channels, form.mean, form.std)


def _domains() -> dict[str, Domain]:
    form = InputFormat((28, 28), 1, (0.5,), (0.4,))
    digits = Domain("digits", tuple("0123456789"), form, partial(_digits, False), partial(_digits, True))
    return {**DOMAINS, "digits": digits}


def _digits(test: bool) -> Images:
    """scikit-learn's digits of 8 × 8 pixels, enlarged to 28 × 28."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(pixels / 16).float().view(-1, 1, 8, 8)
    enlarged = F.interpolate(images, size=(28, 28), mode="bicubic", antialias=True).clamp(0, 1)
    rows = slice(None, DIGITS_TEST) if test else slice(DIGITS_TEST, None)
    return Images(enlarged, torch.from_numpy(labels))[rows]


class Logits(nn.Module):
    """A network whose output may hold more than logits, and whose images may lie channels last."""

    def __init__(self, inner: nn.Module, *, channels_last: bool = False) -> None:
        super().__init__()
        self.inner, self.channels_last = inner, channels_last

    def forward(self, images: Tensor) -> Tensor:
        return find_tensor(self.inner(images.permute(0, 2, 3, 1) if self.channels_last else images))


def _take_images(module: nn.Module, net: Net) -> Logits:
    return Logits(module, channels_last=net.channels_last)


def train(net: Net) -> nn.Module:
    """The trained network in eval mode."""
    data = net.data.training()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = net.build()
        chosen = torch.randperm(len(data))[: net.samples]
        shown = _resize(data[chosen], net)
        shown = move(shown) if net.moved else shown
        fit(Normalised(_take_images(module, net), net.data), shown, Training(0, len(shown), net.epochs), net.rate)
    return module.eval()


def move(images: Images) -> Images:
    """Each image once, shifted, zoomed and turned by its own amounts, on black."""
    views, count = PRESETS["default"].views, len(images)
    zooms = torch.empty(count).uniform_(*views.zoom)
    angles = torch.empty(count).uniform_(-views.rotation, views.rotation).deg2rad()
    shifts = torch.empty(count, 2).uniform_(-2 * views.shift, 2 * views.shift)  # of a side of 2
    cosines, sines = angles.cos() / zooms, angles.sin() / zooms
    rows = torch.stack([cosines, -sines, shifts[:, 0], sines, cosines, shifts[:, 1]], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(rows, list(images.images.shape), align_corners=False)
    return Images(F.grid_sample(images.images, grid, align_corners=False), images.labels)


def _resize(images: Images, net: Net) -> Images:
    size = net.form.size
    if tuple(images.images.shape[2:]) == size:
        return images
    return Images(F.interpolate(images.images, size=size, mode="bicubic", antialias=True).clamp(0, 1), images.labels)


def measure_accuracy(module: nn.Module, net: Net) -> float:
    """On images that it was not trained on."""
    test = _resize(net.data.test()[: TEST // 2], net)
    with torch.no_grad():
        outputs = [Normalised(_take_images(module, net), net.data).eval()(some) for some in test.images.split(100)]
    return float((torch.cat(outputs).argmax(dim=1) == test.labels).float().mean())


def measure_confidence(net: Net, concept: str) -> float:
    """The mean probability of a class on images of it that the network was not trained on, moved as those were."""
    test = net.data.test()
    shown = _resize(test[test.labels == net.data.labels.index(concept)][:REAL], net)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        shown = move(shown) if net.moved else shown
        outputs = Normalised(_take_images(obtain(net), net), net.data).eval()(shown.images)
    return float(outputs.softmax(dim=1)[range(len(shown)), shown.labels].mean())


def obtain(net: Net) -> nn.Module:
    """The network from the folder, or trained and kept there."""
    path = CACHE / "nets" / f"{net.name}.safetensors"
    module = net.build().eval()
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        trained = train(net)
        state = {name: tensor.contiguous().clone() for name, tensor in trained.state_dict().items()}
        part = path.with_suffix(".tmp")
        save_file(state, part, metadata={"accuracy": f"{measure_accuracy(trained, net):.4f}"})
        part.replace(path)
    module.load_state_dict(load_file(path))
    return module


def read_accuracy(net: Net) -> float:
    from safetensors import safe_open

    with safe_open(CACHE / "nets" / f"{net.name}.safetensors", "pt") as file:
        return float(file.metadata()["accuracy"])


def _zoo(architecture: str, channels: int, classes: int) -> nn.Module:
    return ARCHITECTURES[architecture](channels, classes)


def _timm(name: str, channels: int, **options: object) -> nn.Module:
    module: nn.Module = import_timm().create_model(name, num_classes=10, in_chans=channels, **options)
    return module


def _torchvision(name: str) -> nn.Module:
    module: nn.Module = import_torchvision().models.get_model(name, weights=None, num_classes=10)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 0.1  # some have 0.01, which two hundred steps do not fill
    return module


def _hugging_face(kind: str, **options: object) -> nn.Module:
    import_torchvision()
    import transformers

    config = getattr(transformers, f"{kind}Config")(num_channels=1, num_labels=10, **options)
    module: nn.Module = getattr(transformers, f"{kind}ForImageClassification")(config)
    return module


def _keras(layer: str) -> nn.Module:
    """Convolutions of one kind, on the torch backend; images lie channels last, as Keras has them."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    keras.backend.clear_session()  # names of layers are counted in a process, and the weights are known by them
    kind = getattr(keras.layers, layer)
    parts = [keras.Input((28, 28, 1))]
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        parts += [kind(width, 3, strides=stride, padding="same", use_bias=False),
                  keras.layers.BatchNormalization(momentum=0.9), keras.layers.ReLU()]  # fmt: skip
    module: nn.Module = keras.Sequential([*parts, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)])
    return module


PATCHES = {"img_size": 32, "patch_size": 4}
TINY_VIT = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 96,
            "image_size": 28, "patch_size": 4}  # fmt: skip
TINY_RESNET = {"embedding_size": 16, "hidden_sizes": [16, 32, 64], "depths": [1, 1, 1], "layer_type": "basic"}
TINY_CONVNEXT = {"hidden_sizes": [24, 48, 64], "depths": [1, 1, 1], "num_stages": 3, "patch_size": 2}
TINY_SWIN = {
    "image_size": 32,
    "patch_size": 2,
    "embed_dim": 24,
    "depths": [1, 1],
    "num_heads": [2, 4],
    "window_size": 4,
}

SIGNS = {"domain": "signs10", "samples": 3000, "epochs": 4, "moved": False}
DIGITS = {"domain": "digits", "samples": 1400, "epochs": 12}
STILL = ("vgg-fashion", "resnet-fashion", "separable-fashion", "plain-fashion")  # that are trained a second time

_MOVED = (
    Net("vgg-fashion", "fashion", partial(_zoo, "vgg", 1, 10), 8e-3),
    Net("resnet-fashion", "fashion", partial(_zoo, "resnet", 1, 10), 8e-3),
    Net("separable-fashion", "fashion", partial(_zoo, "separable", 1, 10), 8e-3),
    Net("plain-fashion", "fashion", partial(_zoo, "plain", 1, 10), 3e-3),
    Net("vit-fashion", "fashion", partial(_zoo, "vit", 1, 10), 4e-3, epochs=4),
    Net("vgg-digits", build=partial(_zoo, "vgg", 1, 10), rate=8e-3, **DIGITS),
    Net("resnet-digits", build=partial(_zoo, "resnet", 1, 10), rate=8e-3, **DIGITS),
    Net("test_resnet", "fashion", partial(_timm, "test_resnet", 1), side=32),
    Net("test_efficientnet", "fashion", partial(_timm, "test_efficientnet", 1), side=32),
    Net("test_vit", "fashion", partial(_timm, "test_vit", 1, **PATCHES), 2e-3, side=32, epochs=3),
    Net("test_convnext", "fashion", partial(_timm, "test_convnext", 1), side=32, epochs=3),
    Net("keras-plain", "fashion", partial(_keras, "Conv2D"), 5e-3, channels_last=True),
    Net("keras-separable", "fashion", partial(_keras, "SeparableConv2D"), 8e-3, channels_last=True),
    Net("hf-vit", "fashion", partial(_hugging_face, "ViT", **TINY_VIT), 2e-3, epochs=4),
    Net("hf-resnet", "fashion", partial(_hugging_face, "ResNet", **TINY_RESNET), 5e-3),
    Net("hf-convnext", "fashion", partial(_hugging_face, "ConvNext", **TINY_CONVNEXT), 3e-3, epochs=3),
    Net("hf-swin", "fashion", partial(_hugging_face, "Swin", **TINY_SWIN), 2e-3, side=32, epochs=3),
)
_SIGNS = (
    Net("vgg-signs", build=partial(_zoo, "vgg", 3, 10), rate=8e-3, **SIGNS),
    Net("resnet-signs", build=partial(_zoo, "resnet", 3, 10), rate=8e-3, **SIGNS),
    Net("separable-signs", build=partial(_zoo, "separable", 3, 10), rate=8e-3, **SIGNS),
    Net("shufflenet_v2_x0_5", build=partial(_torchvision, "shufflenet_v2_x0_5"), rate=8e-3, side=64, **SIGNS),
    Net("mobilenet_v3_small", build=partial(_torchvision, "mobilenet_v3_small"), rate=5e-3, side=64, **SIGNS),
    Net("squeezenet1_1", build=partial(_torchvision, "squeezenet1_1"), rate=1e-3, side=64, **SIGNS),
)
_STILL = (
    replace(net, name=f"{net.name}-still", samples=4000, epochs=4, moved=False) for net in _MOVED if net.name in STILL
)
NETS: dict[str, Net] = {net.name: net for net in (*_MOVED, *_SIGNS, *_STILL)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing."""
    argparse.ArgumentParser(prog="python -m benchmarks.models.nets", description=__doc__).parse_args(arguments)
    for net in NETS.values():
        obtain(net)
        print(f"{net.name:24} accuracy {read_accuracy(net):.3f}", flush=True)


if __name__ == "__main__":
    main()
