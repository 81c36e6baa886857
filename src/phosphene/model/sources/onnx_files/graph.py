"""A graph of operations as plain values, in the order of computing, with only what its outputs need."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from phosphene.errors import BadWeights


@dataclass(frozen=True)
class Operation:
    """One node: `kind` is the operator with its domain, an absent input or output has the name ""."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    version: int  # of the set of operators that it belongs to

    @property
    def reads(self) -> set[str]:
        """Values that it needs, those that its branches take from outside among them."""
        taken = {name for value in self.attributes.values() if isinstance(value, Graph) for name in value.free_names()}
        return {name for name in self.inputs if name} | taken

    def rename(self, names: Mapping[str, str], prefix: str) -> Operation:
        """The same node as part of another graph: values called by their new names."""
        attributes = {
            key: value.rename(names, prefix) if isinstance(value, Graph) else value
            for key, value in self.attributes.items()
        }
        return dataclasses.replace(
            self,
            name=f"{prefix}{self.name}",
            inputs=tuple(names.get(name, name) for name in self.inputs),
            outputs=tuple(names.get(name, name) for name in self.outputs),
            attributes=attributes,
        )


@dataclass(frozen=True)
class Input:
    """What a graph is fed: `shape` holds None where a side is not stated, and is None where nothing is."""

    name: str
    type: int
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Graph:
    """Operations with their constants, as tensors or as what `read` makes tensors of."""

    operations: tuple[Operation, ...]
    constants: Mapping[str, Any]
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]

    def replace(self, **changes: Any) -> Graph:
        return dataclasses.replace(self, **changes)

    def own_names(self) -> set[str]:
        """What is computed or kept in this graph, without its inputs."""
        return {name for one in self.operations for name in one.outputs if name} | set(self.constants)

    def free_names(self) -> set[str]:
        """What a branch takes from the graph around it."""
        own = self.own_names() | {one.name for one in self.inputs}
        used = {name for one in self.operations for name in one.reads} | set(self.outputs)
        return used - own - {""}

    def rename(self, names: Mapping[str, str], prefix: str) -> Graph:
        """The same branch, its own values with a prefix, so that two copies of it do not meet."""
        own = {name: f"{prefix}{name}" for name in self.own_names()}
        new = {**names, **own}
        return Graph(
            tuple(one.rename(new, prefix) for one in self.operations),
            {new[name]: value for name, value in self.constants.items()},
            self.inputs,
            tuple(new.get(name, name) for name in self.outputs),
        )


def order(graph: Graph, file: str) -> Graph:
    """What the outputs need, in the order of computing. Raises `BadWeights` for a cycle or a value from nowhere."""
    makers = _find_makers(graph, file)
    known = {one.name for one in graph.inputs} | set(graph.constants)
    done: dict[str, Operation] = {}  # by name, in the order of computing
    for output in graph.outputs:
        _visit(output, makers, known, done, file)
    needed = {name for one in done.values() for name in one.reads} | set(graph.outputs)
    constants = {name: value for name, value in graph.constants.items() if name in needed}
    return graph.replace(operations=tuple(done.values()), constants=constants)


def _find_makers(graph: Graph, file: str) -> dict[str, Operation]:
    makers: dict[str, Operation] = {}
    for operation in graph.operations:
        for name in filter(None, operation.outputs):
            if name in makers:
                raise BadWeights(f"{file}: both {makers[name].name!r} and {operation.name!r} give the value {name!r}")
            makers[name] = operation
    return makers


def _visit(
    wanted: str, makers: Mapping[str, Operation], known: set[str], done: dict[str, Operation], file: str
) -> None:
    """Depth first with a stack of our own, for graphs are deeper than Python's."""
    open_nodes: dict[str, Operation] = {}
    stack: list[tuple[str, str]] = [(wanted, "the output")]
    while stack:
        name, reader = stack[-1]
        maker = makers.get(name)
        if name in known or (maker is not None and maker.name in done):
            stack.pop()
        elif maker is None:
            raise BadWeights(f"{file}: {reader} reads {name!r}, which nothing gives: no input, weight or node")
        elif maker.name in open_nodes:
            stack.pop()
            done[open_nodes.pop(maker.name).name] = maker
        else:
            open_nodes[maker.name] = maker
            missing = [one for one in sorted(maker.reads) if one not in known]
            _check_acyclic(missing, makers, open_nodes, file)
            stack.extend((one, f"the node {maker.name!r}") for one in missing)


def _check_acyclic(
    names: Sequence[str], makers: Mapping[str, Operation], open_nodes: Mapping[str, Operation], file: str
) -> None:
    for name in names:
        if name in makers and makers[name].name in open_nodes:
            raise BadWeights(f"{file}: the node {makers[name].name!r} needs its own output {name!r}; expected no cycle")


def find_depending(graph: Graph, roots: Iterable[str], passes: Callable[[Operation], bool]) -> set[str]:
    """Values that depend on the roots, through operations that pass it on; the graph is in order."""
    reached = set(roots)
    for operation in graph.operations:
        if passes(operation) and operation.reads & reached:
            reached |= set(operation.outputs)
    return reached
