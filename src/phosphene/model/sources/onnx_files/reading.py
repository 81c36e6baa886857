"""An ONNX file → a `Graph`. Nothing in the file is run, and nothing is made of a size that the file only states."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phosphene.core.reading import explain, read_file
from phosphene.errors import BadInput, BadWeights
from phosphene.model.sources.onnx_files.graph import Graph, Input, Operation
from phosphene.model.sources.onnx_files.tensors import read_tensor

SIGNATURES = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72)  # what follows the version in files of all exporters
LARGEST = 2**31  # bytes of a protobuf message
OPSETS = range(7, 29)
OWN_DOMAINS = ("", "ai.onnx")
LIMIT_OF_NODES = 100_000  # functions that call functions may stand for any number


@dataclass(frozen=True)
class Model:
    """What a file holds: its graph, whose constants are still as they lie there, and its notes."""

    path: Path
    graph: Graph
    notes: Mapping[str, str]


def is_onnx(path: str | Path) -> bool:
    """Whether a file is an ONNX model, by its first bytes or, where they are those of no known file, by its name."""
    path = Path(path)
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        start = stream.read(4)
    signed = len(start) >= 3 and start[0] == 0x08 and 0 < start[1] < 32 and start[2] in SIGNATURES
    return signed or (path.suffix.lower() == ".onnx" and start[:2] != b"PK")


def import_onnx() -> Any:
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise BadInput(
            "ONNX files need the package onnx, which is not installed; `pip install 'phosphene[onnx]'`"
        ) from error


def read_model(path: str | Path) -> Model:
    """The model in the file. Raises `BadWeights` where it is no ONNX model, or one that contradicts itself."""
    path = Path(path)
    proto = _parse(path)
    opsets = {"" if one.domain in OWN_DOMAINS else one.domain: one.version for one in proto.opset_import}
    if opsets.get("", OPSETS[-1]) not in OPSETS:
        raise BadWeights(
            f"{path.name} uses set {opsets['']} of ONNX's operators; expected {OPSETS[0]} to {OPSETS[-1]}; convert it "
            f"with onnx.version_converter"
        )
    reader = Reader(path, opsets, {_key(one): one for one in proto.functions})
    graph = reader.read_graph(proto.graph)
    notes = {entry.key: entry.value for entry in proto.metadata_props if isinstance(entry.value, str)}
    return Model(path, graph, notes)


def _parse(path: Path) -> Any:
    onnx = import_onnx()
    try:
        if path.stat().st_size > LARGEST:
            raise BadWeights(f"{path.name} has more than 2 GB, which no ONNX file has; large weights lie beside it")
        proto = onnx.ModelProto.FromString(read_file(path, LARGEST))
    except OSError as error:
        raise BadWeights(f"cannot read {str(path)!r}: {explain(error)}") from error
    except BadWeights:
        raise
    except Exception as error:  # protobuf's own, of bytes of unknown origin
        raise BadWeights(
            f"cannot read {str(path)!r}: no ONNX model, or a damaged one; expected a .onnx file"
        ) from error
    if not proto.graph.node or not proto.graph.output:
        raise BadWeights(f"cannot read {str(path)!r}: it holds no graph with outputs; expected an ONNX model")
    return proto


def _key(function: Any) -> tuple[str, str]:
    return (function.domain, function.name)


@dataclass(frozen=True)
class Scope:
    """What a node's names and attributes mean where a function is written out in place of its call."""

    prefix: str = ""
    names: Mapping[str, str] | None = None  # of values inside → outside; None at the top, where they keep their own
    attributes: Mapping[str, Any] | None = None  # of the call, by name
    depth: int = 0

    def name(self, value: str) -> str:
        if not value or self.names is None:
            return value
        return self.names.get(value, f"{self.prefix}{value}")


