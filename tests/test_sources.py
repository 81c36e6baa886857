"""Where models come from: records, weights files that may not run code, and libraries without a network."""

from __future__ import annotations

import os
import pickle
import socket
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
from phosphene.errors import BadInput, BadWeights, FailedCheck, PhospheneError, UnknownModel, UnsafeWeights
from phosphene.model.classifier import Classifier
from phosphene.model.labels import read_labels
from phosphene.model.sources.bundled import BUNDLED
from phosphene.model.sources.registry import find, known_models
from phosphene.model.sources.weights import read_weights

STATED = {"factory": "models:colour_net", "size": 32, "channels": 3, "mean": (0.5,), "std": (0.25,)}


def logits(classifier: Classifier, seed: int = 0) -> torch.Tensor:
    images = torch.rand(2, *classifier.image_shape, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return classifier(images)


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """No address is found, and no cache holds anything."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # clients wait and try again
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


# Bundled ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("variant", "side"), [(0, 224), (1, 240), (2, 260)])
def test_the_bundled_records_are_those_of_the_weights(variant, side):
    source = find(f"efficientnet_lite{variant}")
    assert source.format == phosphene.InputFormat((side, side), 3, (0.5,), (0.5,))
    assert len(source.labels) == 1000
    assert source.labels[1].startswith("goldfish")
    module = source.build()
    weights = source.weights(module)
    ours = {name: tensor for name, tensor in module.state_dict().items() if "num_batches" not in name}
    assert {name: tensor.shape for name, tensor in weights.items()} == {
        name: tensor.shape for name, tensor in ours.items()
    }


def test_every_bundled_model_is_listed():
    named = {"timm:NAME", "torchvision:NAME", "hf:NAME", "hf-hub:NAME", "FOLDER", "FILE", "FILE.onnx", "clip:NAME"}
    assert {*BUNDLED, *named} == set(known_models())


def test_lite0_sees_what_is_in_photographs(lite0):
    """A cat and a cup of coffee: weights, preprocessing and labels belong together."""
    data = pytest.importorskip("skimage.data")
    expected = {"chelsea": range(281, 288), "coffee": [504, 967, 968]}
    for name, classes in expected.items():
        photograph = torch.from_numpy(getattr(data, name)().copy()).permute(2, 0, 1)[None] / 255
        image = nn.functional.interpolate(photograph, size=(224, 224), mode="bicubic", antialias=True).clamp(0, 1)
        with torch.no_grad():
            assert lite0(image).argmax().item() in classes, name


def test_the_state_dict_of_the_package_fits_parameter_by_parameter(lite0):
    """Loaded by order, written out by name, loaded by name: the same logits."""
    source = find("efficientnet_lite0")
    module = source.build()
    module.load_state_dict(dict(source.weights(module)), strict=False)
    by_hand = Classifier(module, source.format)
    assert by_hand.fingerprint == lite0.fingerprint
    assert torch.equal(logits(by_hand), logits(lite0))


def test_a_bundled_name_with_ones_own_weights_uses_record_and_architecture(lite0, tmp_path):
    state = {name: tensor.clone() for name, tensor in lite0.module.state_dict().items()}
    state["classifier.bias"][7] += 100.0
    save_file(state, tmp_path / "own.safetensors")
    mine = phosphene.load("efficientnet_lite0", weights=tmp_path / "own.safetensors")
    assert (mine.format, mine.labels) == (lite0.format, lite0.labels)
    assert mine.fingerprint != lite0.fingerprint
    assert logits(mine).argmax(dim=1).tolist() == [7, 7]


# Weights files ----------------------------------------------------------------------------------------------------


def envelope(name: str):
    return lambda state: {name: state, "epoch": 3, "best": 0.5}


WRITERS = {
    "plain": lambda state: state,
    "ordered": OrderedDict,
    "state_dict": envelope("state_dict"),
    "model": envelope("model"),
    "model_state_dict": envelope("model_state_dict"),
    "parallel": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "compiled": lambda state: {"state_dict": {f"module._orig_mod.{name}": tensor for name, tensor in state.items()}},
    "without counters": lambda state: {name: tensor for name, tensor in state.items() if "num_batches" not in name},
    "float64": lambda state: {name: tensor.double() for name, tensor in state.items()},
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_state_dict_comes_back_whatever_envelope_it_lies_in(tmp_path, colour, writer):
    torch.save(WRITERS[writer](colour_net().state_dict()), tmp_path / "w.pth")
    loaded = phosphene.load(weights=tmp_path / "w.pth", **STATED)
    assert loaded.fingerprint == colour.fingerprint
    assert torch.equal(logits(loaded), logits(colour))


@pytest.mark.parametrize("ending", ["safetensors", "pth", "pt", "bin"])
def test_weights_come_back_from_either_format(tmp_path, colour, ending):
    path, state = tmp_path / f"w.{ending}", colour_net().state_dict()
    if ending == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=ending != "bin")
    assert torch.equal(logits(phosphene.load(weights=path, **STATED)), logits(colour))


def test_the_stated_preprocessing_is_used(tmp_path):
    save_file(colour_net().state_dict(), tmp_path / "w.safetensors")
    stated = STATED | {
        "size": (24, 40),
        "mean": (0.1, 0.2, 0.3),
        "std": (0.4, 0.5, 0.6),
        "labels": [f"k{k}" for k in range(20)],
    }
    classifier = phosphene.load(weights=tmp_path / "w.safetensors", **stated)
    assert classifier.format == phosphene.InputFormat((24, 40), 3, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert classifier.labels[3] == "k3"


class Touches:
    """What a hostile pickle does when it is opened."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch '{self.marker}'",)


class Evaluates(Touches):
    def __reduce__(self):
        return eval, (f"open({str(self.marker)!r}, 'w')",)


@pytest.mark.parametrize("hostile", [Touches, Evaluates])
@pytest.mark.parametrize("wrapping", ["zip", "legacy", "raw", "hidden", "named safetensors"])
def test_a_hostile_pickle_is_refused_and_its_code_does_not_run(tmp_path, hostile, wrapping):
    marker, path = tmp_path / "marker", tmp_path / ("w.safetensors" if "safetensors" in wrapping else "w.pth")
    evil = hostile(marker)
    content = {"state_dict": colour_net().state_dict(), "optimizer": [evil]} if wrapping == "hidden" else evil
    if wrapping in ("raw", "named safetensors"):
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=wrapping != "legacy")
    with pytest.raises(BadWeights if "safetensors" in wrapping else UnsafeWeights):
        phosphene.load(weights=path, **STATED)
    assert not marker.exists()
    (
        pickle.loads(path.read_bytes())
        if wrapping in ("raw", "named safetensors")
        else torch.load(path, weights_only=False)
    )
    assert marker.exists(), "this pickle would not have proved anything"


def test_a_full_pickle_is_refused_and_loaded_only_on_trust(tmp_path, colour):
    torch.save(colour_net(), tmp_path / "module.pth")
    with pytest.raises(UnsafeWeights, match="--trust-pickle"):
        phosphene.load(weights=tmp_path / "module.pth", **STATED)
    trusted = phosphene.load(weights=tmp_path / "module.pth", trust_pickle=True, **STATED)
    assert trusted.fingerprint == colour.fingerprint


def spoiled(path: Path, how: str) -> None:
    torch.save(colour_net().state_dict(), path)
    content = path.read_bytes()
    path.write_bytes({"half": content[: len(content) // 2], "short": content[:3], "empty": b"", "text": b"no weights\n",
                      "html": b"<!DOCTYPE html><html>404</html>", "noise": bytes(range(256)) * 4}[how])  # fmt: skip


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize("how", ["half", "short", "empty", "text", "html", "noise"])
def test_a_spoiled_file_is_bad_weights_and_not_called_unsafe(tmp_path, how, ending):
    path = tmp_path / f"w.{ending}"
    spoiled(path, how)
    with pytest.raises(BadWeights, match=path.name) as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [[torch.zeros(2)], {}, {"epoch": 3}, torch.zeros(2), {"weight": 3.0}, "text", None])
def test_what_is_no_state_dict_is_bad_weights(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(BadWeights, match="no state dict"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state: state.pop("head.bias"), r"lacks head\.bias"),
        (lambda state: [state.pop(name) for name in list(state)[:-1]], r"lacks .* and \d+ more"),
        (lambda state: state.update(extra=torch.zeros(1)), "unknown extra"),
        (lambda state: state.update({"head.bias": torch.zeros(3)}), r"wrong shape of head\.bias \(3,\) for \(20,\)"),
    ],
    ids=["missing", "most missing", "unknown", "shape"],
)
def test_weights_that_do_not_fit_are_told_by_name(tmp_path, change, told):
    state = colour_net().state_dict()
    change(state)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(BadWeights, match=told):
        phosphene.load(weights=tmp_path / "w.safetensors", **STATED)


def test_a_missing_file_or_a_folder_is_bad_weights(tmp_path):
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(BadWeights, match="no weights file"):
            read_weights(path)


def test_weights_without_numbers_fail_the_check(tmp_path):
    state = {name: torch.full_like(tensor, torch.nan) if tensor.is_floating_point() else tensor
             for name, tensor in colour_net().state_dict().items()}  # fmt: skip
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(FailedCheck, match="not-finite"):
        phosphene.load(weights=tmp_path / "w.safetensors", **STATED)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"model": "efficientnet_lite0", **STATED},
        {**STATED, "weights": "w", "size": None},
        {**STATED, "weights": "w", "factory": "models"},
        {**STATED, "weights": "w", "factory": ":colour_net"},
        {**STATED, "weights": "w", "factory": "models:none"},
        {**STATED, "weights": "w", "factory": "no.such.package:fn"},
        {**STATED, "weights": "w", "labels": "/nowhere/labels.txt"},
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_bad_input(given):
    with pytest.raises(BadInput):
        phosphene.load(**given)


@pytest.mark.parametrize(
    ("written", "told"),
    [("def build(:", "SyntaxError"), ("raise RuntimeError('no GPU here')", "no GPU here"), ("1 / 0", "ZeroDivision")],
)
def test_a_factory_whose_module_fails_is_bad_input(tmp_path, monkeypatch, written, told):
    (tmp_path / "a_failing_factory.py").write_text(written)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=told):
        phosphene.load(weights="w", **STATED | {"factory": "a_failing_factory:build"})


def test_a_factory_may_be_the_first_to_import_torchvision(tmp_path):
    """Its compiled operators may be of another build of torch than the one installed; the tests' own may be such a pair."""
    (tmp_path / "with_torchvision.py").write_text(
        "import timm, torchvision, torch\n"
        "def build(): return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 2))\n"
    )
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
    save_file(module.state_dict(), tmp_path / "w.safetensors")
    line = ("import phosphene; print(phosphene.load(factory='with_torchvision:build', weights='w.safetensors', "
            "size=8, channels=3, mean=(0.5,), std=(0.5,)).image_shape)")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(3, 8, 8)", done.stderr


def test_a_factory_may_lie_in_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "a_factory_of_mine.py").write_text("from models import colour_net as build\n")
    save_file(colour_net().state_dict(), tmp_path / "w.safetensors")
    monkeypatch.chdir(tmp_path)
    before = list(os.sys.path)
    phosphene.load(weights="w.safetensors", **STATED | {"factory": "a_factory_of_mine:build"})
    assert os.sys.path == before


# Libraries --------------------------------------------------------------------------------------------------------


