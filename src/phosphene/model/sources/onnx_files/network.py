"""A graph as an ordinary module: a submodule for each node, called by the node's name, that holds its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from phosphene.model.sources.onnx_files.evaluation import call_of, evaluate_graph, naming
from phosphene.model.sources.onnx_files.graph import Graph, Operation, find_depending
from phosphene.model.sources.onnx_files.image_input import Layout
from phosphene.model.sources.onnx_files.layers import make_layer
from phosphene.model.sources.onnx_files.operators.table import BATCH_MIXING, OPERATORS, SHAPE_ONLY
from phosphene.model.sources.onnx_files.per_image import Form, PerImage, find_forms, plan

MANY_SIZES = 16  # shapes of batches that a network is asked for
ALIKE = 1e-4  # relative: how far a row may differ from what the image gives alone, by the order of sums
# Operators whose larger constants are what was trained; those of others (bounds, scales, exponents) are settings.
TRAINED = frozenset(
    {
        "Add",
        "BatchNormalization",
        "Conv",
        "ConvTranspose",
        "Gather",
        "Gemm",
        "GroupNormalization",
        "InstanceNormalization",
        "LayerNormalization",
        "MatMul",
        "Mul",
        "PRelu",
        "RMSNormalization",
    }
)


@dataclass(frozen=True)
class Step:
    """One node: where its module is, which values it receives and gives, and which nobody needs afterwards.

    What a `sized` one gives depends on the size of the images and on how many they are, and not on what they show.
    """

    path: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    released: tuple[str, ...]
    sized: bool


class Node(nn.Module):
    """One operation with its constants, called with its other inputs.

    Floating outputs have the type of the weights, which `half` or `double` of the whole network changes.
    """

    unit: Tensor  # of the type that floating outputs have

    def __init__(self, operation: Operation, constants: Mapping[int, Tensor], form: PerImage | None) -> None:
        super().__init__()
        self.kind, self.call, self.form = operation.kind, call_of(operation), form
        self.places = tuple(place if name else None for place, name in enumerate(operation.inputs))
        self.register_buffer("unit", torch.ones(()), persistent=False)
        for place, value in constants.items():
            if isinstance(value, nn.Parameter):
                self.register_parameter(f"input_{place}", value)
            else:
                self.register_buffer(f"input_{place}", value)

    def forward(self, *inputs: Tensor) -> Any:
        return self._compute(*inputs) if self.form is None else self.form.run(self._compute, inputs)

    def _compute(self, *inputs: Tensor) -> Any:
        given = iter(inputs)
        arguments = [None if place is None else self._constant(place, given) for place in self.places]
        result = OPERATORS[self.kind](self.call, *arguments)
        return tuple(map(self._convert, result)) if isinstance(result, tuple) else self._convert(result)

    def _constant(self, place: int, given: Any) -> Tensor:
        name = f"input_{place}"
        return getattr(self, name) if name in self._parameters or name in self._buffers else next(given)

    def _convert(self, x: Tensor) -> Tensor:
        return x.to(self.unit.dtype) if x.is_floating_point() else x


class Network(nn.Module):
    """Images `(N, C, H, W)` → the graph's output `(N, …)`, or a dict of its outputs by name where it has several."""

    def __init__(self, layout: Layout, source: str, steps: Sequence[Step], outputs: Sequence[str]) -> None:
        super().__init__()
        self.layout, self.source, self.steps, self.outputs = layout, source, tuple(steps), tuple(outputs)
        self.sizes: dict[
            object, dict[str, Tensor]
        ] = {}  # what sized steps gave, by shape, type and place of the images

    def forward(self, images: Tensor) -> Any:
        key = (images.shape, images.dtype, images.device)
        known = self.sizes.get(key)
        values = {**(known or {}), self.source: self.layout.lay_out(images)}
        for step in self.steps:
            if known is None or not step.sized:
                self._take(step, values)
        if known is None:
            self._remember(key, values)
        outputs = {name: _flatten(values[name]) for name in self.outputs}
        return outputs if len(outputs) > 1 else outputs[self.outputs[0]]

    def _take(self, step: Step, values: dict[str, Tensor]) -> None:
        module, inputs = self.get_submodule(step.path), [values[name] for name in step.inputs]
        with naming(step.path, step.kind):
            result = module(*inputs)
        results = result if isinstance(result, tuple) else (result,)
        values |= dict(zip(step.outputs, results, strict=False))
        for name in step.released:
            values.pop(name, None)

    def _remember(self, key: object, values: Mapping[str, Tensor]) -> None:
        if len(self.sizes) >= MANY_SIZES:
            self.sizes.clear()
        sized = {name for step in self.steps if step.sized for name in step.outputs if name}
        self.sizes[key] = {name: values[name].detach() for name in sized}


def _flatten(output: Tensor) -> Tensor:
    """`(N, K)` of `(N, K, 1, 1)` and the like."""
    longest = max(output.shape[1:], default=1)
    return output.flatten(1) if output.ndim > 2 and output[0].numel() == longest else output


