"""Tensors without an architecture: which of the libraries' they fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import torch

from phosphene.errors import BadInput
from phosphene.model.sources.fitting import rename
from phosphene.model.sources.libraries import import_timm, import_torchvision
from phosphene.model.sources.source import Source
from phosphene.model.sources.weights import State, read_states

# A name that only these architectures have; building each of the 1400 that there are would take minutes.
TRIED: dict[str, tuple[str, ...]] = {
    "layer1.0.conv1.weight": (
        "torchvision:resnet18",
        "torchvision:resnet34",
        "torchvision:resnet50",
        "torchvision:resnet101",
        "torchvision:resnet152",
        "torchvision:resnext50_32x4d",
        "torchvision:wide_resnet50_2",
        "timm:resnet10t",
        "timm:resnet18",
        "timm:resnet26d",
        "timm:resnet34",
        "timm:resnet50",
        "timm:resnet50d",
    ),
    "features.0.weight": (
        "torchvision:alexnet",
        "torchvision:vgg11",
        "torchvision:vgg13",
        "torchvision:vgg16",
        "torchvision:vgg19",
        "torchvision:vgg11_bn",
        "torchvision:vgg16_bn",
        "torchvision:squeezenet1_0",
        "torchvision:squeezenet1_1",
    ),
    "features.0.0.weight": (
        "torchvision:mobilenet_v2",
        "torchvision:mobilenet_v3_small",
        "torchvision:mobilenet_v3_large",
        "torchvision:efficientnet_b0",
        "torchvision:efficientnet_b1",
        "torchvision:efficientnet_b2",
        "torchvision:efficientnet_v2_s",
        "torchvision:convnext_tiny",
        "torchvision:convnext_small",
        "torchvision:convnext_base",
        "torchvision:swin_t",
        "torchvision:swin_v2_t",
    ),
    "features.conv0.weight": ("torchvision:densenet121", "torchvision:densenet169", "timm:densenet121"),
    "conv1.0.weight": ("torchvision:shufflenet_v2_x0_5", "torchvision:shufflenet_v2_x1_0"),
    "layers.0.weight": ("torchvision:mnasnet0_5", "torchvision:mnasnet1_0"),
    "class_token": ("torchvision:vit_b_16", "torchvision:vit_b_32", "torchvision:vit_l_16"),
    "cls_token": (
        "timm:vit_tiny_patch16_224",
        "timm:vit_small_patch16_224",
        "timm:vit_base_patch16_224",
        "timm:vit_base_patch32_224",
        "timm:deit3_small_patch16_224",
        "timm:deit_tiny_distilled_patch16_224",
    ),
    "layers.0.blocks.0.norm1.weight": ("timm:swin_tiny_patch4_window7_224", "timm:swin_small_patch4_window7_224"),
    "conv_stem.weight": (
        "timm:efficientnet_b0",
        "timm:tf_efficientnet_lite0",
        "timm:tf_efficientnet_lite1",
        "timm:tf_efficientnetv2_b0",
        "timm:mobilenetv2_100",
        "timm:mobilenetv3_small_100",
        "timm:mobilenetv3_large_100",
        "timm:mobilenetv4_conv_small",
        "timm:lcnet_050",
        "timm:ghostnet_100",
    ),
    "stages.0.blocks.0.conv_dw.weight": (
        "timm:convnext_atto",
        "timm:convnext_nano",
        "timm:convnext_tiny",
        "timm:convnext_small",
        "timm:convnext_base",
        "timm:convnextv2_atto",
        "timm:convnextv2_tiny",
    ),
    "s1.b1.conv1.conv.weight": ("timm:regnety_002", "timm:regnety_004", "timm:regnetx_002", "timm:regnety_008"),
}
SUGGESTIONS = 3
OWN_SHAPES = 3  # tensors of another shape: weights and bias of an own head, and a first convolution


def state_alone(path: Path, trusted: bool) -> Source:
    refuse_states(read_states(path, trust_pickle=trusted), str(path))


def refuse_states(states: Mapping[str, State], where: str) -> NoReturn:
    """Say that tensors alone are no model, and what to type."""
    fitting = list(suggest_architectures(states))
    named = f"they fit {' and '.join(fitting[:SUGGESTIONS])}" if fitting else "they fit none that was tried"
    example = fitting[0] if fitting else "timm:NAME"
    raise BadInput(
        f"{where!r} holds tensors and no architecture ({named}); name one as in `{example} --weights {where}`, or "
        f"build it with --factory package.module:function --weights {where}"
    )


def suggest_architectures(states: Mapping[str, State]) -> Iterator[str]:
    """Names of the best known architectures whose tensors have these names and shapes, but for those of a head."""
    models, timm = import_torchvision().models, import_timm()
    for marker, candidates in TRIED.items():
        some = [state for state in states.values() if any(f".{name}".endswith(f".{marker}") for name in state)]
        for family, name in (candidate.split(":") for candidate in candidates if some):
            with torch.device("meta"):
                module = models.get_model(name, weights=None) if family == "torchvision" else timm.create_model(name)
            if any(_fits(state, module.state_dict()) for state in some):
                yield f"{family}:{name}"


def _fits(state: State, needed: Mapping[str, torch.Tensor]) -> bool:
    if abs(len(state) - len(needed)) > len(needed) // 2:
        return False
    renamed = rename(state, needed.keys())
    if renamed is None:
        return False
    return sum(needed[name].shape != tensor.shape for name, tensor in renamed.items() if name in needed) <= OWN_SHAPES
