"""Running a graph that was written for one image on many, each by itself.

A file that was exported with a batch of one holds that one in its reshapes, and an operator that measures its whole
input mixes images. So each node receives its values image by image, with `torch.vmap`, and values are held in three
forms: ROWS, where the graph's first side is 1 and the images take its place; STACKED, where it is not and the images
stand before it; SHARED, where a value is the same for all images.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from phosphene.model.sources.onnx_files.graph import Operation
from phosphene.model.sources.onnx_files.operators.table import SHAPE_ONLY
from phosphene.model.sources.onnx_files.rows import leaves_rows

Shape = tuple[int, ...]


class Form(enum.Enum):
    ROWS = "rows"
    STACKED = "stacked"
    SHARED = "shared"


@dataclass(frozen=True)
class PerImage:
    """The forms of a node's inputs and outputs; a `direct` node treats rows by themselves anyway."""

    inputs: tuple[Form, ...]
    outputs: tuple[Form, ...]
    direct: bool

    def run(self, function: Callable[..., Any], inputs: Sequence[Tensor]) -> Any:
        """Outputs in their forms; those that have no row an image in a tuple, so that no hook takes them for rows."""
        if self.direct or all(form is Form.SHARED for form in self.inputs):
            return function(*inputs)
        if self.outputs[0] is Form.SHARED:
            return function(*[_first(x, form) for x, form in zip(inputs, self.inputs, strict=True)])
        stacked = [x.unsqueeze(1) if form is Form.ROWS else x for x, form in zip(inputs, self.inputs, strict=True)]
        axes = tuple(None if form is Form.SHARED else 0 for form in self.inputs)
        results = torch.vmap(function, in_dims=axes)(*stacked)
        several = results if isinstance(results, tuple) else (results,)
        return self._hand_on(several)

    def _hand_on(self, results: Sequence[Tensor]) -> Any:
        formed = tuple(_to_rows(x) if form is Form.ROWS else x for x, form in zip(results, self.outputs, strict=False))
        return formed[0] if len(formed) == 1 and self.outputs[0] is Form.ROWS else formed


def _first(x: Tensor, form: Form) -> Tensor:
    if form is Form.SHARED:
        return x
    return x[:1] if form is Form.ROWS else x[0]


def _to_rows(x: Tensor) -> Tensor:
    if x.shape[1] != 1:
        raise RuntimeError(f"gives {x.shape[1]} rows an image where it gave one for images of the file's own size")
    return x.squeeze(1)


def find_forms(shapes: Mapping[str, Shape], changing: set[str]) -> dict[str, Form]:
    """The form of each value, from its shape for one image and whether it changes with the image."""

    def form(name: str, shape: Shape) -> Form:
        if name not in changing:
            return Form.SHARED
        return Form.ROWS if shape and shape[0] == 1 else Form.STACKED

    return {name: form(name, shape) for name, shape in shapes.items()}


def plan(
    operation: Operation,
    dynamic: Sequence[str],
    forms: Mapping[str, Form],
    shapes: Mapping[str, Shape],
    constants: Mapping[str, Tensor],
) -> PerImage:
    """How one node runs image by image; `dynamic` are its inputs that are no constants."""
    outputs = tuple(forms[name] for name in operation.outputs if name) or (Form.SHARED,)
    inputs = tuple(forms[name] for name in dynamic)
    rows = operation.kind not in SHAPE_ONLY and {*inputs, *outputs} == {Form.ROWS}
    return PerImage(inputs, outputs, rows and leaves_rows(operation, dynamic, shapes, constants))
