"""A scan from the model to the verdict.

All statistics of every class → one score a class → long searches for the most suspicious → causal verification →
asymmetry → verdict, with two p-values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version

import torch

from phosphene.core.records import to_plain
from phosphene.model.classifier import Classifier
from phosphene.model.record import ModelRecord
from phosphene.scanner.against.base import STAGE as BASE_STAGE
from phosphene.scanner.against.base import BaseStage, check_comparable, get_fingerprint, open_base
from phosphene.scanner.against.judging import Model, choose_external, judge_against
from phosphene.scanner.against.judging import list_checks as list_checks_of_base
from phosphene.scanner.against.record import Against
from phosphene.scanner.budget import COMPARED_FIRST, Budget
from phosphene.scanner.comparison import Comparison, compare, explain, list_strange_facts
from phosphene.scanner.context import Context
from phosphene.scanner.examination import Evidence, Examination, examine_suspects
from phosphene.scanner.fusion import Fused, fuse
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
from phosphene.scanner.pvalues import combine
from phosphene.scanner.record import Calibration, ClassEvidence, Pairs, Scan
from phosphene.scanner.reference import Reference, load_shipped
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import STATISTICS
from phosphene.scanner.verdict import (
    FEWEST_CLASSES,
    NOT_COVERED,
    SUSPICIOUS_LEVEL,
    decide_verdict,
    measure_asymmetry,
)


@dataclass(frozen=True)
class Findings:
    """All that a verdict rests on."""

    measurement: Measurement
    judged: Fused
    evidence: Evidence
    reference: Reference
    budget: Budget
    comparison: Comparison  # what the references speak for
    against: Against | None  # what a base adds


def scan(
    classifier: Classifier,
    settings: Settings | None = None,
    *,
    reference: Reference | None = None,
    budget: float | None = None,
    against: Classifier | Scan | None = None,
    on_stage: OnStage = ignore_stage,
    on_warning: OnStage = ignore_stage,
) -> Scan:
    """Scan one model for a backdoor; `budget` in seconds decides the depth, and without it the settings do.

    A model that is itself among the references is judged without its own row. `against` is a clean base or an earlier
    checkpoint, or the record of its scan: the differences count beside the model itself. A base that has to be measured
    takes as long again, within the budget. Raises `BadInput` where the base has other classes or images.
    """
    settings = settings or Settings()
    table = (load_shipped() if reference is None else reference).without(classifier.fingerprint)
    if against is not None:
        check_comparable(classifier, against, settings)
        table = table.without(get_fingerprint(against))
    private, examination = prepare_classifier(classifier), Examination()
    planned = [BaseStage()] if isinstance(against, Classifier) else []
    if (much := check_memory(private)) is not None:
        on_warning(much)
    shared = Budget(ModelSize.of(private), (*STATISTICS.values(), *planned, examination), budget)
    with shared.count_passes(private):
        compared = not list_strange_facts(describe_model(private), table)
        depth = shared.plan(settings, private, COMPARED_FIRST if compared else ())
        measurement = measure_statistics(Context(private, depth), shared, on_stage)
        row, context = measurement.row, measurement.context
        comparison = compare(row, table, context.settings)
        judged, beside = fuse(row, table, left_out=comparison.left_out), None
        if against is not None:
            on_stage(BASE_STAGE)
            model = Model(row, context.settings, judged, comparison)
            judged, beside = judge_against(model, open_base(against, model.settings, shared, classifier), table)
        on_stage(examination.key)
        context = replace(context, settings=shared.replan(context.settings, examination.key))
        external = choose_external(judged, comparison, beside)
        accused = external is not None and combine(judged.internal, external) <= SUSPICIOUS_LEVEL
        since, evidence = shared.mark(), examine_suspects(context, judged, accused=accused)
        shared.add(examination.key, len(evidence.suspects), since)
    measurement = replace(measurement, context=context)
    return _conclude(classifier, Findings(measurement, judged, evidence, table, shared, comparison, beside))


def _conclude(classifier: Classifier, findings: Findings) -> Scan:
    row, context, judged, evidence = (
        findings.measurement.row,
        findings.measurement.context,
        findings.judged,
        findings.evidence,
    )
    settings, outside, budget = context.settings, findings.comparison.outside, findings.budget
    p_external = choose_external(judged, findings.comparison, findings.against)
    p_value = combine(judged.internal, p_external)
    asymmetry = measure_asymmetry(evidence.pairs, evidence.trigger.target.index)
    verdict = decide_verdict(p_value, asymmetry, calibrated=p_external is not None, classes=row.outputs)
    return Scan(
        model=ModelRecord.of(classifier),
        verdict=verdict,
        p_value=p_value,
        p_internal=judged.internal,
        p_external=p_external,
        target=None if verdict == "nothing found" else evidence.trigger.target,
        classes=_describe_classes(classifier, findings),
        absolutes=dict(row.whole),
        score=judged.score,
        trigger=evidence.trigger,
        curve=evidence.curve,
        pairs=_describe_pairs(evidence.pairs),
        asymmetry=asymmetry,
        stability=evidence.stability,
        stages=tuple(budget.done),
        checks=_list_checks(findings),
        not_covered=(*NOT_COVERED, *_list_not_compared(findings.comparison)),
        calibration=Calibration(
            findings.reference.name, len(findings.reference.rows), outside, findings.comparison.reasons
        ),
        settings=to_plain(settings),
        versions={"phosphene": version("phosphene"), "torch": str(torch.__version__)},
        seconds=round(budget.seconds, 2),
        passes=budget.passes,
        seed=settings.seed,
        against=findings.against,
    )


def _describe_classes(classifier: Classifier, findings: Findings) -> tuple[ClassEvidence, ...]:
    columns, outliers = findings.measurement.row.classes, findings.judged.outliers
    classes = []
    for index, label in enumerate(classifier.labels):
        raw = {name: values[index] for name, values in columns.items() if values[index] == values[index]}
        far = {name: values[index] for name, values in outliers.items()}
        depth = "long" if index in findings.evidence.suspects else "short"
        classes.append(ClassEvidence(index, label, findings.judged.scores[index], raw, far, depth))
    return tuple(classes)


def _list_checks(findings: Findings) -> tuple[str, ...]:
    row, outside = findings.measurement.row, findings.comparison.outside
    checks = [*findings.measurement.checks, *findings.budget.list_checks(), *list_checks_of_base(findings.against)]
    if row.outputs < FEWEST_CLASSES:
        checks.append(f"{row.outputs} classes cannot be compared with each other; expected {FEWEST_CLASSES} or more")
    if outside:
        reasons = "; ".join(outside)
        return (*checks, f"outside the calibration range ({reasons}): only the internal p-value counts")
    return (*checks, *explain(findings.comparison))


def _list_not_compared(comparison: Comparison) -> list[str]:
    families = ", ".join(comparison.families)
    return [f"triggers of the families that are not compared with clean models: {families}"] if families else []


def _describe_pairs(pairs: PairSizes | None) -> Pairs | None:
    if pairs is None:
        return None
    easiness = (-pairs.log_size).nan_to_num(nan=0.0)
    return Pairs(pairs.classes, tuple(tuple(row) for row in easiness.tolist()))
