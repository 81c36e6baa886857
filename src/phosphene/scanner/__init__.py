"""The backdoor scanner: is there one class that a small common change reaches from everywhere? No data is used.

Probes → surrogate images → random stamps → short searches for every class → pairs → long searches for the most
suspicious → causal verification → asymmetry → verdict, with two p-values.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import torch
from torch import Tensor

from phosphene.core.records import to_plain
from phosphene.core.seeding import make_generator
from phosphene.model.classifier import Classifier
from phosphene.model.record import ModelRecord
from phosphene.scanner import verification
from phosphene.scanner.backgrounds import rendered
from phosphene.scanner.calibration import Reference, shipped
from phosphene.scanner.families import FAMILIES
from phosphene.scanner.fusion import Fused, fused
from phosphene.scanner.measure import Measured, measured, prepared, searched
from phosphene.scanner.pvalues import combined
from phosphene.scanner.record import Calibration, ClassEvidence, Curve, Named, Pairs, Scan, Trigger
from phosphene.scanner.references import calibrated, measure
from phosphene.scanner.search import Found
from phosphene.scanner.settings import Clock, Settings, planned, rows_at_once, slowed
from phosphene.scanner.verdict import NOT_COVERED, asymmetry_of, verdict_of
from phosphene.scanner.window import located

KEPT = 0.8  # of the candidate's flip rate: what a single window has to reach to be shown in its place

__all__ = ["Reference", "Scan", "Settings", "calibrated", "measure", "scan"]


def scan(
    classifier: Classifier,
    settings: Settings | None = None,
    *,
    reference: Reference | None = None,
    budget: float | None = None,
    told: Callable[[str], None] = lambda stage: None,
) -> Scan:
    """Scan one model for a backdoor; `budget` in seconds decides the depth, and without it the settings do.

    A model that is itself among the references is judged without its own row.
    """
    table = (shipped() if reference is None else reference).without(classifier.fingerprint)
    private = prepared(classifier)
    clock = Clock(private, budget)
    depth, shortened = planned(settings or Settings(), private, clock)
    found = measured(private, depth, clock, told)
    found.checks.extend([shortened] if shortened else [])
    judged = fused(found.row, table)
    told("long searches and verification")
    found.settings = clock.replanned(found.settings, len(private.labels), "long")
    found.checks.extend([slowed(clock)] if clock.shortened else [])
    suspects = _suspects(judged, found.settings)
    with clock.stage("long", len(suspects)):
        evidence = _examined(private, found, judged, suspects)
    return _concluded(classifier, found, judged, table, evidence, clock)


def _suspects(judged: Fused, settings: Settings) -> list[int]:
    """The classes of the highest scores, then random controls."""
    ranked = sorted(range(len(judged.scores)), key=lambda index: -judged.scores[index])
    top, rest = ranked[: settings.top], sorted(ranked[settings.top :])
    order = torch.randperm(len(rest), generator=make_generator(settings.seed, "controls", 0)).tolist()
    return top + [rest[place] for place in order[: settings.controls]]


def _examined(
    classifier: Classifier, found: Measured, judged: Fused, suspects: list[int]
) -> tuple[Trigger, Curve, dict[str, float]]:
    """Long searches of the family that speaks most for the first suspect, restarted, and its verification."""
    settings, target = found.settings, suspects[0]
    family = max(found.short, key=lambda name: judged.surprises[name][target])
    long = searched(classifier, FAMILIES[family], suspects, found.backgrounds, settings.long, settings, restart=1)
    again = [
        searched(classifier, FAMILIES[family], [target], found.backgrounds, settings.long, settings, restart=restart)
        for restart in range(2, settings.restarts + 1)
    ]
    fresh = rendered(classifier, list(found.backgrounds.held), count=2, iterations=settings.surrogate_iterations,
                     seed=settings.seed + 1_000_003, rows=rows_at_once(classifier))  # fmt: skip
    images = verification.canvases(classifier, fresh, target, settings.seed)
    best = min([long.rows(torch.tensor([0])), *again], key=lambda one: float(one.log_size[0]))
    best = _localised(classifier, best, target, images, settings)
    others = long.rows(torch.arange(1, len(suspects))) if len(suspects) > 1 else None
    drawn = verification.curve(classifier, best, others, images, target, settings.seed)
    named = Named(target, classifier.labels[target])
    shown = verification.trigger(best, images, named, drawn.series["trigger"][-1])
    masks = [_importance(one, images) for one in (long, *again)]
    sizes = torch.stack([one.log_size[0] for one in (long, *again)])
    stability = {"restarts": float(len(masks)), "agreement": verification.agreement(masks),
                 "log_size_deviation": float(sizes.std()) if len(masks) > 1 else 0.0}  # fmt: skip
    return shown, drawn, stability


def _localised(classifier: Classifier, best: Found, target: int, images: Tensor, settings: Settings) -> Found:
    """The smallest window that does about what the candidate does, whatever its family; else the candidate.

    One small square that sends everything to a class is the simplest account of it that there is.
    """
    window = located(classifier, target, images[: settings.window_images], settings.window_iterations,
                     rows_at_once(classifier))  # fmt: skip
    reached = verification.rates(classifier, images, verification.applied(best, 0, images), target)[-1]
    found = window.found()
    kept = verification.rates(classifier, images, verification.applied(found, 0, images), target)[-1]
    return found if kept >= KEPT * reached else best


def _importance(found: Found, images: Tensor) -> Tensor:
    return (verification.applied(found, 0, images) - images).abs().mean(dim=(0, 1))


def _concluded(
    classifier: Classifier,
    found: Measured,
    judged: Fused,
    table: Reference,
    evidence: tuple[Trigger, Curve, dict[str, float]],
    clock: Clock,
) -> Scan:
    shown, drawn, stability = evidence
    outside = table.outside(found.row, found.settings)
    p_external = None if outside else judged.external
    p_value = combined(judged.internal, p_external)
    asymmetry = asymmetry_of(found.pairs, shown.target.index)
    named = verdict_of(p_value, asymmetry, calibrated=not outside)
    accused = named != "nothing found"
    labels, statistics = classifier.labels, found.row.classes
    depth = dict.fromkeys(_suspects(judged, found.settings), "long")
    classes = tuple(
        ClassEvidence(
            index, label, judged.scores[index],
            {name: values[index] for name, values in statistics.items() if values[index] == values[index]},
            {name: values[index] for name, values in judged.outliers.items()}, depth.get(index, "short"),
        )
        for index, label in enumerate(labels)
    )  # fmt: skip
    checks = list(found.checks)
    if outside:
        checks.append(f"outside the calibration range ({'; '.join(outside)}): only the internal p-value counts")
    return Scan(
        model=to_plain(ModelRecord.of(classifier)) | {"classes": len(labels)},
        verdict=named, p_value=p_value, p_internal=judged.internal, p_external=p_external,
        target=shown.target if accused else None, targets=(shown.target,) if accused else (),
        classes=classes, absolutes=dict(found.row.whole), score=judged.score, trigger=shown, curve=drawn,
        pairs=_pairs(found.pairs), asymmetry=asymmetry, stability=stability, stages=tuple(clock.stages),
        checks=tuple(checks), not_covered=NOT_COVERED,
        calibration=Calibration(table.name, len(table.rows), outside), settings=found.settings.to_json(),
        versions={"phosphene": version("phosphene"), "torch": torch.__version__},
        seconds=round(clock.seconds, 2), passes=clock.passes, seed=found.settings.seed,
    )  # fmt: skip


def _pairs(sizes: Tensor | None) -> Pairs | None:
    if sizes is None:
        return None
    easiness = (-sizes).nan_to_num(nan=0.0)
    return Pairs(tuple(range(len(sizes))), tuple(tuple(row) for row in easiness.tolist()), None)
