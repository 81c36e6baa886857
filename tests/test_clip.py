"""Models that compare images with texts: their logits are the library's own, and any text is a concept."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import command
import phosphene
import tiny_clip
from phosphene.errors import BadInput, BadWeights, PhospheneError, UnknownModel
from phosphene.method.fidelity import measure_fidelity
from phosphene.model.readout import read
from phosphene.model.sources.libraries import import_library, import_torchvision
from phosphene.recipe.concepts import Classes, describe_concept
from phosphene.recipe.recipe import Recipe
from phosphene.runs.make import parse_concepts

QUICK = Recipe(iterations=6)
CONTRAST = ("a red circle", "a blue circle", "a green square")
IMAGES = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An untrained CLIP as `save_pretrained` writes one."""
    folder = tmp_path_factory.mktemp("models") / "clip"
    tiny_clip.save_model(tiny_clip.build_model().eval(), folder)
    return folder


@pytest.fixture(scope="module")
def clip(folder):
    return phosphene.load(f"clip:{folder}", contrast=CONTRAST)


def ask(classifier, text):
    return parse_concepts(classifier, [text], QUICK)[0]


def library_logits(folder, texts):
    """What transformers itself says of the images, through its own image processor and tokenizer."""
    import_torchvision()
    transformers = import_library("transformers", "clip")
    model = transformers.AutoModel.from_pretrained(folder)
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(list(texts), return_tensors="pt", padding=True)
    pixels = transformers.AutoImageProcessor.from_pretrained(folder)(
        list(IMAGES), return_tensors="pt", do_rescale=False
    )["pixel_values"]
    with torch.no_grad():
        return model(pixel_values=pixels, **tokens).logits_per_image


def test_its_logits_are_the_librarys_own(clip, folder):
    texts = (*CONTRAST, "a photo of a red triangle")
    theirs = library_logits(folder, texts)
    text = ask(clip, texts[-1])
    with torch.no_grad():
        (ours,) = read(clip, IMAGES, [text])
    torch.testing.assert_close(clip(IMAGES).detach(), theirs[:, :3], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert text.targets == (3,)
    torch.testing.assert_close(text.score(ours), theirs[:, 3], rtol=1e-4, atol=1e-4)


def test_size_and_normalisation_are_the_image_processors(clip):
    assert (clip.format.size, clip.format.mean, clip.format.std) == ((32, 32), (0.5,) * 3, (0.25,) * 3)


def test_a_contrast_text_is_a_class_and_any_other_a_text(clip):
    assert isinstance(ask(clip, "A Red Circle"), Classes)
    assert ask(clip, "a red circle, a green square").targets == (0, 2)
    sentence = ask(clip, "a circle, red, on a  photo")
    assert sentence.name == "a circle, red, on a photo"
    assert "asked for as a text" in describe_concept(sentence)
    assert describe_concept(ask(clip, "a red circle")) is None


def test_texts_of_a_sum_stand_behind_the_classes_each_once(clip):
    difference = ask(clip, "a red sign - 0.5 * a blue sign + a red circle + a red sign")
    assert difference.targets == (0, 3)
    with torch.no_grad():
        (outputs,) = read(clip, IMAGES, [difference])
    assert outputs.shape == (3, 5)
    expected = 2 * outputs[:, 3] - 0.5 * outputs[:, 4] + outputs[:, 0]
    torch.testing.assert_close(difference.score(outputs), expected)


def test_the_map_of_a_text_does_not_depend_on_what_else_is_asked(clip):
    text, *others = "a red triangle", "a blue square", "a red circle", "model.vision_model.encoder.layers.0:3"
    (alone,) = phosphene.make_maps(clip, [text], QUICK)
    together = phosphene.make_maps(clip, [text, *others], QUICK)[0]
    assert torch.equal(alone.map, together.map)
    assert alone.scores.fidelity == together.scores.fidelity
    assert alone.scores.top5 == together.scores.top5


def test_fidelity_and_guesses_are_of_the_text_among_the_contrast(clip):
    (saliency,) = phosphene.make_maps(clip, ["a red triangle"], QUICK)
    assert saliency.targets == ()
    assert "a red triangle" in {guess.name for guess in saliency.scores.top5}
    assert sum(guess.probability for guess in saliency.scores.top5) == pytest.approx(1, abs=1e-3)
    concept = ask(clip, "a red triangle")
    measured = measure_fidelity(clip, concept, saliency.map, QUICK)
    assert measured.probability == pytest.approx(saliency.scores.fidelity.probability, abs=1e-6)


def test_another_contrast_is_another_model(folder, clip):
    assert phosphene.load(f"clip:{folder}", contrast=CONTRAST[::-1]).fingerprint != clip.fingerprint
    default = phosphene.load(f"clip:{folder}")
    assert "a photo of a dog" in default.labels
    assert len(default.labels) == len(set(default.labels)) > 50


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"contrast": ["one text"]}, "at least two"),
        ({"labels": ["a", "b"]}, "--contrast, not --labels"),
        ({"contrast": "missing.txt"}, "missing.txt"),
    ],
)
def test_options_that_do_not_fit_are_refused(folder, options, words):
    with pytest.raises(BadInput, match=words):
        phosphene.load(f"clip:{folder}", **options)


