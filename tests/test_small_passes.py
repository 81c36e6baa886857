"""Passes of fewer images than a full batch have the numbers of a full one, or are not made."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import models
import phosphene
from phosphene.core.cache import Cache
from phosphene.method.backward import change_backward
from phosphene.model import pointwise
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.model.small_passes import CONVOLUTIONS, PLACES, FillUp, choose_size, list_sizes

FULL = 8


class Kernels(TorchFunctionMode):
    """Products of matrices have other last bits for every number of rows, which `rows` notes."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if function not in PLACES:
            return made
        self.rows.append(len(made))
        return made * (1 + 1e-6 * len(made))


class Blocks(TorchFunctionMode):
    """Convolutions of stride 2 have other last bits for fewer than `needed` images, as where kernels work in blocks."""

    def __init__(self, needed: int) -> None:
        super().__init__()
        self.needed, self.counts = needed, []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if function not in CONVOLUTIONS:
            return made
        stride = args[3][0]
        self.counts.append((stride, len(made)))
        return made * (1 + 1e-6 * max(0, self.needed - len(made))) if stride == 2 else made


class Counting(nn.Module):
    """A network of which a part that no linear layer is depends on how many images there are."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.head, self.weight = nn.Linear(3, 4), weight

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images[:, :, 5, 5]) + self.weight * len(images)


def make(module: nn.Module, side: int = 12) -> Classifier:
    torch.manual_seed(0)
    return Classifier(module.eval(), InputFormat((side, side), 3), name="small").replace(batch_size=FULL)


def differentiate(classifier: Classifier, images: Tensor) -> tuple[Tensor, Tensor]:
    images = images.clone().requires_grad_()
    logits = classifier(images)
    (gradient,) = torch.autograd.grad(logits.log_softmax(dim=1)[:, 1].sum(), images)
    return logits.detach(), gradient


def choose(classifier: Classifier, count: int) -> int:
    images = torch.rand(count, *classifier.image_shape).requires_grad_()
    with Kernels():
        return choose_size(classifier.passes, classifier._forward, images, FULL)


def test_linear_layers_alone_do_not_keep_a_pass_from_being_small():
    assert choose(make(Counting(0.0)), 1) == 1
    assert choose(make(Counting(0.0)), 3) == 4


def test_a_network_that_sees_how_many_images_there_are_gets_them_all():
    assert choose(make(Counting(1e-3)), 1) == FULL


def test_passes_without_gradients_are_full_whatever_was_tried():
    classifier = make(Counting(0.0))
    assert choose(classifier, 1) == 1
    with Kernels():
        assert choose_size(classifier.passes, classifier._forward, torch.rand(1, *classifier.image_shape), FULL) == FULL


class TwoHeads(nn.Module):
    """One output of products alone, and one that sees how many images there are."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 4)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        made = self.head(images[:, :, 5, 5])
        return {"a": made, "b": made + 1e-3 * len(images)}


def test_what_was_tried_of_one_output_does_not_hold_for_another():
    module, images = TwoHeads().eval(), torch.rand(FULL, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    one = Classifier(module, InputFormat((12, 12), 3), name="two", output="a").replace(batch_size=FULL)
    other = one.replace(output="b")
    assert one.passes is other.passes
    for classifier in (one, other):
        logits, gradients = differentiate(classifier, images)
        alone = differentiate(classifier, images[:1])
        assert torch.equal(alone[0], logits[:1])
        assert torch.equal(alone[1], gradients[:1])


def test_layers_that_take_another_way_without_gradients_have_the_same_numbers_alone():
    """A transformer's layers are fused there, but not inside a mode."""
    torch.manual_seed(0)

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layer = nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True)
            self.embed, self.layers = (
                nn.Conv2d(3, 16, 4, 4),
                nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
            )
            self.head = nn.Linear(16, 4)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.layers(self.embed(images).flatten(2).transpose(1, 2)).mean(dim=1))

    classifier = make(Tokens())
    images = torch.rand(FULL, *classifier.image_shape, generator=torch.Generator().manual_seed(0))
    for count in (1, 2, 4):
        differentiate(classifier, images[:count])
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled):
            for count in (1, 2, 3, 4):
                assert torch.equal(classifier(images[:count]), classifier(images)[:count])


