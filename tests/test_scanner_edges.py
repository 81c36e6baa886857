"""Scans of models that are not like others: two classes, many classes, gradients that are no numbers, other devices."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import models
from phosphene.core.records import to_plain
from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.scanner.calibration import calibrate
from phosphene.scanner.context import Context
from phosphene.scanner.families import FAMILIES
from phosphene.scanner.pairs import search_pairs_around
from phosphene.scanner.scanning import scan
from phosphene.scanner.statistics.probes import probe_head
from phosphene.scanner.surrogates import render_surrogates
from test_scanner import FAST


def planted(classes: int, seed: int = 0, strength: float = 12.0) -> Classifier:
    """A linear model of smooth rows, in which four pixels of one corner speak loudly for class 1 alone."""
    weight = torch.randn(classes, 1, 12, 12, generator=torch.Generator().manual_seed(seed)) * 0.3
    weight[1, 0, 1:3, 1:3] += strength
    return models.linear_classifier(weight=weight)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_model_of_few_classes_is_scanned_and_accuses_nobody_without_references(classes):
    found = scan(planted(classes), FAST)
    assert len(found.classes) == classes
    assert found.verdict in ("inconclusive", "nothing found")
    assert found.verdict == "inconclusive" or classes > 2  # two classes cannot be compared: nothing was found out


@pytest.mark.parametrize("shape", [(3, 20, 12), (1, 12, 20), (3, 2, 3)])
def test_images_that_are_not_square_are_scanned(shape):
    """`--size H,W` is of a model's input, and a trigger may lie anywhere in it."""
    found = scan(models.linear_classifier(shape, outputs=8), FAST)
    assert len(found.classes) == 8
    assert all(all(map(torch.isfinite, torch.tensor(list(one.statistics.values())))) for one in found.classes)


@pytest.mark.parametrize("left_out", ["patch", "warp", "margin", "permutation", "window"])
def test_a_search_of_no_iterations_is_left_out(left_out):
    found = scan(planted(8), replace(FAST, **{f"{left_out}_iterations": 0}))
    assert len(found.classes) == 8
    with pytest.raises(BadInput, match="long_iterations=0"):
        replace(FAST, long_iterations=0)


class Undifferentiable(torch.nn.Module):
    """Whose gradient is nan wherever a pixel is 0 after clamping, as images of a search are."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = torch.nn.Parameter(torch.randn(4, 144, generator=torch.Generator().manual_seed(0)))

    def forward(self, images):
        return torch.sqrt(images.flatten(1).clamp(min=0.5) - 0.5) @ self.rows.T


def test_gradients_that_are_no_numbers_end_in_a_verdict():
    found = scan(Classifier(Undifferentiable().eval(), InputFormat((12, 12), 1), name="nan"), FAST)
    assert found.verdict in ("inconclusive", "nothing found")
    assert found.p_value == found.p_value


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Clean models of sixteen classes."""
    path = tmp_path_factory.mktemp("table") / "table.json"
    return calibrate((planted(16, seed, strength=0.0) for seed in range(1, 7)), path, FAST)


@pytest.fixture
def accused(monkeypatch) -> None:
    """Whatever is found is as good as certain."""
    monkeypatch.setattr("phosphene.scanner.judging.combine", lambda internal, external, own: 0.009)


@pytest.mark.usefixtures("accused")
def test_pairs_of_whoever_is_accused_are_searched(table):
    found = scan(planted(16), FAST, reference=table)
    assert found.target.index == 1
    assert len(found.pairs.classes) == FAST.pair_classes
    assert 1 in found.pairs.classes
    assert found.asymmetry["difference"] > 0
    assert found.verdict == "backdoor-like"


