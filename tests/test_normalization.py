"""A normalisation that was forgotten is told from the network's own batch norms, without data."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from command import from_factory, phosphene, saved
from models import colour_net
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.model.normalization import DOUBTED, USUAL, doubt_normalization, measure_misfit, natural_images

FORMATS = {name: InputFormat((32, 32), 3, *USUAL[name]) for name in USUAL}
PLAIN = ("0 to 1", "-1 to 1", "of ImageNet", "0 to 255")


def trained_on(form: InputFormat, channels: int = 3, seed: int = 0) -> nn.Module:
    """A network whose batch norm remembers images like photographs that were normalised so."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = nn.Sequential(nn.Conv2d(channels, 12, 3, bias=False), nn.BatchNorm2d(12), nn.ReLU(),
                               nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5))  # fmt: skip
    remember(module[0], module[1], form)
    return module.eval()


def remember(convolution: nn.Module, norm: nn.Module, form: InputFormat) -> None:
    """What training on other images than the check's own would leave in the batch norm."""
    shown = natural_images((form.channels, 40, 40), 64)[..., 4:36, 4:36] * 0.8 + 0.05
    features = convolution((shown - mean(form)) / deviation(form)).detach()
    norm.running_mean, norm.running_var = features.mean(dim=(0, 2, 3)), features.var(dim=(0, 2, 3))


def mean(form: InputFormat) -> Tensor:
    return torch.tensor(form.mean).view(1, -1, 1, 1)


def deviation(form: InputFormat) -> Tensor:
    return torch.tensor(form.std).view(1, -1, 1, 1)


@pytest.mark.parametrize("true", PLAIN)
@pytest.mark.parametrize("stated", PLAIN)
def test_a_normalisation_is_doubted_where_another_one_was_trained(true, stated):
    doubt = doubt_normalization(trained_on(FORMATS[true]), FORMATS[stated])
    if true == stated:
        assert doubt is None
    elif {true, stated} != {"-1 to 1", "of ImageNet"}:  # a factor of two may be a matter of the images
        assert doubt.usual == true
        assert doubt.misfit > doubt.fits
        assert f"({true})" in str(doubt)


def test_grey_images_are_asked_about_one_mean_and_deviation():
    form = InputFormat((32, 32), 1, (0.5,), (0.5,))
    module = trained_on(form, channels=1)
    assert doubt_normalization(module, form) is None
    assert len(doubt_normalization(module, replace(form, std=(1 / 255,))).mean) == 1


@pytest.mark.parametrize("seed", range(4))
def test_grey_images_on_black_are_no_photographs_and_no_alarm(seed):
    """Bright things on black, normalised by their own mean and deviation, as those of clothes and digits are."""
    drawings = (3 * (natural_images((1, 32, 32), 64) - 0.5)).clamp(0, 1)
    form = InputFormat((32, 32), 1, (float(drawings.mean()),), (float(drawings.std()),))
    module = trained_on(form, channels=1, seed=seed)
    features = module[0]((drawings - mean(form)) / deviation(form)).detach()
    module[1].running_mean, module[1].running_var = features.mean(dim=(0, 2, 3)), features.var(dim=(0, 2, 3))
    assert measure_misfit(module, form) > DOUBTED
    assert doubt_normalization(module, form) is None
    assert doubt_normalization(module, replace(form, mean=(0.0,), std=(1 / 255,))) is not None


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.LazyLinear(4)),  # never trained
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, track_running_stats=False)),
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8)),
        nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8)),  # refuses the images
        nn.Sequential(nn.Flatten(), nn.Linear(3072, 8), nn.BatchNorm1d(8)),
    ],
)
def test_a_network_that_cannot_tell_is_not_doubted(module):
    assert measure_misfit(module, FORMATS["0 to 1"]) is None
    assert doubt_normalization(module, FORMATS["0 to 255"]) is None


def test_a_network_that_no_normalisation_fits_is_not_doubted():
    """Images that are nothing like photographs."""
    module = trained_on(FORMATS["0 to 1"])
    module[1].running_var *= torch.logspace(-4, 4, 12)
    assert measure_misfit(module, FORMATS["0 to 255"]) > 1
    assert doubt_normalization(module, FORMATS["0 to 255"]) is None


def test_the_doubt_leaves_the_module_as_it_was():
    module = trained_on(FORMATS["0 to 1"]).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    assert doubt_normalization(module, FORMATS["0 to 255"]) is not None
    assert module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert not any(part._forward_pre_hooks for part in module.modules())


def test_the_doubt_is_a_warning_beside_the_map_and_on_the_console(tmp_path):
    module = colour_net()
    remember(module.stem, module.stem_norm, FORMATS["0 to 1"])
    honest, wrong = (Classifier(module, FORMATS[name]) for name in ("0 to 1", "0 to 255"))
    assert "suspicious-normalisation" not in honest.checks
    assert "suspicious-normalisation" in wrong.checks
    assert "suspicious-normalisation" in wrong.fold().checks
    options = from_factory(saved(module, tmp_path / "w.safetensors"))
    scaled = [*options[: options.index("--mean")], "--mean", "0", "--std", "0.004"]
    outcome = phosphene("map", "1", *scaled, "--iterations", "2", "--out", tmp_path / "maps")
    assert outcome.code == 0
    assert "--mean 0 --std 1" in outcome.err
    assert "suspicious-normalisation" in outcome.err


def test_the_bundled_networks_are_not_doubted(lite0):
    assert lite0.doubt is None
    assert doubt_normalization(lite0.module, replace(lite0.format, mean=(0.0,), std=(1.0,))).usual == "-1 to 1"