def test_contrast_is_for_models_that_read_texts():
    with pytest.raises(BadInput, match="has classes"):
        phosphene.load("efficientnet_lite0", contrast=CONTRAST)


def test_a_model_without_texts_refuses_one(colour, clip):
    with pytest.raises(BadInput, match="reads no texts"):
        phosphene.make_maps(colour, [ask(clip, "a red triangle")], QUICK)


def test_a_text_that_is_too_long_is_refused_not_cut(clip):
    with pytest.raises(BadInput, match="16, expected a shorter text"):
        ask(clip, "a photo of " * 8)


def damage(folder, tmp_path, change):
    copy = tmp_path / "damaged"
    shutil.copytree(folder, copy)
    change(copy)
    return copy


def drop_weight(copy):
    weights = load_file(copy / "model.safetensors")
    weights.pop("visual_projection.weight")
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})


def set_config(copy, name, **values):
    record = json.loads((copy / name).read_text())
    (copy / name).write_text(json.dumps({**record, **values}))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (drop_weight, BadWeights, "visual_projection.weight"),
        (lambda copy: (copy / "model.safetensors").write_bytes(b"no weights"), UnknownModel, "cannot open clip:"),
        (lambda copy: (copy / "config.json").unlink(), UnknownModel, "cannot open clip:"),
        (lambda copy: set_config(copy, "config.json", model_type="bert"), UnknownModel, "expected clip or siglip"),
        (lambda copy: (copy / "preprocessor_config.json").unlink(), UnknownModel, "cannot open clip:"),
        (lambda copy: set_config(copy, "preprocessor_config.json", do_rescale=False), BadInput, r"\[0,1\]"),
    ],
    ids=["weight", "garbage", "config", "kind", "processor", "scale"],
)
def test_a_folder_that_does_not_fit_is_refused_in_one_line(folder, tmp_path, change, error, words):
    with pytest.raises(error, match=words) as raised:
        phosphene.load(f"clip:{damage(folder, tmp_path, change)}", contrast=CONTRAST)
    assert isinstance(raised.value, PhospheneError)
    assert "\n" not in str(raised.value)


def test_siglip_judges_each_text_alone(tmp_path):
    import_torchvision()
    transformers = import_library("transformers", "clip")
    shared = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = transformers.SiglipConfig(
        text_config={**shared, "vocab_size": 20, "max_position_embeddings": 16, "projection_size": 32},
        vision_config={**shared, "image_size": 32, "patch_size": 8},
    )
    torch.manual_seed(0)
    model = transformers.SiglipModel(config).eval()
    tiny_clip.save_model(model, tmp_path)
    classifier = phosphene.load(f"clip:{tmp_path}", contrast=CONTRAST)
    tokens = tiny_clip.build_tokenizer()(list(CONTRAST), return_tensors="pt", padding="max_length", max_length=16)
    with torch.no_grad():
        theirs = model(pixel_values=(IMAGES - 0.5) / 0.25, input_ids=tokens["input_ids"]).logits_per_image
    assert classifier.output_kind.name == "sigmoid"
    torch.testing.assert_close(classifier(IMAGES).detach(), theirs, rtol=1e-4, atol=1e-4)


def test_the_command_says_what_is_a_text_and_takes_a_contrast(folder, tmp_path):
    file = tmp_path / "contrast.txt"
    file.write_text("\n".join(CONTRAST) + "\n")
    arguments = ["--contrast", file, "--iterations", 4, "--restarts", 1, "--out", tmp_path / "maps"]
    outcome = command.phosphene("map", f"clip:{folder}", "a red triangle", "a red circle", *arguments)
    assert outcome.code == 0, outcome.err
    assert "'a red triangle' is no class, and is asked for as a text" in outcome.err
    assert "'a red circle' is no class" not in outcome.err
    assert command.phosphene("report", tmp_path / "maps").code == 0
    assert "a text</p>" in (tmp_path / "maps" / "report.html").read_text().replace("\n", "")
