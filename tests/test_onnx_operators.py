"""Each ONNX operator against onnxruntime on random attributes and shapes, and against ONNX's own cases."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from onnx_models import MICROSOFT, make_model, run, save
from phosphene.errors import BadWeights
from phosphene.model.sources.onnx_files.evaluation import evaluate_graph
from phosphene.model.sources.onnx_files.folding import check_supported
from phosphene.model.sources.onnx_files.graph import order
from phosphene.model.sources.onnx_files.operators.table import OPERATORS
from phosphene.model.sources.onnx_files.reading import read_constants, read_model
from phosphene.model.sources.onnx_files.tensors import read_tensor

quick = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def ours(model: Any, feeds: dict[str, np.ndarray], folder: Path) -> list[np.ndarray]:
    read = read_model(save(model, folder / "one.onnx"))
    check_supported(read.graph, "one.onnx")
    graph = read_constants(order(read.graph, "one.onnx"), read.path)
    given = {name: read_tensor(numpy_helper.from_array(value, name), read.path) for name, value in feeds.items()}
    values = evaluate_graph(graph, given)
    return [values[output.name].numpy() for output in model.graph.output]


def compare(model: Any, feeds: dict[str, np.ndarray], folder: Path, tolerance: float = 2e-5) -> None:
    expected = run(model, feeds)
    for ours_, theirs in zip(ours(model, feeds, folder), expected, strict=True):
        assert ours_.shape == theirs.shape
        scale = max(1.0, float(np.abs(theirs.astype(np.float64)).max(initial=0)))
        np.testing.assert_allclose(
            ours_.astype(np.float64), theirs.astype(np.float64), rtol=tolerance, atol=tolerance * scale
        )


def one(kind: str, inputs: dict[str, Any], outputs: int = 1, opset: int = 17, **attributes: Any) -> tuple[Any, Any]:
    """A model of one node and its feeds; None stands for an input that is absent."""
    domain, _, name = kind.rpartition(".")
    given = {key: np.asarray(value) for key, value in inputs.items() if value is not None}
    names = [key if value is not None else "" for key, value in inputs.items()]
    results = [f"y{k}" for k in range(outputs)]
    named = {key.rstrip("_"): value for key, value in attributes.items()}  # `opset_` is an attribute
    node = helper.make_node(name, names, results, domain=domain, **named)
    return make_model([node], {}, results, given, opset=opset), {}


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


sides = st.integers(3, 9)
kernels = st.integers(1, 3)


@st.composite
def windows(draw: Any, pool: bool) -> dict[str, Any]:
    kernel = [draw(kernels), draw(kernels)]
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": [draw(kernels), draw(kernels)]}
    automatic = draw(st.sampled_from(["NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if automatic == "NOTSET":
        attributes["pads"] = [draw(st.integers(0, max(0, kernel[k % 2] - 1))) for k in range(4)]
    else:
        attributes["auto_pad"] = automatic
    if not pool and automatic in ("NOTSET", "VALID"):
        attributes["dilations"] = [draw(st.integers(1, 2)), draw(st.integers(1, 2))]
    return attributes


@quick
@given(windows(pool=False), sides, sides, st.integers(1, 2), st.booleans())
def test_convolutions_have_all_paddings(tmp_path_factory, window, height, width, groups, biased):
    weight = numbers(4 * groups, 3, *window["kernel_shape"], seed=1)
    inputs = {"x": numbers(2, 3 * groups, height + 3, width + 3), "w": weight,
              "b": numbers(4 * groups, seed=2) if biased else None}  # fmt: skip
    compare(*one("Conv", inputs, group=groups, **window), tmp_path_factory.mktemp("one"))


@quick
@given(st.sampled_from([1, 3]), kernels, kernels, st.integers(0, 1))
def test_convolutions_of_one_and_three_axes(tmp_path_factory, axes, kernel, stride, pad):
    inputs = {"x": numbers(2, 3, *[7] * axes), "w": numbers(4, 3, *[kernel] * axes, seed=1)}
    attributes = {"strides": [stride] * axes, "pads": [pad] * (2 * axes)}
    compare(*one("Conv", inputs, **attributes), tmp_path_factory.mktemp("one"))


@quick
@given(kernels, st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.booleans(), st.data())
def test_transposed_convolutions(tmp_path_factory, kernel, stride, dilation, groups, biased, data):
    rim = data.draw(st.integers(0, stride - 1))
    attributes = {"strides": [stride] * 2, "dilations": [dilation] * 2, "group": groups,
                  "output_padding": [rim, 0], "pads": [data.draw(st.integers(0, kernel - 1)) for _ in range(4)]}  # fmt: skip
    inputs = {"x": numbers(2, 2 * groups, 5, 4), "w": numbers(2 * groups, 3, kernel, kernel, seed=1),
              "b": numbers(3 * groups, seed=2) if biased else None}  # fmt: skip
    compare(*one("ConvTranspose", inputs, **attributes), tmp_path_factory.mktemp("one"))


@quick
@given(
    windows(pool=True),
    sides,
    sides,
    st.booleans(),
    st.booleans(),
    st.sampled_from(["AveragePool", "MaxPool", "LpPool"]),
)
def test_pools_have_all_paddings(tmp_path_factory, window, height, width, ceil, include, kind):
    attributes = dict(window)
    if "auto_pad" not in attributes and kind != "LpPool":
        attributes["ceil_mode"] = int(ceil)
    if kind == "AveragePool":
        attributes["count_include_pad"] = int(include)
    compare(*one(kind, {"x": numbers(2, 3, height, width)}, opset=19 if kind != "LpPool" else 18, **attributes),
            tmp_path_factory.mktemp("one"))  # fmt: skip


@quick
@given(
    st.sampled_from(["nearest", "linear", "cubic"]),
    st.sampled_from(["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"]),
    st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]),
    st.integers(2, 11), st.integers(2, 11), st.booleans(),
)  # fmt: skip
def test_resize_has_all_modes(tmp_path_factory, mode, places, rounding, height, width, outside):
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": places}
    if mode == "nearest":
        attributes["nearest_mode"] = rounding
    if mode == "cubic":
        attributes |= {"exclude_outside": int(outside), "cubic_coeff_a": -0.5}
    inputs = {"x": numbers(1, 2, 5, 7), "r": None, "s": None, "to": np.array([1, 2, height, width], dtype=np.int64)}
    compare(*one("Resize", inputs, opset=19, **attributes), tmp_path_factory.mktemp("one"), 1e-4)


@quick
@given(st.sampled_from(["linear", "cubic"]), st.integers(2, 11), st.integers(2, 11))
def test_resize_smooths_where_it_is_asked_to(tmp_path_factory, mode, height, width):
    inputs = {"x": numbers(1, 2, 9, 7), "r": None, "s": None, "to": np.array([1, 2, height, width], dtype=np.int64)}
    compare(*one("Resize", inputs, opset=19, mode=mode, antialias=1), tmp_path_factory.mktemp("one"), 1e-4)


@quick
@given(st.floats(0.4, 2.6), st.floats(0.4, 2.6), st.sampled_from([9, 10, 13]), st.sampled_from(["nearest", "linear"]))
def test_resize_and_upsample_by_scales(tmp_path_factory, tall, wide, opset, mode):
    scales = np.array(
        [1, 1, max(1.0, tall) if opset == 9 else tall, max(1.0, wide) if opset == 9 else wide], np.float32
    )
    inputs = {"x": numbers(1, 2, 5, 7), "r": np.zeros(0, np.float32), "s": scales}
    if opset < 13:
        del inputs["r"]
    kind = "Upsample" if opset == 9 else "Resize"
    compare(*one(kind, inputs, opset=opset, mode=mode), tmp_path_factory.mktemp("one"), 1e-4)


@quick
@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.sampled_from([-3, -1, 1, 2])), min_size=1, max_size=3)
)
def test_slices_follow_the_rules_of_python(tmp_path_factory, cuts):
    starts, ends, steps = (np.array(values, dtype=np.int64) for values in zip(*cuts, strict=True))
    inputs = {"x": numbers(4, 5, 6), "a": starts, "b": ends, "c": np.arange(len(cuts)), "d": steps}
    compare(*one("Slice", inputs), tmp_path_factory.mktemp("one"))


@quick
@given(st.sampled_from(["constant", "reflect", "edge", "wrap"]), st.lists(st.integers(-1, 3), min_size=8, max_size=8))
def test_pads_of_all_kinds(tmp_path_factory, mode, amounts):
    amounts = amounts if mode == "constant" else [max(0, amount) for amount in amounts]
    inputs = {"x": numbers(4, 5, 4, 6), "p": np.array(amounts, dtype=np.int64)}
    if mode == "constant":
        inputs["v"] = np.float32(0.7)
    compare(*one("Pad", inputs, opset=19, mode=mode), tmp_path_factory.mktemp("one"))


@quick
@given(st.integers(0, 2), st.lists(st.integers(-3, 2), min_size=1, max_size=4))
def test_gathers_and_scatters(tmp_path_factory, axis, places):
    indices, folder = np.array(places, dtype=np.int64), tmp_path_factory.mktemp("one")
    compare(*one("Gather", {"x": numbers(3, 3, 3), "i": indices}, axis=axis), folder)
    spread = np.random.default_rng(1).integers(-3, 3, size=(2, 3, 2))
    compare(*one("GatherElements", {"x": numbers(3, 3, 3), "i": spread}, axis=axis), folder)
    rows = np.array([[0, -1], [2, 1]], dtype=np.int64)
    compare(*one("GatherND", {"x": numbers(3, 3, 3), "i": rows}), folder)
    compare(
        *one("ScatterND", {"x": numbers(3, 3, 3), "i": rows, "u": numbers(2, 3)}, reduction="add", opset=18), folder
    )
    unique = np.array([[[0]], [[-1]]], dtype=np.int64)
    compare(*one("ScatterElements", {"x": numbers(3, 3, 3), "i": unique, "u": numbers(2, 1, 1)}, axis=axis), folder)


REDUCED = [name for name in OPERATORS if name.startswith("Reduce")]


@quick
@given(st.sampled_from(REDUCED), st.sets(st.integers(-3, 2), max_size=3), st.booleans(), st.booleans())
def test_reductions_over_any_axes(tmp_path_factory, kind, axes, keep, none):
    axes = sorted({axis % 3 for axis in axes})
    positive = np.abs(numbers(2, 3, 4)) + 0.1
    inputs = {"x": positive, "axes": np.array(axes, dtype=np.int64)}
    attributes = {"keepdims": int(keep), "noop_with_empty_axes": int(none)}
    if not axes and none and kind != "ReduceSum":
        return  # runtimes differ: ReduceL1 of nothing is the absolute value in some, the number itself in others
    compare(*one(kind, inputs, opset=18, **attributes), tmp_path_factory.mktemp("one"))


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 21])
@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_softmax_means_another_axis_in_old_sets(tmp_path, kind, axis, opset):
    if opset < 11 and axis == -1:
        return
    compare(*one(kind, {"x": numbers(2, 3, 4)}, opset=opset, **({} if axis is None else {"axis": axis})), tmp_path)


# What a set of operators wants as an attribute and the next one as an input.
BY_SET = {
    "Squeeze": lambda new: ({"x": numbers(1, 3, 1), **({"a": np.array([0, 2])} if new else {})}, {} if new else {"axes": [0, 2]}),
    "Unsqueeze": lambda new: ({"x": numbers(3, 2), **({"a": np.array([0, -1])} if new else {})}, {} if new else {"axes": [0, 3]}),
    "ReduceSum": lambda new: ({"x": numbers(3, 2), **({"a": np.array([1])} if new else {})}, {} if new else {"axes": [1]}),
    "Split": lambda new: ({"x": numbers(6, 2), **({"a": np.array([4, 2])} if new else {})}, {} if new else {"split": [4, 2]}),
}  # fmt: skip


@pytest.mark.parametrize("opset", [9, 11, 13, 17])
@pytest.mark.parametrize("kind", BY_SET)
def test_axes_may_be_attributes_or_inputs(tmp_path, kind, opset):
    inputs, attributes = BY_SET[kind](opset >= 13)
    compare(*one(kind, inputs, outputs=2 if kind == "Split" else 1, opset=opset, **attributes), tmp_path)


@pytest.mark.parametrize("opset", [7, 10, 11, 13])
def test_clip_slice_pad_and_dropout_of_old_sets(tmp_path, opset):
    x = numbers(2, 4)
    old = opset < 11
    low = {} if old else {"low": np.float32(-0.5), "high": np.float32(0.25)}
    compare(*one("Clip", {"x": x, **low}, opset=opset, **({"min": -0.5, "max": 0.25} if old else {})), tmp_path)
    pads = {} if old else {"p": np.array([0, 1, 1, 0])}
    compare(*one("Pad", {"x": x, **pads}, opset=opset, **({"pads": [0, 1, 1, 0]} if old else {})), tmp_path)
    cut = {"starts": [1], "ends": [3], "axes": [1]}
    given = {} if opset < 10 else {name: np.array(value) for name, value in cut.items()}
    compare(*one("Slice", {"x": x, **given}, opset=opset, **(cut if opset < 10 else {})), tmp_path)
    compare(*one("Dropout", {"x": x}, opset=opset), tmp_path)


def quantized_inputs(*shape: int, seed: int = 0, dtype: Any = np.uint8) -> np.ndarray:
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max + 1
    return np.random.default_rng(seed).integers(low, high, size=shape).astype(dtype)


X = {"x": quantized_inputs(2, 3, 6, 6), "xs": np.float32(0.02), "xz": np.uint8(120)}
Y = {"ys": np.float32(0.05), "yz": np.uint8(100)}
# onnxruntime's sums of bytes by signed bytes overflow 16 bits on some processors, so the weights have 7 bits.
W = {
    "w": quantized_inputs(4, 3, 3, 3, seed=1, dtype=np.int8) // 2,
    "ws": numbers(4) ** 2 / 40 + 0.001,
    "wz": np.zeros(4, np.int8),
}
A = {"a": quantized_inputs(3, 5), "as": np.float32(0.02), "az": np.uint8(120)}
B = {"b": quantized_inputs(5, 4, seed=1), "bs": np.float32(0.01), "bz": np.uint8(90)}
TWICE = {"x2": quantized_inputs(2, 3, 6, 6, seed=3), "x2s": np.float32(0.03), "x2z": np.uint8(11)}
QUANTIZED = {
    "QLinearConv": ({**X, **W, **Y, "bias": np.arange(4, dtype=np.int32) * 100}, {"pads": [1, 1, 1, 1]}),
    "QLinearMatMul": ({**A, **B, **Y}, {}),
    "ConvInteger": ({"x": X["x"], "w": quantized_inputs(4, 3, 3, 3, seed=1), "xz": X["xz"], "wz": np.uint8(7)}, {"strides": [2, 2]}),
    "MatMulInteger": ({"a": A["a"], "b": B["b"], "az": A["az"], "bz": B["bz"]}, {}),
    "QuantizeLinear": ({"x": numbers(2, 3, 4) * 4, "s": numbers(3) ** 2 / 9 + 0.01, "z": quantized_inputs(3, dtype=np.int8)}, {"axis": 1}),
    "DequantizeLinear": ({"x": X["x"], "s": np.float32([0.1, 0.2, 0.3]), "z": np.uint8([1, 2, 3])}, {"axis": 1}),
    f"{MICROSOFT}.QLinearAdd": ({**X, **TWICE, **Y}, {}),
    f"{MICROSOFT}.QLinearMul": ({**X, **TWICE, **Y}, {}),
    f"{MICROSOFT}.QLinearSigmoid": ({**X, "ys": np.float32(1 / 256), "yz": np.uint8(0)}, {}),
    f"{MICROSOFT}.QLinearLeakyRelu": ({**X, **Y}, {"alpha": 0.1}),
    f"{MICROSOFT}.QLinearSoftmax": ({**A, "ys": np.float32(1 / 256), "yz": np.uint8(0)}, {"axis": -1, "opset_": 13}),
    f"{MICROSOFT}.QLinearConcat": ({"ys": Y["ys"], "yz": Y["yz"], **X, **TWICE}, {"axis": 1}),
    f"{MICROSOFT}.QLinearAveragePool": ({**X, **Y}, {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    f"{MICROSOFT}.QLinearGlobalAveragePool": ({**X, **Y}, {}),
    f"{MICROSOFT}.QGemm": ({**A, **B, "bias": np.arange(4, dtype=np.int32) * 50, **Y}, {}),
}  # fmt: skip


@pytest.mark.parametrize("kind", QUANTIZED)
def test_quantised_operators_round_as_onnxruntime_does(tmp_path, kind):
    """Off by one step where a sum lies between two, and nowhere else."""
    inputs, attributes = QUANTIZED[kind]
    model, feeds = one(kind, inputs, opset=17, **attributes)
    (theirs,), (mine,) = run(model, feeds), ours(model, feeds, tmp_path)
    difference = np.abs(theirs.astype(np.float64) - mine.astype(np.float64))
    assert difference.max() <= (1 if theirs.dtype.itemsize == 1 else 1e-3)
    assert (difference > 1e-3).mean() < 0.01


def test_dynamic_quantisation_measures_its_input(tmp_path):
    compare(*one("DynamicQuantizeLinear", {"x": numbers(3, 5) * 3}, outputs=3), tmp_path)


FUSED = {
    "Gelu": ({"x": numbers(2, 4)}, {}), "QuickGelu": ({"x": numbers(2, 4)}, {"alpha": 1.5}),
    "BiasGelu": ({"x": numbers(2, 4), "b": numbers(4)}, {}), "FastGelu": ({"x": numbers(2, 4), "b": numbers(4)}, {}),
    "FusedMatMul": ({"a": numbers(2, 3, 4), "b": numbers(2, 5, 4)}, {"transB": 1, "alpha": 0.3}),
    "QuantizeLinear": ({"x": numbers(2, 4), "s": np.float32(0.02), "z": np.int8(3)}, {}),
    "DequantizeLinear": ({"x": quantized_inputs(2, 4), "s": np.float32(0.02), "z": np.uint8(3)}, {}),
}  # fmt: skip


@pytest.mark.parametrize("kind", FUSED)
def test_operators_that_onnxruntime_itself_writes(tmp_path, kind):
    inputs, attributes = FUSED[kind]
    compare(*one(f"{MICROSOFT}.{kind}", inputs, **attributes), tmp_path, 1e-3 if kind == "FastGelu" else 2e-5)


CLASSICAL = {
    "Scaler": ({"x": numbers(3, 4)}, 1, {"offset": [0.1, 0.2, 0.3, 0.4], "scale": [1.0, 2.0, 3.0, 4.0]}),
    "Normalizer": ({"x": numbers(3, 4) ** 2}, 1, {"norm": "L1"}),
    "LinearClassifier": ({"x": numbers(3, 4)}, 2, {
        "coefficients": numbers(12).tolist(), "intercepts": [0.1, -0.2, 0.3], "classlabels_ints": [0, 1, 2],
        "post_transform": "LOGISTIC"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", CLASSICAL)
def test_operators_of_classical_classifiers(tmp_path, kind):
    inputs, outputs, attributes = CLASSICAL[kind]
    compare(*one(f"ai.onnx.ml.{kind}", inputs, outputs, **attributes), tmp_path)


# ONNX's own cases that do not hold here, and why.
REFUSED = {
    "training": "draws random numbers or counts statistics", "uint16": "torch does not compute with these",
    "string": "text", "test_if": "has no image", "affine_grid": "has no image", "attention": "caches, caps, causal",
    "maxpool_with_argmax": "places of maxima", "empty_set": "of nothing", "tf_crop_and_resize": "not supported",
    "downsample_scales_linear_align_corners": "onnxruntime computes otherwise",
    "downsample_scales_cubic_align_corners": "onnxruntime computes otherwise",
    "bitwise_not_3d": "torch does not compute with these",
    "quantizelinear_blocked_symmetric": "4 bits",
}  # fmt: skip


def test_the_cases_of_onnx_itself_hold(tmp_path):
    """About 1500 cases of one node each, with the outputs that the standard's own reference gives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        cases = load_model_tests(kind="node")
    outcomes, wrong, covered = Counter(), [], set()
    for case in cases:
        outcome = check_case(case, tmp_path)
        outcomes[outcome.partition(":")[0]] += 1
        if outcome == "holds":
            covered |= {node.op_type for node in case.model.graph.node}
        elif outcome.startswith("wrong") and not any(part in case.name for part in REFUSED):
            wrong.append(f"{case.name}: {outcome}")
    assert not wrong, "\n".join(wrong)
    assert outcomes["holds"] > 900
    plain = {kind for kind in OPERATORS if "." not in kind}
    tested_above = {"BatchNormalization", "Upsample", "QLinearConv", "BitShift"}
    assert not plain - covered - tested_above, "operators that no case of ONNX's own exercises"


def check_case(case: Any, folder: Path) -> str:
    """`holds`, `unsupported`, or `wrong:` with what differs."""
    inputs, outputs = case.data_sets[0]
    if not all(isinstance(value, (np.ndarray, np.generic)) for value in (*inputs, *outputs)):
        return "unsupported"  # sequences, maps and optional values
    feeds = {value.name: np.asarray(array) for value, array in zip(case.model.graph.input, inputs, strict=False)}
    try:
        results = ours(case.model, feeds, folder)
    except BadWeights:
        return "unsupported"
    except Exception as error:
        return f"wrong: {str(error)[:200]}"
    for mine, theirs in zip(results, map(np.asarray, outputs), strict=False):
        coarse = theirs.dtype.itemsize == 2 and theirs.dtype.kind not in "iu"
        close = np.allclose(mine.astype(np.float64), theirs.astype(np.float64), rtol=1e-2 if coarse else 1e-4,
                            atol=1e-2 if coarse else 1e-4, equal_nan=True)  # fmt: skip
        if mine.shape != theirs.shape or not close:
            return f"wrong: shape {mine.shape} for {theirs.shape}, or other numbers"
    return "holds"


def test_gradients_pass_through_rounding_and_stop_where_it_saturates():
    x = torch.tensor([0.26, 0.74, 9.0, -3.0], requires_grad=True)
    from phosphene.model.sources.onnx_files.operators.quantized import dequantize, quantize

    scale, zero = torch.tensor(0.5), torch.tensor(2, dtype=torch.int8)
    rounded = dequantize(quantize(x, scale, torch.tensor(2, dtype=torch.uint8)), scale, zero)
    assert rounded.tolist() == [0.5, 0.5, 9.0, -1.0]
    assert torch.autograd.grad(rounded.sum(), x)[0].tolist() == [1, 1, 1, 0]
