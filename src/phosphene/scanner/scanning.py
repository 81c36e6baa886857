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
from phosphene.scanner.budget import COMPARED_FIRST, Budget
from phosphene.scanner.comparison import Comparison, list_strange_facts
from phosphene.scanner.context import Context
from phosphene.scanner.examination import Evidence, Examination, examine_suspects
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
from phosphene.scanner.record import Calibration, ClassEvidence, Pairs, Scan
from phosphene.scanner.reference import Reference, load_shipped
from phosphene.scanner.settings import Settings
from phosphene.scanner.statistics.registry import STATISTICS
from phosphene.scanner.verdict import NOT_COVERED, SUSPICIOUS_LEVEL, decide_verdict, measure_asymmetry


@dataclass(frozen=True)
class Findings:
    """All that a verdict rests on."""

    measurement: Measurement
    judged: Judged
    evidence: Evidence
    reference: Reference
    budget: Budget


def scan(
    classifier: Classifier,
    settings: Settings | None = None,
    *,
    reference: Reference | None = None,
    budget: float | None = None,
    on_stage: OnStage = ignore_stage,
    on_warning: OnStage = ignore_stage,
) -> Scan:
    """Scan one model for a backdoor; `budget` in seconds decides the depth, and without it the settings do.

    A model that is itself among the references is judged without its own row.
    """
    table = (load_shipped() if reference is None else reference).without(classifier.fingerprint)
    private, examination = prepare_classifier(classifier), Examination()
    if (much := check_memory(private)) is not None:
        on_warning(much)
    shared = Budget(ModelSize.of(private), (*STATISTICS.values(), examination), budget)
    with shared.count_passes(private):
        compared = not list_strange_facts(describe_model(private), table)
        depth = shared.plan(settings or Settings(), private, COMPARED_FIRST if compared else ())
        measurement = measure_statistics(Context(private, depth), shared, on_stage)
        row, context = measurement.row, measurement.context
        judged = judge(row, table, context.settings)
        on_stage(examination.key)
        context = replace(context, settings=shared.replan(context.settings, examination.key))
        accused = judged.calibrated and judged.p_value <= SUSPICIOUS_LEVEL
        since, evidence = shared.mark(), examine_suspects(context, judged.fused, accused=accused)
        shared.add(examination.key, len(evidence.suspects), since)
    measurement = replace(measurement, context=context)
    return _conclude(classifier, Findings(measurement, judged, evidence, table, shared))


def _conclude(classifier: Classifier, findings: Findings) -> Scan:
    row, context, judged, evidence = (
        findings.measurement.row,
        findings.measurement.context,
        findings.judged,
        findings.evidence,
    )
    settings, comparison, budget = context.settings, judged.comparison, findings.budget
    asymmetry = measure_asymmetry(evidence.pairs, evidence.trigger.target.index)
    verdict = decide_verdict(judged.p_value, asymmetry, calibrated=judged.calibrated, classes=row.outputs)
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
        asymmetry=asymmetry,
        stability=evidence.stability,
        stages=tuple(budget.done),
        checks=_list_checks(findings),
        not_covered=(*NOT_COVERED, *_list_not_compared(comparison)),
        calibration=Calibration(
            findings.reference.name, len(findings.reference.rows), comparison.outside, comparison.reasons
        ),
        settings=to_plain(settings),
        versions={"phosphene": version("phosphene"), "torch": str(torch.__version__)},
        seconds=round(budget.seconds, 2),
        passes=budget.passes,
        seed=settings.seed,
        own_classes=judged.own_classes,
    )


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
    compared = findings.judged.list_checks(findings.measurement.row.outputs)
    return (*findings.measurement.checks, *findings.budget.list_checks(), *compared)


def _list_not_compared(comparison: Comparison) -> list[str]:
    families = ", ".join(comparison.families)
    return [f"triggers of the families that are not compared with clean models: {families}"] if families else []


def _describe_pairs(pairs: PairSizes | None) -> Pairs | None:
    if pairs is None:
        return None
    easiness = (-pairs.log_size).nan_to_num(nan=0.0)
    return Pairs(pairs.classes, tuple(tuple(row) for row in easiness.tolist()))
