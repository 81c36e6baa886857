"""One operation on tensors, a whole graph on tensors, and what fails in either as one line with the node's name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from phosphene.errors import BadWeights
from phosphene.model.sources.onnx_files.graph import Graph, Operation
from phosphene.model.sources.onnx_files.operators.call import Call
from phosphene.model.sources.onnx_files.operators.table import OPERATORS


@contextlib.contextmanager
def naming(node: str, kind: str) -> Iterator[None]:
    """Whatever an operation raises, as a `RuntimeError` that says which node it was."""
    try:
        yield
    except Exception as error:  # torch's own trees of errors, and ours of what is not supported
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        verb = "" if isinstance(error, BadWeights) else "fails: "
        raise RuntimeError(f"the node {node!r} ({kind}) {verb}{reason[:300]}") from error


def call_of(operation: Operation) -> Call:
    used = max((place + 1 for place, name in enumerate(operation.outputs) if name), default=1)
    return Call(operation.attributes, operation.version, used)


def evaluate(operation: Operation, inputs: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """The outputs of one operation. Raises `RuntimeError` with the node's name."""
    with naming(operation.name, operation.kind):
        result = OPERATORS[operation.kind](call_of(operation), *inputs)
    return result if isinstance(result, tuple) else (result,)


def evaluate_graph(graph: Graph, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every value of a graph whose operations are in order. Raises `RuntimeError` with the node's name."""
    values: dict[str, Any] = {**graph.constants, **given}
    with torch.no_grad():
        for operation in graph.operations:
            outputs = evaluate(operation, [values[name] if name else None for name in operation.inputs])
            values |= {name: value for name, value in zip(operation.outputs, outputs, strict=False) if name}
    return values
