"""ONNX files as MODEL: the same network as the native one, whoever exported it; what is not one is one clear line."""

from __future__ import annotations

import contextlib
import copy
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

import phosphene
from models import colour_net
from onnx_models import conv_net, make_model, run, save
from phosphene.errors import BadInput, BadWeights, FailedCheck, PhospheneError
from phosphene.model.layout_search import require_layouts
from phosphene.model.readout import count_channels
from phosphene.model.sources.onnx_files.load import load_network, load_onnx
from phosphene.model.sources.onnx_files.network import Node
from phosphene.model.sources.onnx_files.reading import is_onnx

PLAIN: dict[str, Any] = {"mean": (0.0,), "std": (1.0,)}


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def theirs(model: Any, images: torch.Tensor, name: str = "x", *, alone: bool = False, **options: Any) -> torch.Tensor:
    """onnxruntime's first output, of all images at once or of each alone."""
    batches = images.split(1) if alone else [images]
    return torch.from_numpy(np.concatenate([run(model, {name: batch.numpy()}, **options)[0] for batch in batches]))


def export(module: nn.Module, path: Path, example: torch.Tensor, **options: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (example,), path, verbose=False, **options)
    return path


class SmoothNet(nn.Module):
    """What exporters fold and rewrite: normalisation, attention over tokens, a reshape that knows the batch."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.SiLU())
        self.norm, self.attend = nn.LayerNorm(16), nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Linear(16, 7)
        self.stem[1].running_mean.normal_(std=0.2)
        self.stem[1].running_var.uniform_(0.5, 1.5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.norm(self.stem(images).flatten(2).transpose(1, 2))
        tokens = tokens + self.attend(tokens, tokens, tokens, need_weights=False)[0]
        return self.head(tokens.mean(dim=1))


MANY: dict[str, Any] = {"input_names": ["images"], "dynamic_axes": {"images": {0: "n"}}}
EXPORTS = {
    "dynamo": (colour_net, {"dynamo": True}),
    "dynamo, any batch": (SmoothNet, {"dynamo": True, "dynamic_shapes": ({0: torch.export.Dim("n")},)}),
    "script": (SmoothNet, {"dynamo": False}),
    "script, any batch": (SmoothNet, {"dynamo": False, **MANY}),
    "script, set 9": (colour_net, {"dynamo": False, "opset_version": 9}),
}  # fmt: skip


@pytest.mark.parametrize(("build", "options"), EXPORTS.values(), ids=EXPORTS)
def test_an_export_gives_the_logits_and_the_map_of_the_module(tmp_path, build, options):
    module = build().eval()
    path = export(module, tmp_path / "net.onnx", noise(2 if len(options) > 1 else 1, 3, 32, 32), **options)
    native = phosphene.Classifier(module, phosphene.InputFormat((32, 32), 3, (0.5,), (0.25,)))
    loaded = phosphene.load(str(path), mean=(0.5,), std=(0.25,))
    assert loaded.image_shape == (3, 32, 32)
    images = noise(5, 3, 32, 32, seed=1)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images), native(images), rtol=1e-4, atol=1e-5)
    recipe = phosphene.Recipe(iterations=12)
    maps = [phosphene.make_maps(one, ["3"], recipe)[0].map for one in (native, loaded)]
    assert (maps[0] - maps[1]).norm() <= 1e-3 * maps[0].norm()


def test_lite0_as_onnx_is_lite0(lite0, tmp_path):
    """Exported with its batch norms as they are, the same operators run in the same order: the map is the same."""
    small = lite0.resize((64, 64))
    path = export(lite0.module, tmp_path / "lite0.onnx", noise(1, 3, 64, 64), dynamo=False, do_constant_folding=False,
                  training=torch.onnx.TrainingMode.PRESERVE)  # fmt: skip
    loaded = phosphene.load(str(path), mean=(0.5,), std=(0.5,), labels=lite0.labels)
    loaded = loaded.replace(batch_size=small.batch_size)  # other batches round otherwise, and small steps grow
    recipe = phosphene.Recipe(iterations=4)
    maps = [phosphene.make_maps(one, ["goldfish"], recipe)[0].map for one in (small, loaded)]
    assert (maps[0] - maps[1]).norm() <= 1e-3 * maps[0].norm()


def test_a_file_is_known_by_its_content(tmp_path):
    save(conv_net(), tmp_path / "net.bin")
    torch.save({"w": torch.zeros(2)}, tmp_path / "weights.onnx")
    (tmp_path / "text.txt").write_text("\x08\x01 no model")
    assert is_onnx(tmp_path / "net.bin")
    assert not any(is_onnx(tmp_path / name) for name in ("weights.onnx", "text.txt", "none.onnx", "."))


# Batches ----------------------------------------------------------------------------------------------------------


def forms(network: nn.Module) -> set[bool]:
    return {module.form is not None for module in network.modules() if isinstance(module, Node)}


@pytest.mark.parametrize("batch", ["N", 1])
def test_any_number_of_images_goes_through_a_graph_of_one(tmp_path, batch):
    model = conv_net(batch=batch)
    network, images = load_network(save(model, tmp_path / "net.onnx")), noise(5, 3, 12, 12)
    assert forms(network) == {batch == 1}
    with torch.no_grad():
        torch.testing.assert_close(network(images), theirs(model, images, alone=batch == 1), rtol=1e-4, atol=1e-5)


def test_layers_of_a_graph_of_one_image_give_a_row_an_image(tmp_path):
    many, one = (load_onnx(save(conv_net(batch=batch), tmp_path / f"{batch}.onnx"), **PLAIN) for batch in ("N", 1))
    images = noise(3, 3, 12, 12)
    assert count_channels(many) == count_channels(one)
    for layer in count_channels(one):
        values = [
            classifier.forward_with_layers(images, require_layouts(classifier, [layer]))[1][layer]
            for classifier in (many, one)
        ]
        assert values[1].shape[0] == 3
        torch.testing.assert_close(values[0], values[1], rtol=1e-4, atol=1e-5)


def test_layers_are_called_as_the_graph_calls_its_nodes(tmp_path):
    classifier = load_onnx(save(conv_net(), tmp_path / "net.onnx"), **PLAIN)
    assert list(count_channels(classifier))[:3] == ["first.conv", "first.act", "second/conv"]
    assert isinstance(classifier.module.get_submodule("second/conv"), nn.Conv2d)
    assert isinstance(classifier.module.get_submodule("head"), nn.Linear)
    raised = phosphene.make_maps(classifier, ["first.conv:2", "second/conv:0"], phosphene.Recipe(iterations=3))
    assert all(one.map.isfinite().all() for one in raised)


def test_node_names_that_no_concept_can_hold_are_spelt_otherwise(tmp_path):
    """Names of TensorFlow and of nobody in particular; a name that is a method of modules, and two that are one."""
    model = conv_net()
    for node, name in zip(model.graph.node, ("a;b:0", "forward", "a b", "", "x..y", "forward"), strict=False):
        node.name = name
    names = [name for name, module in load_network(save(model, tmp_path / "net.onnx")).named_modules() if name]
    assert {"a_b_0", "forward_", "a_b", "Relu", "x._.y", "forward_1"} <= set(names)
    assert names.count("a_b") == 1


def test_a_value_whose_first_side_is_no_image_stays_apart(tmp_path):
    """Tokens first, as some exporters lay them: no row of one image may reach another."""
    draw = np.random.default_rng(0)
    weights = {"w": draw.normal(size=(4, 3, 3, 3)).astype(np.float32), "to": np.array([4, 25]),
               "v": draw.normal(size=(25, 6)).astype(np.float32), "back": np.array([1, -1]),
               "u": draw.normal(size=(24, 5)).astype(np.float32)}  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], strides=[2, 2]),
        helper.make_node("Reshape", ["a", "to"], ["b"], name="tokens"),
        helper.make_node("Softmax", ["b"], ["c"], axis=0, name="mixing"),
        helper.make_node("MatMul", ["c", "v"], ["d"]),
        helper.make_node("Reshape", ["d", "back"], ["e"]),
        helper.make_node("MatMul", ["e", "u"], ["y"]),
    ]
    model = make_model(nodes, {"x": (1, 3, 12, 12)}, weights=weights)
    classifier, images = load_onnx(save(model, tmp_path / "net.onnx"), **PLAIN), noise(4, 3, 12, 12)
    with torch.no_grad():
        torch.testing.assert_close(classifier(images), theirs(model, images, alone=True), rtol=1e-4, atol=1e-5)
    assert not {"tokens", "mixing"} & count_channels(classifier).keys()


# Inputs -----------------------------------------------------------------------------------------------------------


def tf_like(**parts: Any) -> Any:
    """Channels last at the input, first inside: what tf2onnx writes."""
    weights = {"w": np.random.default_rng(0).normal(size=(8, 3, 3, 3)).astype(np.float32),
               "v": np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)}  # fmt: skip
    nodes = [
        helper.make_node("Transpose", ["x"], ["a"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["a", "w"], ["b"], auto_pad="SAME_UPPER", strides=[2, 2]),
        helper.make_node("Elu", ["b"], ["c"]),
        helper.make_node("Transpose", ["c"], ["d"], perm=[0, 2, 3, 1]),
        helper.make_node("ReduceMean", ["d"], ["e"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["e", "v"], ["y"]),
    ]
    return make_model(nodes, weights=weights, **parts)


def test_channels_may_come_last(tmp_path):
    model = tf_like(inputs={"x": ("N", 11, 14, 3)})
    classifier, images = load_onnx(save(model, tmp_path / "tf.onnx"), **PLAIN), noise(3, 3, 11, 14)
    assert classifier.image_shape == (3, 11, 14)
    with torch.no_grad():
        torch.testing.assert_close(classifier(images), theirs(model, images.permute(0, 2, 3, 1)), rtol=1e-4, atol=1e-4)


def test_open_sides_are_asked_for(tmp_path):
    path = save(tf_like(inputs={"x": ("N", "h", "w", 3)}), tmp_path / "open.onnx")
    with pytest.raises(BadInput, match="--size H,W"):
        load_onnx(path, **PLAIN)
    assert load_onnx(path, size=(10, 13), **PLAIN).image_shape == (3, 10, 13)


def test_what_the_graph_states_cannot_be_said_otherwise(tmp_path):
    path = save(conv_net(), tmp_path / "net.onnx")
    for said, told in (({"size": 24}, "--size"), ({"channels": 1}, "--channels")):
        with pytest.raises(BadInput, match=told):
            load_onnx(path, **said, **PLAIN)
    with pytest.raises(BadInput, match="--weights"):
        phosphene.load(str(path), weights="w.pt", **PLAIN)


def pixels_net(shape: tuple[Any, ...], count: int) -> Any:
    draw = np.random.default_rng(0)
    nodes = [helper.make_node("Flatten", ["x"], ["a"]), helper.make_node("Gemm", ["a", "w", "b"], ["c"], transB=1),
             helper.make_node("Relu", ["c"], ["d"]), helper.make_node("MatMul", ["d", "v"], ["y"])]  # fmt: skip
    weights = {"w": draw.normal(size=(9, count)).astype(np.float32), "b": draw.normal(size=9).astype(np.float32),
               "v": draw.normal(size=(9, 3)).astype(np.float32)}  # fmt: skip
    return make_model(nodes, {"x": shape}, weights=weights)


@pytest.mark.parametrize("shape", [("N", 64), (1, 64), ("N", 8, 8), ("N", 1, 8, 8), ("N", 8, 8, 1)], ids=str)
def test_grey_images_in_all_layouts(tmp_path, shape):
    model = pixels_net(shape, 64)
    size = {"size": 8} if len(shape) == 2 else {}
    classifier, images = load_onnx(save(model, tmp_path / "net.onnx"), **size, **PLAIN), noise(3, 1, 8, 8)
    laid = images.reshape(3, *shape[1:])
    with torch.no_grad():
        torch.testing.assert_close(classifier(images), theirs(model, laid, alone=shape[0] == 1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "said", "told"),
    [
        (("N", 64), {}, "--size"),
        (("N", 192), {"size": 8, "channels": 3}, "in which order"),
        (("N", 64), {"size": 9}, "64 numbers"),
        (("N", 3, 3, 3), {}, "--channels"),
        (("N", 2, 2, 2, 8), {}, "expected images"),
    ],
)
def test_what_an_input_leaves_open_is_one_line(tmp_path, shape, said, told):
    count = int(np.prod(shape[1:]))
    with pytest.raises(PhospheneError, match=told):
        load_onnx(save(pixels_net(shape, count), tmp_path / "net.onnx"), **said, **PLAIN)


def test_bytes_are_their_own_scale(tmp_path):
    model = tf_like(inputs={"x": ("N", 9, 9, 3)})
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    model.graph.node[0].input[0] = "f"
    model.graph.node.insert(0, helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT))
    classifier = load_onnx(save(model, tmp_path / "bytes.onnx"))
    images = (noise(2, 3, 9, 9) * 255).round() / 255
    expected = theirs(model, (images * 255).round().permute(0, 2, 3, 1).to(torch.uint8))
    with torch.no_grad():
        torch.testing.assert_close(classifier(images), expected, rtol=1e-4, atol=1e-2)


def test_without_a_record_the_normalisation_is_asked_for_and_the_graphs_own_is_named(tmp_path):
    model = conv_net()
    with pytest.raises(BadInput, match=r"--mean and --std.*no record|no record.*--mean and --std"):
        load_onnx(save(model, tmp_path / "net.onnx"))
    model.graph.node[0].input[0] = "n"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(127.5), "half"))
    model.graph.node.insert(0, helper.make_node("Sub", ["x", "half"], ["m"]))
    model.graph.node.insert(1, helper.make_node("Div", ["m", "half"], ["n"]))
    with pytest.raises(BadInput, match=r"Sub by 127.5, Div by 127.5"):
        load_onnx(save(model, tmp_path / "net.onnx"))


def test_notes_hold_the_classes_and_the_normalisation(tmp_path):
    names = "{0: 'tench', 1: 'goldfish', 2: 'shark', 3: 'ray', 4: 'cock'}"  # as Python writes it
    notes = {"names": names, "mean": "[0.1, 0.2, 0.3]", "std": "0.5"}
    classifier = load_onnx(save(conv_net(notes=notes), tmp_path / "net.onnx"))
    assert classifier.labels == ("tench", "goldfish", "shark", "ray", "cock")
    assert (classifier.format.mean, classifier.format.std) == ((0.1, 0.2, 0.3), (0.5,))


@pytest.mark.parametrize(
    "written",
    ['["a", "b", "c", "d", "e"]', "a,b,c,d,e", "a\nb\nc\nd\ne\n", '{"0": "a", "1": "b", "2": "c", "3": "d", "4": "e"}',
     "('a', 'b', 'c', 'd', 'e')"],
)  # fmt: skip
def test_classes_are_read_as_people_write_them(tmp_path, written):
    classifier = load_onnx(save(conv_net(notes={"classes": written}), tmp_path / "net.onnx"), **PLAIN)
    assert classifier.labels == tuple("abcde")


@pytest.mark.parametrize(
    "written",
    [
        "__import__('os').system('true')",
        "[" * 100_000,
        "{1: 'a', 2: 'b'}",
        '{"%s": "a", "1": "b"}' % ("9" * 5000),
        "[1, 2]",
        "one",
    ],
)
def test_notes_that_are_no_names_are_no_names_and_nothing_is_run(tmp_path, written):
    classifier = load_onnx(save(conv_net(notes={"names": written}), tmp_path / "net.onnx"), **PLAIN)
    assert classifier.labels == tuple("01234")


def test_notes_that_contradict_are_refused(tmp_path):
    notes = {"names": "a,b,c,d,e", "labels": "v,w,x,y,z"}
    with pytest.raises(BadInput, match="--labels"):
        load_onnx(save(conv_net(notes=notes), tmp_path / "net.onnx"), **PLAIN)
    with pytest.raises(FailedCheck, match="labels-mismatch"):
        load_onnx(save(conv_net(notes={"names": "a,b"}), tmp_path / "net.onnx"), **PLAIN)


# Outputs ----------------------------------------------------------------------------------------------------------


def ending(kind: str, classes: int = 5, **attributes: Any) -> Any:
    model = conv_net(classes=classes)
    model.graph.node[-1].output[0] = "z"
    model.graph.node.append(helper.make_node(kind, ["z"], ["y"], **attributes))
    return model


@pytest.mark.parametrize(
    ("kind", "classes", "means"),
    [("Softmax", 5, "probabilities"), ("Sigmoid", 5, "label-probabilities"), ("Sigmoid", 1, "binary-probability"),
     ("LogSoftmax", 5, "softmax")],
)  # fmt: skip
def test_the_last_node_says_what_the_outputs_are(tmp_path, kind, classes, means):
    classifier = load_onnx(save(ending(kind, classes), tmp_path / "net.onnx"), **PLAIN)
    assert classifier.output_kind.name == means
    assert ("probabilities" in classifier.checks) == (kind == "Softmax")


def test_one_of_several_outputs_is_chosen_by_name_or_place(tmp_path):
    model = conv_net()
    model.graph.output.append(helper.make_empty_tensor_value_info("d"))
    model.graph.node.append(helper.make_node("Labels", ["y"], ["label"], domain="com.acme"))
    model.graph.output.append(helper.make_empty_tensor_value_info("label"))
    path = save(model, tmp_path / "net.onnx")
    with pytest.raises(BadInput, match=r"--output \(y, d, label\)"):
        load_onnx(path, **PLAIN)
    with pytest.raises(BadInput, match="y, d, label"):
        load_onnx(path, output="z", **PLAIN)
    images = noise(2, 3, 12, 12)
    with torch.no_grad():
        assert torch.equal(load_onnx(path, output="y", **PLAIN)(images), load_onnx(path, output="0", **PLAIN)(images))


# Quantised --------------------------------------------------------------------------------------------------------


def quantise(path: Path, kind: str) -> Path:
    from onnxruntime import quantization as q

    out = path.with_name(f"{kind}.onnx")
    if kind == "dynamic":
        q.quantize_dynamic(path, out, op_types_to_quantize=["Conv", "MatMul"], weight_type=q.QuantType.QUInt8)
        return out

    class Reader(q.CalibrationDataReader):
        batches = iter([{"x": noise(4, 3, 12, 12, seed=seed).numpy()} for seed in range(4)])

        def get_next(self) -> Any:
            return next(self.batches, None)

    form = q.QuantFormat.QDQ if kind == "QDQ" else q.QuantFormat.QOperator
    q.quantize_static(path, out, Reader(), quant_format=form, per_channel=kind == "QDQ", reduce_range=True)
    return out


@pytest.mark.parametrize("kind", ["QDQ", "QOperator", "dynamic"])
@pytest.mark.parametrize("last", ["logits", "Softmax"])
def test_a_quantised_network_rounds_as_it_should_and_has_gradients(tmp_path, kind, last):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = quantise(save(ending("Softmax") if last == "Softmax" else conv_net(), tmp_path / "net.onnx"), kind)
    network, images = load_network(path), noise(4, 3, 12, 12)
    assert forms(network) == {kind == "dynamic"}  # dynamic ranges are of one image, not of the batch
    with torch.no_grad():
        mine, expected = network(images), theirs(path, images, alone=True)
    step = (expected.max() - expected.min()) / 255
    assert (mine - expected).abs().max() <= 2.01 * step
    classifier, native = (load_onnx(one, **PLAIN) for one in (path, tmp_path / "net.onnx"))
    gradients = []
    for one in (classifier, native):
        leaf = images.clone().requires_grad_()
        gradients.append(torch.autograd.grad(one(leaf)[:, 1].sum(), leaf)[0])
    assert nn.functional.cosine_similarity(*[g.flatten() for g in gradients], dim=0) > 0.8
    assert "gradient-mismatch" not in classifier.checks


# Weights ----------------------------------------------------------------------------------------------------------


def test_half_precision_weights_become_single(tmp_path):
    model = conv_net()
    reference = load_network(save(model, tmp_path / "net.onnx"))
    for one in model.graph.initializer:
        if one.data_type == TensorProto.FLOAT:
            one.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(one).astype(np.float16), one.name))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    classifier, images = load_onnx(save(model, tmp_path / "half.onnx"), **PLAIN), noise(3, 3, 12, 12)
    expected = run(model, {"x": images.half().numpy()})[0]
    assert classifier(images).dtype == torch.float32
    with torch.no_grad():
        torch.testing.assert_close(classifier(images), torch.from_numpy(expected).float(), rtol=1e-2, atol=1e-2)
        torch.testing.assert_close(classifier(images), reference(images), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("batch", ["N", 1])
def test_the_network_is_an_ordinary_module(tmp_path, batch):
    """It can be copied, pickled, folded, made double or half, and asked for images of another size."""
    classifier = load_onnx(save(conv_net(batch=batch, side=64), tmp_path / "net.onnx"), **PLAIN)
    images = noise(3, 3, 64, 64)
    with torch.no_grad():
        expected = classifier(images)
        for other in (copy.deepcopy(classifier.module), pickle.loads(pickle.dumps(classifier.module))):
            assert torch.equal(other(images), classifier.module(images))
        assert torch.equal(classifier.fold()(images), expected)
        for kind, tolerance in ((torch.double, 1e-5), (torch.bfloat16, 5e-2)):
            other = copy.deepcopy(classifier.module).to(kind)(images.to(kind))
            assert other.dtype == kind
            torch.testing.assert_close(other.float(), expected, rtol=tolerance, atol=tolerance)
    assert classifier.resize((32, 32))(noise(2, 3, 32, 32)).shape == (2, 5)


def test_batch_norms_are_layers_that_fold(tmp_path):
    draw = np.random.default_rng(0)
    weights = {"w": draw.normal(size=(6, 3, 3, 3)), "s": -draw.uniform(0.5, 2, 6), "b": draw.normal(size=6),
               "m": draw.normal(size=6), "v": draw.uniform(0.5, 2, 6), "h": draw.normal(size=(6, 4))}  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="conv"),
        helper.make_node("BatchNormalization", ["a", "s", "b", "m", "v"], ["c"], name="norm"),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("MatMul", ["f", "h"], ["y"]),
    ]
    weights = {name: value.astype(np.float32) for name, value in weights.items()}
    model = make_model(nodes, {"x": ("N", 3, 9, 9)}, weights=weights)
    classifier, images = load_onnx(save(model, tmp_path / "net.onnx"), **PLAIN), noise(3, 3, 9, 9)
    folded = classifier.fold()
    assert isinstance(folded.module.get_submodule("norm"), nn.Identity)
    with torch.no_grad():
        for one in (classifier, folded):
            torch.testing.assert_close(one(images), theirs(model, images), rtol=1e-4, atol=1e-4)


def test_settings_of_a_node_are_the_numbers_that_were_meant(tmp_path):
    """The format keeps them as float32; in double precision 0.001 would be another number than the module's."""
    ones = {name: np.ones(3, np.float32) for name in "sbmv"}
    node = helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], name="norm", epsilon=1e-3)
    nodes = [node, helper.make_node("GlobalAveragePool", ["y"], ["e"]), helper.make_node("Flatten", ["e"], ["z"])]
    model = make_model(nodes, {"x": ("N", 3, 9, 9)}, weights=ones, outputs=("z",))
    loaded = load_onnx(save(model, tmp_path / "net.onnx"), outputs="softmax", **PLAIN)
    assert loaded.module.get_submodule("norm").eps == 1e-3


