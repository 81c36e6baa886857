"""A scan from the model to the verdict.

All statistics of every class → one score a class → long searches for the most suspicious → causal verification →
verdict, with two p-values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version

import torch

from phosphene.core.durations import format_time
from phosphene.core.records import to_plain
from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.model.record import ModelRecord
from phosphene.scanner.against.base import STAGE as BASE_STAGE
from phosphene.scanner.against.base import Base, BaseStage, check_comparable, open_base
from phosphene.scanner.budget import COMPARED_FIRST, Budget, measure_speed
from phosphene.scanner.comparison import Comparison, list_strange_facts
from phosphene.scanner.context import Context, get_iterations
from phosphene.scanner.examination import Evidence, Examination, examine_suspects, limit_last_stage
from phosphene.scanner.families import FAMILIES
from phosphene.scanner.judging import Judged, judge
from phosphene.scanner.measuring import (
    Measurement,
    OnStage,
    describe_model,
    ignore_stage,
    measure_statistics,
    prepare_classifier,
)
from phosphene.scanner.memory import check_memory
from phosphene.scanner.model_size import ModelSize
from phosphene.scanner.pairs import PairSizes
from phosphene.scanner.pictures import STATISTICS_TOO, VERIFICATION, Pictures, PicturesUsed, Role
from phosphene.scanner.pictures import list_checks as list_checks_of_pictures
from phosphene.scanner.record import Calibration, ClassEvidence, Pairs, Scan
from phosphene.scanner.reference import Reference, Row, load_shipped
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import CLEAR, STATISTICS, list_later
from phosphene.scanner.statistics.searches import TELLING
from phosphene.scanner.verdict import NOT_COVERED, SUSPICIOUS_LEVEL, decide_verdict, measure_asymmetry

MANY_CLASSES = 100  # of more, a budget buys searches that turn an image or none
FEW = 64  # images that the speed is measured on
LONG = 300.0  # seconds of a scan without a budget, from which on a user is told before


@dataclass(frozen=True)
class Findings:
    """All that a verdict rests on."""

    measurement: Measurement
    judged: Judged
    evidence: Evidence
    reference: Reference
    budget: Budget
    images: Pictures | None


def scan(
    classifier: Classifier,
    settings: Settings | None = None,
    *,
    reference: Reference | None = None,
    budget: float | None = None,
    against: Classifier | Scan | Base | None = None,
    images: Pictures | None = None,
    on_stage: OnStage = ignore_stage,
    on_warning: OnStage = ignore_stage,
) -> Scan:
    """Scan one model for a backdoor; `budget` in seconds decides the depth, and without it the settings do.

    A model that is itself among the references is judged without its own row. `against` is a clean base or an earlier
    checkpoint, or the record of its scan: the differences count beside the model itself. A base that has to be measured
    takes as long again, within the budget. Raises `BadInput` where the base has other classes or images.

    `images` are clean pictures at the size of the model (`phosphene.scanner.pictures.load_pictures`): the candidate is
    tried on them, and the statistics are measured on them where those of the references were, too.
    """
    table = (load_shipped() if reference is None else reference).without(classifier.fingerprint)
    settings = choose_backgrounds(settings or Settings(), images, table)
    if against is not None:
        against = Base.of_scan(against) if isinstance(against, Scan) else against
        check_comparable(classifier, against, settings)
        table = table.without(against.fingerprint)
    private, examination = prepare_classifier(classifier), Examination()
    planned = [BaseStage()] if isinstance(against, Classifier) else []
    backgrounds = images.for_search if images is not None and settings.backgrounds else None
    if (much := check_memory(private)) is not None:
        on_warning(much)
    shared = Budget(ModelSize.of(private), (*STATISTICS.values(), *planned, examination), budget)
    with shared.count_passes(private):
        depth = plan_depth(shared, settings, private, table, against.settings if isinstance(against, Base) else None)

        def is_clear(row: Row, used: Settings) -> bool:
            judged = None if against is not None else judge(row, table, used)
            return judged is not None and judged.external is not None and judged.p_value > used.clear

        context = Context(private, depth, pictures=backgrounds)
        measurement = measure_statistics(context, shared, on_stage, is_clear=is_clear)
        row, context = measurement.row, measurement.context
        base = None
        if against is not None:
            on_stage(BASE_STAGE)
            base = open_base(against, context, shared)
        judged = judge(row, table, context.settings, base, list_later() if measurement.clear else ())
        on_stage(examination.key)
        stands_out = judged.p_value <= SUSPICIOUS_LEVEL
        asked = context.settings
        accused = judged.calibrated and stands_out
        limited = limit_last_stage(asked, clear=measurement.clear, stands_out=stands_out, accused=accused)
        context = replace(context, settings=shared.replan(limited, examination.key))
        unseen = None if images is None else images.list_unseen(searched=bool(settings.backgrounds))
        since, evidence = shared.mark(), examine_suspects(context, judged.fused, pictures=unseen)
        shared.add(examination.key, len(evidence.suspects), since)
    measurement = replace(measurement, context=replace(context, settings=_restore(context.settings, asked, limited)))
    return _conclude(classifier, Findings(measurement, judged, evidence, table, shared, images))


def plan_depth(
    budget: Budget, settings: Settings, classifier: Classifier, table: Reference, like: Settings | None = None
) -> Settings:
    """The settings, as deep as the budget allows, and as `like` where it can."""
    compared = not list_strange_facts(describe_model(classifier), table.join())
    many = not compared and budget.size.classes > MANY_CLASSES
    return budget.plan(settings, classifier, COMPARED_FIRST if compared else (), TELLING if many else None, like)


def _restore(used: Settings, asked: Settings, limited: Settings) -> Settings:
    """The settings for the record: what the findings did not call for stays as asked, so that they give this scan
    again and with another seed leave nothing out."""
    names = ("top", "controls", "restarts", "window_iterations", "pair_iterations")
    spared = [name for name in names if getattr(limited, name) != getattr(asked, name)]
    return replace(used, **{name: getattr(asked, name) for name in spared})


def check_duration(classifier: Classifier, settings: Settings) -> str | None:
    """A sentence where a scan without a budget takes more than five minutes on this machine; measures its speed."""
    private = prepare_classifier(classifier)
    size = ModelSize.of(private)
    cost = Budget(size, (*STATISTICS.values(), Examination())).cost(settings)
    seconds = cost / measure_speed(private, min(FEW, size.images_per_pass))
    if seconds < LONG:
        return None
    return (
        f"a scan of {classifier.name} at full depth takes about {format_time(seconds)} here at the most; "
        f"a budget in seconds (--budget 600) makes it as deep as that allows"
    )


def choose_backgrounds(settings: Settings, images: Pictures | None, table: Reference) -> Settings:
    """With the digest of the pictures where the statistics are to be measured on them: as those of the references were,
    or where the settings name it themselves."""
    digest = "" if images is None else images.digest
    if settings.backgrounds not in ("", digest):
        given = f"those of digest {digest[:12]}" if digest else "none"
        raise BadInput(
            f"the settings name pictures of digest {settings.backgrounds[:12]}, and the scan is given {given}; "
            f"expected the same ones"
        )
    return replace(settings, backgrounds=digest) if table.is_measured_on(digest) else settings


def _conclude(classifier: Classifier, findings: Findings) -> Scan:
    row, context, judged, evidence = (
        findings.measurement.row,
        findings.measurement.context,
        findings.judged,
        findings.evidence,
    )
    settings, comparison, budget = context.settings, judged.comparison, findings.budget
    verdict = decide_verdict(judged.p_value, calibrated=judged.calibrated, classes=row.outputs)
    return Scan(
        model=ModelRecord.of(classifier),
        verdict=verdict,
        p_value=judged.p_value,
        p_internal=judged.fused.internal,
        p_external=judged.external,
        target=None if verdict == "nothing found" else evidence.trigger.target,
        classes=_describe_classes(classifier, findings),
        absolutes=dict(row.whole),
        score=judged.fused.score,
        trigger=evidence.trigger,
        curve=evidence.curve,
        pairs=_describe_pairs(evidence.pairs),
        asymmetry=measure_asymmetry(evidence.pairs, evidence.trigger.target.index),
        stability=evidence.stability,
        stages=tuple(budget.done),
        checks=_list_checks(findings),
        not_covered=(*NOT_COVERED, *_list_not_searched(settings), *_list_not_compared(comparison)),
        calibration=_describe_calibration(findings),
        settings=to_plain(settings),
        versions={"phosphene": version("phosphene"), "torch": str(torch.__version__)},
        seconds=round(budget.seconds, 2),
        passes=budget.passes,
        seed=settings.seed,
        own_classes=judged.own_classes,
        against=judged.against,
        images=_describe_pictures(findings),
    )


def _describe_pictures(findings: Findings) -> PicturesUsed | None:
    images, flips = findings.images, findings.evidence.on_pictures
    if images is None or flips is None:
        return None
    role: Role = STATISTICS_TOO if findings.measurement.context.settings.backgrounds else VERIFICATION
    return PicturesUsed(len(images), images.digest, role, flips.tried, flips.flipped, flips.shuffled, images.unreadable)


def _describe_calibration(findings: Findings) -> Calibration:
    against, comparison = findings.judged.against, findings.judged.comparison
    pairs = against is not None and against.method == "references"
    models = against.models if against is not None and pairs else findings.judged.references
    return Calibration(findings.reference.name, models, comparison.outside, comparison.reasons)


def _describe_classes(classifier: Classifier, findings: Findings) -> tuple[ClassEvidence, ...]:
    columns, outliers = findings.measurement.row.classes, findings.judged.fused.outliers
    classes = []
    for index, label in enumerate(classifier.labels):
        raw = {name: values[index] for name, values in columns.items() if values[index] == values[index]}
        far = {name: values[index] for name, values in outliers.items()}
        depth = "long" if index in findings.evidence.suspects else "short"
        classes.append(ClassEvidence(index, label, findings.judged.fused.scores[index], raw, far, depth))
    return tuple(classes)


def _list_checks(findings: Findings) -> tuple[str, ...]:
    row, pictures = findings.measurement.row, findings.images
    checks = [*findings.measurement.checks, *findings.budget.list_checks(), *findings.judged.list_checks(row.outputs)]
    checks += [CLEAR] if findings.measurement.clear else []
    if pictures is not None:
        checks += list_checks_of_pictures(pictures, findings.measurement.context.settings)
    return tuple(checks)


def _list_not_searched(settings: Settings) -> list[str]:
    families = ", ".join(family for family in FAMILIES if not get_iterations(settings, family))
    return [f"triggers that only a search of every class would show, of the families {families}"] if families else []


def _list_not_compared(comparison: Comparison) -> list[str]:
    families = ", ".join(comparison.families)
    return [f"triggers of the families that are not compared with clean models: {families}"] if families else []


def _describe_pairs(pairs: PairSizes | None) -> Pairs | None:
    if pairs is None:
        return None
    easiness = (-pairs.log_size).nan_to_num(nan=0.0)
    return Pairs(pairs.classes, tuple(tuple(row) for row in easiness.tolist()))
