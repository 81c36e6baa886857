"""Somebody's model made safe: what is refused, what is restored, and that folding changes nothing but time."""

from __future__ import annotations

import copy
from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from models import ConvNet, Linear, colour_classifier, colour_net, grey_classifier
from phosphene.errors import BadInput, FailedCheck, OtherRecipe
from phosphene.model.checks import CHECKS
from phosphene.model.classifier import FOLDING_TOLERANCE, Classifier, InputFormat, fingerprint
from phosphene.model.folding import fold_batch_norms
from phosphene.model.freezing import frozen
from phosphene.model.layout_search import require_layouts
from phosphene.model.outputs import OUTPUTS, is_top, probability
from phosphene.recipe.concepts import Classes
from phosphene.recipe.recipe import Recipe
from phosphene.runs.make import make_maps

FORMAT = InputFormat((32, 32), 3, (0.5,), (0.25,))


def images(count: int = 4, shape: tuple[int, int, int] = (3, 32, 32), seed: int = 1) -> torch.Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))


def logits(classifier: Classifier, batch: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return classifier(batch)


class Wrapped(nn.Module):
    """A module whose output is `change(net(images))`."""

    def __init__(self, change) -> None:
        super().__init__()
        self.net, self.change = colour_net(), change

    def forward(self, pixels: torch.Tensor):
        return self.change(self.net(pixels))


# What goes in and comes out ---------------------------------------------------------------------------------------


def test_normalisation_happens_inside(colour):
    plain = colour_net().eval()
    torch.testing.assert_close(logits(colour, images()), plain((images() - 0.5) / 0.25))


def test_each_channel_has_its_own_mean_and_deviation():
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    classifier = Classifier(colour_net(), InputFormat((32, 32), 3, mean, std))
    normalised = torch.stack([(images()[:, c] - mean[c]) / std[c] for c in range(3)], dim=1)
    torch.testing.assert_close(logits(classifier, images()), classifier.module.eval()(normalised))


@pytest.mark.parametrize("make", [colour_classifier, grey_classifier])
def test_the_logits_of_an_image_do_not_depend_on_its_batch(make):
    """To the last bit, for an estimate amplifies it; within one pass and across several."""
    classifier = make().fold()
    batch = images(classifier.batch_size + 3, classifier.image_shape)
    together = logits(classifier, batch)
    for start, end in ((0, 1), (0, 3), (2, 9), (5, len(batch)), (len(batch) - 1, len(batch))):
        assert torch.equal(logits(classifier, batch[start:end]), together[start:end])


def test_calling_a_classifier_is_inference_whatever_mode_its_module_is_in():
    """Modules are built in training mode; a call must neither normalise by the batch nor learn from it."""
    training, inferring = colour_classifier(), colour_classifier()
    training.module.train()
    inferring.module.eval()
    before = training.module.stem_norm.running_mean.clone()
    torch.testing.assert_close(training(images()), inferring(images()))
    assert torch.equal(training.module.stem_norm.running_mean, before)
    assert training.module.training


@pytest.mark.parametrize(
    "change",
    [
        lambda z: {"logits": z, "hidden": None},
        lambda z: OrderedDict(logits=z),
        lambda z: SimpleNamespace(logits=z, loss=None),
        lambda z: (z,),
        lambda z: [z],
        lambda z: z.double(),
    ],
    ids=["dict", "ordered dict", "object", "tuple", "list", "float64"],
)
def test_what_libraries_return_is_understood(colour, change):
    wrapped = Classifier(Wrapped(change), FORMAT)
    assert logits(wrapped, images()).dtype == torch.float32
    torch.testing.assert_close(logits(wrapped, images()), logits(colour, images()))


def test_a_hugging_face_output_is_understood(colour):
    from transformers import modeling_outputs as outputs

    wrapped = Classifier(Wrapped(lambda z: outputs.ImageClassifierOutput(logits=z)), FORMAT)
    torch.testing.assert_close(logits(wrapped, images()), logits(colour, images()))


def test_a_model_without_parameters_is_a_classifier():
    class Corners(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return 2 * pixels[:, 0, ::31, ::31].flatten(1) - 1

    assert Classifier(Corners(), FORMAT).labels == ("0", "1", "2", "3")


# Checks -----------------------------------------------------------------------------------------------------------


class Restless(ConvNet):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(super().forward(pixels), training=True)


def broken(value: float) -> ConvNet:
    module = colour_net()
    module.head.bias.data[0] = value
    return module


def dead() -> ConvNet:
    module = colour_net()
    module.stem.weight.data.zero_()
    return module


def normed_by_the_batch() -> nn.Module:
    net = colour_net()
    net.stem_norm = nn.BatchNorm2d(8, track_running_stats=False)
    return net


class NeedsMore(nn.Module):
    def forward(self, images: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return images * mask


class ByKeyword(ConvNet):
    def __init__(self) -> None:
        super().__init__(3, 20)

    def forward(self, *, pixel_values: torch.Tensor) -> torch.Tensor:
        return super().forward(pixel_values)


FATAL = {
    "ambiguous-outputs": [
        lambda: nn.Sequential(colour_net(), nn.Sigmoid()), lambda: ConvNet(3, 1), lambda: Wrapped(lambda z: z[:, 0]),
        lambda: Wrapped(lambda z: z[:, :3].sigmoid()), lambda: Wrapped(lambda z: z.softmax(dim=1)[:, :2]),
    ],
    "not-finite": [lambda: broken(float("nan")), lambda: broken(float("inf"))],
    "zero-gradient": [
        dead, lambda: Wrapped(torch.detach), lambda: Wrapped(lambda z: z.round()), lambda: Wrapped(lambda z: 0 * z),
    ],
    "not-finite-gradient": [lambda: Wrapped(lambda z: z + ((z - z) ** 2).sum(1, keepdim=True).sqrt()), lambda: Wrapped(
        lambda z: torch.where(z > 1e9, z.sub(1e9).sqrt(), z)
    )],
    "depends-on-batch": [
        lambda: normed_by_the_batch(), lambda: Wrapped(lambda z: z - z.mean(0)), lambda: Wrapped(lambda z: z.cumsum(0)),
    ],
    "random-outputs": [lambda: Restless(3, 20)],
    "no-weights": [lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten()), lambda: colour_net().to("meta")],
    "wrong-call": [NeedsMore, ByKeyword],
    "wrong-input": [lambda: ConvNet(1, 10), lambda: ConvNet(4, 10), lambda: Linear(torch.ones(4, 3, 31, 32))],
    "wrong-output": [
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3)), lambda: Wrapped(lambda z: z[0]),
        lambda: Wrapped(lambda z: (z, z[:, :3])), lambda: Wrapped(lambda z: {"features": z, "out": z}),
        lambda: Wrapped(lambda z: z.sum()),
        lambda: Wrapped(lambda z: {"boxes": z}), lambda: Wrapped(lambda z: None), lambda: Wrapped(lambda z: "cat"),
        lambda: Wrapped(lambda z: ()),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("check", "build"), [(check, build) for check, builds in FATAL.items() for build in builds],
    ids=[f"{check}-{k}" for check, builds in FATAL.items() for k in range(len(builds))],
)  # fmt: skip
def test_a_model_that_violates_a_check_is_refused_by_it(check, build):
    with pytest.raises(FailedCheck) as caught:
        Classifier(build(), FORMAT, name="theirs")
    assert caught.value.check == check
    assert CHECKS[check].remedy in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_of_another_model_are_refused():
    for labels in (["cat"] * 19, ["cat"] * 21, []):
        with pytest.raises(FailedCheck, match=rf"20 outputs but {len(labels)} labels"):
            Classifier(colour_net(), FORMAT, labels=labels)


def test_every_fatal_check_has_a_model_that_violates_it():
    assert {name for name, check in CHECKS.items() if check.fatal} == {*FATAL, "labels-mismatch"}


def test_every_check_says_when_it_is_raised_what_it_means_and_what_to_try():
    for name, check in CHECKS.items():
        assert check.name == name
        assert min(len(check.raised_if), len(check.means), len(check.remedy)) > 10


def test_logits_that_happen_to_be_positive_are_not_taken_for_probabilities():
    Classifier(Wrapped(lambda z: z.exp()), FORMAT)
    Classifier(Wrapped(lambda z: z.log_softmax(dim=1)), FORMAT)


def test_a_refused_model_is_left_as_it_was():
    module = nn.Sequential(colour_net(), nn.Sigmoid()).train()
    with pytest.raises(FailedCheck):
        Classifier(module, FORMAT)
    assert all(part.training for part in module.modules())
    assert all(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize(
    "given",
    [
        {"size": (0, 4)},
        {"size": (4, -1)},
        {"channels": 0},
        {"mean": (0.5, 0.5)},
        {"mean": ()},
        {"std": (1, 1)},
        {"std": (0.0,)},
        {"std": (-1.0,)},
    ],
    ids=str,
)
def test_an_impossible_input_format_is_refused(given):
    with pytest.raises(BadInput):
        InputFormat(**{"size": (4, 4), "channels": 3, **given})


# Frozen -----------------------------------------------------------------------------------------------------------


def test_frozen_restores_every_flag_even_when_an_exception_is_raised_inside(colour):
    module = colour.module
    module.train()
    module.body_norm.eval()
    module.head.weight.requires_grad_(False)
    training = {name: part.training for name, part in module.named_modules()}
    trainable = {name: parameter.requires_grad for name, parameter in module.named_parameters()}
    with pytest.raises(KeyboardInterrupt), frozen(colour.module):
        assert not any(part.training for part in module.modules())
        assert not any(parameter.requires_grad for parameter in module.parameters())
        raise KeyboardInterrupt
    assert {name: part.training for name, part in module.named_modules()} == training
    assert {name: parameter.requires_grad for name, parameter in module.named_parameters()} == trainable


def test_frozen_may_be_nested(colour):
    colour.module.train()
    with frozen(colour.module):
        with frozen(colour.module):
            pass
        assert not colour.module.training
        assert not any(parameter.requires_grad for parameter in colour.module.parameters())
    assert colour.module.training
    assert all(parameter.requires_grad for parameter in colour.module.parameters())


# Fingerprint ------------------------------------------------------------------------------------------------------


def test_the_fingerprint_is_of_the_weights_and_of_nothing_else():
    first = colour_classifier().fingerprint
    module = colour_net().train()
    module.stem.weight.requires_grad_(False)
    module.to(memory_format=torch.channels_last)
    assert Classifier(module, FORMAT, name="other").fingerprint == first
    assert colour_classifier().fold().fingerprint == first


@pytest.mark.parametrize("name", sorted(colour_net().state_dict()))
def test_the_fingerprint_changes_with_any_weight(name):
    state = colour_net().state_dict()
    before = fingerprint(state)
    changed = state[name].clone().flatten()
    changed[-1] += 1
    assert fingerprint(state | {name: changed.view(state[name].shape)}) != before


def test_the_fingerprint_changes_with_names_shapes_and_types():
    state = {"a": torch.zeros(2, 3), "b": torch.ones(4)}
    others = [
        {"a": state["b"], "b": state["a"]},
        {"a": state["a"], "c": state["b"]},
        {"a": state["a"].view(3, 2), "b": state["b"]},
        {"a": state["a"].int(), "b": state["b"]},
        {"a": state["a"]},
        {**state, "c": torch.zeros(0)},
    ]
    assert len({fingerprint(each) for each in [state, *others]}) == 7
    assert fingerprint(dict(reversed(state.items()))) == fingerprint(state)


# Folding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [colour_classifier, grey_classifier])
def test_folding_keeps_the_logits_of_a_small_net(make):
    classifier = make()
    folded, batch = classifier.fold(), images(4, classifier.image_shape)
    assert folded.checks == ()
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.module.modules())
    torch.testing.assert_close(logits(folded, batch), logits(classifier, batch), rtol=0, atol=FOLDING_TOLERANCE)


def test_folding_keeps_the_logits_of_lite0(lite0):
    folded = lite0.fold()
    batch = images(2, lite0.image_shape)
    assert folded.checks == ()
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.module.modules())
    torch.testing.assert_close(logits(folded, batch), logits(lite0, batch), rtol=0, atol=FOLDING_TOLERANCE)


