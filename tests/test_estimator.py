"""The method: moments, nudges, determinism, and models whose map is known beforehand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models import colour_classifier, cosine, linear_classifier
from phosphene.core.hooks import forward_hooks
from phosphene.core.seeding import make_generator
from phosphene.method.fidelity import measure_fidelity
from phosphene.method.moments import Moments, TailMean
from phosphene.method.multires import estimate
from phosphene.method.nudge import nudge
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.recipe.concepts import Classes
from phosphene.recipe.distributions import Grey
from phosphene.recipe.draws import draw
from phosphene.recipe.geometries import Pixel, Spectral
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.recipe.views import STILL, Views

DECAY = (0.8, 0.95)


def gradient(seed: int) -> torch.Tensor:
    return torch.randn(2, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def accumulate(seeds: list[int], state: Moments | None = None) -> Moments:
    state = state or Moments.zero(torch.zeros(2, 3, dtype=torch.float64), DECAY)
    for seed in seeds:
        state = state.add(gradient(seed))
    return state


def test_adding_changes_no_earlier_state():
    before = accumulate([1, 2])
    first = before.first.clone()
    before.add(gradient(3))
    assert torch.equal(before.first, first)
    assert before.count == 2


def test_the_step_is_adams():
    """Against torch.optim.Adam with the same decays, step for step."""
    moved = torch.nn.Parameter(torch.zeros(2, 3, dtype=torch.float64))
    adam = torch.optim.Adam([moved], lr=0.1, betas=DECAY, eps=1e-12)
    ours, state = torch.zeros(2, 3, dtype=torch.float64), accumulate([])
    for seed in range(20):
        moved.grad = gradient(seed)
        adam.step()
        state = state.add(gradient(seed))
        ours = state.move(ours, 0.1)
        torch.testing.assert_close(ours, moved.detach())


def test_a_shared_scale_keeps_the_direction_of_equal_gradients():
    state = Moments.zero(torch.zeros(2, 3, dtype=torch.float64), DECAY, shared=True)
    for _ in range(5):
        state = state.add(gradient(7))
    moved = state.move(torch.zeros(2, 3, dtype=torch.float64), 0.1)
    lengths = gradient(7).square().mean(dim=1, keepdim=True).sqrt()
    torch.testing.assert_close(moved, -0.1 * gradient(7) / lengths)


def final_map(classifier: Classifier, recipe: Recipe, *concepts: Classes) -> torch.Tensor:
    *_, last = estimate(classifier, concepts, recipe)
    return last.maps()


PIXEL = Recipe(
    distribution=Grey(0.0),
    views=STILL,
    composition="clip",
    geometry=Pixel(0.5),
    iterations=40,
    step=0.01,
    average_last=0.0,
)
PROPORTIONAL = replace(PIXEL, shared_scale=True)


@pytest.mark.parametrize("composition", ["clip", "logit"])
def test_a_linear_models_map_is_its_weight_row(composition):
    """The gradient of a linear logit is its row, whatever the sample: the map must point the same way."""
    classifier = linear_classifier((3, 6, 5))
    recipe = replace(PROPORTIONAL, composition=composition)
    m = final_map(classifier, recipe, Classes((3,), "three"))
    assert cosine(m, classifier.module.weight[3]) > 0.999


@pytest.mark.parametrize("composition", ["clip", "logit"])
def test_a_linear_models_map_has_the_signs_of_its_weight_row(composition):
    classifier = linear_classifier((3, 6, 5))
    m = final_map(classifier, replace(PIXEL, composition=composition), Classes((3,), "three"))
    assert torch.equal(m[0].sign(), classifier.module.weight[3].sign())


@pytest.mark.parametrize("geometry", [Pixel(), Spectral()], ids=repr)
def test_a_linear_models_accumulate_gradient_is_its_weight_row(geometry):
    """In coefficients: what the geometry's transpose makes of the row."""
    classifier, recipe = linear_classifier((3, 6, 5)), replace(PIXEL, geometry=geometry, distribution=Grey(0.1))
    start = geometry.start(1, (3, 6, 5))
    state = Moments.zero(start)
    for iteration in range(5):
        draws = draw(recipe.distribution, STILL, [make_generator(0, "three", iteration)], 1, (3, 6, 5))
        state = state.add(nudge(classifier, [Classes((3,), "three")], start, draws, recipe)[0])
    z = start.clone().requires_grad_()
    inner = (geometry.decode(z, (3, 6, 5))[0] * classifier.module.weight[3]).sum()
    (row,) = torch.autograd.grad(inner, z)
    mean = state.first / (1 - state.betas[0] ** state.count)
    torch.testing.assert_close(-mean, row, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_raises_the_score_of_a_linear_model(preset):
    classifier = linear_classifier((3, 12, 12))
    recipe = replace(PRESETS[preset], iterations=20, refine_every=0)
    scores = [
        progress.scores[0].item() for progress in estimate(classifier, [Classes((1,), "one", recipe.score)], recipe)
    ]
    assert sum(scores[-3:]) > sum(scores[:3]) + 1


def test_an_iteration_reports_the_mean_score_before_its_step():
    classifier, one = linear_classifier((3, 6, 5)), Classes((1,), "one")
    progress = next(estimate(classifier, [one], PIXEL))
    grey = torch.full((1, 3, 6, 5), 0.5)
    torch.testing.assert_close(progress.scores[0], classifier(grey)[0, 1].detach())


def test_the_map_stays_in_the_ball_at_every_iteration():
    recipe = replace(PIXEL, geometry=Pixel(0.03))
    for progress in estimate(linear_classifier(), [Classes((0,), "zero")], recipe):
        assert progress.maps().norm() <= 0.03 * (1 + 1e-5)


def test_the_schedule_scales_the_step():
    """Along half a cosine the last step of many is next to nothing."""
    recipe = replace(PIXEL, geometry=Pixel(), schedule="cosine")
    maps = [p.maps() for p in estimate(linear_classifier(), [Classes((0,), "zero")], recipe)]
    first, last = (maps[1] - maps[0]).norm(), (maps[-1] - maps[-2]).norm()
    assert 0 < last < 0.05 * first


def test_the_map_is_the_mean_of_the_last_share_of_the_points():
    points = [p.maps() for p in estimate(linear_classifier(), [Classes((0,), "zero")], PIXEL)]
    for share, last in [(0.5, 20), (1.0, 40), (0.01, 1), (0.1, 4)]:
        m = final_map(linear_classifier(), replace(PIXEL, average_last=share), Classes((0,), "zero"))
        torch.testing.assert_close(m, torch.stack(points[-last:]).mean(dim=0))


def test_a_tail_follows_the_latest_point_until_it_starts_averaging():
    tail, means = TailMean(2, torch.zeros(())), []
    for iteration, point in enumerate(torch.tensor([5.0, 7.0, 1.0, 2.0, 6.0])):
        tail = tail.add(iteration, point)
        means.append(tail.mean.item())
    assert means == pytest.approx([5, 7, 1, 1.5, 3])


def test_in_run_refinement_is_applied_every_so_many_iterations_and_to_nothing_else():
    seen = []

    def halve(coefficients: torch.Tensor) -> torch.Tensor:
        seen.append(coefficients)
        return coefficients / 2

    recipe = replace(PIXEL, iterations=7, refine_every=3)
    maps = [p.coefficients for p in estimate(linear_classifier(), [Classes((0,), "zero")], recipe, halve)]
    assert len(seen) == 2
    assert torch.equal(maps[2], seen[0] / 2)
    assert torch.equal(maps[5], seen[1] / 2)


TINY = Recipe(iterations=12, step=0.05)
SPICED = replace(TINY, nudge_steps=2, samples=2, composition="clip", geometry=Pixel())


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("recipe", [TINY, replace(TINY, samples=3), SPICED], ids=["one", "samples", "walk"])
def test_the_same_recipe_gives_the_same_map_alone_or_among_others(recipe):
    """Bitwise, whatever is made beside it and in whatever order, within one batch of the model and across several."""
    classifier = colour_classifier().fold().replace(batch_size=4)
    concepts = [Classes((k,), f"class {k}") for k in range(9)]
    alone = final_map(classifier, recipe, concepts[4])[0]
    for others in (concepts, concepts[::-1], [concepts[4], concepts[0]], concepts[2:5]):
        together = final_map(classifier, recipe, *others)[others.index(concepts[4])]
        assert torch.equal(together, alone), len(others)


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_lite0_gives_the_same_map_alone_or_among_others(lite0, preset):
    classifier = lite0.fold()
    recipe = replace(PRESETS[preset], iterations=3, refine_every=0)
    concepts = [parse(name, lite0.labels) for name in ("goldfish", "zebra", "daisy", "maypole", "207")]
    together = final_map(classifier, recipe, *concepts)
    backwards = final_map(classifier, recipe, *concepts[::-1])
    assert torch.equal(together, backwards.flip(0))
    assert torch.equal(together[1], final_map(classifier, recipe, concepts[1])[0])
    assert torch.equal(together[:2], final_map(classifier, recipe, *concepts[:2]))


def test_lite0_sees_a_map_of_the_papers_recipe_after_half_of_its_iterations(lite0):
    recipe = replace(PRESETS["paper"], iterations=50, refine_every=0)
    classifier, matchstick = lite0.fold(), parse("matchstick", lite0.labels, scored=recipe.score)
    saliency = final_map(classifier, recipe, matchstick)[0]
    assert measure_fidelity(classifier, matchstick, saliency, recipe).probability > 0.9


def test_running_again_gives_the_same_map_and_another_seed_another():
    classifier, one = colour_classifier(), Classes((1,), "one")
    first = final_map(classifier, TINY, one)
    assert torch.equal(first, final_map(colour_classifier(), TINY, one))
    assert not torch.equal(first, final_map(classifier, replace(TINY, seed=1), one))


def test_the_global_random_state_is_neither_read_nor_moved():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first = final_map(colour_classifier(), TINY, Classes((1,), "one"))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(first, final_map(colour_classifier(), TINY, Classes((1,), "one")))


def test_two_nudge_steps_are_two_normalised_steps_of_each_data_point():
    classifier, concepts = colour_classifier(), [Classes((1,), "one"), Classes((2,), "two")]
    recipe = Recipe(
        geometry=Pixel(),
        views=Views(),
        samples=2,
        nudge_steps=2,
        iterations=1,
        step=0.3,
        average_last=0.0,
        betas=(0.0, 0.0),
    )
    displacements = []
    for concept in concepts:
        drawn = draw(recipe.distribution, recipe.views, [make_generator(0, concept.name, 0)], 2, classifier.image_shape)
        walked = []
        for k in range(2):
            point = torch.zeros(1, *classifier.image_shape)
            for _ in range(2):
                alone = replace(drawn, samples=drawn.samples[k : k + 1], views=drawn.views[k : k + 1], count=1)
                slope, _ = nudge(classifier, [concept], point, alone, recipe)
                point = point - recipe.step * slope / slope.norm()
            walked.append(point)
        displacements.append(torch.cat(walked).mean(dim=0))
    *_, last = estimate(classifier, concepts, recipe)
    # With both decays at zero the direction of one iteration is the displacement's sign; compare where it is not noise.
    for row, displacement in enumerate(displacements):
        clear = displacement.abs() > 1e-3 * displacement.abs().max()
        assert clear.float().mean() > 0.8
        assert torch.equal(last.maps()[row][clear].sign(), displacement[clear].sign())


def test_whoever_reads_the_progress_keeps_their_own_gradient_mode():
    """An estimate is a generator: what it switches off for itself must be on again wherever it yields."""
    for _ in estimate(colour_classifier(), [Classes((1,), "one")], TINY):
        assert torch.is_grad_enabled()
        assert torch.ones(1, requires_grad=True).mul(2).requires_grad
    with torch.no_grad():
        list(estimate(colour_classifier(), [Classes((1,), "one")], TINY))
        assert not torch.is_grad_enabled()


def test_the_users_model_is_restored_when_the_work_breaks_off():
    def interrupt(module, inputs, output):
        assert not classifier.module.training
        raise KeyboardInterrupt

    classifier = colour_classifier()
    classifier.module.train()
    classifier.module.stem.weight.requires_grad_(False)
    with forward_hooks([(classifier.module.body, interrupt)]), pytest.raises(KeyboardInterrupt):
        list(estimate(classifier, [Classes((1,), "one")], TINY))
    assert all(module.training for module in classifier.module.modules())
    frozen = [name for name, parameter in classifier.module.named_parameters() if not parameter.requires_grad]
    assert frozen == ["stem.weight"]


def test_a_model_that_trains_is_not_changed_by_an_estimate():
    classifier = colour_classifier()
    classifier.module.train()
    before = {name: tensor.clone() for name, tensor in classifier.module.state_dict().items()}
    final_map(classifier, TINY, Classes((1,), "one"))
    for name, tensor in classifier.module.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(parameter.grad is None for parameter in classifier.module.parameters())


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_grey_and_many_channel_models_have_maps_too(channels):
    module = torch.nn.Sequential(torch.nn.Conv2d(channels, 4, 3), torch.nn.Flatten(), torch.nn.LazyLinear(3))
    torch.manual_seed(0)
    module(torch.zeros(1, channels, 9, 8))
    classifier = Classifier(module, InputFormat((9, 8), channels))
    assert final_map(classifier, TINY, Classes((1,), "one")).shape == (1, channels, 9, 8)
