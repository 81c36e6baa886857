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

from phosphene.core.hooks import forward_hooks, pre_hooks


def fold_batch_norms(module: nn.Module, probe: Tensor) -> int:
    """Fold in place every batch norm whose input is exactly one convolution's output; returns how many were folded."""
    pairs = _observe_pairs(module, probe)
    names = {submodule: name for name, submodule in module.named_modules()}
    for convolution, norm in pairs:
        _put(module, names[convolution], fuse_conv_bn_eval(convolution, norm))
        _put(module, names[norm], _remaining_activation(norm))
    return len(pairs)


def _observe_pairs(module: nn.Module, probe: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    outputs: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # holds the tensors, so that ids are not reused
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
    calls: Counter[nn.Module] = Counter()

    def after_convolution(convolution: nn.Module, inputs: object, output: object) -> None:
        calls[convolution] += 1
        outputs[id(output)] = (convolution, output)  # type: ignore[assignment]

    def before_norm(norm: nn.Module, inputs: tuple[object, ...]) -> None:
        calls[norm] += 1
        if id(inputs[0]) in outputs:
            pairs.append((outputs[id(inputs[0])][0], norm))  # type: ignore[arg-type]

    convolutions = [(m, after_convolution) for m in module.modules() if isinstance(m, nn.Conv2d)]
    norms = [(m, before_norm) for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    with forward_hooks(convolutions), pre_hooks(norms), torch.no_grad():
        module(probe)
    consumers = Counter(convolution for convolution, _ in pairs)
    return [(c, n) for c, n in pairs if calls[c] == calls[n] == consumers[c] == 1 and n.running_mean is not None]


def _remaining_activation(norm: nn.BatchNorm2d) -> nn.Module:
    """What remains of the layer: nothing, or the activation that some libraries fuse into it."""
    activation = getattr(norm, "act", None)
    return activation if isinstance(activation, nn.Module) else nn.Identity()


def _put(module: nn.Module, name: str, new: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(module.get_submodule(parent), child, new)
