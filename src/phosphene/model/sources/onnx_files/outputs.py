"""Which output of a graph is the classifier's, and what its last operation says of it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from phosphene.errors import BadInput
from phosphene.model.sources.onnx_files.graph import Graph, Operation
from phosphene.model.sources.onnx_files.reading import Model

KEEPS_MEANING = frozenset(
    {
        "ai.onnx.ml.ZipMap",
        "Cast",
        "DequantizeLinear",
        "Flatten",
        "Identity",
        "QuantizeLinear",
        "Reshape",
        "Squeeze",
        "com.microsoft.DequantizeLinear",
        "com.microsoft.QuantizeLinear",
    }
)
ROUNDING = frozenset(name for name in KEEPS_MEANING if "quantize" in name.lower())
LAST = {
    "Softmax": "probabilities",
    "com.microsoft.QLinearSoftmax": "probabilities",
    "Sigmoid": "label-probabilities",
    "com.microsoft.QLinearSigmoid": "label-probabilities",
}


def choose_outputs(model: Model, output: str | None) -> Graph:
    """The graph with one output: the only one, `logits`, or that which the user names by name or place."""
    names = model.graph.outputs
    if output is None and len(names) > 1 and "logits" in names:
        output = "logits"
    if output is None and len(names) > 1:
        raise BadInput(
            f"{model.path.name} has {len(names)} outputs; name that of the classes with --output ({', '.join(names)})"
        )
    if output is None:
        return model.graph
    if output in names:
        return model.graph.replace(outputs=(output,))
    if output.isdecimal() and int(output) < len(names):
        return model.graph.replace(outputs=(names[int(output)],))
    raise BadInput(f"--output is {output!r}, which {model.path.name} does not have; expected one of {', '.join(names)}")


def guess_outputs(graph: Graph, network: nn.Module, images: Tensor) -> str | None:
    """The kind of the outputs, where the last operation tells; None where they have to be looked at."""
    *_, last = _trace_back(graph)
    if last is None or last.kind not in LAST:
        return None
    with torch.no_grad():
        single = network(images).numel() == len(images)
    return "binary-probability" if single else LAST[last.kind]


def _trace_back(graph: Graph) -> list[Operation | None]:
    """From the output back to the first operation that changes what the numbers mean."""
    makers = {name: one for one in graph.operations for name in one.outputs}
    found: list[Operation | None] = [makers.get(graph.outputs[0])]
    while found[-1] is not None and found[-1].kind in KEEPS_MEANING:
        found.append(makers.get(found[-1].inputs[0]))
    return found


def drop_last_rounding(graph: Graph) -> Graph:
    """The graph without the rounding of its probabilities, which would make most of them 0 and their logarithm endless.

    It is dropped only behind a softmax or a sigmoid, where it says nothing of what the network computes.
    """
    *path, last = _trace_back(graph)
    if last is None or last.kind not in LAST:
        return graph
    rounding = {one.name for one in path if one is not None and one.kind in ROUNDING}
    changed = [_drop_rounding(one, one.name in rounding, one is last) for one in graph.operations]
    return graph.replace(operations=tuple(part for parts in changed for part in parts))


def _drop_rounding(operation: Operation, is_rounding: bool, is_last: bool) -> list[Operation]:
    if is_rounding:
        return [replace(operation, kind="Identity", inputs=operation.inputs[:1])]
    if not is_last or "QLinear" not in operation.kind:
        return [operation]
    between = f"{operation.outputs[0]}/dequantized"
    name, kind = f"{operation.name}/dequantized", operation.kind.removeprefix("com.microsoft.QLinear")
    return [
        Operation(name, "DequantizeLinear", operation.inputs[:3], (between,), {}, operation.version),
        replace(operation, kind=kind, inputs=(between,), version=int(operation.attributes.get("opset", 13))),
    ]