def external(folder: Path, location: str, where: Path | None = None, length: int | None = None) -> Path:
    """A model whose first weight lies in a file of its own."""
    model = conv_net()
    tensor = model.graph.initializer[0]
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(length or len(data)))):
        tensor.external_data.add(key=key, value=value)
    (where or folder / location).write_bytes(data)
    return save(model, folder / "net.onnx")


def test_weights_may_lie_beside_the_file(tmp_path):
    path = external(tmp_path, "net.onnx.data")
    images = noise(2, 3, 12, 12)
    with torch.no_grad():
        torch.testing.assert_close(load_network(path)(images), theirs(path, images), rtol=1e-4, atol=1e-5)
    (tmp_path / "net.onnx.data").write_bytes(b"short")
    with pytest.raises(BadWeights, match="cut short"):
        load_network(path)
    (tmp_path / "net.onnx.data").unlink()
    with pytest.raises(BadWeights, match="not beside the model"):
        load_network(path)


@pytest.mark.parametrize("how", ["up", "absolute", "link", "empty"])
def test_weights_are_never_read_from_elsewhere(tmp_path, how):
    folder, secret = tmp_path / "model", tmp_path / "secret.bin"
    folder.mkdir()
    location = {"up": "../secret.bin", "absolute": str(secret), "link": "innocent.bin", "empty": ""}[how]
    path = external(folder, location, where=secret)
    if how == "link":
        (folder / "innocent.bin").symlink_to(secret)
    with pytest.raises(BadWeights, match="outside of the model's folder"):
        load_network(path)


