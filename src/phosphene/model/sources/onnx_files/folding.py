"""Computing beforehand what does not depend on the image, and choosing the branches of `If` that are decided."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from phosphene.errors import BadWeights
from phosphene.model.sources.onnx_files.evaluation import evaluate, evaluate_graph
from phosphene.model.sources.onnx_files.graph import Graph, Operation, find_depending, order
from phosphene.model.sources.onnx_files.operators.table import OPERATORS, SHAPE_ONLY


def check_supported(graph: Graph, file: str) -> None:
    """Raise `BadWeights` with the operators that are not supported; `If` may yet be decided."""
    unknown = sorted({one.kind for one in graph.operations if one.kind not in OPERATORS and one.kind != "If"})
    if unknown:
        first = next(one.name for one in graph.operations if one.kind == unknown[0])
        more = f" and {len(unknown) - 6} more" if len(unknown) > 6 else ""
        raise BadWeights(
            f"{file} uses operators that are not supported: {', '.join(unknown[:6])}{more} (first in the node "
            f"{first!r}); docs/onnx.md lists those that are"
        )


def check_batches(graph: Graph, file: str) -> None:
    """Raise `BadWeights` where the images of a batch are normalised by one another. Of constants it is no matter."""
    for operation in graph.operations:
        if operation.kind == "BatchNormalization" and operation.attributes.get("training_mode", 0):
            raise BadWeights(
                f"{file}: the node {operation.name!r} (BatchNormalization) normalises by the batch itself; export the "
                f"model in eval mode"
            )


def fold_constants(graph: Graph, file: str) -> Graph:
    """The graph with every operation on constants replaced by what it gives, decided branches written out, in order."""
    while True:
        graph = order(graph, file)
        check_supported(graph, file)
        graph = _fold_once(graph, file)
        decided = [one for one in graph.operations if one.kind == "If" and one.inputs[0] in graph.constants]
        if not decided:
            check_batches(graph := order(graph, file), file)
            return graph
        graph = write_out_branches(graph, {one.name: bool(graph.constants[one.inputs[0]]) for one in decided})


def _fold_once(graph: Graph, file: str) -> Graph:
    constants, remaining = dict(graph.constants), []
    for operation in graph.operations:
        if operation.kind == "If" or not operation.reads <= constants.keys():
            remaining.append(operation)
            continue
        inputs = [constants[name] if name else None for name in operation.inputs]
        with torch.no_grad():
            outputs = _evaluate(operation, inputs, file)
        constants |= {name: value for name, value in zip(operation.outputs, outputs, strict=False) if name}
    return graph.replace(operations=tuple(remaining), constants=constants)


def _evaluate(operation: Operation, inputs: Sequence[Tensor | None], file: str) -> tuple[Tensor, ...]:
    try:
        return evaluate(operation, inputs)
    except RuntimeError as error:
        raise BadWeights(f"{file}: {error}") from error


def write_out_branches(graph: Graph, decisions: dict[str, bool]) -> Graph:
    """The graph with the nodes of the chosen branch in place of each decided `If`, called by its name."""
    operations: list[Operation] = []
    constants = dict(graph.constants)
    for operation in graph.operations:
        if operation.name not in decisions:
            operations.append(operation)
            continue
        branch = operation.attributes["then_branch" if decisions[operation.name] else "else_branch"]
        inner = branch.rename({}, f"{operation.name}/")
        constants |= inner.constants
        operations += inner.operations
        for ours, theirs in zip(operation.outputs, inner.outputs, strict=True):
            operations.append(Operation(f"{operation.name}/{ours}", "Identity", (theirs,), (ours,), {}, 13))
    return graph.replace(operations=tuple(operations), constants=constants)


def decide_by_shape(graph: Graph, images: Tensor, file: str) -> Graph:
    """The graph without `If`, each decided by the sizes that images `(2, …)` of the network's own size lead to.

    Raises `BadWeights` where what the image shows, or how many there are, would decide.
    """
    while undecided := [one for one in graph.operations if one.kind == "If"]:
        content = find_depending(graph, [one.name for one in graph.inputs], lambda one: one.kind not in SHAPE_ONLY)
        first = undecided[0]
        if first.inputs[0] in content:
            raise BadWeights(
                f"{file}: the node {first.name!r} (If) chooses what to compute by what the image shows, which is not "
                f"supported"
            )
        decision = [_decide(graph, first.inputs[0], images[:count], file) for count in (1, 2)]
        if decision[0] != decision[1] and images.shape[0] > 1:
            raise BadWeights(f"{file}: the node {first.name!r} (If) chooses what to compute by the number of images")
        graph = fold_constants(write_out_branches(graph, {first.name: decision[0]}), file)
    return graph


def _decide(graph: Graph, condition: str, images: Tensor, file: str) -> bool:
    part = order(graph.replace(outputs=(condition,)), file)
    try:
        return bool(evaluate_graph(part, {graph.inputs[0].name: images})[condition])
    except (RuntimeError, KeyError) as error:
        raise BadWeights(f"{file}: cannot decide an If by the sizes of the image: {error}") from error
