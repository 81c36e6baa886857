"""The user's own weights in a library's architecture: names, envelopes, classes, channels and size by what fits."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import phosphene
from models import colour_net
from phosphene.errors import BadInput, BadWeights
from phosphene.model.sources.fitting import choose_state
from phosphene.model.sources.libraries import import_timm, import_torchvision
from phosphene.model.sources.weights import fill, read_states
from random_weights import check_same, randomize

NAMES = ("features.weight", "features.bias", "head.weight")
STATE = {name: torch.full((2,), float(k)) for k, name in enumerate(NAMES)}


def prefixed(prefix: str, names=NAMES) -> dict[str, torch.Tensor]:
    return {prefix + name: STATE[name] for name in names}


# Names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "off", ["", "model.", "net.", "module.", "_orig_mod.", "backbone.", "module._orig_mod.", "a.b.c."]
)
@pytest.mark.parametrize("on", ["", "model.", "their.wrapper."])
def test_a_prefix_that_all_names_share_is_taken_off_and_put_on(off, on):
    needed = [on + name for name in NAMES]
    _, state = choose_state({"": prefixed(off)}, needed, "w.pt")
    assert {name: tensor[0].item() for name, tensor in state.items()} == {name: k for k, name in enumerate(needed)}


@pytest.mark.parametrize("part", ["model.", "module.", "_orig_mod.", "state_dict."])
def test_a_module_that_really_has_such_a_part_keeps_it(part):
    """`model.features` beside `head`: no prefix of all, and nothing to take off."""
    named = {f"{part}features.weight": STATE["features.weight"], "head.weight": STATE["head.weight"]}
    assert choose_state({"": named}, named.keys(), "w.pt")[1] == named


def test_wrappers_inside_are_taken_off():
    inside = {"features.module.weight": 0, "features._orig_mod.bias": 1, "head.weight": 2}
    _, state = choose_state({"": {name: STATE[NAMES[k]] for name, k in inside.items()}}, NAMES, "w.pt")
    assert all(torch.equal(state[name], STATE[name]) for name in NAMES)


def test_two_names_for_one_tensor_are_refused():
    """`0.weight` beside `module.0.weight`: which is it?"""
    module = nn.Sequential(nn.Linear(2, 2))
    both = {**module.state_dict(), "module.0.weight": torch.ones(2, 2)}
    with pytest.raises(BadWeights, match=r"unknown module\.0\.weight|beside it module\.0\.weight"):
        fill(module, choose_state({"": both}, module.state_dict(), "w.pt")[1], "w.pt")


@pytest.mark.parametrize("beside", ["criterion.weight", "teacher.features.weight", "normalize.mean"])
def test_what_lies_beside_the_weights_is_named_and_refused(beside):
    with pytest.raises(BadWeights, match=f"fits the architecture under 'model.', and has beside it {beside}"):
        choose_state({"": {**prefixed("model."), beside: torch.ones(2)}}, NAMES, "w.pt")


# Envelopes --------------------------------------------------------------------------------------------------------

ENVELOPES = {
    "weights of a training script": {"epoch": 3, "network_weights": STATE, "optimizer": {"state": {0: {"step": torch.ones(1)}}}},
    "an envelope in an envelope": {"checkpoint": {"model": OrderedDict(prefixed("module."))}, "best": 0.5},
    "lightning": {"state_dict": prefixed("net."), "hyper_parameters": {"lr": 0.1}, "pytorch-lightning_version": "2"},
    "another model beside": {"generator": {"a.weight": torch.ones(1)}, "classifier": STATE},
}  # fmt: skip


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_the_state_dict_is_found_whatever_it_is_called(tmp_path, envelope):
    torch.save(ENVELOPES[envelope], tmp_path / "w.pt")
    _, state = choose_state(read_states(tmp_path / "w.pt"), NAMES, "w.pt")
    assert all(torch.equal(state[name], STATE[name]) for name in NAMES)


@pytest.mark.parametrize(
    "key", ["state_dict_ema", "ema", "model_ema", "ema_state_dict", "params_ema", "averaged_model"]
)
def test_of_weights_and_their_average_the_average_is_taken_and_said(tmp_path, key):
    averaged = {
        name: tensor * 2 if tensor.is_floating_point() else tensor for name, tensor in colour_net().state_dict().items()
    }
    torch.save({"model": colour_net().state_dict(), key: averaged}, tmp_path / "w.pt")
    stated = {"factory": "models:colour_net", "size": 32, "channels": 3, "mean": 0.5, "std": 0.25}
    classifier = phosphene.load(weights=tmp_path / "w.pt", **stated)
    assert torch.equal(classifier.module.head.weight, 2 * colour_net().head.weight)
    assert "averaged-weights" in classifier.checks


def test_several_state_dicts_that_fit_are_refused_by_name():
    with pytest.raises(BadWeights, match=r"several state dicts that fit \(student, teacher\)"):
        choose_state({"student": STATE, "teacher": STATE}, NAMES, "w.pt")


# Types ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda tensor: tensor + 1j, "complex for fractions"),
        (lambda tensor: tensor.int(), "int32 for fractions"),
        (lambda tensor: tensor > 0, "bool for fractions"),
        (lambda tensor: tensor.to_sparse(), "no plain tensor for fractions"),
        (lambda tensor: tensor.to("meta"), "no plain tensor for fractions"),
        (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), "no plain tensor for fractions"),
    ],
    ids=["complex", "integer", "boolean", "sparse", "meta", "quantised"],
)
def test_a_tensor_that_copying_would_change_is_refused(change, told):
    module = nn.Linear(3, 2)
    before = module.weight.clone()
    with pytest.raises(BadWeights, match=rf"wrong type of weight \({told}\)"):
        fill(module, {"weight": change(module.weight.data), "bias": module.bias.data}, "w.pt")
    assert torch.equal(module.weight, before)


def test_weights_fill_a_lazy_module():
    lazy, filled = (
        nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(5)),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 5)),
    )
    fill(lazy, filled.state_dict(), "w.pt")
    images = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(lazy(images), filled(images))


# Shapes -----------------------------------------------------------------------------------------------------------


def save_random(module: nn.Module, path: Path) -> nn.Module:
    save_file(randomize(module).state_dict(), path)
    return module


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        ("test_resnet", {"num_classes": 7}, {}),
        ("test_resnet", {"num_classes": 7, "in_chans": 1}, {"mean": 0.5, "std": 0.25, "size": (48, 64)}),
        ("test_vit", {"num_classes": 3, "img_size": 64}, {}),
        ("test_vit", {"num_classes": 3, "in_chans": 5, "img_size": (48, 96)}, {"mean": 0, "std": 1, "size": (48, 96)}),
        ("test_efficientnet", {"num_classes": 2}, {"size": 64}),
    ],
    ids=str,
)
def test_a_model_of_timm_takes_the_shapes_of_its_weights(tmp_path, name, shape, options):
    module = save_random(import_timm().create_model(name, **shape), tmp_path / "w")
    labels = [f"k{k}" for k in range(shape["num_classes"])]
    classifier = phosphene.load(f"timm:{name}", weights=tmp_path / "w", labels=labels, **options)
    size = options.get("size", shape.get("img_size", classifier.format.size))
    assert classifier.format.size == ((size, size) if isinstance(size, int) else size)
    assert classifier.format.channels == shape.get("in_chans", 3)
    assert list(classifier.labels) == labels
    check_same(classifier, module)


def test_without_labels_an_own_head_has_numbers_and_not_imagenets_names(tmp_path):
    save_random(import_timm().create_model("test_resnet", num_classes=4), tmp_path / "w")
    assert phosphene.load("timm:test_resnet", weights=tmp_path / "w").labels == ("0", "1", "2", "3")


def test_the_normalisation_of_other_channels_is_asked_for(tmp_path):
    save_random(import_timm().create_model("resnet10t", in_chans=1), tmp_path / "w")
    with pytest.raises(BadInput, match="normalises 3 channels, and the weights take 1"):
        phosphene.load("timm:resnet10t", weights=tmp_path / "w")


def build_torchvision(name: str, channels: int = 3, **options) -> nn.Module:
    module = import_torchvision().models.get_model(name, weights=None, **options)
    if channels != 3:
        module.conv1[0] = nn.Conv2d(channels, 24, 3, 2, 1, bias=False)
    return module


@pytest.mark.parametrize(
    ("name", "shape"),
    [("shufflenet_v2_x0_5", {"num_classes": 7, "channels": 1}), ("squeezenet1_1", {"num_classes": 5}),
     ("mobilenet_v3_small", {"num_classes": 2})],
)  # fmt: skip
def test_a_model_of_torchvision_takes_the_shapes_of_its_weights(tmp_path, name, shape):
    module = save_random(build_torchvision(name, **shape), tmp_path / "w")
    given = {"mean": 0.5, "std": 0.5} if "channels" in shape else {}
    classifier = phosphene.load(f"torchvision:{name}", weights=tmp_path / "w", size=64, **given)
    assert len(classifier.labels) == shape["num_classes"]
    assert classifier.image_shape == (shape.get("channels", 3), 64, 64)
    check_same(classifier, module)


def test_a_bundled_name_takes_an_own_head(tmp_path):
    module = save_random(import_timm().create_model("tf_efficientnet_lite0", num_classes=6), tmp_path / "w")
    classifier = phosphene.load("efficientnet_lite0", weights=tmp_path / "w", size=64)
    assert len(classifier.labels) == 6
    check_same(classifier, module)


# Factories --------------------------------------------------------------------------------------------------------


def test_a_factory_may_bring_its_weights(colour):
    classifier = phosphene.load(factory="models:colour_net", size=32, channels=3, mean=0.5, std=0.25)
    assert classifier.fingerprint == colour.fingerprint


@pytest.mark.parametrize(
    "body",
    ["import timm; return timm.create_model('test_resnet', num_classes=3)",
     "from transformers import ResNetConfig, ResNetForImageClassification as R; return R(ResNetConfig(num_labels=3, "
     "embedding_size=8, hidden_sizes=[8], depths=[1], layer_type='basic'))"],
    ids=["timm", "transformers"],
)  # fmt: skip
def test_a_factory_may_import_inside_of_its_function(tmp_path, body):
    """torchvision's compiled operators may be of another build of torch; the tests' own may be such a pair."""
    (tmp_path / "inside.py").write_text(f"def build(): import torch; torch.manual_seed(0); {body}\n")
    line = ("import phosphene; print(phosphene.load(factory='inside:build', size=(40, 32), channels=3, mean=0, std=1)"
            ".image_shape)")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(3, 40, 32)", done.stderr


def test_a_factory_that_ends_the_program_is_bad_input(tmp_path, monkeypatch):
    (tmp_path / "leaving.py").write_text("import sys\ndef build(): sys.exit(0)\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="SystemExit"):
        phosphene.load(factory="leaving:build", size=8, channels=3, mean=0, std=1)


@pytest.mark.parametrize(("text", "shape"), [("40", (3, 40, 40)), ("40,24", (3, 40, 24))])
def test_the_command_line_takes_height_and_width(text, shape):
    from phosphene.cli.options import Source

    source = Source(factory="models:colour_net", size=text, channels=3, mean="0.5", std="0.25")
    assert source.load(None).image_shape == shape


@pytest.mark.parametrize("text", ["", "a", "1,2,3", "0", "-3,4", "1.5"])
def test_a_size_that_cannot_be_meant_is_bad_input(text):
    from phosphene.cli.options import Source

    with pytest.raises(BadInput, match="--size"):
        Source(factory="models:colour_net", size=text, channels=3, mean="0", std="1").load(None)