def test_links_of_a_hubs_cache_are_followed(tmp_path):
    """Model and weights are links to one other folder."""
    blobs, shown = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir(), shown.mkdir()
    external(blobs, "net.data")
    for name in ("net.onnx", "net.data"):
        (shown / name).symlink_to(blobs / name)
    assert load_network(shown / "net.onnx").outputs == ("y",)


def test_weights_that_are_listed_as_inputs_are_weights(tmp_path):
    model = conv_net()
    for one in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(one.name, one.data_type, list(one.dims)))
    assert load_onnx(save(model, tmp_path / "old.onnx"), **PLAIN).image_shape == (3, 12, 12)


# Control flow, functions, operators of others -----------------------------------------------------------------------


def branch(name: str, factor: float) -> Any:
    value = onnx.numpy_helper.from_array(np.float32(factor), "factor")
    node = helper.make_node("Mul", ["z", "factor"], ["scaled"])  # takes z from the graph around it
    return helper.make_graph([node], name, [], [helper.make_empty_tensor_value_info("scaled")], [value])


def choosing(condition: list[Any], kind: str = "If") -> Any:
    model = conv_net()
    model.graph.node[-1].output[0] = "z"
    model.graph.node.extend(condition)
    choice = {"then_branch": branch("yes", 2.0), "else_branch": branch("no", 3.0)} if kind == "If" else {}
    model.graph.node.append(helper.make_node(kind, ["cond"], ["y"], name="choice", **choice))
    return model