class Reader:
    """Reads graphs of one file, with its functions written out where they are called."""

    def __init__(self, path: Path, opsets: Mapping[str, int], functions: Mapping[tuple[str, str], Any]) -> None:
        self.path, self.opsets, self.functions = path, opsets, functions
        self.nodes = 0
        self.names: set[str] = set()

    def read_graph(self, proto: Any, scope: Scope | None = None) -> Graph:
        """A graph or a branch of one. Weights that are listed as inputs too are weights."""
        scope = scope or Scope()
        if proto.sparse_initializer:
            raise BadWeights(f"{self.path.name} has sparse weights, which are not supported")
        self._check_names(one.name for one in (*proto.initializer, *proto.input, *proto.output))
        constants: dict[str, Any] = {scope.name(one.name): one for one in proto.initializer}
        operations = self._read_nodes(proto.node, scope, constants)
        inputs = tuple(_read_input(one) for one in proto.input if one.name not in constants)
        return Graph(tuple(operations), constants, inputs, tuple(scope.name(one.name) for one in proto.output))

    def _read_nodes(self, nodes: Iterable[Any], scope: Scope, constants: dict[str, Any]) -> list[Operation]:
        """The nodes' operations; what `Constant` gives is added to the constants."""
        operations: list[Operation] = []
        for node in nodes:
            self.nodes += 1
            if self.nodes > LIMIT_OF_NODES or scope.depth > 50:
                raise BadWeights(f"{self.path.name} has functions within functions without end; this is refused")
            self._check_names((node.name, node.op_type, node.domain, *node.input, *node.output))
            function = self.functions.get((node.domain, node.op_type))
            if function is not None:
                operations += self._write_out(function, node, scope, constants)
            elif node.op_type == "Constant" and node.domain in OWN_DOMAINS:
                constants[scope.name(node.output[0])] = self._read_constant(node, scope)
            else:
                operations.append(self._read_node(node, scope))
        return operations

    def _read_node(self, node: Any, scope: Scope) -> Operation:
        domain = "" if node.domain in OWN_DOMAINS else node.domain
        return Operation(
            name=self._unique(scope.prefix + node.name if node.name else f"{scope.prefix}{node.op_type}"),
            kind=f"{domain}.{node.op_type}" if domain else node.op_type,
            inputs=tuple(map(scope.name, node.input)),
            outputs=tuple(map(scope.name, node.output)),
            attributes=self._read_attributes(node, scope),
            version=self.opsets.get(domain, 1 if domain else OPSETS[-1]),
        )

    def _check_names(self, names: Iterable[object]) -> None:
        """Protobuf hands on as bytes what is no text."""
        for name in names:
            if not isinstance(name, str):
                raise BadWeights(f"{self.path.name} holds the name {name!r}, which is no text; the file is damaged")

    def _unique(self, name: str) -> str:
        """A name for a node that no other has; some exporters name none, some name several alike."""
        chosen, count = name, 1
        while chosen in self.names:
            chosen, count = f"{name}_{count}", count + 1
        self.names.add(chosen)
        return chosen

    def _write_out(self, function: Any, call: Any, scope: Scope, constants: dict[str, Any]) -> list[Operation]:
        """A function's nodes in place of a call of it."""
        given = self._read_attributes(call, scope)
        defaults = {one.name: self._read_attribute(one, scope) for one in function.attribute_proto}
        names = dict.fromkeys(function.input, "")
        names |= dict(zip(function.input, map(scope.name, call.input), strict=False))
        names |= dict(zip(function.output, map(scope.name, call.output), strict=False))
        prefix = f"{self._unique(scope.prefix + (call.name or call.op_type))}/"
        inner = Scope(prefix, names, {**defaults, **given}, scope.depth + 1)
        return self._read_nodes(function.node, inner, constants)

    def _read_attributes(self, node: Any, scope: Scope) -> dict[str, Any]:
        values: dict[str, Any] = {}
        self._check_names(name for one in node.attribute for name in (one.name, one.ref_attr_name))
        for one in node.attribute:
            if not one.ref_attr_name:
                values[one.name] = self._read_attribute(one, scope)
            elif scope.attributes and one.ref_attr_name in scope.attributes:
                values[one.name] = scope.attributes[one.ref_attr_name]
        return values

    def _read_attribute(self, one: Any, scope: Scope) -> Any:
        kinds = one.AttributeType
        if one.type == kinds.Value("TENSOR"):
            return read_tensor(one.t, self.path)
        if one.type == kinds.Value("GRAPH"):
            return self.read_graph(one.g, scope)
        if one.type == kinds.Value("STRING"):
            return one.s.decode("utf-8", "replace")
        plain = {"FLOAT": "f", "INT": "i", "FLOATS": "floats", "INTS": "ints", "STRINGS": "strings"}
        field = plain.get(kinds.Name(one.type) if one.type in kinds.values() else "")
        value = getattr(one, field) if field else None
        if isinstance(value, float):
            return _widen(value)
        if value is None or isinstance(value, int):
            return value
        return [_widen(part) if isinstance(part, float) else _decode(part) for part in value]

    def _read_constant(self, node: Any, scope: Scope) -> Any:
        """The tensor of a `Constant` node, whichever of its attributes holds it."""
        values = self._read_attributes(node, scope)
        for key, value in values.items():
            if isinstance(value, torch.Tensor):
                return value
            if key in ("value_float", "value_floats"):
                return torch.tensor(value, dtype=torch.float32)
            if key in ("value_int", "value_ints"):
                return torch.tensor(value, dtype=torch.int64)
        raise BadWeights(f"{self.path.name}: the constant {node.name or node.output[0]!r} holds no numbers")


def _widen(value: float) -> float:
    """A float32 as the number that was meant: 0.001 and not 0.0010000000475, which a network in 64-bit numbers would
    tell apart."""
    return float(str(np.float32(value)))


def _decode(part: Any) -> Any:
    return part.decode("utf-8", "replace") if isinstance(part, bytes) else part


def _read_input(proto: Any) -> Input:
    tensor = proto.type.tensor_type
    if not tensor.HasField("shape"):
        return Input(proto.name, tensor.elem_type, None)
    return Input(proto.name, tensor.elem_type, tuple(_read_side(side) for side in tensor.shape.dim))


def _read_side(side: Any) -> int | None:
    return side.dim_value if side.HasField("dim_value") and side.dim_value > 0 else None


def read_constants(graph: Graph, path: Path) -> Graph:
    """The graph of the file `path` with its constants as tensors, in its branches too."""
    constants = {
        name: value if isinstance(value, torch.Tensor) else read_tensor(value, path)
        for name, value in graph.constants.items()
    }
    operations = tuple(_with_read_branches(one, path) for one in graph.operations)
    return graph.replace(constants=constants, operations=operations)


def _with_read_branches(operation: Operation, path: Path) -> Operation:
    branches: Sequence[tuple[str, Graph]] = [(k, v) for k, v in operation.attributes.items() if isinstance(v, Graph)]
    if not branches:
        return operation
    read = {name: read_constants(branch, path) for name, branch in branches}
    return Operation(**{**vars(operation), "attributes": {**operation.attributes, **read}})
