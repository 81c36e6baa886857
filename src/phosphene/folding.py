"""Folding batch normalisation into the convolution before it: the same function of the image, fewer passes over memory.

Which normalisation follows which convolution is observed in one probe forward, not guessed from names, so that it
works for any architecture; the caller checks the logits afterwards.

Formula: Jacob et al., CVPR 2018, section 3.2, as implemented by `torch.nn.utils.fusion`.
"""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(module: nn.Module, probe: Tensor) -> int:
    """Fold in place every batch norm whose input is exactly one convolution's output; returns how many were folded."""
    pairs = _observed_pairs(module, probe)
    names = {submodule: name for name, submodule in module.named_modules()}
    for convolution, norm in pairs:
        _put(module, names[convolution], fuse_conv_bn_eval(convolution, norm))
        _put(module, names[norm], _without_normalisation(norm))
    return len(pairs)


def _observed_pairs(module: nn.Module, probe: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    produced: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # holds the tensors, so that ids are not reused
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
    calls: Counter[nn.Module] = Counter()

    def after_convolution(convolution: nn.Module, _: object, output: Tensor) -> None:
        calls[convolution] += 1
        produced[id(output)] = (convolution, output)  # type: ignore[assignment]

    def before_norm(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calls[norm] += 1
        if id(inputs[0]) in produced:
            pairs.append((produced[id(inputs[0])][0], norm))  # type: ignore[arg-type]

    hooks = [m.register_forward_hook(after_convolution) for m in module.modules() if isinstance(m, nn.Conv2d)]
    hooks += [m.register_forward_pre_hook(before_norm) for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    try:
        with torch.no_grad():
            module(probe)
    finally:
        for hook in hooks:
            hook.remove()
    consumers = Counter(convolution for convolution, _ in pairs)
    return [(c, n) for c, n in pairs if calls[c] == calls[n] == consumers[c] == 1 and n.running_mean is not None]


def _without_normalisation(norm: nn.BatchNorm2d) -> nn.Module:
    """What remains of the layer: nothing, or the activation that some libraries fuse into it."""
    activation = getattr(norm, "act", None)
    return activation if isinstance(activation, nn.Module) else nn.Identity()


def _put(module: nn.Module, name: str, new: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(module.get_submodule(parent), child, new)