def test_folding_leaves_the_users_model_alone(colour):
    before = copy.deepcopy(colour.module.state_dict())
    colour.module.train()
    colour.fold()
    assert colour.module.training
    assert isinstance(colour.module.stem_norm, nn.BatchNorm2d)
    assert all(torch.equal(tensor, before[name]) for name, tensor in colour.module.state_dict().items())


class Shared(nn.Module):
    """One convolution in front of two norms, and one norm behind two convolutions: nothing here may be folded."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.other = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(3) for _ in range(3))
        for k, norm in enumerate(self.norms):
            norm.running_mean.fill_(k + 1.0)
            norm.running_var.fill_(k + 2.0)
        self.head = nn.Linear(3, 4)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        shared = self.norms[1](self.norms[0](self.conv(pixels)) + self.conv(pixels.flip(1)))
        twice = self.norms[2](self.other(shared)) + self.norms[2](shared)
        return self.head(twice.mean(dim=(2, 3)))


def test_folding_refuses_shared_layers():
    module = Shared().eval()
    assert fold_batch_norms(copy.deepcopy(module), images(1)) == 0
    classifier = Classifier(module, FORMAT)
    folded = classifier.fold()
    assert sum(isinstance(part, nn.BatchNorm2d) for part in folded.module.modules()) == 3
    torch.testing.assert_close(logits(folded, images()), logits(classifier, images()))


def test_a_model_that_folding_would_change_runs_unfolded_and_says_so():
    class Tapped(ConvNet):
        """The convolution's own output is used beside the normalised one."""

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            raw = self.stem(pixels)
            features = self.body_norm(self.body(self.stem_norm(raw) + raw))
            return self.head(features.mean(dim=(2, 3)))

    classifier = Classifier(Tapped(3, 20), FORMAT)
    folded = classifier.fold()
    assert folded.checks == ("not-folded",)
    torch.testing.assert_close(logits(folded, images()), logits(classifier, images()), rtol=0, atol=FOLDING_TOLERANCE)


