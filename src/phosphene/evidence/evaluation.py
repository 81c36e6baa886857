"""Evidence beside every picture: a folder of finished maps in, scores into its artifacts, averages into
`evidence.json`.

Scores are written map by map; running again measures only what is missing or was measured under other settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from phosphene.core.files import prepare_folder
from phosphene.core.locks import lock_folder
from phosphene.evidence.case import Case
from phosphene.evidence.measure import MapMeasure, RunInfo, RunMeasure
from phosphene.evidence.measures.registry import MEASURES
from phosphene.evidence.members import save_entries
from phosphene.evidence.results import EvaluatedMap, Evaluation, read_stored, save_evaluation, to_json
from phosphene.evidence.run import Run, open_run
from phosphene.evidence.settings import DEFAULT_SETTINGS, NO_CALLBACKS, EvaluationCallbacks, Settings
from phosphene.model.classifier import Classifier
from phosphene.runs.store import artifact_paths

NO_PHOTOGRAPHS = (
    "no photographs to lay maps on: they need a model of 1 or 3 channels and scikit-image "
    "(`pip install 'phosphene[photos]'`)"
)


def evaluate(
    folder: str | Path,
    classifier: Classifier,
    *,
    concepts: Sequence[str] = (),
    verifiers: Sequence[Classifier] = (),
    settings: Settings = DEFAULT_SETTINGS,
    callbacks: EvaluationCallbacks = NO_CALLBACKS,
) -> Evaluation:
    """Score the maps of the folder, all or those of `concepts`; returns what it writes to `evidence.json`.

    Raises `BadInput` where the maps are not this classifier's or not of one recipe, `MeaninglessScore` where a score
    comes to nothing.
    """
    with lock_folder(_check_folder(Path(folder)), callbacks.on_warning):
        run = open_run(Path(folder), classifier, concepts, verifiers, settings.samples, callbacks)
        return _evaluate(run, settings, callbacks)


def _check_folder(folder: Path) -> Path:
    """A folder with maps that can be written, without what a killed run left in it."""
    artifact_paths(folder)
    prepare_folder(folder)
    return folder


def _evaluate(run: Run, settings: Settings, callbacks: EvaluationCallbacks) -> Evaluation:
    if run.photographs is None:
        callbacks.on_warning(NO_PHOTOGRAPHS)
    run = _measure_maps(run)
    for measure in MEASURES.values():
        if isinstance(measure, RunMeasure) and measure.is_wanted(settings):
            run = _measure_run(run, measure, settings)
    evaluation = Evaluation(
        model=run.classifier.name,
        samples=settings.samples,
        feature_extractors=tuple(extractor.name for extractor in run.feature_extractors),
        maps=tuple(EvaluatedMap(one.concept.name, one.path.name, one.digest) for one in run.members),
        scores=dict(_summarize(run)),
    )
    save_evaluation(run.folder, evaluation)
    return evaluation


def _measure_maps(run: Run) -> Run:
    """The run with the scores of every map by every measure that takes one map after the other."""
    members = []
    for index, member in enumerate(run.members):
        run.callbacks.on_measure(member.concept.name, index, len(run.members))
        members.append(save_entries(member, _measure_map(run, index)))
    return replace(run, members=tuple(members))


def _measure_map(run: Run, index: int) -> dict[str, Any]:
    """The entries that one map lacks, or has under other settings."""
    entries: dict[str, Any] = {}
    case: Case | None = None
    for key, measure in MEASURES.items():
        if isinstance(measure, MapMeasure) and _applies(measure, run) and not _is_current(run, index, key):
            case = case or run.make_case(index)
            entries[key] = _make_entry(run, key, measure.measure(case))
    return entries


def _measure_run(run: Run, measure: RunMeasure[Any, Any], settings: Settings) -> Run:
    """The run with the scores of the maps that the measure has made again."""
    members = list(run.members)
    for index, score in measure.measure_run(run, settings):
        members[index] = save_entries(members[index], {measure.key: _make_entry(run, measure.key, score)})
    return replace(run, members=tuple(members))


def _summarize(run: Run) -> Iterator[tuple[str, Any]]:
    """Every score that enough of the maps have under the present settings, averaged, as plain JSON."""
    info = RunInfo(tuple(member.concept.name for member in run.members), run.between)
    for key, measure in MEASURES.items():
        current = [member for index, member in enumerate(run.members) if _is_current(run, index, key)]
        if current and (measure.summarizes_some or len(current) == len(run.members)):
            scores = [read_stored(measure, measure.score_type, member.entries[key]) for member in current]
            yield key, to_json(measure.summarize(scores, info))


def _applies(measure: MapMeasure[Any, Any], run: Run) -> bool:
    return len(run.members) >= measure.least_maps and (bool(run.verifiers) or not measure.needs_verifiers)


def _is_current(run: Run, index: int, key: str) -> bool:
    """Whether the map has the score, measured under the present settings."""
    entry = run.members[index].entries.get(key)
    return entry is not None and entry["needs"] == run.select_settings(MEASURES[key].needs)


def _make_entry(run: Run, key: str, score: object) -> dict[str, Any]:
    """What is stored of a score: its fields, and the settings that it depends on."""
    return {"needs": run.select_settings(MEASURES[key].needs), **to_json(score)}
