"""Channels of layers as people write them: windows, tokens, sequences first, channels last, layers that run twice.

The same weights give the same map of a channel whatever the modules' habits; where images or channels are not certain,
the layer is refused.
"""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from models import cosine
from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.model.layout import Layout, Unclear
from phosphene.model.layout_search import find_layouts, require_layouts
from phosphene.model.readout import count_channels, measure_scale, read
from phosphene.model.sources.libraries import import_timm
from phosphene.recipe.concepts import Channel
from phosphene.recipe.recipe import Recipe
from phosphene.runs.make import make_maps

FORMAT = InputFormat((16, 16), 3, (0.5,), (0.25,))


class Reshape(nn.Module):
    """Somebody's own module, whose kind says nothing."""

    def __init__(self, change) -> None:
        super().__init__()
        self.change = change

    def forward(self, features: Tensor) -> Tensor:
        return self.change(features)


def classifier(*layers: nn.Module | OrderedDict[str, nn.Module], form: InputFormat = FORMAT) -> Classifier:
    """The layers, with the same weights every time for parameters of as many numbers in the same order."""
    generator = torch.Generator().manual_seed(0)
    module = nn.Sequential(*layers).eval()
    for parameter in module.parameters():
        numbers = torch.randn(parameter.numel(), generator=generator) / max(1, parameter[0].numel()) ** 0.5
        parameter.data = numbers.view(parameter.shape)
    return Classifier(module, form)


def mean(*dims: int) -> nn.Module:
    return Reshape(lambda x: x.mean(dims))


def to_windows(x: Tensor) -> Tensor:
    """`(N, 8, 8, C)` → `(4N, 16, C)`, the windows of an image one after the other."""
    return x.view(-1, 2, 4, 2, 4, x.shape[-1]).transpose(2, 3).reshape(-1, 16, x.shape[-1])


STEM = (3, 8, 3, 2, 1)  # a convolution that gives maps of 8 × 8


def network(point: nn.Module, change=lambda x: x, back=lambda x: x.flatten(2).transpose(1, 2)) -> Classifier:
    """A convolution, a layer `point` that is the same at every place, a GELU, and a linear head: the same weights
    whether `point` is a convolution or a linear layer on features that `change` puts elsewhere."""
    layers = {"stem": nn.Conv2d(*STEM), "change": Reshape(change), "point": point, "act": nn.GELU(),
              "back": Reshape(back), "pool": mean(1), "head": nn.Linear(8, 4)}  # fmt: skip
    return classifier(OrderedDict(layers))


def linear_on(change, back):
    return lambda: network(nn.Linear(8, 8), change, back)


HABITS = {  # how the features of a layer lie → the network, and the layers that are the convolution and the GELU
    "channels last": linear_on(lambda x: x.permute(0, 2, 3, 1), lambda x: x.flatten(1, 2)),
    "tokens": linear_on(lambda x: x.flatten(2).transpose(1, 2), lambda x: x),
    "sequence first": linear_on(lambda x: x.flatten(2).permute(2, 0, 1), lambda x: x.transpose(0, 1)),
    "windows": linear_on(lambda x: to_windows(x.permute(0, 2, 3, 1)), lambda x: x.reshape(-1, 64, 8)),
    "windows, interleaved": linear_on(
        lambda x: to_windows(x.permute(0, 2, 3, 1)).unflatten(0, (-1, 4)).transpose(0, 1).flatten(0, 1),
        lambda x: x.unflatten(0, (4, -1)).transpose(0, 1).flatten(1, 2),
    ),
    "one row a place": linear_on(
        lambda x: x.permute(0, 2, 3, 1).reshape(-1, 8), lambda x: x.reshape(-1, 64, 8)
    ),
    "as wide as high as many": linear_on(lambda x: x.permute(0, 3, 2, 1), lambda x: x.flatten(1, 2)),
}  # fmt: skip


@pytest.mark.parametrize("habit", HABITS)
def test_the_same_weights_give_the_same_channel_map_however_their_features_lie(habit):
    asked, recipe = ["point:3", "act:5"], Recipe(iterations=10)
    expected = make_maps(network(nn.Conv2d(8, 8, 1)), asked, recipe)
    for wanted, saliency in zip(expected, make_maps(HABITS[habit](), asked, recipe), strict=True):
        assert cosine(saliency.map, wanted.map) > 0.999
        assert saliency.scores.channel.deviations == pytest.approx(wanted.scores.channel.deviations, rel=1e-2)


@pytest.mark.parametrize("size", [(16, 16), (16, 24), (24, 16)])
def test_channels_are_not_guessed_from_equal_sides(size):
    """8 channels on 8 × 8, 8 × 12 and 12 × 8 places, first or last, of modules whose kind says nothing."""
    form = InputFormat(size, 3)
    first = classifier(nn.Conv2d(*STEM), Reshape(torch.tanh), mean(2, 3), nn.Linear(8, 4), form=form)
    last = classifier(
        Reshape(lambda x: torch.nn.functional.avg_pool2d(x, 2).permute(0, 2, 3, 1)), Reshape(torch.tanh), mean(1, 2),
        nn.Linear(3, 4), form=form,
    )  # fmt: skip
    assert find_layouts(first)["1"] == Layout(0, 1, False, 1)
    assert find_layouts(last)["1"] == Layout(0, 1, False, 3)
    assert count_channels(last)["1"] == 3


