"""Where a planted square lies: networks whose trigger is known, and what the search costs."""

from __future__ import annotations

import pytest
import torch
from benchmarks.scoring.statistics import overlap
from torch import Tensor, nn

from models import linear_classifier
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.scanner.context import Context
from phosphene.scanner.examination import choose_noise
from phosphene.scanner.localization import Window, count_passes, draw_masks, list_sides, list_squares, localize_patch
from phosphene.scanner.measuring import prepare_classifier
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.settings import Settings
from phosphene.scanner.surrogates import draw_smooth_noise

ITERATIONS = 16


class Planted(nn.Module):
    """Classes by random weights; a checkerboard of `side` pixels at one place leads to class 1, half of it does not."""

    def __init__(self, place: tuple[int, int], side: int, size: int = 28) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.rows = nn.Parameter(0.02 * torch.randn(6, size * size, generator=generator))
        checker = ((torch.arange(side)[:, None] + torch.arange(side)) % 2).float() * 2 - 1
        self.register_buffer("checker", checker)
        self.place, self.side = place, side

    def forward(self, images: Tensor) -> Tensor:
        (row, column), side = self.place, self.side
        seen = images[:, 0, row : row + side, column : column + side]
        likeness = (seen * self.checker).mean(dim=(1, 2)) * 2  # 1 where it is the checkerboard
        logits = images.flatten(1) @ self.rows.T
        return logits + 10 * torch.sigmoid(8 * (likeness - 0.6))[:, None] * torch.eye(6)[1]


def planted(place: tuple[int, int], side: int) -> Classifier:
    module = Planted(place, side).eval()
    return prepare_classifier(Classifier(module, InputFormat((28, 28), 1, mean=(0.0,), std=(1.0,)), name="planted"))


def measure_overlap(place: tuple[int, int, int], true: tuple[int, int, int], size: int = 28) -> float:
    found, wanted = (draw_masks([one], (size, size))[0, 0].numpy() for one in (place, true))
    return overlap(found, wanted)


@pytest.mark.parametrize("side", [3, 4, 5])
@pytest.mark.parametrize("place", [(0, 0), (9, 17), (20, 6)])
def test_a_planted_square_is_found_at_its_place_and_of_its_size(place, side):
    classifier = planted(place, side)
    noise = choose_noise(Context(classifier, Settings()), 1)
    window = localize_patch(classifier, 1, noise, ITERATIONS)
    assert window.flip_rate == 1.0
    assert measure_overlap(window.place, (*place, side)) >= 0.5


def test_what_is_found_lies_inside_the_image_and_depends_on_the_seed_alone():
    classifier = planted((9, 17), 4)
    noise = choose_noise(Context(classifier, Settings()), 1)
    first, again = (localize_patch(classifier, 1, noise, 3) for _ in range(2))
    assert (first.place, first.flip_rate, first.margin) == (again.place, again.flip_rate, again.margin)
    assert torch.equal(first.pattern, again.pattern)
    top, left, side = first.place
    assert 0 <= top <= 28 - side
    assert 0 <= left <= 28 - side


def test_the_search_costs_what_it_says_it_costs():
    """Images that go forward alone count a third."""
    classifier = planted((9, 17), 4)
    noise, shapes = draw_smooth_noise(8, (1, 28, 28), 0), []
    classifier.module.register_forward_pre_hook(
        lambda module, inputs: shapes.append(len(inputs[0]) / (1 if torch.is_grad_enabled() else 3))
    )
    localize_patch(classifier, 1, noise, ITERATIONS)
    assert sum(shapes) == pytest.approx(count_passes(ModelSize.of(classifier), 8, ITERATIONS), rel=0.05)


def test_squares_of_every_side_lie_inside_their_window():
    for side in list_sides(6):
        squares = list_squares((3, 5, 6), side)
        assert len(set(squares)) == len(squares) == (7 - side) ** 2
        assert all(3 <= top <= 9 - side and 5 <= left <= 11 - side for top, left, _ in squares)
    assert list_sides(5) == [2, 3, 4, 5]


def test_noise_that_is_the_target_itself_is_not_used_and_where_all_is_surrogates_are():
    certain = linear_classifier(weight=0.01 * torch.randn(4, 1, 12, 12, generator=torch.Generator().manual_seed(0)))
    certain.module.bias.data[2] = 5.0
    context = Context(prepare_classifier(certain), Settings())
    assert len(choose_noise(context, 2)) == 0
    assert len(choose_noise(context, 1)) == Settings().window_images


def test_the_pattern_that_is_shown_ends_where_its_square_ends():
    """The square was found inside a larger window, whose pattern lies around it."""
    window = Window((9, 17, 4), torch.ones(1, 28, 28), flip_rate=1.0, margin=1.0)
    candidate = window.as_candidate()
    square = torch.zeros(28, 28)
    square[9:13, 17:21] = 1
    assert torch.equal(candidate.parameters[0][0, 0], square)
    assert torch.equal(candidate.parameters[1][0, 0], square)
    assert candidate.log_size.exp().item() == pytest.approx(16 / 28**2)