# Observing --------------------------------------------------------------------------------------------------------


def hooks(module: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules())


def test_observing_gives_each_layers_output_in_order_and_removes_its_hooks(colour):
    seen = colour.observe_layers(images(3), lambda output: output.flatten(1)[:, 0])
    assert list(seen) == ["stem", "stem_norm", "body", "body_norm", "head"]
    assert all(values.shape == (3,) for values in seen.values())
    assert hooks(colour.module) == 0
    assert list(colour.observe_layers(images(1), lambda output: output if output.ndim == 2 else None)) == ["head"]


def test_hooks_are_removed_when_observing_or_folding_breaks_off(colour):
    def breaks(output: torch.Tensor) -> torch.Tensor:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        colour.observe_layers(images(1), breaks)
    with pytest.raises(RuntimeError):
        fold_batch_norms(colour.module, images(1, (4, 32, 32)))
    assert hooks(colour.module) == 0


# A channel is that of the user's own layer -------------------------------------------------------------------------


def block(behind: nn.Module, seed: int = 0) -> Classifier:
    """A convolution that is asked for, and something behind it that may change its output in place or be folded."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Conv2d(3, 8, 5, padding=2), behind, nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
                  nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 4)]  # fmt: skip
        return Classifier(nn.Sequential(*layers).eval(), FORMAT)


def negative_norm(inplace: bool) -> nn.Module:
    norm = nn.BatchNorm2d(8)
    norm.weight.data.fill_(-1.0)
    return nn.Sequential(norm, nn.ReLU(inplace)).eval()


class Doubled(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features.mul_(2.0)


BEHIND = {
    "a ReLU": (lambda: nn.ReLU(), lambda: nn.ReLU(inplace=True)),
    "a leaky ReLU": (lambda: nn.LeakyReLU(), lambda: nn.LeakyReLU(inplace=True)),
    "a dropout": (lambda: nn.Dropout(), lambda: nn.Dropout(inplace=True)),
    "a batch norm": (lambda: negative_norm(False), lambda: negative_norm(True)),
}


@pytest.mark.parametrize("behind", BEHIND)
def test_the_same_weights_give_the_same_channel_map_whatever_the_modules_habits(behind):
    maps = [make_maps(block(make()), ["0:3"], Recipe(iterations=10))[0].map for make in BEHIND[behind]]
    assert torch.equal(*maps)


@pytest.mark.parametrize("behind", [lambda: negative_norm(False), lambda: nn.ReLU(inplace=True), Doubled])
def test_a_map_of_a_channel_raises_that_very_channel(behind):
    classifier = block(behind())
    convolution = classifier.module[0]
    for saliency in make_maps(classifier, ["0:0", "0:5"], Recipe(iterations=40)):
        pictures = torch.stack([torch.full_like(saliency.raw_picture, 0.5), saliency.raw_picture])
        with torch.no_grad():
            before, after = convolution(classifier.normalize(pictures))[:, saliency.scores.channel.channels[0]].mean(
                (1, 2)
            )
        assert after > before


# Modules as people have them ---------------------------------------------------------------------------------------


class LeNet(nn.Module):
    """The tutorial's: `view` needs channels that lie first in memory."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(channels, 6, 5), nn.Conv2d(6, 16, 5), nn.Linear(400, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = F.max_pool2d(self.second(F.max_pool2d(self.first(images).relu(), 2)).relu(), 2)
        return self.head(features.view(-1, 400))


