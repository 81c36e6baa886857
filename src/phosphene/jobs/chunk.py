"""One batch of concepts from nothing to finished maps: estimate, refine, measure."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from phosphene.artifact import SaliencyMap, to_bytes
from phosphene.attempts import Again, surest
from phosphene.classifier import Classifier
from phosphene.concepts import ACTIVE, Concept, class_names, classes_of, layer_of
from phosphene.estimator import estimate
from phosphene.fidelity import UNSEEN, UNSEEN_SAMPLES, excitation, fidelity, recognition, resized, top_classes
from phosphene.recipe import Recipe
from phosphene.refinement import IMPORTANCE_SAMPLES, Refinement, bare_pictures, display_scale, importance, refine

DEVELOPMENT_FRAMES = 12


def make_chunk(
    classifier: Classifier,
    concepts: Sequence[Concept],
    recipe: Recipe,
    verifiers: Sequence[Classifier] = (),
    iterated: Callable[[int], None] = lambda maps: None,
) -> list[SaliencyMap]:
    """Estimate, refine and score the maps of one batch; `iterated` hears of every iteration of so many maps."""
    started = time.perf_counter()
    kept = surest(classifier, concepts, recipe, partial(_estimates, iterated))
    maps = torch.stack([one.made.map for one in kept])
    refinements = refine(classifier, concepts, maps, recipe, [one.fidelity for one in kept])
    evidence = importance(classifier, concepts, maps, recipe)
    masks = torch.stack([refinement.mask for refinement in refinements])
    scale = display_scale(maps, recipe)
    raw, refined = bare_pictures(maps, recipe, scale), bare_pictures(maps * masks[:, None], recipe, scale)
    scores = [
        _scores(classifier, concept, saliency, refinement, recipe)
        for concept, saliency, refinement in zip(concepts, maps, refinements, strict=True)
    ]
    for score, bare, masked in zip(scores, _named_tops(classifier, raw), _named_tops(classifier, refined), strict=True):
        score["top5"], score["top5_refined"] = bare, masked
        score["verifiers"] = []
    for score, one, factor in zip(scores, kept, scale.flatten().tolist(), strict=True):
        score["scale"], score["attempts"] = round(factor, 4), one.attempts
    for verifier in verifiers:
        for score, opinion in zip(scores, opinions(verifier, concepts, raw), strict=True):
            score["verifiers"].append(opinion)
    seconds = (time.perf_counter() - started) / len(concepts)
    return [
        SaliencyMap(
            concept=concept.name, targets=classes_of(concept), map=maps[row].cpu(), importance=evidence[row].cpu(),
            mask=masks[row].cpu(), picture=refined[row].cpu(), raw_picture=raw[row].cpu(),
            development=to_bytes(bare_pictures(one.made.frames, recipe, scale[row])).cpu(),
            recipe=recipe.to_json(), model=model_record(classifier), scores=scores[row],
            checks=_checks(classifier, refinements[row], recipe), trace=one.made.trace, versions=versions(),
            passes=round(one.passes) + IMPORTANCE_SAMPLES,
            seconds=round(seconds, 2),
        )
        for row, (concept, one) in enumerate(zip(concepts, kept, strict=True))
    ]  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """A finished map `(C, H, W)`, what it took, the score of each iteration, and the map along the way
    `(frames, C, H, W)`."""

    map: Tensor
    passes: float
    trace: tuple[float, ...]
    frames: Tensor


def _estimates(
    iterated: Callable[[int], None], classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe
) -> list[Estimate]:
    """Estimates of several concepts together; `iterated` does not hear of attempts that nobody planned for."""
    traces, frames = [], []
    wanted = _frame_iterations(recipe.iterations)
    planned = sum(not isinstance(concept, Again) for concept in concepts)
    for progress in estimate(classifier, concepts, recipe, _refine_in_run(classifier, concepts, recipe)):
        traces.append(progress.scores)
        if progress.iteration in wanted:
            frames.append(progress.maps())
        iterated(planned)
    last = progress.maps()  # a recipe has at least one iteration
    rounded = [tuple(round(value, 4) for value in row) for row in torch.stack(traces).T.tolist()]
    made = zip(last, progress.passes.tolist(), rounded, torch.stack(frames, dim=1), strict=True)
    return [Estimate(*each) for each in made]


def _refine_in_run(classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe) -> Callable[[Tensor], Tensor]:
    """Refinement as a step of the estimate: the accepted masks, applied to the coefficients."""

    def refined(coefficients: Tensor) -> Tensor:
        maps = recipe.geometry.decode(coefficients, classifier.image_shape)
        masks = torch.stack([refinement.mask for refinement in refine(classifier, concepts, maps, recipe)])
        return recipe.geometry.encode(maps * masks[:, None])

    return refined


def _frame_iterations(iterations: int) -> set[int]:
    """Iterations whose pictures are kept: dense at the start, where most happens, and always the last."""
    frames = min(DEVELOPMENT_FRAMES, iterations)
    return {round((iterations - 1) * (k / max(1, frames - 1)) ** 2) for k in range(frames)}


def _scores(
    classifier: Classifier, concept: Concept, saliency: Tensor, refinement: Refinement, recipe: Recipe
) -> dict[str, Any]:
    unseen = {
        name: asdict(fidelity(classifier, concept, saliency, recipe, distribution, UNSEEN_SAMPLES))
        for name, distribution in UNSEEN.items()
        if distribution != recipe.distribution
    }
    measured = {
        "fidelity": {"own": asdict(refinement.before), **unseen},
        "refined_fidelity": asdict(refinement.after),
        "refinement": {"layer": refinement.layer, "area": round(refinement.area, 4)},
    }
    return (
        measured
        if layer_of(concept) is None
        else {**measured, "channel": _channel(classifier, concept, saliency, refinement, recipe)}
    )


def _channel(
    classifier: Classifier, concept: Concept, saliency: Tensor, refinement: Refinement, recipe: Recipe
) -> dict[str, Any]:
    """How far the channel is raised, in deviations of what it does on noise: with the map, refined, and without."""
    raised, without = excitation(classifier, concept, saliency, recipe)
    refined, _ = excitation(classifier, concept, refinement.mask * saliency, recipe)
    levels = {"deviations": raised, "refined": refined, "without_map": without, "active_above": ACTIVE}
    return {"layer": layer_of(concept), "channels": list(concept.targets),
            **{name: round(value, 3) for name, value in levels.items()}}  # fmt: skip


def _named_tops(classifier: Classifier, pictures: Tensor) -> list[list[dict[str, Any]]]:
    names = class_names(classifier.labels)
    return [
        [{"index": index, "name": names[index], "probability": round(share, 4)} for index, share in row]
        for row in top_classes(classifier, pictures)
    ]


def opinions(verifier: Classifier, concepts: Sequence[Concept], pictures: Tensor) -> list[dict[str, Any]]:
    """What another model, with the same classes, calls the bare pictures."""
    named = _named_tops(verifier, resized(pictures, verifier))
    return [
        {"model": verifier.name, **_agreement(verifier, concept, picture), "top5": names}
        for concept, picture, names in zip(concepts, pictures, named, strict=True)
    ]


def _agreement(verifier: Classifier, concept: Concept, picture: Tensor) -> dict[str, Any]:
    """Whether the verifier sees the concept; null for a channel, which no other model has."""
    if layer_of(concept) is not None:
        return {"top1": None, "log_probability": None}
    ((top, log_probability),) = recognition(verifier, [concept], picture[None]).tolist()
    return {"top1": bool(top), "log_probability": round(log_probability, 4)}


def _checks(classifier: Classifier, refinement: Refinement, recipe: Recipe) -> tuple[str, ...]:
    raised = {
        "low-fidelity": refinement.before.top1 < 0.5,
        "unrefined": refinement.layer is None,
        "data-using": not recipe.distribution.data_free,
    }
    return (*classifier.checks, *(name for name, is_raised in raised.items() if is_raised))


def model_record(classifier: Classifier) -> dict[str, Any]:
    record: dict[str, Any] = asdict(classifier.format)
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in record.items()}
    return {"name": classifier.name, "fingerprint": classifier.fingerprint, "input": plain,
            "outputs": len(classifier.labels)}  # fmt: skip


def versions() -> dict[str, str]:
    return {"phosphene": version("phosphene"), "torch": torch.__version__, "python": platform.python_version()}
