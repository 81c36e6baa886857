"""Directions and neurons of a layer: known answers, refused files, and directions fitted to two folders of images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import phosphene
from phosphene.errors import BadInput, OtherRecipe, PhospheneError, UnknownConcept
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.model.outputs import OUTPUTS, is_top, probability
from phosphene.model.readout import direction_and_controls, read
from phosphene.recipe.concepts import Classes, describe_concept
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import Recipe
from phosphene.runs.make import parse_concepts

QUICK = Recipe(iterations=12)


def write_vector(path, values):
    np.save(path, np.asarray(values))
    return path


def ask(classifier, text):
    (concept,) = parse_concepts(classifier, [text], QUICK)
    return concept


def test_the_direction_of_one_channel_is_that_channel(colour, tmp_path):
    """Same scores, same controls, same map, same numbers, bit for bit; the name alone, which seeds the draws, is lent."""
    file = write_vector(tmp_path / "five.npy", 7 * np.eye(16)[5])
    channel = ask(colour, "body:5")
    direction = replace(ask(colour, f"body:@{file}"), name=channel.name)
    (one,), (other,) = (phosphene.make_maps(colour, [concept], QUICK) for concept in (channel, direction))
    assert torch.equal(one.map, other.map)
    assert one.scores.fidelity == other.scores.fidelity
    assert one.scores.channel.deviations == other.scores.channel.deviations > 1


def test_a_map_raises_the_direction_and_not_one_of_its_channels(colour, tmp_path):
    """Two channels of a direction that pull apart: the map of each alone raises the direction less than its own map."""
    weights = np.zeros(16)
    weights[[2, 9]] = 1, -1
    direction = ask(colour, f"body:@{write_vector(tmp_path / 'apart.npy', weights)}")
    recipe = Recipe(iterations=40)
    maps = [phosphene.make_maps(colour, [one], recipe)[0] for one in (direction, "body:2", "body:9")]

    def score(saliency):
        return direction.score(read(colour, saliency.raw_picture[None], [direction])[0]).item()

    own, *channels = map(score, maps)
    assert own > max(channels)
    assert maps[0].scores.fidelity.top1 > 0.5


def test_a_direction_is_first_only_if_no_copy_on_other_channels_is_further_up():
    outputs = torch.tensor([[5.0, 4.0, 3.0], [5.0, 6.0, 3.0], [2.0, 1.0, 0.0]])

    class Lent:
        layer, targets, name = "layer", (0,), "lent"

    assert is_top(outputs, Lent(), OUTPUTS["softmax"]).tolist() == [1, 0, 1]
    assert probability(outputs, Lent(), OUTPUTS["softmax"]).tolist() == [1, 1, 0]
    weights = direction_and_controls((1.0, 2.0, 0.0))
    assert weights.T.tolist() == [[1, 2, 0], [0, 1, 2], [2, 0, 1]]


def test_a_wide_layer_has_a_bounded_number_of_controls():
    assert direction_and_controls((1.0,) * 5000).shape == (5000, 1667)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: np.save(path, np.ones(15)),
        lambda path: np.save(path, np.zeros(16)),
        lambda path: np.save(path, np.full(16, np.nan)),
        lambda path: np.save(path, np.ones((4, 4))),
        lambda path: np.save(path, np.ones(16, dtype=complex)),
        lambda path: np.save(path, np.array(["a"] * 16)),
        lambda path: np.save(path, np.array([print] * 16), allow_pickle=True),
        lambda path: np.savez(path.open("wb"), one=np.ones(16)),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\x93NUMPY\x01\x00"),
        lambda path: path.write_bytes(
            b"\x93NUMPY\x01\x00v\x00"
            + b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000,), }".ljust(117)
            + b"\n"
        ),
        lambda path: path.mkdir(),
        lambda path: None,
    ],
    ids=[
        "short",
        "zeros",
        "nan",
        "matrix",
        "complex",
        "words",
        "pickled",
        "npz",
        "empty",
        "header",
        "huge",
        "folder",
        "missing",
    ],
)
def test_a_file_that_is_no_direction_of_the_layer_is_refused_in_one_line(colour, tmp_path, write):
    path = tmp_path / "direction.npy"
    write(path)
    with pytest.raises(BadInput, match="direction"):
        ask(colour, f"body:@{path}")


def test_a_safetensors_file_holds_one_direction(colour, tmp_path):
    vector = torch.randn(16, generator=torch.Generator().manual_seed(0))
    save_file({"direction": vector}, tmp_path / "one.safetensors")
    save_file({"one": vector, "two": vector.clone()}, tmp_path / "two.safetensors")
    np.save(tmp_path / "same.npy", 3 * vector.double().numpy())
    direction, same = ask(colour, f"body:@{tmp_path}/one.safetensors"), ask(colour, f"body:@{tmp_path}/same.npy")
    np.testing.assert_allclose(direction.weights, same.weights, rtol=1e-12)
    assert np.linalg.norm(direction.weights) == pytest.approx(1)
    with pytest.raises(BadInput, match="2 tensors"):
        ask(colour, f"body:@{tmp_path}/two.safetensors")


def test_another_direction_of_the_same_file_name_is_another_map(colour, tmp_path):
    file = write_vector(tmp_path / "d.npy", np.eye(16)[1])
    phosphene.make_maps(colour, [f"body:@{file}"], QUICK, out=tmp_path / "maps")
    phosphene.make_maps(colour, [f"body:@{file}"], QUICK, out=tmp_path / "maps")
    write_vector(file, np.eye(16)[2])
    with pytest.raises(OtherRecipe, match="another direction"):
        phosphene.make_maps(colour, [f"body:@{file}"], QUICK, out=tmp_path / "maps")


def reach_of(classifier, text):
    """Which pixels the score of a concept depends on, `(H, W)`."""
    concept = ask(classifier, text)
    images = torch.rand(1, *classifier.image_shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
    concept.score(read(classifier, images, [concept])[0]).sum().backward()
    return images.grad[0].abs().sum(dim=0) > 0


def test_a_neuron_depends_on_its_own_receptive_field(colour):
    """A 3 × 3 convolution with stride 2 and padding 1: neuron (y, x) sees rows 2y−1 to 2y+1."""
    field = torch.zeros(32, 32, dtype=torch.bool)
    field[5:8, 19:22] = True
    assert torch.equal(reach_of(colour, "stem:3@3,10"), field)
    assert reach_of(colour, "stem:3").all()
    assert torch.equal(reach_of(colour, "stem:3@8,8"), reach_of(colour, "stem:3@center"))


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("stem:3@16,0", BadInput, r"16 × 16, expected @0,0 to @15,15"),
        ("head:3@0,0", BadInput, "feature maps"),
        ("stem:99@0,0", UnknownConcept, "no channel 99"),
        ("stem:3@1", BadInput, "@Y,X"),
        ("stem:1, 2", BadInput, "sum such as"),
        ("2, stem:1", BadInput, "set holds classes only"),
        ("2@1,1", BadInput, "LAYER:CHANNEL@Y,X"),
        ("@1,1", BadInput, "LAYER:CHANNEL@Y,X"),
        ("@center", BadInput, "LAYER:CHANNEL@Y,X"),
        ("- 2", BadInput, "raises nothing"),
        ("stem:1 - 2", BadInput, "units differ"),
        ("stem:1 - body:2", BadInput, "units differ"),
        ("stem:1@0,0 - stem:1", BadInput, "units differ"),
        ("nowhere:@x.npy", BadInput, "x.npy"),
        ("stem:@one vs @two", BadInput, "no images in 'one'"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(colour, text, error, words):
    with pytest.raises(error, match=words) as raised:
        ask(colour, text)
    assert "\n" not in str(raised.value)


def test_a_leading_sign_belongs_to_the_first_term():
    concept = parse("- zebra + pug", ["zebra", "pug"])
    assert concept.targets == (1,)
    assert concept.score(torch.tensor([[3.0, 5.0]])).item() == 2


class Means(nn.Module):
    """Two layers whose answers are known: the mean of each colour, and their sums and differences."""

    def __init__(self) -> None:
        super().__init__()
        self.colours = nn.Conv2d(3, 3, 1, bias=False)
        self.colours.weight.data = torch.eye(3).view(3, 3, 1, 1)
        self.head = nn.Linear(3, 2, bias=False)
        self.head.weight.data = torch.tensor([[1.0, -2.0, 1.0], [-1.0, 2.0, 0.5]])

    def forward(self, images):
        return self.head(self.colours(images).mean(dim=(2, 3)))


def write_images(folder, colour, count=24, seed=0):
    """Noise of which one channel, where one is named, is brighter."""
    folder.mkdir()
    draw = np.random.default_rng(seed)
    for number in range(count):
        pixels = draw.uniform(0.2, 0.6, (8, 8, 3)) + draw.normal(0, 0.1, 3)
        if colour is not None:
            pixels[..., colour] += 0.3
        Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8)).save(folder / f"{number}.png")


@pytest.fixture
def means():
    return Classifier(Means(), InputFormat((8, 8)), name="means")


def test_a_direction_fitted_to_two_folders_is_the_difference_between_them(means, tmp_path):
    write_images(tmp_path / "red", 0, seed=1)
    write_images(tmp_path / "plain", None, seed=2)
    direction = ask(means, f"colours:@{tmp_path}/red vs @{tmp_path}/plain")
    assert direction.weights[0] > 0.9
    assert direction.origin.images == (24, 24)
    assert direction.origin.accuracy > 0.85
    assert "uses data: a direction fitted to 24 and 24 images" in describe_concept(direction)
    (saliency,) = phosphene.make_maps(means, [direction], QUICK)
    assert "data-using" in saliency.checks
    assert "indistinct-direction" not in saliency.checks
    assert saliency.scores.channel.direction == direction.origin
    red, green, blue = saliency.raw_picture.mean(dim=(1, 2))
    assert red > max(green, blue) + 0.05


def test_a_direction_between_images_of_one_kind_is_doubted(means, tmp_path):
    write_images(tmp_path / "some", None, seed=1)
    write_images(tmp_path / "others", None, seed=2)
    (saliency,) = phosphene.make_maps(means, [f"colours:@{tmp_path}/some vs @{tmp_path}/others"], QUICK)
    assert {"data-using", "indistinct-direction"} <= set(saliency.checks)


def test_too_few_images_are_refused(means, tmp_path):
    write_images(tmp_path / "some", None, count=24)
    write_images(tmp_path / "few", 0, count=3)
    with pytest.raises(BadInput, match="3 images; expected at least 8"):
        ask(means, f"colours:@{tmp_path}/some vs @{tmp_path}/few")


def test_folders_need_the_model():
    with pytest.raises(PhospheneError, match="takes the model"):
        parse("stem:@one vs @two", ["a", "b"])


def test_a_sum_of_labels_is_seen_where_all_of_its_parts_hold():
    """Of labels that do not exclude each other: what is added must hold, what is subtracted must not."""
    outputs = torch.tensor([[4.0, 4.0, -4.0], [4.0, -4.0, -4.0], [4.0, 4.0, 4.0], [-4.0, -4.0, -4.0]])
    red, round_, dark = (Classes((k,), name) for k, name in enumerate(("red", "round", "dark")))
    kind = OUTPUTS["sigmoid"]
    assert is_top(outputs, red + round_, kind).tolist() == [1, 0, 1, 0]
    assert is_top(outputs, red + round_ - dark, kind).tolist() == [1, 0, 0, 0]
    assert is_top(outputs, Classes((1, 2), "either"), kind).tolist() == [1, 0, 1, 0]
