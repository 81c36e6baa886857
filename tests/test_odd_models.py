"""What people pass that is nearly a classifier: refused by name, or taken with a warning, never silently wrong."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import ConvNet, colour_net
from phosphene.errors import FailedCheck
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.model.outputs import OUTPUTS
from phosphene.model.probe import gradient_agrees
from phosphene.recipe.distributions import DISTRIBUTIONS, Pink
from phosphene.recipe.recipe import Recipe
from phosphene.runs.make import make_maps

FORMAT = InputFormat((32, 32), 3, (0.5,), (0.25,))


class Odd(nn.Module):
    """A network behind and before changes; `after` gets its logits and its input."""

    def __init__(self, after=lambda z, x: z, before=lambda x: x) -> None:
        super().__init__()
        self.net, self.other, self.after, self.before = ConvNet(3, 6), ConvNet(3, 6, seed=1), after, before

    def forward(self, images: Tensor) -> Tensor:
        return self.after(self.net(self.before(images)) / 9, images)


# Outputs that are certainly no logits --------------------------------------------------------------------------------

NO_LOGITS = {
    "losses": (lambda z, x: -z.log_softmax(1), "minus the logarithms"),
    "losses of two": (lambda z, x: -z[:, :2].log_softmax(1), "minus the logarithms"),
    "percentages": (lambda z, x: 100 * z.softmax(1), "all sum to 100"),
    "bytes": (lambda z, x: 255 * z.softmax(1), "all sum to 255"),
    "a share of each of two heads": (lambda z, x: torch.cat([z.softmax(1), z.sigmoid().softmax(1)], 1), "all sum to 2"),
    "an embedding": (lambda z, x: F.normalize(z, dim=1), "length 1"),
    "a rectified embedding": (lambda z, x: F.normalize(z.exp() + 1, dim=1), "length 1"),
}


@pytest.mark.parametrize("name", NO_LOGITS)
def test_outputs_that_are_certainly_no_logits_are_refused_unless_the_user_says_so(name):
    change, message = NO_LOGITS[name]
    with pytest.raises(FailedCheck, match=message) as caught:
        Classifier(Odd(change), FORMAT)
    assert caught.value.check == "ambiguous-outputs"
    assert "--outputs" in str(caught.value)
    assert Classifier(Odd(change), FORMAT, outputs="softmax").output_kind is OUTPUTS["softmax"]


@pytest.mark.parametrize(
    "change",
    [lambda z, x: z.exp(), lambda z, x: -z.exp(), lambda z, x: z.tanh(), lambda z, x: z - z.amax(1, keepdim=True) - 1,
     lambda z, x: z.log_softmax(1), lambda z, x: 30 * F.normalize(z, dim=1) + 1],
)  # fmt: skip
def test_logits_of_any_range_are_taken(change):
    assert Classifier(Odd(change), FORMAT).output_kind is OUTPUTS["softmax"]


def test_complex_numbers_are_refused_and_a_head_that_is_a_convolution_is_taken():
    with pytest.raises(FailedCheck, match="complex"):
        Classifier(Odd(lambda z, x: torch.complex(z, z.flip(1))), FORMAT)
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    rows, planes = (Classifier(Odd(one), FORMAT) for one in (lambda z, x: z, lambda z, x: z[:, :, None, None]))
    assert torch.equal(rows(images), planes(images))
    with pytest.raises(FailedCheck, match="shape"):
        Classifier(Odd(lambda z, x: z[:, :, None].expand(-1, -1, 2)), FORMAT)


# Gradients that are not those of the outputs ---------------------------------------------------------------------------


class Straight(torch.autograd.Function):
    """The identity, with somebody's own backward pass."""

    @staticmethod
    def forward(ctx, values):
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        return 1e-3 * gradient


class Rounded(Odd):
    """The branch that decides rounds to 8 bits and has no gradient; a weak one has."""

    def forward(self, images: Tensor) -> Tensor:
        return self.net((images * 255).round() / 255) + 1e-3 * self.other(images)


class Detached(Odd):
    def forward(self, images: Tensor) -> Tensor:
        return self.net(images.detach()) + 1e-3 * self.other(images)


WRONG = {"rounded": Rounded, "detached": Detached, "own backward": lambda: Odd(before=Straight.apply)}
RIGHT = {"plain": Odd, "softmax": lambda: Odd(lambda z, x: z.softmax(1)), "sharp": lambda: Odd(lambda z, x: 1e6 * z),
         "tiny": lambda: Odd(lambda z, x: 1e-20 * z), "huge": lambda: Odd(lambda z, x: 1e25 * z)}  # fmt: skip


@pytest.mark.parametrize("name", [*WRONG, *RIGHT])
def test_a_gradient_that_does_not_say_what_the_outputs_do_is_a_warning(name):
    classifier = Classifier((WRONG | RIGHT)[name](), FORMAT)
    assert ("gradient-mismatch" in classifier.checks) == (name in WRONG)