@pytest.mark.usefixtures("accused")
def test_a_suspect_that_is_easy_to_leave_is_accused_all_the_same(table, monkeypatch):
    """It was excused as a natural weak spot, which held for backdoored models alone."""
    search = search_pairs_around

    def symmetric(*arguments):
        """As easy to leave as to reach, and easier than other classes."""
        pairs = search(*arguments)
        place = pairs.classes.index(1)
        pairs.log_size[place], pairs.log_size[:, place] = -9.0, -8.9
        return pairs

    monkeypatch.setattr("phosphene.scanner.examination.search_pairs_around", symmetric)
    found = scan(planted(16), FAST, reference=table)
    assert found.asymmetry["difference"] < 0 < found.asymmetry["backward"]
    assert found.verdict == "backdoor-like"


def test_where_nothing_stands_out_only_one_candidate_is_looked_for(table, monkeypatch):
    """Pairs, windows and other starts are most of a scan, and show the suspected trigger of whoever is accused."""
    monkeypatch.delattr("phosphene.scanner.examination.localize_patch")
    found = scan(planted(16, seed=9, strength=0.0), FAST, reference=table)
    assert found.verdict == "nothing found"
    assert found.pairs is None
    assert found.stability == {}
    assert found.settings == to_plain(FAST)  # another seed, by the settings of the record, leaves nothing out
    assert found.trigger.family in FAMILIES


@pytest.mark.usefixtures("accused")
def test_whoever_stands_out_is_searched_again_and_in_windows(table):
    found = scan(planted(16), FAST, reference=table)
    assert found.stability["restarts"] == FAST.restarts == 2
    assert found.passes > scan(planted(16), replace(FAST, window_iterations=0), reference=table).passes + 1000


def test_a_suspect_without_surrogates_of_its_own_gets_some():
    """Of a thousand classes, 48 have surrogates; the suspect need not be one of them."""
    classifier, settings = planted(16), replace(FAST, pair_classes=4)
    surrogates = render_surrogates(classifier, [0, 2, 5, 7, 9], count=2, iterations=5, seed=0)
    pairs = search_pairs_around(classifier, surrogates, 1, settings)
    assert len(pairs.classes) == 4
    assert 1 in pairs.classes
    assert torch.isnan(pairs.log_size).sum() == 4


ELSEWHERE = "meta"  # inside the fake mode a device like any other; that of a GPU has no gradients where there is no GPU


class FakeDevice:
    """A network on a device that this machine does not have: tensors without content that refuse to meet others.

    A whole scan reads numbers, which these have not, so what touches the network is tried piece by piece.
    """

    def __init__(self) -> None:
        self.module = models.grey_net().eval()
        self.classifier = Classifier(self.module, InputFormat((28, 28), 1), name="elsewhere")
        self.mode = FakeTensorMode(allow_non_fake_inputs=True)

    def __enter__(self) -> Classifier:
        self.mode.__enter__()
        for owner in self.module.modules():
            for group in (owner._parameters, owner._buffers):
                group.update({name: self._move(one) for name, one in group.items() if one is not None})
        return self.classifier

    def _move(self, tensor):
        moved = torch.empty_like(tensor, device=ELSEWHERE)
        return torch.nn.Parameter(moved) if isinstance(tensor, torch.nn.Parameter) else moved

    def __exit__(self, *error) -> None:
        self.mode.__exit__(*error)


def test_logits_and_gradients_come_back_to_where_the_images_are():
    """So that a search, all of whose draws are on the CPU, does not care where the network is."""
    with FakeDevice() as classifier:
        assert classifier.device.type == ELSEWHERE
        images = torch.rand(3, 1, 28, 28, requires_grad=True)
        logits = classifier(images)
        (gradient,) = torch.autograd.grad(logits.sum(), [images])
        assert (logits.device.type, gradient.device.type) == ("cpu", "cpu")


def test_rows_of_a_head_elsewhere_are_probed_here():
    with FakeDevice() as classifier:
        columns = probe_head(classifier.module.head, seed=0)
        assert {values.device.type for values in columns.values()} == {"cpu"}


def test_margins_of_a_network_elsewhere_are_here():
    with FakeDevice() as classifier:
        assert Context(classifier, FAST).margins.device.type == "cpu"
