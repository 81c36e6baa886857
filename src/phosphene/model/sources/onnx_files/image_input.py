"""How a graph wants its images: which side holds the channels, how large they are, and whether it normalises itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from phosphene.errors import BadInput, BadWeights
from phosphene.model.sources.onnx_files.graph import Graph, Input, Operation

UINT8 = 2  # TensorProto's number
USUAL = (1, 3, 4)  # channels of images
SAME_LAYOUT = frozenset(
    {
        "Add",
        "Cast",
        "Clip",
        "DequantizeLinear",
        "Div",
        "Identity",
        "Mul",
        "Neg",
        "Pad",
        "QuantizeLinear",
        "Sub",
    }
)


@dataclass(frozen=True)
class Layout:
    """`kind` names the sides of the graph's input; images `(N, C, H, W)` are laid out so."""

    kind: str
    channels: int
    size: tuple[int, int]

    def lay_out(self, images: Tensor) -> Tensor:
        if self.kind == "NHWC":
            return images.permute(0, 2, 3, 1)
        if self.kind == "NHW":
            return images[:, 0]
        return images.reshape(images.shape[0], -1) if self.kind == "NP" else images


def find_layout(graph: Graph, file: str, size: tuple[int, int] | None, channels: int | None) -> Layout:
    """The layout that the graph states, completed by what the user says. Raises `BadInput` where the two disagree or
    where neither says it."""
    source = _find_source(graph, file)
    shape = source.shape
    if shape is None or len(shape) not in (2, 3, 4):
        raise BadWeights(
            f"{file}: its input {source.name!r} has shape {_show(shape)}; expected images, such as (N, C, H, W)"
        )
    if len(shape) == 2:
        return _find_pixels(shape, file, size, channels)
    kind = "NHW" if len(shape) == 3 else _find_kind(graph, shape, file, channels)
    sides = {"NHWC": (3, 1, 2), "NCHW": (1, 2, 3), "NHW": (None, 1, 2)}[kind]
    stated = tuple(1 if place is None else shape[place] for place in sides)
    count = _settle(stated[0] or _channels_of_first(graph), channels, "channels", file)
    height = _settle(stated[1], size and size[0], "size", file)
    width = _settle(stated[2], size and size[1], "size", file)
    return Layout(kind, count, (height, width))


def _find_source(graph: Graph, file: str) -> Input:
    if len(graph.inputs) != 1:
        names = ", ".join(one.name for one in graph.inputs) or "none"
        raise BadWeights(f"{file} has {len(graph.inputs)} inputs ({names}); expected one, the images")
    return graph.inputs[0]


def _settle(stated: int | None, given: int | None, option: str, file: str) -> int:
    if stated is None and given is None:
        wanted = "--size H,W" if option == "size" else f"--{option}"
        raise BadInput(f"{file} leaves the {option} of its images open; give {wanted}")
    if stated is not None and given is not None and stated != given:
        raise BadInput(f"{file} is for images whose {option} has {stated}; got {given}; leave out --{option}")
    return stated or given or 0


def _find_pixels(
    shape: tuple[int | None, ...], file: str, size: tuple[int, int] | None, channels: int | None
) -> Layout:
    """A row of pixels an image: of one channel there is only one order in which they can stand."""
    if size is None:
        raise BadInput(f"{file} takes {shape[1] or 'some'} numbers an image in a row; give --size H,W and --channels 1")
    if channels not in (None, 1):
        raise BadInput(
            f"{file} takes the pixels of an image in a row, and of {channels} channels nothing says in which order; "
            f"export the model with an input of shape (N, C, H, W)"
        )
    if shape[1] not in (None, size[0] * size[1]):
        raise BadInput(
            f"{file} takes {shape[1]} numbers an image; got --size {size[0]},{size[1]}, which are {size[0] * size[1]}"
        )
    return Layout("NP", 1, size)


def _find_kind(graph: Graph, shape: tuple[int | None, ...], file: str, channels: int | None) -> str:
    """Whether channels stand first or last, by what the graph does first or, where that does not tell, by the sides."""
    for operation in _first_operations(graph):
        if operation.kind == "Transpose" and operation.attributes.get("perm") in ([0, 3, 1, 2], [0, 2, 3, 1]):
            return "NHWC" if operation.attributes["perm"] == [0, 3, 1, 2] else "NCHW"
        if operation.kind in ("Conv", "ConvInteger", "QLinearConv"):
            return "NCHW"
    first, last = ((side == channels) if channels else (side in USUAL) for side in (shape[1], shape[3]))
    if first != last:
        return "NCHW" if first else "NHWC"
    raise BadInput(
        f"{file}: nothing says which side of its input {_show(shape)} holds the channels; give --channels, or export "
        f"it with sides that differ"
    )


def _first_operations(graph: Graph) -> Iterator[Operation]:
    """What the image meets, through operations that keep its layout, in the order of computing."""
    images = {graph.inputs[0].name}
    for operation in graph.operations:
        if operation.inputs and operation.inputs[0] in images:
            yield operation
            if operation.kind in SAME_LAYOUT:
                images |= set(operation.outputs)


def _channels_of_first(graph: Graph) -> int | None:
    """Of the first convolution: the second side of its weight, in each of its groups."""
    for operation in _first_operations(graph):
        if operation.kind == "Conv" and operation.inputs[1] in graph.constants:
            return graph.constants[operation.inputs[1]].shape[1] * operation.attributes.get("group", 1)
    return None


def _show(shape: tuple[int | None, ...] | None) -> str:
    return "unknown" if shape is None else f"({', '.join('?' if side is None else str(side) for side in shape)})"


def describe_normalization(graph: Graph) -> str | None:
    """What the graph does to its images first, where that is a normalisation: `Sub by 127.5, Div by 127.5`."""
    image, steps = graph.inputs[0].name, []
    for operation in graph.operations:
        if operation.inputs[:1] != (image,) or operation.kind not in (*SAME_LAYOUT, "BatchNormalization"):
            continue
        steps += _describe_step(graph, operation)
        image = operation.outputs[0]
    return ", ".join(steps) or None


def _describe_step(graph: Graph, operation: Operation) -> list[str]:
    if operation.kind == "BatchNormalization":
        return ["BatchNormalization"]
    values = [graph.constants[name] for name in operation.inputs[1:] if name in graph.constants]
    if operation.kind not in ("Add", "Div", "Mul", "Sub") or not values or values[0].numel() > 16:
        return []
    return [f"{operation.kind} by {', '.join(f'{value:.4g}' for value in values[0].flatten().tolist())}"]