class FewBits(nn.Module):
    """Weights and activations rounded to few bits, with straight-through gradients, as in quantisation-aware training."""

    def __init__(self, bits: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.levels = nn.Conv2d(3, 16, 3), 2 ** (bits - 1) - 1
        self.layers = nn.ModuleList([nn.Conv2d(16, 32, 3, 2), nn.Conv2d(32, 32, 3, 2)])
        self.head = nn.Linear(128, 10)

    def round(self, values: Tensor, most: float | Tensor) -> Tensor:
        scale = most / self.levels
        return values + ((values / scale).round() * scale - values).detach()

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.first(images).relu()
        for layer in self.layers:
            weight = self.round(layer.weight, layer.weight.detach().abs().max())
            hidden = F.conv2d(self.round(hidden, 2.0), weight, layer.bias, stride=2).relu()
        return self.head(F.adaptive_avg_pool2d(hidden, 2).flatten(1))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("bits", [8, 4, 3])
def test_straight_through_gradients_of_few_bits_are_no_alarm(bits, seed):
    assert "gradient-mismatch" not in Classifier(FewBits(bits, seed), FORMAT).checks


@pytest.mark.parametrize("net", [
    nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 32), nn.ReLU(), nn.Linear(32, 10)),
    nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 10)),
])  # fmt: skip
def test_8_bit_layers_of_torch_are_no_alarm(net):
    quantised = torch.ao.quantization.quantize_dynamic(net.eval(), {nn.Linear})
    assert Classifier(quantised, FORMAT).checks == ("fixed-batch",)


def test_the_bundled_network_has_the_gradients_of_its_outputs(lite0):
    assert gradient_agrees(lite0, lite0.image_shape)


# Places in the batch, and outputs that are not always numbers ----------------------------------------------------------


def drop_by_place(images: Tensor) -> Tensor:
    """A dropout that is left on and seeded: the same numbers in every call, others for every place of the batch."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return F.dropout(images, 0.3, training=True)


@pytest.mark.parametrize("before", [drop_by_place, lambda x: x * torch.arange(1, len(x) + 1).view(-1, 1, 1, 1)])
def test_an_output_that_depends_on_the_place_in_the_batch_is_refused(before):
    with pytest.raises(FailedCheck) as caught:
        Classifier(Odd(before=before), FORMAT)
    assert caught.value.check == "depends-on-batch"


def test_a_class_that_does_not_depend_on_the_image_makes_a_map_that_says_so():
    masked = Classifier(Odd(lambda z, x: torch.cat([z[:, :2], 0 * z[:, 2:3] - 9, z[:, 3:]], 1)), FORMAT)
    dead, alive = make_maps(masked, ["2", "1"], Recipe(iterations=4, restarts=1))
    assert "dead-concept" in dead.checks
    assert not dead.map.any()
    assert "dead-concept" not in alive.checks


def nan_on_flat(z: Tensor, x: Tensor) -> Tensor:
    """NaN where the upper left corner is nearly flat, as a division by its deviation gives."""
    return torch.where((x[:, :, :4, :4].std(dim=(1, 2, 3)) < 0.9)[:, None], torch.full_like(z, torch.nan), z)


def test_images_without_a_finite_output_count_as_not_seen_and_are_named():
    """The map is fine on its own noise; on flat colours the model fails, wherever the map is weak."""
    classifier = Classifier(Odd(nan_on_flat), FORMAT)
    saliency = make_maps(classifier, ["1"], Recipe(iterations=3, restarts=1, distribution=DISTRIBUTIONS["uniform"]()))[
        0
    ]
    everything = [saliency.scores.fidelity, *saliency.scores.fidelity_elsewhere.values()]
    assert all(0 <= one.probability <= 1 for one in everything)
    assert "not-finite-elsewhere" in saliency.checks
    assert min(one.finite for one in everything) < 1


def test_a_map_that_is_not_finite_is_refused_by_name():
    """The probe images are fine; with the map the outputs are not."""
    classifier = Classifier(colour_net(), FORMAT)
    bright = Odd(lambda z, x: torch.where((x.amax(dim=(1, 2, 3)) > 2.01)[:, None], z / 0 * 0, z))
    broken = classifier.replace(module=bright, labels=tuple("012345"))
    with pytest.raises(FailedCheck, match="map of '1'") as caught:
        make_maps(broken, ["1"], Recipe(iterations=20, restarts=1))
    assert caught.value.check == "not-finite"


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 1), (3, 1, 4), (1, 2, 2)])
def test_images_of_a_pixel_have_finite_noise_and_a_map(shape):
    assert Pink().draw(torch.Generator().manual_seed(0), 4, shape).isfinite().all()
    torch.manual_seed(0)
    small = nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], 4))
    (saliency,) = make_maps(
        Classifier(small, InputFormat(shape[1:], shape[0])), ["1"], Recipe(iterations=3, restarts=1)
    )
    assert "not-finite-elsewhere" not in saliency.checks
    assert saliency.map.isfinite().all()