def make_blocks() -> Classifier:
    """Every number of its convolutions is a single product, the same by any kernel."""

    def convolve(stride: int) -> nn.Module:
        layer = nn.Conv2d(3, 3, 1, stride, groups=3, bias=False)
        layer.weight.data.abs_()
        return layer

    torch.manual_seed(0)
    layers = [convolve(1), nn.ReLU(inplace=True), convolve(2), nn.ReLU(inplace=True), convolve(1)]
    return make(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("needed", [1, 2, 4, FULL])
def test_a_convolution_is_given_as_many_images_as_its_numbers_need_and_others_are_not(needed, layout):
    classifier = make_blocks().replace(channels_last=layout == torch.channels_last)
    images = torch.rand(FULL, *classifier.image_shape, generator=torch.Generator().manual_seed(0))
    with Blocks(needed) as blocks:
        logits, gradients = differentiate(classifier, images)
        differentiate(classifier, images[:1])  # tries
        blocks.counts.clear()
        alone = differentiate(classifier, images[:1])
        assert blocks.counts == [(1, 1), (2, needed), (1, 1)]
    assert torch.equal(alone[0], logits[:1])
    assert torch.equal(alone[1], gradients[:1])


def test_what_one_convolution_needs_is_tried_once():
    classifier, images = make_blocks(), torch.rand(1, 3, 12, 12)
    with Blocks(2) as blocks:
        differentiate(classifier, images)
        tried = len(blocks.counts)
        differentiate(classifier, images)
        assert len(blocks.counts) == tried + 3


@pytest.mark.parametrize("head", ["convolution", "product"])
def test_the_gradient_leaks_alone_as_it_does_among_others(head):
    """An activation in place of a part of a tensor would be recorded as something else."""
    torch.manual_seed(0)
    flat = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    middle = {"convolution": [nn.Conv2d(8, 8, 1, 2), nn.ReLU(inplace=True), *flat],
              "product": [*flat, nn.Linear(8, 8), nn.ReLU(inplace=True)]}[head]  # fmt: skip
    classifier = make(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), *middle, nn.Linear(8, 4)))
    images = torch.rand(FULL, *classifier.image_shape, generator=torch.Generator().manual_seed(0))

    def leak(some: Tensor) -> Tensor:
        some = some.clone().requires_grad_()
        logits = classifier(some)
        assert change_backward(logits, some, 0.5, 1.0)
        (gradient,) = torch.autograd.grad(logits[:, 1].sum(), some)
        return gradient

    with Kernels(), Blocks(4):
        assert torch.equal(leak(images[:1]), leak(images)[:1])


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("name", ["colour_classifier", "grey_classifier", "products", "counting"])
def test_an_image_has_the_same_numbers_alone_and_among_others(name, count):
    made = {"products": lambda: make(Counting(0.0)), "counting": lambda: make(Counting(1e-3))}
    classifier = made[name]() if name in made else getattr(models, name)().replace(batch_size=FULL)
    images = torch.rand(FULL, *classifier.image_shape, generator=torch.Generator().manual_seed(1))
    with Kernels():
        logits, gradients = differentiate(classifier, images)
        for some in (slice(0, count), slice(FULL - count, FULL)):
            alone = differentiate(classifier, images[some])
            assert torch.equal(alone[0], logits[some])
            assert torch.equal(alone[1], gradients[some])


def test_lite0_has_the_same_numbers_alone_and_among_four_at_both_sizes():
    folded = phosphene.load("efficientnet_lite0").fold()
    for classifier in (folded, folded.resize((112, 112))):
        images = torch.rand(4, *classifier.image_shape, generator=torch.Generator().manual_seed(2))
        logits, gradients = differentiate(classifier, images)
        for row in (0, 3):
            alone = differentiate(classifier, images[row : row + 1])
            assert torch.equal(alone[0], logits[row : row + 1])
            assert torch.equal(alone[1], gradients[row : row + 1])


