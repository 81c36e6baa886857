"""The changed backward pass: its formula beside modules that have it built in, for every activation and kind of block."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import phosphene
from phosphene.errors import BadInput
from phosphene.method.backward import ACTIVATIONS, DEPTH, change_backward
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.recipe.recipe import PRESETS, Recipe

KINDS = {
    "ReluBackward0": nn.ReLU(),
    "HardtanhBackward0": nn.ReLU6(),
    "LeakyReluBackward0": nn.LeakyReLU(0.2),
    "ThresholdBackward0": nn.Threshold(0.1, 0.0),
    "ClampMinBackward0": lambda x: x.clamp(min=0),
    "ClampBackward1": lambda x: x.clamp(0, 6),
    "PreluKernelBackward0": nn.PReLU(3),
    "EluBackward0": nn.ELU(),
    "SiluBackward0": nn.SiLU(),
    "GeluBackward0": nn.GELU(),
    "HardswishBackward0": nn.Hardswish(),
    "MishBackward0": nn.Mish(),
    "SoftplusBackward0": nn.Softplus(),
}


class Leaky(torch.autograd.Function):
    """The identity whose gradient is mixed into that of an activation beside it."""

    @staticmethod
    def forward(context, inputs, outputs, leak):
        context.leak = leak
        return outputs.view_as(outputs)

    @staticmethod
    def backward(context, gradient):
        return context.leak * gradient, (1 - context.leak) * gradient, None


class Weakened(torch.autograd.Function):
    @staticmethod
    def forward(context, branch, share):
        context.share = share
        return branch.view_as(branch)

    @staticmethod
    def backward(context, gradient):
        return context.share * gradient, None


class Block(nn.Module):
    """A residual block of one activation; with `leak` and `share` its backward pass is changed by construction."""

    def __init__(self, activation, leak=0.0, share=1.0):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.weights = [torch.randn(3, 3, 3, 3, generator=generator) / 3 for _ in range(3)]
        self.activation, self.leak, self.share = activation, leak, share

    def activate(self, inputs):
        outputs = self.activation(inputs)
        return Leaky.apply(inputs, outputs, self.leak) if self.leak else outputs

    def forward(self, images):
        stem = self.activate(F.conv2d(images, self.weights[0], padding=1))
        branch = F.conv2d(self.activate(F.conv2d(stem, self.weights[1], padding=1)), self.weights[2], padding=1)
        return stem + (branch if self.share == 1 else Weakened.apply(branch, self.share))


def draw_images(seed=0):
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def differentiate(network, leak=0.0, residual=1.0, compose=torch.tanh):
    maps = draw_images().requires_grad_()
    images = compose(maps)
    outputs = network(images)
    change_backward(outputs, images, leak, residual)
    outputs = outputs * torch.linspace(-1, 1, outputs.numel()).view_as(outputs)
    (gradient,) = torch.autograd.grad(outputs.sum(), maps)
    return gradient


def test_every_activation_has_a_module_here():
    assert set(KINDS) == ACTIVATIONS


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_a_leak_is_what_a_leaking_module_has(name):
    changed, built_in = differentiate(Block(KINDS[name]), leak=0.3), differentiate(Block(KINDS[name], leak=0.3))
    torch.testing.assert_close(changed, built_in, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(changed, differentiate(Block(KINDS[name])), rtol=1e-2)


def test_a_weakened_branch_is_what_a_weakening_module_has():
    changed, built_in = differentiate(Block(nn.ReLU()), residual=0.4), differentiate(Block(nn.ReLU(), share=0.4))
    torch.testing.assert_close(changed, built_in, rtol=1e-6, atol=1e-7)


def test_both_together():
    changed = differentiate(Block(nn.SiLU()), leak=0.2, residual=0.5)
    torch.testing.assert_close(changed, differentiate(Block(nn.SiLU(), 0.2, 0.5)), rtol=1e-5, atol=1e-6)


def test_no_leak_and_whole_branches_change_no_bit():
    assert torch.equal(differentiate(Block(nn.ReLU())), differentiate(Block(nn.ReLU()), 0.0, 1.0))


def test_a_dead_unit_is_reached_by_the_leak_alone():
    def dead(images):
        return torch.relu(images - 10)

    assert differentiate(dead).abs().max() == 0
    weights = torch.linspace(-1, 1, 2 * 3 * 64).view(2, 3, 8, 8)
    torch.testing.assert_close(differentiate(dead, leak=0.25, compose=torch.clone), 0.25 * weights)


def test_what_composes_the_image_does_not_leak():
    """A clipped image has no gradient where it is clipped, whatever the network lets through."""
    gradient = differentiate(Block(nn.ReLU()), leak=0.5, compose=lambda maps: (9 * maps).clamp(0, 1))
    outside = (9 * draw_images() < 0) | (9 * draw_images() > 1)
    assert gradient[outside].abs().max() == 0


def _scale(branch):
    return 3.0 * branch


BLOCKS = {
    "branch first": lambda x: _scale(x) + x,
    "branch last": lambda x: x + _scale(x),
    "in place": lambda x: x.clone().add_(_scale(x)),
    "shortcut reshaped": lambda x: x.flatten(1).view(x.shape) + _scale(x),
    "shortcut turned": lambda x: x.transpose(2, 3).transpose(2, 3) + _scale(x),
}
NO_BLOCKS = {
    "two branches": lambda x: x.sin() + _scale(x),
    "a constant": lambda x: _scale(x) + 5 * torch.ones_like(x),
}


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_a_branch_is_found_however_the_block_is_written(name):
    def network(images):
        return BLOCKS[name](images.cos())

    whole, half = differentiate(network), differentiate(network, residual=0.5)
    torch.testing.assert_close(half, whole * (1 + 0.5 * 3) / (1 + 3))


@pytest.mark.parametrize("name", sorted(NO_BLOCKS))
def test_what_is_no_residual_block_is_left_alone(name):
    def network(images):
        return NO_BLOCKS[name](images.cos())

    assert torch.equal(differentiate(network), differentiate(network, residual=0.5))


def test_blocks_in_a_row_each_pass_their_share():
    def network(images):
        first = images.cos()
        second = first + _scale(first)
        return second + _scale(second)

    torch.testing.assert_close(differentiate(network, residual=0.5), differentiate(network) * (2.5 / 4) ** 2)


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.branch = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Linear(6, 4)
        self.requires_grad_(False)

    def forward(self, images):
        features = torch.relu(self.stem(images))
        features = features + F.relu6(self.branch(features))
        return self.head(features.mean(dim=(2, 3)))


@pytest.mark.parametrize("form", ["traced", "scripted", "exported"])
def test_programs_have_the_gradient_of_their_module(form):
    module = Small().eval()
    program = {
        "traced": lambda: torch.jit.trace(module, draw_images()),
        "scripted": lambda: torch.jit.script(module),
        "exported": lambda: torch.export.export(module, (draw_images(),)).module(),
    }[form]()
    classifier, form = (Classifier(one, InputFormat((8, 8)), name=str(one is program)) for one in (program, module))
    expected = differentiate(form, 0.2, 0.5)
    for _ in range(6):  # TorchScript optimises a program after the first runs
        torch.testing.assert_close(differentiate(classifier, 0.2, 0.5), expected, rtol=1e-5, atol=1e-7)


def test_a_recipe_of_before_has_the_gradient_as_it_is():
    record = PRESETS["default"].to_json()
    del record["leak"], record["residual"]
    assert (Recipe.from_json(record).leak, Recipe.from_json(record).residual) == (0.0, 1.0)


@pytest.mark.parametrize(("slot", "value"), [("leak", -0.1), ("leak", 1.5), ("residual", 2.0)])
def test_shares_outside_of_0_and_1_are_refused(slot, value):
    with pytest.raises(BadInput, match=rf"{slot} is {value}; expected a share between 0 and 1"):
        Recipe(**{slot: value})


def test_the_map_depends_on_the_leak(colour):
    recipe = replace(PRESETS["default"], iterations=30, restarts=1)
    one, other = (phosphene.make_maps(colour, ["1"], replace(recipe, leak=leak))[0].map for leak in (0.0, 0.2))
    assert not torch.allclose(one, other, atol=0.1)


def test_deep_networks_leak_less_at_each_activation():
    """Of all the leaks only the first one changes anything: behind it nothing is negative. A second call counts once."""

    def network(depth):
        def run(images):
            for _ in range(depth):
                images = torch.relu(images) + 1
            return images

        return run

    def leaked(depth):
        images = draw_images().requires_grad_()
        shown = images.clone()
        outputs = torch.cat([network(depth)(some) for some in shown.split(1)])
        change_backward(outputs, shown, 0.2, 1.0)
        return torch.autograd.grad(outputs.sum(), images)[0].min()

    assert leaked(1).item() == pytest.approx(0.2)
    assert leaked(DEPTH).item() == pytest.approx(0.2)
    assert leaked(4 * DEPTH).item() == pytest.approx(0.1)


def differentiate_length(weight, remove):
    """The squared length of a leaking gradient, and its gradient by the first weights where hooks are removed or not."""
    block = Block(nn.SiLU())
    block.weights = [weight.clone().requires_grad_(), *block.weights[1:]]
    images = draw_images().requires_grad_()
    shown = images.clone()
    outputs = block(shown)
    hooks = change_backward(outputs, shown, 0.3, 1.0)
    (gradient,) = torch.autograd.grad(outputs.square().sum(), images, create_graph=True)
    length = gradient.square().sum()
    for hook in hooks if remove else []:
        hook.remove()
    return length.item(), torch.autograd.grad(length, block.weights[0])[0]


def test_a_gradient_can_be_differentiated_once_more():
    start = Block(nn.SiLU()).weights[0]
    direction = torch.randn(start.shape, generator=torch.Generator().manual_seed(1))
    above, below = (differentiate_length(start + sign * 1e-3 * direction, True)[0] for sign in (1, -1))
    slope = (above - below) / 2e-3
    assert (differentiate_length(start, True)[1] * direction).sum().item() == pytest.approx(slope, rel=0.02)
    assert (differentiate_length(start, False)[1] * direction).sum().item() != pytest.approx(slope, rel=0.05)
