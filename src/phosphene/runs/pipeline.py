"""One batch of concepts from nothing to finished maps: estimate, refine, measure."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from phosphene.core.images import to_bytes
from phosphene.method.fidelity import UNSEEN, UNSEEN_SAMPLES, measure_excitation, measure_fidelity
from phosphene.method.importance import IMPORTANCE_SAMPLES, compute_importance
from phosphene.method.multires import estimate
from phosphene.method.recognition import measure_pictures
from phosphene.method.refinement import Refinement, refine
from phosphene.method.restarts import Best, best_of_restarts, weaken_views
from phosphene.method.scaling import display_scale, render_pictures
from phosphene.model.checks import CHECKS
from phosphene.model.classifier import Classifier
from phosphene.model.outputs import ACTIVE
from phosphene.model.readout import is_repeated
from phosphene.model.record import ModelRecord
from phosphene.recipe.concepts import Concept, classes_of, find_direction, layer_of
from phosphene.recipe.recipe import Recipe
from phosphene.runs.callbacks import noop
from phosphene.runs.opinions import collect_opinions, guess_classes
from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.scores import ChannelScore, Guess, MaskScore, Opinion, PictureScore, Scores
from phosphene.runs.versions import installed_versions

DEVELOPMENT_FRAMES = 12
CHANCE = 0.5  # share of images of two kinds, counting alike, that are told right without looking


@dataclass(frozen=True)
class Estimate:
    """A finished map `(C, H, W)`, what it took, the score of each iteration, and the map along the way
    `(frames, C, H, W)`."""

    map: Tensor
    passes: float
    trace: tuple[float, ...]
    frames: Tensor


def run_batch(
    classifier: Classifier,
    concepts: Sequence[Concept],
    recipe: Recipe,
    verifiers: Sequence[Classifier] = (),
    on_iterations: Callable[[int], None] = noop,
) -> list[SaliencyMap]:
    """Estimate, refine and score the maps of one batch; `on_iterations` is called with the number of maps that have
    gone through another iteration."""
    started = time.perf_counter()
    best = best_of_restarts(classifier, concepts, recipe, partial(_estimate_all, on_iterations))
    finished: dict[int, SaliencyMap] = {}
    for share in sorted({one.views_kept for one in best}):
        rows = [row for row, one in enumerate(best) if one.views_kept == share]
        made = _finish(classifier, [concepts[row] for row in rows], recipe, verifiers, [best[row] for row in rows])
        finished |= dict(zip(rows, made, strict=True))
    seconds = round((time.perf_counter() - started) / len(concepts), 2)
    return [replace(finished[row], seconds=seconds) for row in range(len(concepts))]


def _finish(
    classifier: Classifier,
    concepts: Sequence[Concept],
    asked: Recipe,
    verifiers: Sequence[Classifier],
    best: Sequence[Best[Estimate]],
) -> list[SaliencyMap]:
    """Refine and score estimates that were made under the same views; `asked` is the recipe with all of them."""
    recipe = weaken_views(asked, best[0].views_kept)
    maps = torch.stack([one.estimate.map for one in best])
    _check_finite(classifier, concepts, maps)
    refinements = refine(classifier, concepts, maps, recipe, [one.fidelity for one in best])
    importance = compute_importance(classifier, concepts, maps, recipe)
    masks, scale = torch.stack([refinement.mask for refinement in refinements]), display_scale(maps, recipe)
    raw, refined = render_pictures(maps, recipe, scale), render_pictures(maps * masks[:, None], recipe, scale)
    scores = _score_all(classifier, concepts, recipe, verifiers, best, refinements, raw, refined, scale)
    return [
        SaliencyMap(
            concept=concept.name,
            targets=classes_of(concept),
            map=maps[row].cpu(),
            importance=importance[row].cpu(),
            mask=masks[row].cpu(),
            picture=refined[row].cpu(),
            raw_picture=raw[row].cpu(),
            development=to_bytes(render_pictures(one.estimate.frames, recipe, scale[row])).cpu(),
            recipe=asked.to_json(),
            model=ModelRecord.of(classifier),
            scores=scores[row],
            checks=_raised_checks(classifier, concept, refinements[row], scores[row], recipe, maps[row]),
            trace=one.estimate.trace,
            versions=installed_versions(),
            passes=round(one.passes) + IMPORTANCE_SAMPLES,
        )
        for row, (concept, one) in enumerate(zip(concepts, best, strict=True))
    ]


def _check_finite(classifier: Classifier, concepts: Sequence[Concept], maps: Tensor) -> None:
    for concept, one in zip(concepts, maps, strict=True):
        if not one.isfinite().all():
            raise CHECKS["not-finite"].failed(
                f"{classifier.name} gives NaN or infinite gradients on images that carry the map of {concept.name!r}"
            )


def _estimate_all(
    on_iterations: Callable[[int], None],
    classifier: Classifier,
    concepts: Sequence[Concept],
    recipe: Recipe,
    restart: int,
) -> list[Estimate]:
    """Estimates of several concepts together; iterations of a restart were not planned and are not counted."""
    traces, frames = [], []
    frame_iterations = _frame_iterations(recipe.iterations)
    refine_in_run = partial(_refine_coefficients, classifier, concepts, recipe)
    for progress in estimate(classifier, concepts, recipe, refine_in_run, restart):
        traces.append(progress.scores)
        if progress.iteration in frame_iterations:
            frames.append(progress.maps())
        on_iterations(0 if restart else len(concepts))
    rounded = [tuple(round(value, 4) for value in row) for row in torch.stack(traces).T.tolist()]
    rows = zip(progress.maps(), progress.passes.tolist(), rounded, torch.stack(frames, dim=1), strict=True)
    return [Estimate(*row) for row in rows]


def _refine_coefficients(
    classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe, coefficients: Tensor
) -> Tensor:
    """Refinement as a step of the estimate: the accepted masks, applied to the coefficients."""
    maps = recipe.geometry.decode(coefficients, classifier.image_shape)
    masks = torch.stack([refinement.mask for refinement in refine(classifier, concepts, maps, recipe)])
    return recipe.geometry.encode(maps * masks[:, None])


def _frame_iterations(iterations: int) -> set[int]:
    """Iterations whose pictures are kept: dense at the start, where most happens, and always the last."""
    frames = min(DEVELOPMENT_FRAMES, iterations)
    return {round((iterations - 1) * (k / max(1, frames - 1)) ** 2) for k in range(frames)}


def _score_all(
    classifier: Classifier,
    concepts: Sequence[Concept],
    recipe: Recipe,
    verifiers: Sequence[Classifier],
    best: Sequence[Best[Estimate]],
    refinements: Sequence[Refinement],
    raw: Tensor,
    refined: Tensor,
    scale: Tensor,
) -> list[Scores]:
    guesses = zip(*(guess_classes(classifier, pictures, concepts) for pictures in (raw, refined)), strict=True)
    opinions = collect_opinions(verifiers, concepts, raw)
    bare = zip(*(measure_pictures(classifier, concepts, pictures) for pictures in (raw, refined)), strict=True)
    columns = zip(concepts, best, refinements, guesses, opinions, bare, scale.flatten().tolist(), strict=True)
    return [_score(classifier, recipe, *row) for row in columns]


def _score(
    classifier: Classifier,
    recipe: Recipe,
    concept: Concept,
    best: Best[Estimate],
    refinement: Refinement,
    guesses: tuple[tuple[Guess, ...], tuple[Guess, ...]],
    opinions: tuple[Opinion, ...],
    bare: tuple[tuple[float, bool], tuple[float, bool]],
    scale: float,
) -> Scores:
    saliency = best.estimate.map
    elsewhere = {
        name: measure_fidelity(classifier, concept, saliency, recipe, distribution, UNSEEN_SAMPLES)
        for name, distribution in UNSEEN.items()
        if distribution != recipe.distribution
    }
    return Scores(
        fidelity=refinement.before,
        fidelity_elsewhere=elsewhere,
        refined_fidelity=refinement.after,
        refinement=MaskScore(refinement.layer, round(refinement.area, 4)),
        top5=guesses[0],
        top5_refined=guesses[1],
        scale=round(scale, 4),
        restarts=best.restarts,
        views_kept=best.views_kept,
        kept_start=best.kept_start,
        opinions=opinions,
        channel=_score_channel(classifier, concept, saliency, refinement, recipe),
        bare_pictures=PictureScore(round(bare[0][0], 4), bare[0][1], round(bare[1][0], 4), bare[1][1]),
    )


def _score_channel(
    classifier: Classifier, concept: Concept, saliency: Tensor, refinement: Refinement, recipe: Recipe
) -> ChannelScore | None:
    layer = layer_of(concept)
    if layer is None:
        return None
    with_map, without = measure_excitation(classifier, concept, saliency, recipe)
    refined, _ = measure_excitation(classifier, concept, refinement.mask * saliency, recipe)
    deviations, refined, without = (round(level, 3) for level in (with_map, refined, without))
    direction = find_direction(concept)
    channels, origin = (concept.targets, None) if direction is None else ((), direction.origin)
    return ChannelScore(layer, channels, deviations, refined, without, round(ACTIVE, 3), origin)


def _raised_checks(
    classifier: Classifier,
    concept: Concept,
    refinement: Refinement,
    scores: Scores,
    recipe: Recipe,
    saliency: Tensor,
) -> tuple[str, ...]:
    picture, fidelities = scores.bare_pictures, (scores.fidelity, *scores.fidelity_elsewhere.values())
    direction = find_direction(concept)
    interval = None if direction is None else direction.origin.interval
    raised = {
        "low-fidelity": refinement.before.top1 < 0.5,
        "weaker-views": scores.views_kept < 1,
        "picture-not-seen": picture is not None and not (picture.seen and picture.refined_seen),
        "dead-concept": not saliency.any(),
        "not-finite-elsewhere": any(one.finite < 1 for one in fidelities),
        "repeated-layer": is_repeated(classifier, layer_of(concept)),
        "unrefined": refinement.layer is None,
        "data-using": not recipe.distribution.data_free or interval is not None,
        "indistinct-direction": interval is not None and interval[0] <= CHANCE,
    }
    return (*classifier.checks, *(name for name, is_raised in raised.items() if is_raised))