def build_network(graph: Graph, layout: Layout, images: Tensor) -> Network:
    """The module of a folded graph. `images` `(3, C, H, W)` tell how it takes several at once: as they are where each
    row is what the image gives alone, and image by image where it is not.

    Raises `RuntimeError` with the node's name where the graph fails on one image.
    """
    source = graph.inputs[0].name
    values = evaluate_graph(graph, {source: layout.lay_out(images[:1])})
    shapes = {name: tuple(value.shape) for name, value in values.items()}
    changing = find_depending(graph, [source], lambda one: one.kind not in SHAPE_ONLY)
    together = Builder(graph, layout, shapes, changing, None).build()
    mixing = any(one.kind in BATCH_MIXING for one in graph.operations)
    alone = torch.cat([_run(together, image[None]) for image in images]) if not mixing else None
    if alone is not None and _is_alike(together, images, alone):
        return together
    return Builder(graph, layout, shapes, changing, find_forms(shapes, changing)).build()


def _run(network: Network, images: Tensor) -> Tensor:
    with torch.no_grad():
        outputs = network(images)
    rows = outputs.values() if isinstance(outputs, dict) else [outputs]
    return torch.cat([row.reshape(len(images), -1) if row.numel() else row for row in rows], dim=1)


def _is_alike(network: Network, images: Tensor, alone: Tensor) -> bool:
    try:
        rows = _run(network, images)
    except RuntimeError:  # the graph holds the one image of its export
        return False
    scale = alone.abs().max().item()
    return rows.shape == alone.shape and torch.allclose(rows, alone, rtol=ALIKE, atol=ALIKE * scale, equal_nan=True)


class Builder:
    """Makes the submodules of one network. A weight that several nodes use is one parameter."""

    def __init__(
        self,
        graph: Graph,
        layout: Layout,
        shapes: Mapping[str, tuple[int, ...]],
        changing: set[str],
        forms: Mapping[str, Form] | None,
    ) -> None:
        self.graph, self.layout, self.shapes, self.changing, self.forms = graph, layout, shapes, changing, forms
        self.parameters: dict[tuple[str, bool], nn.Parameter] = {}

    def build(self) -> Network:
        last = {name: k for k, one in enumerate(self.graph.operations) for name in one.reads}
        network = Network(self.layout, self.graph.inputs[0].name, (), self.graph.outputs)
        kept = {*self.graph.outputs, *(name for name in self.shapes if name not in self.changing)}
        steps = []
        for place, operation in enumerate(self.graph.operations):
            path = put(network, operation.name, self._make_module(operation))
            released = tuple(name for name in operation.reads if last[name] == place and name not in kept)
            sized = self.changing.isdisjoint(operation.outputs)
            steps.append(Step(path, operation.kind, self._dynamic(operation), operation.outputs, released, sized))
        network.steps = tuple(steps)
        return network.eval()

    def _dynamic(self, operation: Operation) -> tuple[str, ...]:
        return tuple(name for name in operation.inputs if name and name not in self.graph.constants)

    def _make_module(self, operation: Operation) -> nn.Module:
        form = self._plan(operation)
        if form is None or set(form.inputs) == {Form.ROWS}:
            layer = make_layer(operation, self.graph.constants, self.shapes, self._own)
            if layer is not None:
                return layer
        constants = {
            place: self._hold(operation, name)
            for place, name in enumerate(operation.inputs)
            if name in self.graph.constants
        }
        return Node(operation, constants, form)

    def _plan(self, operation: Operation) -> PerImage | None:
        if self.forms is None:
            return None
        return plan(operation, self._dynamic(operation), self.forms, self.shapes, self.graph.constants)

    def _hold(self, operation: Operation, name: str) -> Tensor:
        value = self.graph.constants[name]
        trained = operation.kind in TRAINED and value.is_floating_point() and value.numel() > 1
        return self._own(name, False) if trained else value

    def _own(self, name: str, transposed: bool) -> nn.Parameter:
        value = self.graph.constants[name]
        made = nn.Parameter(value.mT.contiguous() if transposed else value, requires_grad=False)
        return self.parameters.setdefault((name, transposed), made)


def put(root: nn.Module, name: str, module: nn.Module) -> str:
    """Make `module` the submodule `name`, dots making it a part of others. Returns its path: another where taken."""
    *parents, own = [part or "_" for part in re.sub(r"[^\w./]", "_", name).split(".")]  # what a concept can name
    place = root
    path = []
    for parent in parents:
        parent = _free(place, parent, may_be_module=True)
        if parent not in place._modules:
            place.add_module(parent, nn.Module())
        place = place.get_submodule(parent)
        path.append(parent)
    own = _free(place, own, may_be_module=False)
    place.add_module(own, module)
    return ".".join([*path, own])


def _free(place: nn.Module, name: str, *, may_be_module: bool) -> str:
    while hasattr(place, name) and not (may_be_module and name in place._modules):
        name += "_"
    return name