def constant(name: str, value: Any) -> Any:
    return helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(np.asarray(value)))


BY_SHAPE = [helper.make_node("Shape", ["x"], ["s"]), constant("at", np.int64(2)), constant("twelve", np.int64(12)),
            helper.make_node("Gather", ["s", "at"], ["side"]), helper.make_node("Equal", ["side", "twelve"], ["cond"])]  # fmt: skip
BY_COUNT = [*BY_SHAPE[:1], constant("at", np.int64(0)), constant("twelve", np.int64(1)), *BY_SHAPE[3:]]
BY_CONTENT = [helper.make_node("ReduceMax", ["z"], ["top"], keepdims=0), constant("zero", np.float32(0)),
              helper.make_node("Greater", ["top", "zero"], ["cond"])]  # fmt: skip


@pytest.mark.parametrize(
    "condition", [[constant("cond", True)], [constant("cond", False)], BY_SHAPE], ids=["yes", "no", "shape"]
)
def test_a_branch_that_is_decided_beforehand_is_taken(tmp_path, condition):
    model = choosing(condition)
    network, images = load_network(save(model, tmp_path / "net.onnx")), noise(2, 3, 12, 12)
    with torch.no_grad():
        torch.testing.assert_close(network(images), theirs(model, images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("condition", "told"),
    [(BY_CONTENT, r"choice.*\(If\).*image shows"), (BY_COUNT, "number of images")],
    ids=["image", "count"],
)
def test_a_branch_that_the_image_decides_is_refused(tmp_path, condition, told):
    with pytest.raises(BadWeights, match=told):
        load_network(save(choosing(condition), tmp_path / "net.onnx"))


def test_operators_that_are_not_supported_are_named(tmp_path):
    for kind, domain in (("Loop", ""), ("Frobnicate", "com.acme"), ("RandomNormalLike", "")):
        model = choosing([], kind="Identity")
        model.graph.node[-1].CopyFrom(helper.make_node(kind, ["z"], ["y"], domain=domain, name="odd"))
        named = f"{domain}.{kind}" if domain else kind
        with pytest.raises(BadWeights, match=rf"not supported: {named} \(first in the node 'odd'\)"):
            load_network(save(model, tmp_path / "net.onnx"))


def test_functions_of_the_file_are_written_out(tmp_path):
    """With an attribute that the call sets, and one function inside another."""
    alpha = helper.make_node("LeakyRelu", ["q"], ["r"])
    alpha.attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT))
    opsets = [helper.make_opsetid("", 17)]
    inner = helper.make_function("mine", "Bend", ["q"], ["r"], [alpha], opsets, ["slope"])
    calls = [helper.make_node("Bend", ["u"], ["t"], domain="mine", slope=0.3), helper.make_node("Neg", ["t"], ["v"])]
    outer = helper.make_function("mine", "Turn", ["u"], ["v"], calls, [*opsets, helper.make_opsetid("mine", 1)])
    model = ending("Turn", domain="mine")
    model.opset_import.append(helper.make_opsetid("mine", 1))
    model.functions.extend([inner, outer])
    network, images = load_network(save(model, tmp_path / "net.onnx")), noise(2, 3, 12, 12)
    with torch.no_grad():
        torch.testing.assert_close(network(images), theirs(model, images), rtol=1e-4, atol=1e-5)


