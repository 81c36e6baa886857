"""Which dimension of a tensor holds channels, as the modules that give and take it say.

A convolution's channels come before its places, those of a linear layer last. Of a module that says nothing itself (an
activation, a block, somebody's own) those around it do: what gave or takes the very same tensor, and what gave or takes
one of the same shape as its input or inside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn
from torch.nn.modules import batchnorm, conv, instancenorm, pooling

from phosphene.model.calls import Call

BEFORE_PLACES = (
    conv._ConvNd,
    pooling._MaxPoolNd,
    pooling._AvgPoolNd,
    pooling._AdaptiveAvgPoolNd,
    pooling._AdaptiveMaxPoolNd,
)
SECOND = (batchnorm._BatchNorm, instancenorm._InstanceNorm, nn.GroupNorm)


def find_channels(call: Call, calls: Sequence[Call]) -> int | None:
    """The dimension of the channels of what a call gave; None where no module says, or two contradict each other."""
    own = channels_of(call.module, call.output)
    if own is not None:
        return own
    said = {*_around(call.output, calls), *_inside(call, calls)}
    if not said:
        said = {
            one for received in call.inputs if _same_shape(received, call.output) for one in _around(received, calls)
        }
    return said.pop() if len(said) == 1 else None


def channels_of(module: nn.Module, tensor: Tensor) -> int | None:
    """The dimension of the channels in a tensor that a module gives or takes; None where its kind does not say."""
    if isinstance(module, BEFORE_PLACES):
        places = _count_places(module)
        return tensor.ndim - 1 - places if tensor.ndim > places else None
    if isinstance(module, SECOND):
        return 1 if tensor.ndim > 1 else None
    if isinstance(module, nn.Linear) or (type(module) is nn.LayerNorm and len(module.normalized_shape) == 1):
        return tensor.ndim - 1
    return None


def _count_places(module: nn.Module) -> int:
    """2 of a `Conv2d`, of its subclasses too."""
    names = [one.__name__ for one in type(module).__mro__ if one.__module__.startswith("torch.nn.modules")]
    return next(int(name[-2]) for name in names if name[-2:] in ("1d", "2d", "3d"))


def _around(tensor: Tensor, calls: Iterable[Call]) -> set[int]:
    """What those say that gave or take this very tensor."""
    beside = (one.module for one in calls if one.output is tensor or any(given is tensor for given in one.inputs))
    return {said for module in beside if (said := channels_of(module, tensor)) is not None}


def _inside(call: Call, calls: Iterable[Call]) -> set[int]:
    """What the parts of a block say of tensors that have the shape of what the block gives."""
    parts = [one for one in calls if one.name.startswith(f"{call.name}.")]
    tensors = [(one.module, tensor) for one in parts for tensor in (*one.inputs, one.output)]
    return {
        said
        for module, tensor in tensors
        if _same_shape(tensor, call.output) and (said := channels_of(module, tensor)) is not None
    }


def _same_shape(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape
