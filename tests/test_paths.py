"""MODEL as a path: what a file or folder is, told by what is in it; the same weights in every form give the same map."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import phosphene
from models import ConvNet, colour_net
from phosphene.errors import BadInput, BadWeights, UnknownModel, UnsafeWeights
from phosphene.model.classifier import Classifier
from phosphene.model.readout import count_channels
from phosphene.model.sources.libraries import import_timm, import_torchvision
from phosphene.model.sources.paths import FILES, FOLDERS
from phosphene.recipe.recipe import Recipe
from phosphene.runs.make import make_maps

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
NORMALIZATION = {"mean": MEAN, "std": STD}
STATED = {"size": 32, "channels": 3, **NORMALIZATION}
LABELS = tuple(f"sign {k}" for k in range(5))


def import_transformers():
    import_torchvision()
    import transformers

    return transformers


def small_resnet(transformers, **config):
    """A ResNet of transformers whose statistics are far from neutral."""
    shape = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    config = {"id2label": dict(enumerate(LABELS)), "num_labels": 5, **shape, **config}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.ResNetForImageClassification(transformers.ResNetConfig(**config)).eval()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, std=0.3)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
    return model


class Logits(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images).logits


def export(module: nn.Module, path: Path, batch: int | None) -> None:
    images = torch.rand(batch or 2, 3, 32, 32)
    shapes = {"dynamic_shapes": ({0: torch.export.Dim("images")},)} if batch is None else {}
    with path.open("wb") as file:
        torch.export.save(torch.export.export(module, (images,), **shapes), file)


@pytest.fixture(scope="module")
def forms(tmp_path_factory):
    """The same weights as a folder of transformers and as files of every other form, whose names say nothing."""
    folder, transformers = tmp_path_factory.mktemp("forms"), import_transformers()
    model = small_resnet(transformers)
    model.save_pretrained(folder / "folder")
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32}, image_mean=MEAN, image_std=STD)
    processor.save_pretrained(folder / "folder")
    module = Logits(model)
    torch.jit.trace(module, torch.rand(1, 3, 32, 32)).save(folder / "traced")
    export(module, folder / "exported", batch=None)
    export(module, folder / "exported for one", batch=1)
    torch.save(model, folder / "pickled")
    return folder, module


FORMS = {
    "folder": {},
    "traced": {**STATED, "trust_pickle": True, "labels": LABELS},
    "exported": {**NORMALIZATION, "trust_pickle": True, "labels": LABELS},
    "exported for one": {**NORMALIZATION, "trust_pickle": True, "labels": LABELS},
    "pickled": {**STATED, "trust_pickle": True, "labels": LABELS},
}


@pytest.fixture(scope="module")
def native_map(forms):
    classifier = phosphene.load(forms[1], labels=dict(enumerate(LABELS)), **STATED)
    return make_maps(classifier, "sign 3", Recipe(iterations=12))[0].map


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_weights_gives_the_same_map(forms, native_map, form):
    classifier = phosphene.load(forms[0] / form, **FORMS[form])
    assert classifier.labels == LABELS
    assert classifier.format == phosphene.InputFormat((32, 32), 3, MEAN, STD)
    (saliency,) = make_maps(classifier, ["sign 3"], Recipe(iterations=12))
    assert (saliency.map - native_map).norm() <= 1e-3 * native_map.norm()


@pytest.mark.parametrize("form", ["traced", "exported", "folder"])
def test_in_double_precision_rounding_is_not_amplified(forms, form):
    """After as many iterations in single precision the forms are apart: a rounding error grows with each."""
    recipe, stated = Recipe(iterations=60, restarts=1), {"labels": dict(enumerate(LABELS)), **STATED}
    native = make_maps(phosphene.load(forms[1], double=True, **stated), "sign 3", recipe)[0].map
    classifier = phosphene.load(forms[0] / form, double=True, **FORMS[form])
    assert ("double", "True") in classifier.opened
    assert (make_maps(classifier, "sign 3", recipe)[0].map - native).norm() <= 1e-6 * native.norm()
    assert next(forms[1].parameters()).dtype == torch.float32  # the user's module stays as it was


def test_what_has_no_weights_of_fractions_is_not_made_double(colour, tmp_path):
    class Sums(nn.Module):
        def forward(self, images):
            return images.mean(dim=(2, 3))

    with pytest.raises(BadInput, match="no weights that are fractions; leave out --double"):
        phosphene.load(Sums(), size=8, channels=3, mean=0, std=1, double=True)


@pytest.mark.parametrize("form", ["traced", "exported", "pickled"])
def test_whatever_may_run_code_is_opened_on_trust_alone(forms, form):
    with pytest.raises(UnsafeWeights, match="--trust-pickle") as caught:
        phosphene.load(forms[0] / form, **FORMS[form] | {"trust_pickle": False})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("form", "lacking"), [("exported", "--mean, --std"), ("traced", "--size, --channels, --mean")])
def test_what_no_record_says_is_asked_for(forms, form, lacking):
    with pytest.raises(BadInput, match=f"give {lacking}"):
        phosphene.load(forms[0] / form, trust_pickle=True)


def test_an_exported_program_keeps_layers_and_fingerprint(tmp_path, colour):
    export(colour.module.eval(), tmp_path / "m.pt2", batch=None)
    exported = phosphene.load(tmp_path / "m.pt2", trust_pickle=True, mean=0.5, std=0.25)
    assert exported.fingerprint == colour.fingerprint
    channels = count_channels(colour)
    assert {name: count_channels(exported)[name] for name in channels} == channels
    one, other = (make_maps(each, ["body:3"], Recipe(iterations=8))[0].map for each in (colour, exported))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


class Touches:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch '{self.marker}'",)


def test_a_hostile_exported_program_does_not_run(tmp_path, colour):
    """torch.export.load unpickles what the archive marks as pickled: this file proves it, and is refused."""
    export(colour.module.eval(), tmp_path / "good.pt2", batch=1)
    marker, path = tmp_path / "marker", tmp_path / "bad.pt2"
    with zipfile.ZipFile(tmp_path / "good.pt2") as good, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as bad:
        for name in good.namelist():
            content = good.read(name)
            if name.endswith("model_constants_config.json"):
                custom = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
                content = json.dumps({"config": {"hostile": custom}}).encode()
            bad.writestr(name, content)
        bad.writestr(f"{name.split('/')[0]}/data/constants/opaque_obj_0", pickle.dumps(Touches(marker)))
    with pytest.raises(UnsafeWeights):
        phosphene.load(path, mean=0.5, std=0.25)
    assert not marker.exists()
    with path.open("rb") as file:
        torch.export.load(file)
    assert marker.exists(), "this file would not have proved anything"


# Folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "outputs"),
    [({}, "softmax"), ({"problem_type": "multi_label_classification"}, "sigmoid")],
    ids=["classes", "labels"],
)
def test_the_configuration_says_what_the_outputs_are(tmp_path, change, outputs):
    transformers = import_transformers()
    small_resnet(transformers, **change).save_pretrained(tmp_path)
    classifier = phosphene.load(tmp_path, **STATED)
    assert classifier.output_kind.name == outputs
    with pytest.raises(BadInput, match="give --size, --mean, --std"):
        phosphene.load(tmp_path)


PROCESSORS = {
    "a plain one": ("ViTImageProcessor", {"size": {"height": 24, "width": 40}, "image_mean": MEAN, "image_std": STD}),
    "a crop": ("CLIPImageProcessor", {"size": {"shortest_edge": 36}, "crop_size": 32, "image_mean": MEAN}),
    "no normalisation": ("ViTImageProcessor", {"size": {"height": 32, "width": 32}, "do_normalize": False}),
    "bytes": ("ViTImageProcessor", {"size": {"height": 32, "width": 32}, "do_rescale": False, "do_normalize": False}),
    "blue first": ("MobileViTImageProcessor", {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}}),
    "an offset": ("EfficientNetImageProcessor", {"size": {"height": 32, "width": 32}, "rescale_offset": True}),
}  # fmt: skip


@pytest.mark.parametrize("kind", PROCESSORS)
def test_the_classifier_is_fed_as_the_image_processor_feeds_it(tmp_path, kind):
    """Logits of an image of the right size are those of transformers' own pipeline."""
    transformers = import_transformers()
    name, options = PROCESSORS[kind]
    model, processor = small_resnet(transformers), getattr(transformers, name)(**options)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    classifier = phosphene.load(tmp_path)
    image = torch.randint(0, 256, (3, 1, 1), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    image = image.expand(3, *classifier.format.size).contiguous()  # flat, so that resizing cannot change it
    with torch.no_grad():
        theirs = model(processor(images=image, return_tensors="pt")["pixel_values"].float()).logits
        ours = classifier(image[None] / 255)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    if kind == "blue first":
        assert not torch.allclose(classifier(image.flip(0)[None] / 255), ours, atol=1e-2)


def test_weights_of_transformers_that_are_not_all_there_are_refused(tmp_path):
    """It would fill them at random, with a warning."""
    transformers = import_transformers()
    small_resnet(transformers).save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    headless = {name: tensor for name, tensor in state.items() if not name.startswith("classifier")}
    save_file(headless, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadWeights, match=r"not all there \(missing: classifier"):
        phosphene.load(tmp_path, **STATED)


def test_code_that_comes_with_a_folder_never_runs(tmp_path):
    config = {
        "model_type": "their_own",
        "auto_map": {"AutoConfig": "code.Theirs", "AutoModelForImageClassification": "code.M"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')")
    with pytest.raises(UnsafeWeights, match="never run"):
        phosphene.load(tmp_path, **STATED)
    assert not (tmp_path / "marker").exists()


def test_a_hostile_pytorch_model_bin_does_not_run(tmp_path):
    transformers = import_transformers()
    small_resnet(transformers).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"weight": Touches(tmp_path / "marker")}, tmp_path / "pytorch_model.bin")
    with pytest.raises((UnsafeWeights, BadWeights)) as caught:
        phosphene.load(tmp_path, **STATED)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "marker").exists()


@pytest.fixture
def timm_folder(tmp_path):
    timm = import_timm()
    torch.manual_seed(0)
    module = timm.create_model("test_resnet.r160_in1k", pretrained=False, num_classes=5, in_chans=1)
    record = {"input_size": [1, 48, 64], "mean": [0.3], "std": [0.2], "num_classes": 5, "label_names": list("abcde")}
    config = {"architecture": "test_resnet", "num_classes": 5, "model_args": {"in_chans": 1}, "pretrained_cfg": record,
              "label_names": list("abcde"), "label_descriptions": {"b": "the letter b"}}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(module.state_dict(), tmp_path / "model.safetensors")
    return tmp_path, module.eval()


@pytest.mark.parametrize("prefix", ["", "timm:local-dir:"])
def test_a_folder_of_timm_is_loaded_with_its_own_record(timm_folder, prefix):
    folder, module = timm_folder
    classifier = phosphene.load(f"{prefix}{folder}")
    assert classifier.format == phosphene.InputFormat((48, 64), 1, (0.3,), (0.2,))
    assert classifier.labels == ("a", "the letter b", "c", "d", "e")
    images = torch.rand(2, 1, 48, 64)
    with torch.no_grad():
        torch.testing.assert_close(classifier(images), module((images - 0.3) / 0.2), rtol=1e-4, atol=1e-4)


def test_what_timms_record_leaves_out_is_asked_for(timm_folder):
    folder, _ = timm_folder
    config = json.loads((folder / "config.json").read_text())
    del config["pretrained_cfg"]["mean"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadInput, match="give --mean"):
        phosphene.load(folder)


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"architecture": 3}'])
def test_a_folder_without_a_model_lists_what_was_looked_for(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(BadInput, match="looked for") as caught:
        phosphene.load(tmp_path)
    assert all(known.means in str(caught.value) for known in FOLDERS.values())


def test_a_name_wins_over_a_file_that_is_called_the_same(tmp_path, monkeypatch):
    (tmp_path / "efficientnet_lite0").write_bytes(b"no model")
    monkeypatch.chdir(tmp_path)
    assert len(phosphene.load("efficientnet_lite0").labels) == 1000
    with pytest.raises(BadInput, match="looked for"):
        phosphene.load("./efficientnet_lite0")


# Files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b"no model", b"PK\x05\x06" + bytes(18), b"<html>404</html>", bytes(range(256))]
)
def test_a_file_that_holds_no_model_is_one_line(tmp_path, content):
    (tmp_path / "m.pt2").write_bytes(content)
    with pytest.raises(BadInput, match="looked for") as caught:
        phosphene.load(tmp_path / "m.pt2")
    assert all(known.means in str(caught.value) for known in FILES.values())


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("form", ["traced", "exported", "pickled"])
def test_a_file_that_was_cut_off_is_one_line(forms, tmp_path, form, share):
    content = (forms[0] / form).read_bytes()
    (tmp_path / "cut").write_bytes(content[: int(len(content) * share)])
    with pytest.raises((BadInput, BadWeights, UnsafeWeights)) as caught:
        phosphene.load(tmp_path / "cut", **FORMS[form])
    assert "\n" not in str(caught.value)


def test_a_path_that_is_not_there_is_an_unknown_model(tmp_path):
    with pytest.raises(UnknownModel, match="no file or folder is there"):
        phosphene.load(tmp_path / "none.pt2")


@pytest.mark.parametrize("key", [None, "model", "ema"])
def test_a_trusted_pickle_needs_no_factory(tmp_path, colour, key):
    content = colour_net() if key is None else {key: colour_net(), "epoch": 3, "criterion": nn.CrossEntropyLoss()}
    torch.save(content, tmp_path / "module")
    trusted = phosphene.load(tmp_path / "module", trust_pickle=True, size=32, channels=3, mean=0.5, std=0.25)
    assert trusted.fingerprint == colour.fingerprint


def test_several_modules_in_one_pickle_are_named(tmp_path):
    torch.save({"student": colour_net(), "teacher": colour_net()}, tmp_path / "module")
    with pytest.raises(BadInput, match=r"several modules \(student, teacher\)"):
        phosphene.load(tmp_path / "module", trust_pickle=True, **STATED)


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (
            lambda: import_torchvision().models.mobilenet_v3_small(num_classes=7),
            "torchvision:mobilenet_v3_small --weights",
        ),
        (lambda: import_timm().create_model("convnext_atto", num_classes=3), "timm:convnext_atto --weights"),
        (colour_net, "they fit none that was tried"),
    ],
    ids=["torchvision", "timm", "own"],
)
def test_tensors_alone_ask_for_the_architecture_that_they_fit(tmp_path, build, named):
    save_file(build().state_dict(), tmp_path / "weights")
    with pytest.raises(BadInput, match=named) as caught:
        phosphene.load(tmp_path / "weights")
    assert "--factory" in str(caught.value)


def test_weights_are_refused_where_the_path_holds_them(timm_folder):
    with pytest.raises(BadInput, match="leave out --weights"):
        phosphene.load(timm_folder[0], weights=timm_folder[0] / "model.safetensors")


def test_workers_open_a_path_again(timm_folder, monkeypatch):
    from phosphene.runs.open_models import OpenModels

    monkeypatch.chdir(timm_folder[0].parent)
    reference = phosphene.load(timm_folder[0].name).reference
    monkeypatch.chdir("/")
    assert OpenModels().open(reference).labels[1] == "the letter b"


# Keras, whose backend is chosen once a process --------------------------------------------------------------------

KERAS = """
import os, sys
from pathlib import Path
os.environ["KERAS_BACKEND"] = "torch"
from phosphene.model.sources.libraries import import_torchvision
import_torchvision()
import keras, numpy, torch
import phosphene
from phosphene.errors import PhospheneError
folder, L = Path(sys.argv[1]), keras.layers
keras.utils.set_random_seed(0)

def save(name, *layers, shape=(24, 32, 3)):
    model = keras.Sequential([L.Input(shape), *layers])
    model.save(folder / f"{name}.keras")
    (folder / f"{name}.keras").rename(folder / name)
    return model

normal = keras.initializers.RandomNormal(stddev=3.0, seed=0)
head = L.Conv2D(8, 3, strides=2, activation="relu"), L.BatchNormalization(), L.GlobalAveragePooling2D()
model = save("bytes", L.Rescaling(1 / 127.5, -1), *head, L.Dense(5, activation="softmax", kernel_initializer=normal))
save("labels", L.Flatten(), L.Dense(3, activation="sigmoid"), shape=(8, 8, 1))
save("lambda", L.Lambda(lambda x: x * 2), L.Flatten(), L.Dense(4))
model.save(folder / "old.h5")

classifier = phosphene.load(folder / "bytes")
images = torch.rand(2, 3, 24, 32)
theirs = model.predict(255 * images.permute(0, 2, 3, 1).numpy(), verbose=0)
with torch.no_grad():
    print(float(abs(classifier(images).softmax(1).numpy() - theirs).max()) < 1e-5, classifier.format.size)
(saliency,) = phosphene.make_maps(classifier, [2], phosphene.Recipe(iterations=40))
with torch.no_grad():
    grey, raised = classifier(torch.stack([torch.full((3, 24, 32), 0.5), saliency.raw_picture]))[:, 2]
print(bool(raised > grey))
print(phosphene.load(folder / "labels", mean=0, std=1).output_kind.name)
for name in ("lambda", "old.h5", "labels"):
    try:
        phosphene.load(folder / name)
    except PhospheneError as error:
        print(type(error).__name__, error)
"""


def test_a_keras_model_computes_what_keras_computes(tmp_path):
    pytest.importorskip("h5py")
    done = subprocess.run([sys.executable, "-c", KERAS, tmp_path], capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    assert lines[:3] == ["True (24, 32)", "True", "label-probabilities"], done.stderr
    assert lines[3].startswith("UnsafeWeights")
    assert "Lambda" in lines[3]
    assert lines[4].startswith("BadInput")
    assert "save it again" in lines[4]
    assert "give --mean, --std" in lines[5]


def test_a_keras_file_of_a_class_of_its_author_is_refused_before_keras_sees_it(tmp_path):
    layer = {"module": "os", "class_name": "system", "config": "true", "registered_name": None}
    with zipfile.ZipFile(tmp_path / "m", "w") as archive:
        archive.writestr("config.json", json.dumps({"module": "keras", "class_name": "Sequential", "config": [layer]}))
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(UnsafeWeights, match="'system' of os"):
        phosphene.load(tmp_path / "m", **STATED)


# Slips ------------------------------------------------------------------------------------------------------------


def test_slips_of_the_api_work_or_are_one_line(colour):
    assert phosphene.InputFormat(28, mean=0.5, std=[0.1, 0.2, 0.3]) == phosphene.InputFormat(
        (28, 28), 3, (0.5,), (0.1, 0.2, 0.3)
    )
    labels = {str(k): f"k{k}" for k in reversed(range(20))}
    for form in (labels, {int(k): name for k, name in labels.items()}, {name: int(k) for k, name in labels.items()}):
        mine = phosphene.load(colour_net(), size=32, channels=3, mean=0.5, std=0.25, labels=form)
        assert mine.labels[3] == "k3"
        assert mine.fingerprint == colour.fingerprint
        assert Classifier(colour_net(), phosphene.InputFormat(32), labels=form).labels[3] == "k3"
    (by_index,) = make_maps(mine, 7, Recipe(iterations=2))
    (by_name,) = make_maps(mine, "k7", Recipe(iterations=2))
    assert torch.equal(by_index.map, by_name.map)


@pytest.mark.parametrize(
    ("slip", "told"),
    [
        (lambda: phosphene.InputFormat("28"), "size|input format"),
        (lambda: phosphene.InputFormat((1, 2, 3)), "height and width"),
        (lambda: phosphene.InputFormat(28, mean="a"), "could not convert"),
        (lambda: phosphene.load(3), "expected a name, a path or a torch.nn.Module"),
        (lambda: phosphene.load(colour_net()), "give --size, --channels, --mean, --std"),
        (lambda: Classifier(colour_net(), 32), "expected a torch.nn.Module and an InputFormat"),
        (lambda: Classifier("resnet18", phosphene.InputFormat(32)), "expected a torch.nn.Module"),
        (lambda: Classifier(colour_net(), phosphene.InputFormat(32), labels={0: "a", 2: "b"}), "each from 0 to 1"),
        (lambda: make_maps(Classifier(ConvNet(3, 4), phosphene.InputFormat(32)), [2.5]), "expected a name, an index"),
        (lambda: make_maps(Classifier(ConvNet(3, 4), phosphene.InputFormat(32)), True), "expected a name, an index"),
    ],
)
def test_a_slip_that_cannot_be_meant_is_bad_input(slip, told):
    with pytest.raises(BadInput, match=told):
        slip()


@pytest.mark.parametrize("values", [1, 3], ids=["a mean of one channel", "a mean of three"])
def test_a_folder_of_a_grey_classifier_is_fed_with_one_channel(tmp_path, values):
    transformers = import_transformers()
    small_resnet(transformers, num_channels=1).save_pretrained(tmp_path)
    size = {"height": 32, "width": 32}
    processor = transformers.ViTImageProcessor(size=size, image_mean=[0.3] * values, image_std=[0.35] * values)
    processor.save_pretrained(tmp_path)
    assert phosphene.load(tmp_path).format == phosphene.InputFormat((32, 32), 1, (0.3,), (0.35,))


def test_a_grey_classifier_whose_processor_has_three_colours_is_refused(tmp_path):
    transformers = import_transformers()
    small_resnet(transformers, num_channels=1).save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}, image_mean=MEAN, image_std=STD).save_pretrained(
        tmp_path
    )
    with pytest.raises(BadInput, match="does more than scale each channel"):
        phosphene.load(tmp_path)