# What is no model -------------------------------------------------------------------------------------------------


def hostile_size(model: Any) -> None:
    model.graph.initializer[0].dims[0] = 2**40


def negative_side(model: Any) -> None:
    model.graph.initializer[0].dims[0] = -8


def hostile_fill(model: Any) -> None:
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2**20, 2**20]), "huge"))
    model.graph.node.append(helper.make_node("ConstantOfShape", ["huge"], ["filled"]))
    model.graph.node.append(helper.make_node("Add", ["filled", "y"], ["more"]))
    model.graph.output[0].name = "more"


def cycle(model: Any) -> None:
    model.graph.node[0].input[0] = "d"


def no_weight(model: Any) -> None:
    del model.graph.initializer[0]


def twice(model: Any) -> None:
    model.graph.node[1].output[0] = "a"


def two_inputs(model: Any) -> None:
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))


def endless_function(model: Any) -> None:
    call = helper.make_node("Again", ["u"], ["v"], domain="mine")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    model.functions.append(helper.make_function("mine", "Again", ["u"], ["v"], [call], opsets))
    model.graph.node[-1].CopyFrom(helper.make_node("Again", ["f"], ["y"], domain="mine"))


def many_functions(model: Any) -> None:
    """Ten calls of a function of ten calls, and so on: a few bytes that stand for 10^9 nodes."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    for depth in range(9):
        kind, domain = (f"F{depth + 1}", "mine") if depth < 8 else ("Neg", "")
        calls = [helper.make_node(kind, [f"v{k}"], [f"v{k + 1}"], domain=domain) for k in range(10)]
        model.functions.append(helper.make_function("mine", f"F{depth}", ["v0"], ["v10"], calls, opsets))
    model.graph.node[-1].CopyFrom(helper.make_node("F0", ["f"], ["y"], domain="mine"))


def future(model: Any) -> None:
    model.opset_import[0].version = 99


def shapes_that_do_not_fit(model: Any) -> None:
    model.graph.initializer[4].raw_data = np.array([7, 5], dtype=np.int64).tobytes()


def no_outputs(model: Any) -> None:
    del model.graph.output[:]


def text_weight(model: Any) -> None:
    model.graph.initializer[0].CopyFrom(helper.make_tensor("w1", TensorProto.STRING, [1], [b"x"]))


SPOILS = {
    hostile_size: "bytes; expected", negative_side: "expected none below 0", hostile_fill: "tensor of shape",
    cycle: "needs its own output", no_weight: "'w1', which nothing gives", twice: "both",
    two_inputs: r"2 inputs \(x, mask\)", endless_function: "without end", many_functions: "without end",
    future: "set 99", shapes_that_do_not_fit: r"Reshape.*\(Reshape\) fails", no_outputs: "no graph",
    text_weight: "text",
}  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
def test_a_file_that_contradicts_itself_is_one_line(tmp_path, spoil):
    model = conv_net()
    spoil(model)
    with pytest.raises(BadWeights, match=SPOILS[spoil]) as caught:
        load_onnx(save(model, tmp_path / "net.onnx"), **PLAIN)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [0, 1, 40, 0.5, 0.99])
def test_a_file_cut_short_is_one_line(tmp_path, cut):
    content = conv_net().SerializeToString()
    (tmp_path / "net.onnx").write_bytes(content[: cut if isinstance(cut, int) else int(cut * len(content))])
    with pytest.raises(BadWeights, match=r"net\.onnx"):
        load_onnx(tmp_path / "net.onnx", **PLAIN)


def test_flipped_bytes_never_end_in_another_error(tmp_path):
    """Any byte may be wrong: the file is refused, or it is another network that still computes."""
    content = bytearray(conv_net(batch=1).SerializeToString())
    graph = content.rindex(b"head") if b"head" in content else len(content) // 2
    draw = np.random.default_rng(0)
    for _ in range(60):
        spoiled = bytearray(content)
        for place in draw.choice([*range(graph), *range(len(content) - 200, len(content))], size=3):
            spoiled[place] = draw.integers(256)
        (tmp_path / "net.onnx").write_bytes(bytes(spoiled))
        with contextlib.suppress(PhospheneError):
            load_onnx(tmp_path / "net.onnx", **PLAIN)


def test_the_package_is_asked_for_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(BadInput, match=r"pip install 'phosphene\[onnx\]'"):
        load_onnx(save(conv_net(), tmp_path / "net.onnx"), **PLAIN)


# The command ------------------------------------------------------------------------------------------------------


def test_map_and_scan_take_a_path(tmp_path, monkeypatch):
    from command import phosphene as command

    save(conv_net(batch=1, side=16), tmp_path / "mine.onnx")
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd\ne\n")
    monkeypatch.chdir(tmp_path)
    common = ["--mean", "0.5", "--std", "0.25", "--labels", "labels.txt"]
    done = command("map", "mine.onnx", "c", *common, "--iterations", "3", "--out", "out")
    assert done.code == 0, done.err
    assert (tmp_path / "out" / "c.png").exists()
    again = command("map", "mine.onnx", "c", *common, "--iterations", "3", "--out", "out")
    assert again.code == 0
    scanned = command("scan", "mine.onnx", *common, "--budget", "10", "--json")
    assert scanned.code in (0, 1), scanned.err
    refused = command("map", "mine.onnx", "c", "--out", "other")
    assert (refused.code, "--mean" in refused.err) == (2, True)


def test_another_process_opens_the_same_file(tmp_path):
    path = save(conv_net(), tmp_path / "net.onnx")
    classifier = phosphene.load(str(path), **PLAIN)
    again = phosphene.load(**classifier.reference.arguments)
    assert again.fingerprint == classifier.reference.fingerprint
