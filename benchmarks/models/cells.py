"""The cells of the table: which network comes through which source, and which class is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.models.nets import CACHE, NETS, STILL, Net, obtain
from benchmarks.models.sources import SOURCES, Options

NATIVE = ("vgg-fashion", "resnet-fashion", "separable-fashion", "plain-fashion", "vit-fashion")
DIGITS, SIGNS = ("vgg-digits", "resnet-digits"), ("vgg-signs", "resnet-signs", "separable-signs")
TIMM = ("test_resnet", "test_efficientnet", "test_vit", "test_convnext")
TORCHVISION = ("shufflenet_v2_x0_5", "mobilenet_v3_small", "squeezenet1_1")
HUGGING_FACE = ("hf-vit", "hf-resnet", "hf-convnext", "hf-swin")
KERAS = ("keras-plain", "keras-separable")
FAMILIES: dict[str, tuple[str, ...]] = {  # of each source
    "safetensors, own architecture": (*NATIVE, *DIGITS, *SIGNS),
    "checkpoint, own architecture": (*NATIVE, "resnet-digits", "vgg-signs"),
    "whole module (.pt)": (*NATIVE, "vgg-digits", "separable-signs"),
    "TorchScript": (*NATIVE, "resnet-signs", "test_convnext", "hf-resnet"),
    "torch.export (.pt2)": (*NATIVE, "vgg-signs", "test_efficientnet", "hf-vit"),
    "ONNX": (*NATIVE, "resnet-digits", "separable-signs", "test_resnet", "hf-vit", "hf-swin"),
    "ONNX, one image": (*NATIVE[:3], "vgg-signs", "squeezenet1_1"),
    "timm, own weights": TIMM,
    "timm, folder": TIMM,
    "torchvision, own weights": TORCHVISION,
    "transformers, folder": HUGGING_FACE,
    "Keras": KERAS,
    "safetensors, trained on centred images": tuple(f"{name}-still" for name in STILL),
    "safetensors, trained on centred images, --views none": tuple(f"{name}-still" for name in STILL),
    "whole module, not trusted": ("vgg-fashion",),
    "TorchScript, not trusted": ("vgg-fashion",),
    "torch.export, not trusted": ("vgg-fashion",),
    "tensors alone": ("vgg-fashion",),
    "Keras of old (.h5)": KERAS[:1],
}
BUNDLED = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
REMOTE = ("timm:resnet10t.c3_in1k", "torchvision:resnet18", "hf:google/vit-base-patch16-224")


@dataclass(frozen=True)
class Cell:
    """A source and a family; `options` writes what is needed and returns what `phosphene.load` is passed, `views` are
    those of the recipe where they are not the preset's."""

    source: str
    family: str
    data: str
    options: Callable[[], Options]
    concept: str
    views: str | None = None

    @property
    def key(self) -> str:
        kept = "".join(letter if letter.isalnum() else "-" for letter in f"{self.source}--{self.family}")
        return kept.strip("-").lower()


def list_cells(models: Path | None) -> list[Cell]:
    """Every cell, in the order of the table; those of the folder `models` where it is given."""
    named = [Cell("pip package", name, "ImageNet", partial(_name, name), "goldfish") for name in BUNDLED]
    remote = [Cell("library's own weights", name, "ImageNet", partial(_name, name), "goldfish") for name in REMOTE]
    return [*_trained(), *named, *remote, *(_of_folder(models) if models else ())]


def _trained() -> Iterator[Cell]:
    for source, families in FAMILIES.items():
        for place, name in enumerate(families):
            net = NETS[name]
            offset = len(source.removesuffix(", --views none"))  # the same class either way
            concept = net.data.labels[(3 * place + offset) % len(net.data.labels)]
            views = "none" if source.endswith("--views none") else None
            yield Cell(source, name, net.data.name, partial(_save, source, net), concept, views)


def _save(source: str, net: Net) -> Options:
    folder = CACHE / "files"
    folder.mkdir(parents=True, exist_ok=True)
    return SOURCES[source](obtain(net), net, folder)


def _name(name: str) -> Options:
    return {"model": name}


def _of_folder(folder: Path) -> Iterator[Cell]:
    """Trained networks of others: each file with its card."""
    for number, card in enumerate(json.loads((folder / "cards.json").read_text())):
        options = {"factory": card["factory"], "weights": folder / card["file"]}
        options |= {name: card[name] for name in ("size", "channels", "mean", "std")}
        data, _, names = card["data"].partition(":")
        classes = [name.strip() for name in names.split(",") if name.strip()]
        if classes:
            options["labels"] = classes
        concept = classes[(3 * number) % len(classes)] if classes else "2"
        yield Cell(
            "safetensors of others", Path(card["file"]).stem, data.split(",")[0], partial(dict, options), concept
        )