class Silent(nn.Module):
    """Refuses images of any size but its own, with an assertion that has no message."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[-1] != 224:
            raise AssertionError
        return images


def seeded_module(build) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build().eval()


HABITS = {
    "view": (LeNet, {"not-channels-last"}),
    "view of grey images": (lambda: LeNet(1), {"not-channels-last"}),
    "half": (lambda: colour_net().half(), {"not-folded"}),
    "bfloat16": (lambda: colour_net().bfloat16(), {"not-folded"}),
    "double": (lambda: colour_net().double(), set()),
    "scripted": (lambda: torch.jit.script(LeNet()), {"not-channels-last", "no-layers"}),
    "frozen": (lambda: torch.jit.freeze(torch.jit.script(colour_net().eval())), {"no-layers"}),
    "weight norm": (
        lambda: nn.Sequential(weight_norm(nn.Conv2d(3, 8, 3)), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(7200, 4)),
        {"not-folded"},
    ),
    "spectral norm": (
        lambda: nn.Sequential(spectral_norm(nn.Conv2d(3, 8, 3)), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(7200, 4)),
        {"not-folded"},
    ),
}


@pytest.mark.parametrize("habit", HABITS)
def test_a_module_is_taken_as_it_is_and_what_it_does_not_take_is_said(habit):
    build, said = HABITS[habit]
    module = seeded_module(build)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    channels = module.first.in_channels if isinstance(module, LeNet) else 3
    classifier = Classifier(module, InputFormat((32, 32), channels))
    (saliency,) = make_maps(classifier, ["1"], Recipe(iterations=6))
    assert saliency.map.isfinite().all()
    assert saliency.map.any()
    assert set(saliency.checks) & {"not-channels-last", "not-folded", "no-layers"} == said
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


class Raises(nn.Module):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [AssertionError(), KeyError("pixel_values"), TypeError("two\nlines"), IndexError("list index"), StopIteration(),
     NotImplementedError(), ZeroDivisionError(), SystemExit(0)],
    ids=repr,
)  # fmt: skip
def test_what_a_module_raises_is_one_line_in_its_own_words(error):
    with pytest.raises(FailedCheck, match=rf"refuses images .*{type(error).__name__}") as caught:
        Classifier(Raises(error), FORMAT, name="theirs")
    assert "\n" not in str(caught.value)


class ForOne(ConvNet):
    """As exported with one image: it refuses several."""

    def __init__(self) -> None:
        super().__init__(3, 20)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert len(images) == 1
        return super().forward(images)


class FlattensAll(nn.Module):
    """As traced with one image: several become one row."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.head = nn.Conv2d(3, 4, 3, stride=2), nn.Linear(4 * 15 * 15, 7)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.convolution(images).reshape(1, -1))


