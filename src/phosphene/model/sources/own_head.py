"""A library's architecture with the number of classes, channels and the image size that somebody's weights have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from phosphene.model.sources.source import Shape

Build = Callable[..., nn.Module]
State = Mapping[str, Tensor]
SIDES = (28, 32, 48, 64, 80, 96, 112, 128, 144, 160, 192, 224, 240, 256, 288, 320, 336, 384, 448, 512)


def reshape_timm(build: Build, state: State, size: tuple[int, int] | None) -> tuple[nn.Module, Shape]:
    """timm's architecture for the state dict, and what was changed; the record of the architecture says which layers
    are the first and the last."""
    module = build()
    config = getattr(module, "pretrained_cfg", None) or {}
    changes: dict[str, Any] = {}
    if (classes := _read_dimension(module, state, config.get("classifier"), 0)) is not None:
        changes["num_classes"] = classes
    if (channels := _read_dimension(module, state, config.get("first_conv"), 1)) is not None:
        changes["in_chans"] = channels
    module = build(**changes) if changes else module
    shape: dict[str, Any] = {"classes": classes, "channels": channels}
    shape = {name: value for name, value in shape.items() if value is not None}
    if size is not None and _takes_size(module):
        return build(**changes, img_size=size), shape
    if _misfits(module, state):
        for candidate in _guess_sizes(module):
            if (other := _try_size(build, changes, candidate)) is not None and not _misfits(other, state):
                return other, {**shape, "size": candidate}
    return module, shape


def _read_dimension(module: nn.Module, state: State, layers: Any, dimension: int) -> int | None:
    """How long the weights of the named layer are in the state dict, where that is another length than the module's."""
    own = module.state_dict()
    for name in (layers,) if isinstance(layers, str) else layers or ():
        for parameter in (f"{name}.weight", f"{name}.bias"):
            if parameter in state and parameter in own and own[parameter].ndim == state[parameter].ndim > dimension:
                theirs = state[parameter].shape[dimension]
                return theirs if theirs != own[parameter].shape[dimension] else None
    return None


def _takes_size(module: nn.Module) -> bool:
    """Whether the image size is part of the architecture, as of transformers with a table of positions."""
    return bool((getattr(module, "pretrained_cfg", None) or {}).get("fixed_input_size"))


def _misfits(module: nn.Module, state: State) -> bool:
    own = module.state_dict()
    return any(own[name].shape != tensor.shape for name, tensor in state.items() if name in own)


def _guess_sizes(module: nn.Module) -> Iterator[tuple[int, int]]:
    """Square images whose side is usual, or any number of patches."""
    patch = getattr(getattr(module, "patch_embed", None), "patch_size", None)
    step = patch[0] if isinstance(patch, (tuple, list)) else None
    sides = {*SIDES, *range(2 * step, 33 * step, step)} if step is not None and step > 1 else SIDES
    yield from ((side, side) for side in sorted(sides))


def _try_size(build: Build, changes: Mapping[str, Any], size: tuple[int, int]) -> nn.Module | None:
    try:
        return build(**changes, img_size=size)
    except Exception:  # an architecture refuses sizes, or the option, in its own ways
        return None


def reshape_torchvision(build: Build, state: State, size: tuple[int, int] | None) -> tuple[nn.Module, Shape]:
    """torchvision's architecture for the state dict, and what was changed. Its last parameter is the head's, its first
    convolution takes the image; transformers have a table of positions."""
    module = build()
    own = module.state_dict()
    shape: dict[str, int | tuple[int, int]] = {}
    changes: dict[str, Any] = {}
    last = next(reversed(own))
    if last in state and state[last].shape[:1] != own[last].shape[:1]:
        changes["num_classes"] = shape["classes"] = len(state[last])
    table = "encoder.pos_embedding"
    if table in state and table in own and state[table].shape != own[table].shape:
        side = round((state[table].shape[1] - 1) ** 0.5) * int(module.patch_size)  # type: ignore[arg-type]
        changes["image_size"], shape["size"] = side, (side, side)
    module = build(**changes) if changes else module
    if (channels := _widen_first_convolution(module, state)) is not None:
        shape["channels"] = channels
    return module, shape


def _widen_first_convolution(module: nn.Module, state: State) -> int | None:
    """Give the first convolution the channels that the state dict has, where they differ; returns how many."""
    name, first = next(((n, m) for n, m in module.named_modules() if isinstance(m, nn.Conv2d)), ("", None))
    theirs = state.get(f"{name}.weight")
    if first is None or theirs is None or theirs.ndim != 4 or theirs.shape[1] == first.in_channels:
        return None
    first.in_channels = theirs.shape[1]
    first.weight = nn.Parameter(first.weight.new_zeros(first.out_channels, *theirs.shape[1:2], *first.kernel_size))
    return theirs.shape[1]
