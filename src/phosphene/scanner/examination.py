"""The last stage: long searches for the most suspicious classes, and the verification of the first suspect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from phosphene.core.seeding import make_generator
from phosphene.scanner.context import Context, get_iterations
from phosphene.scanner.families import FAMILIES
from phosphene.scanner.fusion import Fused
from phosphene.scanner.localization import count_passes, localize_patch
from phosphene.scanner.model_size import ModelSize, forward_cost
from phosphene.scanner.pairs import PairSizes, count_pairs_around, search_pairs_around
from phosphene.scanner.record import Curve, Named, Trigger
from phosphene.scanner.search import Candidates, images_per_candidate, search_classes
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import list_columns
from phosphene.scanner.surrogates import Surrogates, draw_smooth_noise, render_surrogates
from phosphene.scanner.verification import (
    AREAS,
    MAX_IMAGES,
    Flips,
    apply_candidate,
    choose_images,
    count_flips,
    describe_trigger,
    measure_agreement,
    measure_curve,
    measure_flip_rates,
)

KEPT_RATE = 0.8  # of the candidate's flip rate: what a single window has to reach to be shown in its place
NOISE_TRIED = 8  # times as many images of noise as a window is searched on
FRESH_SURROGATES = 2  # of each class
FRESH_SEED = 1_000_003  # added to the seed of the scan


@dataclass(frozen=True)
class Evidence:
    """What was found for the first of the suspects."""

    suspects: tuple[int, ...]
    trigger: Trigger
    curve: Curve
    stability: Mapping[str, float]
    pairs: PairSizes | None  # of the first suspect and other classes, where somebody is accused
    on_pictures: Flips | None = None  # of the user's, where there are any


@dataclass(frozen=True)
class Examination:
    """Its cost, for the budget."""

    key: str = "long"
    least: Mapping[str, int] = field(  # a small budget leaves windows out, which show the trigger and decide nothing
        default_factory=lambda: {"long_iterations": 3, "window_iterations": 0, "pair_iterations": 3}
    )

    def cost(self, settings: Settings, size: ModelSize) -> int:
        suspects = min(size.classes, settings.top + settings.controls)
        fresh = FRESH_SURROGATES * size.background_classes * settings.surrogate_iterations
        searches = suspects + settings.restarts - 1
        long = images_per_candidate(settings, size.classes) * searches * settings.long_iterations
        window = count_passes(size, settings.window_images, settings.window_iterations)
        series = suspects + 1 + 2  # of the curve, and of candidate and window before it
        pairs = count_pairs_around(settings, size) * settings.pair_images * settings.pair_iterations
        return fresh + long + window + pairs + forward_cost(series * len(AREAS) * MAX_IMAGES)


def choose_suspects(scores: tuple[float, ...], settings: Settings) -> list[int]:
    """The classes of the highest scores, then random controls."""
    ranked = sorted(range(len(scores)), key=lambda index: -scores[index])
    top, rest = ranked[: settings.top], sorted(ranked[settings.top :])
    order = torch.randperm(len(rest), generator=make_generator(settings.seed, "controls", 0)).tolist()
    return top + [rest[place] for place in order[: settings.controls]]


def limit_last_stage(settings: Settings, *, clear: bool, stands_out: bool, accused: bool) -> Settings:
    """The settings without what the findings do not call for: other starts and windows show a class that stands out,
    pairs one that is accused; of a model that is clear one class is shown beside another."""
    if clear:
        settings = replace(settings, top=1, controls=min(1, settings.controls))
    if not stands_out:
        settings = replace(settings, restarts=1, window_iterations=0)
    return settings if accused else replace(settings, pair_iterations=0)


def examine_suspects(context: Context, judged: Fused, *, pictures: Tensor | None = None) -> Evidence:
    """Long searches of the family that says most about the first suspect, and their verification.

    By the settings also from other starts, in one small window, and of pairs of classes: a trigger that works on one
    source shows there.
    """
    classifier, settings = context.classifier, context.settings
    suspects = choose_suspects(judged.scores, settings)
    target = suspects[0]
    long, again = _search_longer(context, choose_family(settings, judged, target), suspects)
    images = choose_images(classifier, _render_fresh(context), target, settings.seed)
    best = min([long.select([0]), *again], key=lambda one: float(one.log_size[0]))
    if settings.window_iterations:
        best = _localize(context, best, target, images)
    others = long.select(range(1, len(suspects))) if len(suspects) > 1 else None
    curve = measure_curve(classifier, best, others, images, target, settings.seed)
    named, flip_rate = Named(target, classifier.labels[target]), curve.series["trigger"][-1]
    trigger = describe_trigger(best, images, named, flip_rate)
    pairs = search_pairs_around(classifier, context.surrogates, target, settings)
    flips = None if pictures is None else count_flips(classifier, best, pictures, target, settings.seed)
    return Evidence(tuple(suspects), trigger, curve, _measure_stability([long, *again], images), pairs, flips)


def choose_family(settings: Settings, judged: Fused, target: int) -> str:
    """The family that says most about the target; the first one where there are too few classes to compare.

    Where a family was not searched for all classes, its other columns speak for it.
    """
    searched = [family for family in FAMILIES if get_iterations(settings, family)]
    if len(searched) < len(FAMILIES):
        return max([*searched, *FAMILIES], key=lambda family: _say_most(judged, family, target))
    compared = [family for family in searched if family in judged.neg_log_p]
    return max(compared, key=lambda family: judged.neg_log_p[family][target], default=searched[0])


def _say_most(judged: Fused, family: str, target: int) -> float:
    """The most that a column of the family says of the target, in nats."""
    columns = [column.key for column in list_columns().values() if column.family == family and not column.whole]
    return max((judged.neg_log_p[name][target] for name in columns if name in judged.neg_log_p), default=0.0)


def _search_longer(context: Context, family: str, suspects: list[int]) -> tuple[Candidates, list[Candidates]]:
    """One candidate a suspect, and more of the first one from other starts."""

    def search(targets: list[int], restart: int) -> Candidates:
        settings, surrogates = context.settings, context.surrogates
        iterations = settings.long_iterations
        return search_classes(context.classifier, FAMILIES[family], targets, surrogates, iterations, settings, restart)

    again = range(2, context.settings.restarts + 1)
    return search(suspects, 1), [search(suspects[:1], restart) for restart in again]


def _render_fresh(context: Context) -> Surrogates:
    """Surrogates that no search has used."""
    iterations, seed = context.settings.surrogate_iterations, context.settings.seed + FRESH_SEED
    classes = list(context.surrogates.classes)
    return render_surrogates(context.classifier, classes, count=FRESH_SURROGATES, iterations=iterations, seed=seed)


def _localize(context: Context, best: Candidates, target: int, images: Tensor) -> Candidates:
    """The smallest window that does about what the candidate does, whatever its family; else the candidate.

    One small square that sends everything to a class is the simplest explanation that there is.
    """
    settings = context.settings
    shown = choose_noise(context, target)
    if not len(shown):
        shown = images[: settings.window_images]
    window = localize_patch(context.classifier, target, shown, settings.window_iterations).as_candidate()
    wanted, reached = (
        measure_flip_rates(context.classifier, images, apply_candidate(one, 0, images), target)[-1]
        for one in (best, window)
    )
    return window if reached >= KEPT_RATE * wanted else best


def choose_noise(context: Context, target: int) -> Tensor:
    """Smooth noise that is not predicted as the target, none where too little is."""
    count, seed = context.settings.window_images, context.settings.seed
    noise = draw_smooth_noise(NOISE_TRIED * count, context.classifier.image_shape, seed)
    with torch.no_grad():
        usable = context.classifier(noise).argmax(dim=1) != target
    return noise[usable][:count] if usable.sum() >= count else noise[:0]


def _measure_stability(searches: list[Candidates], images: Tensor) -> dict[str, float]:
    """How well the restarts for the first suspect agree; nothing of a single one."""
    if len(searches) < 2:
        return {}
    masks = [(apply_candidate(one, 0, images) - images).abs().mean(dim=(0, 1)) for one in searches]
    sizes = torch.stack([one.log_size[0] for one in searches])
    return {
        "restarts": float(len(masks)),
        "agreement": measure_agreement(masks),
        "log_size_deviation": float(sizes.std()),
    }