class Mixed(nn.Module):
    """Layers of which nobody can say what is a channel of an image, and some of which one can."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 4)
        self.attention, self.table, self.paired = nn.Identity(), nn.Embedding(5, 8), nn.Identity()
        self.twice = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.twice(self.stem(images)).flatten(2).transpose(1, 2)
        weights = self.attention((tokens @ tokens.transpose(1, 2) / 3).softmax(dim=-1))
        tokens = tokens + weights @ tokens + self.table(torch.zeros(1, dtype=torch.long))
        both = self.paired(tokens.flatten(1)[:, None] + tokens.flatten(1)[None])  # each image with each
        return self.head(self.twice(tokens - 0.5)).mean(1) + 0 * both.mean()


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ("attention", "holds channels"),
        ("table", "does not change"),
        ("paired", "no dimension"),
        ("nowhere", "no layer"),
    ],
)
def test_a_layer_whose_images_or_channels_are_not_certain_is_refused_in_one_line(layer, reason):
    mixed = Classifier(Mixed().eval(), FORMAT, name="theirs")
    with pytest.raises(Exception, match=reason) as caught:
        make_maps(mixed, [f"{layer}:0"], Recipe(iterations=2))
    assert "\n" not in str(caught.value)
    assert "phosphene list layers" in str(caught.value)
    assert layer not in count_channels(mixed)


def test_a_layer_that_runs_twice_is_read_the_last_time_and_says_so():
    mixed = Classifier(Mixed().eval(), FORMAT)
    (saliency,) = make_maps(mixed, ["twice:2"], Recipe(iterations=4))
    assert "repeated-layer" in saliency.checks
    assert count_channels(mixed)["twice"] == 8
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    _, outputs = mixed.forward_with_layers(images, require_layouts(mixed, ["twice"]))
    assert outputs["twice"].shape == (3, 8, 16)  # the second time it runs on tokens
    (once,) = make_maps(mixed, ["stem:2"], Recipe(iterations=4))
    assert "repeated-layer" not in once.checks


@pytest.mark.parametrize("batch_size", [1, 2, 4])
@pytest.mark.parametrize("habit", ["channels last", "sequence first", "windows", "windows, interleaved"])
def test_a_channel_of_many_images_is_that_of_each_of_them(habit, batch_size):
    """More images than go through the module at once: each has its own row, whatever the batch."""
    whole = HABITS[habit]()
    few = whole.replace(batch_size=batch_size)
    images = torch.rand(7, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    asked = Channel("point", (3,), "point:3")
    with torch.no_grad():
        (together,) = read(whole, images, [asked])
        (apart,) = read(few, images, [asked])
    assert together.shape == (7, 8)
    torch.testing.assert_close(apart, together, rtol=1e-3, atol=1e-3)
    assert together.std(dim=0).min() > 0
    layers = few.observe_layers(images, lambda output: output.flatten(1).mean(dim=1), find_layouts(few))
    wanted = whole.observe_layers(images, lambda output: output.flatten(1).mean(dim=1), find_layouts(whole))
    for name, values in layers.items():
        torch.testing.assert_close(values, wanted[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("count", [1, 3, 6])
def test_a_model_that_takes_only_so_many_images_has_the_same_layouts(count):
    whole, fixed = HABITS["windows"](), HABITS["windows"]().replace(fixed_batch=count, batch_size=count)
    expected, layouts = find_layouts(whole), find_layouts(fixed)
    certain = {name for name, one in layouts.items() if isinstance(one, Layout)}
    assert all(layouts[name] == expected[name] for name in certain)
    assert certain == set(expected) if count > 1 else {"stem", "head"} <= certain


def test_unclear_layers_make_no_mask_and_no_scale():
    mixed = Classifier(Mixed().eval(), FORMAT)
    assert isinstance(find_layouts(mixed)["attention"], Unclear)
    assert "attention" not in mixed.observe_layers(torch.rand(1, 3, 16, 16), torch.clone, find_layouts(mixed))
    with pytest.raises(BadInput, match="not certain"):
        measure_scale(mixed, "attention")


def test_windows_of_a_library_are_put_back_to_their_images():
    timm = import_timm()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        small = {
            "img_size": 32,
            "window_size": 4,
            "embed_dim": 16,
            "depths": (2, 1),
            "num_heads": (2, 2),
            "patch_size": 2,
        }
        module = timm.models.swin_transformer.SwinTransformer(num_classes=5, **small).eval()
    layouts = find_layouts(Classifier(module, InputFormat((32, 32))))
    assert layouts["layers.0.blocks.0.attn.qkv"] == Layout(0, 16, False, 2)
    assert layouts["layers.0.blocks.1.mlp.fc1"] in (Layout(0, 1, False, 3), Layout(0, 1, False, 2))
    assert layouts["layers.0.blocks.1"] == Layout(0, 1, False, 3)
    assert isinstance(layouts["layers.0.blocks.0.attn.softmax"], Unclear)