def test_torchvision_weights_come_from_its_own_cache(no_network):
    """The file that a download would have left in the cache, here with weights of our own."""
    import torchvision.models as models

    torch.manual_seed(0)
    module, record = models.squeezenet1_1(weights=None), models.get_model_weights("squeezenet1_1").DEFAULT
    cache = no_network / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save(module.state_dict(), cache / record.url.rsplit("/", 1)[1])
    classifier = phosphene.load("torchvision:squeezenet1_1")
    assert classifier.image_shape == (3, 224, 224)
    assert classifier.format.mean == pytest.approx((0.485, 0.456, 0.406))
    assert classifier.format.std == pytest.approx((0.229, 0.224, 0.225))
    assert classifier.labels[1] == "goldfish, Carassius auratus"
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    normalised = (images - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(logits(classifier), module.eval()(normalised), rtol=1e-4, atol=1e-4)


def test_torchvision_with_ones_own_weights_needs_no_download(no_network):
    import torchvision.models as models

    torch.manual_seed(0)
    save_file(models.shufflenet_v2_x0_5(weights=None).state_dict(), no_network / "w.safetensors")
    classifier = phosphene.load("torchvision:shufflenet_v2_x0_5", weights=no_network / "w.safetensors")
    assert len(classifier.labels) == 1000


def test_timm_with_ones_own_weights_needs_no_download(no_network):
    import timm

    torch.manual_seed(0)
    module = timm.create_model("resnet10t", pretrained=False)
    save_file(module.state_dict(), no_network / "w.safetensors")
    classifier = phosphene.load("timm:resnet10t", weights=no_network / "w.safetensors")
    config = timm.get_pretrained_cfg("resnet10t")
    assert classifier.image_shape == tuple(config.input_size)
    assert classifier.format.mean == tuple(config.mean)
    assert classifier.name == "timm:resnet10t"
    assert len(classifier.labels) == 1000


@pytest.mark.parametrize("name", ["torchvision:squeezenet1_1", "timm:resnet10t"])
def test_without_a_network_the_message_says_what_to_do(no_network, name):
    with pytest.raises(
        UnknownModel, match="connect to the network once, or give a local file with --weights"
    ) as caught:
        phosphene.load(name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("efficientnet_lite", "efficientnet_lite0"),
        ("eficientnet_lite1", "closest: efficientnet_lite1"),
        ("resnet18", "timm:NAME"),
        ("timm:resnet8", "closest: resnet"),
        ("timm:resnet18.no_such_tag", "resnet18"),
        ("torchvision:resnet17", "closest: resnet"),
        ("torchvision:fcn_resnet50", "no classifier"),
        ("keras:resnet18", "timm:NAME"),
        ("timm:", "timm:NAME"),
        ("", "timm:NAME"),
        ("../no/such/model", "timm:NAME"),
    ],
)
def test_an_unknown_model_lists_the_closest(name, told):
    with pytest.raises(UnknownModel, match=told):
        phosphene.load(name)


def test_a_timm_model_without_a_record_is_refused_and_not_guessed_at(no_network):
    """timm knows it, but never trained it: no weights, so nothing to explain."""
    with pytest.raises(PhospheneError):
        phosphene.load("timm:resnet10t.no_such_tag")


@pytest.mark.parametrize("content", ["a\nb\nc\n", "\ufeffa\r\nb\r\nc\r\n\r\n", "a\nb\nc", " a \nb\nc\n\n\n"])
def test_a_file_of_labels_may_have_been_saved_by_any_editor(tmp_path, content):
    (tmp_path / "labels.txt").write_bytes(content.encode())
    assert read_labels(tmp_path / "labels.txt") == ("a", "b", "c")


def test_an_empty_line_between_labels_is_refused_by_its_number(tmp_path):
    (tmp_path / "labels.txt").write_text("a\n\nc\n")
    with pytest.raises(BadInput, match=r"line 2 .* is empty"):
        read_labels(tmp_path / "labels.txt")
