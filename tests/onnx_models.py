"""Small ONNX models for tests, written node by node, and what onnxruntime says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"
TYPES = {
    "float32": TensorProto.FLOAT,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
    "int32": TensorProto.INT32,
    "bool": TensorProto.BOOL,
}


def make_model(
    nodes: Sequence[Any],
    inputs: Mapping[str, tuple[Any, ...]],
    outputs: Sequence[str] = ("y",),
    weights: Mapping[str, Any] | None = None,
    *,
    opset: int = 17,
    type: int = TensorProto.FLOAT,
    notes: Mapping[str, str] | None = None,
    **parts: Any,
) -> onnx.ModelProto:
    """A model of these nodes; sides of an input that are text are open."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, type, shape) for name, shape in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1), helper.make_opsetid("ai.onnx.ml", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9, **parts)
    helper.set_model_props(model, dict(notes or {}))
    return model


def save(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def run(model: onnx.ModelProto | Path, feeds: Mapping[str, np.ndarray], *, optimize: bool = False) -> list[np.ndarray]:
    """What onnxruntime computes, as the graph is written unless `optimize`."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(feeds))


def conv_net(*, batch: int | str = "N", side: int | str = 12, classes: int = 5, **parts: Any) -> onnx.ModelProto:
    """Two convolutions, a mean and a matrix, with a reshape that holds the batch where it is a number."""
    draw = np.random.default_rng(0)
    weights = {
        "w1": draw.normal(size=(8, 3, 3, 3)).astype(np.float32) / 3,
        "b1": draw.normal(size=8).astype(np.float32) / 3,
        "w2": draw.normal(size=(6, 8, 3, 3)).astype(np.float32) / 4,
        "w3": draw.normal(size=(6, classes)).astype(np.float32),
        "shape": np.array([batch if isinstance(batch, int) else -1, 6], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], name="first.conv", pads=[1, 1, 1, 1]),
        helper.make_node("Tanh", ["a"], ["b"], name="first.act"),
        helper.make_node("Conv", ["b", "w2"], ["c"], name="second/conv", strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("ReduceMean", ["d"], ["e"], axes=[2, 3], keepdims=1),
        helper.make_node("Reshape", ["e", "shape"], ["f"]),
        helper.make_node("MatMul", ["f", "w3"], ["y"], name="head"),
    ]
    return make_model(nodes, {"x": (batch, 3, side, side)}, weights=weights, **parts)