WEIGHT = torch.ones(3, 2)
PRODUCTS = {
    "linear": lambda rows: nn.functional.linear(rows, WEIGHT.T),
    "layer": nn.Linear(3, 2),
    "matmul": lambda rows: rows @ WEIGHT,
    "addmm": lambda rows: torch.addmm(torch.ones(2), rows, WEIGHT),
    "program": lambda rows: torch.ops.aten.mm.default(rows, WEIGHT),
    "program's layer": lambda rows: torch.ops.aten.linear.default(rows, WEIGHT.T),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_matrices_have_all_rows_and_return_those_of_the_images(name):
    rows = torch.rand(2, 3, generator=torch.Generator().manual_seed(0))
    with Kernels() as kernels, FillUp(Cache(), 2, FULL):
        made = PRODUCTS[name](rows)
    assert kernels.rows == [FULL]
    assert torch.allclose(made, PRODUCTS[name](rows), rtol=1e-4)


def test_what_has_no_row_for_each_image_is_left_as_it_is():
    layer = nn.Linear(3, 2)
    with Kernels() as kernels, FillUp(Cache(), 2, FULL):
        assert layer(torch.ones(5, 3)).shape == (5, 2)
        assert layer(torch.ones(2, 5, 3)).shape == (2, 5, 2)
    assert kernels.rows == [5, 2]


def test_sizes_are_powers_of_two_up_to_half_of_a_batch():
    assert list_sizes(1, 4) == [1, 2]
    assert list_sizes(3, 4) == []
    assert list_sizes(3, 32) == [4, 8, 16]
    assert list_sizes(1, 1) == []


def test_a_convolution_of_one_small_image_asks_for_the_kernel_of_many_and_has_its_numbers():
    torch.manual_seed(3)
    layers = [nn.Conv2d(3, 24, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(24, 48, 1), nn.ReLU(inplace=True)]
    classifier = make(nn.Sequential(*layers, nn.Conv2d(48, 8, 1, bias=False), nn.Flatten(2), Mean(), nn.Linear(8, 4)))
    images = torch.rand(FULL, *classifier.image_shape, generator=torch.Generator().manual_seed(4))
    logits, gradients = differentiate(classifier, images)
    for row in (0, FULL - 1):
        alone = differentiate(classifier, images[row : row + 1])
        assert torch.equal(alone[0], logits[row : row + 1])
        assert torch.equal(alone[1], gradients[row : row + 1])


class Mean(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        return rows.mean(dim=2)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_kernel_of_many_computes_a_convolution_and_its_gradient(layout):
    generator = torch.Generator().manual_seed(0)
    images, weight, bias = (torch.rand(shape, generator=generator) for shape in ((1, 6, 5, 7), (9, 6, 1, 1), (9,)))
    images = images.contiguous(memory_format=layout).requires_grad_()
    made, expected = pointwise.convolve(Cache(), images, weight, bias), nn.functional.conv2d(images, weight, bias)
    torch.testing.assert_close(made, expected)
    push = torch.rand(made.shape, generator=generator)
    torch.testing.assert_close(*(torch.autograd.grad((one * push).sum(), images)[0] for one in (made, expected)))


def test_weights_that_were_changed_are_turned_anew():
    known, images = Cache(), torch.ones(1, 2, 3, 3, requires_grad=True)
    weight = nn.Parameter(torch.ones(4, 2, 1, 1), requires_grad=False)
    for value in (1.0, 2.0):
        weight.fill_(value)
        made = pointwise.convolve(known, images, weight, None)
        (gradient,) = torch.autograd.grad(made.sum(), images)
        assert torch.equal(gradient, torch.full_like(images, 4 * value))


def test_weights_that_a_network_computes_in_each_pass_do_not_pile_up():
    known, images = Cache(), torch.ones(1, 2, 3, 3, requires_grad=True)
    for value in (1.0, 2.0, 3.0):
        made = pointwise.convolve(known, images, torch.full((4, 2, 1, 1), value), None)
        (gradient,) = torch.autograd.grad(made.sum(), images)
        assert torch.equal(gradient, torch.full_like(images, 4 * value))
    assert not known._values


LEFT = {
    "of three pixels": (torch.ones(4, 2, 3, 3), None),
    "in groups": (torch.ones(4, 1, 1, 1), None),
    "that learns": (torch.ones(4, 2, 1, 1, requires_grad=True), None),
    "with a bias that learns": (torch.ones(4, 2, 1, 1), torch.ones(4, requires_grad=True)),
    "of half precision": (torch.ones(4, 2, 1, 1, dtype=torch.bfloat16), None),
}


@pytest.mark.parametrize("name", LEFT)
def test_another_convolution_is_left_as_it_is(name):
    weight, bias = LEFT[name]
    assert pointwise.find_parameters((torch.ones(1, 2, 3, 3), weight), {"bias": bias}) is None