def exported(batch: int) -> nn.Module:
    return torch.export.export(colour_net().eval(), (torch.rand(batch, 3, 32, 32),)).module()


@pytest.mark.parametrize(
    ("build", "count"),
    [(lambda: ForOne().eval(), 1), (FlattensAll, 1), (lambda: torch.jit.trace(FlattensAll(), torch.rand(1, 3, 32, 32)), 1),
     (lambda: exported(1), 1), (lambda: exported(8), 8)],
    ids=["an assertion", "flattened", "traced", "exported for one", "exported for eight"],
)  # fmt: skip
def test_a_module_of_a_fixed_batch_answers_each_image_as_if_alone(build, count):
    module = build()
    classifier = Classifier(module, FORMAT)
    assert classifier.fixed_batch == count
    assert "fixed-batch" in classifier.checks
    some = images(11)
    padded = [torch.cat([image[None], image[None].expand(count - 1, -1, -1, -1)]) for image in some]
    with torch.no_grad():
        expected = torch.cat([module(classifier.normalize(one).contiguous())[:1] for one in padded])
    torch.testing.assert_close(logits(classifier, some), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("count", [1, 8])
def test_layers_of_a_fixed_batch_are_those_of_each_image(colour, count):
    one = Classifier(ForOne(), FORMAT).replace(fixed_batch=count) if count == 1 else colour.replace(fixed_batch=count)
    some = images(11)
    summaries = [each.observe_layers(some, lambda output: output.flatten(1).mean(1))["body"] for each in (one, colour)]
    torch.testing.assert_close(*summaries, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        layers = [each.forward_with_layers(some, require_layouts(each, ["body"]))[1]["body"] for each in (one, colour)]
    torch.testing.assert_close(*layers, rtol=1e-4, atol=1e-4)


def quantised() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(colour_net().eval(), {nn.Linear}, dtype=torch.qint8)


def test_an_8_bit_model_answers_as_it_does_and_has_the_gradients_of_its_weights():
    module = quantised()
    classifier = Classifier(module, FORMAT)
    some = images(3)
    with torch.no_grad():
        expected = torch.cat([module(classifier.normalize(image[None])) for image in some])
    torch.testing.assert_close(classifier(some).detach(), expected)
    some.requires_grad_()
    (slope,) = torch.autograd.grad(classifier(some)[:, 3].sum(), some)
    (smooth,) = torch.autograd.grad(Classifier(colour_net(), FORMAT)(some)[:, 3].sum(), some)
    assert torch.nn.functional.cosine_similarity(slope.flatten(), smooth.flatten(), dim=0) > 0.99
    assert classifier.fingerprint == Classifier(quantised(), FORMAT).fingerprint


@pytest.mark.parametrize(
    "wrap", [lambda net: torch.compile(net, backend="eager"), nn.DataParallel], ids=["compiled", "parallel"]
)
def test_a_wrapper_that_changes_nothing_is_looked_through(colour, wrap):
    wrapped = Classifier(wrap(colour_net()), FORMAT)
    assert wrapped.fingerprint == colour.fingerprint
    one, other = (make_maps(each, ["body:3"], Recipe(iterations=4))[0].map for each in (wrapped, colour))
    assert torch.equal(one, other)


class TrainsNothing(ConvNet):
    """Its `train` leaves all as it is, so that `eval` would, too."""

    def __init__(self) -> None:
        super().__init__(3, 20)

    def train(self, mode: bool = True) -> TrainsNothing:
        return self


class TrainsItself(TrainsNothing):
    def train(self) -> None:
        raise AssertionError("a training loop")


@pytest.mark.parametrize("build", [TrainsNothing, TrainsItself])
def test_an_overridden_train_cannot_leave_a_module_in_training_mode(colour, build):
    module = build()
    before = module.stem_norm.running_mean.clone()
    torch.testing.assert_close(logits(Classifier(module, FORMAT), images()), logits(colour, images()))
    assert torch.equal(module.stem_norm.running_mean, before)
    assert module.training


class FiveDimensions(ConvNet):
    def __init__(self) -> None:
        super().__init__(3, 20)
        self.register_buffer("table", torch.rand(2, 3, 4, 5, 6))
        self.deep = nn.Conv3d(3, 3, (1, 3, 3), padding=(0, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(self.deep(images[:, :, None])[:, :, 0] + self.table.mean())


def test_weights_and_buffers_of_five_dimensions_are_left_as_they_lie():
    classifier = Classifier(seeded_module(FiveDimensions), FORMAT)
    (saliency,) = make_maps(classifier, ["1"], Recipe(iterations=4))
    assert saliency.map.any()
    assert not {"not-folded", "not-channels-last"} & set(saliency.checks)


def test_the_layout_changes_no_output():
    classifier = Classifier(seeded_module(LeNet), FORMAT)
    images = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(classifier.fold()(images), classifier(images))


def test_a_classifier_is_immutable(colour):
    with pytest.raises(AttributeError, match="replace"):
        colour.batch_size = 3
    assert colour.replace(batch_size=3).batch_size == 3
    with pytest.raises(TypeError, match="has no size"):
        colour.replace(size=(8, 8))


# Kinds of outputs --------------------------------------------------------------------------------------------------

KINDS = {  # what a module returns beside what its kind says, each of the same 20 logits
    "softmax": lambda z: z,
    "sigmoid": lambda z: z,
    "probabilities": lambda z: z.softmax(dim=1),
    "label-probabilities": lambda z: z.sigmoid(),
    "binary": lambda z: z[:, :1],
    "binary-probability": lambda z: z[:, :1].sigmoid(),
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_every_kind_of_outputs_has_the_probabilities_of_the_model(kind):
    classifier = Classifier(Wrapped(lambda z: KINDS[kind](z / 9)), FORMAT, outputs=kind)
    raw = Classifier(Wrapped(lambda z: z / 9), FORMAT)(images()).detach()
    shares = classifier.output_kind.probabilities(classifier(images())).detach()
    if kind.startswith("binary"):
        expected = torch.stack([1 - raw[:, 0].sigmoid(), raw[:, 0].sigmoid()], dim=1)
    else:
        expected = raw.softmax(dim=1) if classifier.output_kind.exclusive else raw.sigmoid()
    torch.testing.assert_close(shares, expected, rtol=1e-3, atol=1e-5)
    assert classifier.reference is None


@pytest.mark.parametrize("kind", OUTPUTS)
def test_every_kind_of_outputs_makes_a_map_that_raises_its_class(kind):
    classifier = Classifier(Wrapped(lambda z: KINDS[kind](z / 9)), FORMAT, outputs=kind)
    (saliency,) = make_maps(classifier, ["1"], Recipe(iterations=30))
    with torch.no_grad():
        grey, raised = classifier(torch.stack([torch.full((3, 32, 32), 0.5), saliency.raw_picture]))[:, 1]
    assert raised > grey
    assert saliency.model.output_kind == kind
    guess = (
        next(one for one in saliency.scores.top5 if one.index == 1) if raised > grey + 2 else saliency.scores.top5[0]
    )
    shares = classifier.output_kind.probabilities(classifier(saliency.raw_picture[None])).detach()[0]
    assert guess.probability == pytest.approx(float(shares[guess.index]), abs=1e-3)


@pytest.mark.parametrize(
    ("change", "which"),
    [
        (lambda z: ("features", z), "1"),
        (lambda z: (z.mean(), z), "-1"),
        (lambda z: {"out": z, "aux": 2 * z}, "out"),
        (lambda z: SimpleNamespace(scores=z), "scores"),
    ],
)
def test_the_user_names_one_of_several_tensors(colour, change, which):
    named = Classifier(Wrapped(change), FORMAT, output=which)
    torch.testing.assert_close(logits(named, images()), logits(colour, images()))
    with pytest.raises(FailedCheck, match=r"--output|not a tensor"):
        Classifier(Wrapped(change), FORMAT)
    with pytest.raises((BadInput, FailedCheck), match=r"'7'|has no"):
        Classifier(Wrapped(change), FORMAT, output="7")


def test_a_label_is_seen_where_it_is_more_probable_than_not():
    """Whatever the other labels are: several may hold."""
    logits = torch.tensor([[3.0, 1.0, -1.0], [0.2, -0.2, 5.0]])
    one = Classes((1,), "one")
    assert is_top(logits, one, OUTPUTS["sigmoid"]).tolist() == [1.0, 0.0]
    assert is_top(logits, one, OUTPUTS["softmax"]).tolist() == [0.0, 0.0]
    torch.testing.assert_close(probability(logits, one, OUTPUTS["sigmoid"]), logits[:, 1].sigmoid())


def test_a_softmax_is_recognised_and_its_logarithm_taken():
    classifier = Classifier(nn.Sequential(colour_net(), nn.Softmax(dim=1)), FORMAT)
    assert classifier.output_kind.name == "probabilities"
    assert "probabilities" in classifier.checks


@pytest.mark.parametrize(
    ("outputs", "change", "message"),
    [
        ("logits", lambda z: z, "expected one of softmax"),
        ("binary", lambda z: z, "gives 20 numbers; expected one"),
        ("probabilities", lambda z: 3 * z.softmax(dim=1), "expected 0 to 1"),
        ("label-probabilities", lambda z: z, "expected 0 to 1"),
    ],
)
def test_outputs_that_are_not_what_is_said_are_refused(outputs, change, message):
    with pytest.raises(BadInput, match=message):
        Classifier(Wrapped(change), FORMAT, outputs=outputs)


def test_a_score_of_exclusive_classes_is_refused_for_labels():
    classifier = Classifier(colour_net(), FORMAT, outputs="sigmoid")
    with pytest.raises(BadInput, match="expected the score logit"):
        make_maps(classifier, ["1"], Recipe(iterations=2, score="log_probability"))


def test_a_map_of_another_kind_of_outputs_is_not_taken(tmp_path):
    make_maps(Classifier(colour_net(), FORMAT), ["1"], Recipe(iterations=2), out=tmp_path)
    with pytest.raises(OtherRecipe, match="outputs"):
        make_maps(Classifier(colour_net(), FORMAT, outputs="sigmoid"), ["1"], Recipe(iterations=2), out=tmp_path)
