"""The one place where model, concepts, method and files meet: concepts in, finished maps out.

A run is cut into jobs that fit into memory, each is one batch of the estimate, and every finished map is written
before the next job starts. Running again skips what is finished.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from numbers import Integral
from pathlib import Path
from typing import Any

from phosphene.core.files import prepare_folder
from phosphene.core.locks import lock_folder
from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.model.memory import fit_batch_size
from phosphene.model.readout import check_readable
from phosphene.model.resolver import ModelResolver
from phosphene.recipe.concepts import Concept, layer_of, readout_of, score_by, scores_used
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.runs.callbacks import Callbacks
from phosphene.runs.executors.executor import Executor
from phosphene.runs.executors.serial import Serial
from phosphene.runs.jobs import Job
from phosphene.runs.open_models import OpenModels, refer_to
from phosphene.runs.opinions import collect_opinions
from phosphene.runs.plan import check_running_plan
from phosphene.runs.reference import MapReference
from phosphene.runs.saved_maps import SavedMaps
from phosphene.runs.storage import FULL, Storage
from phosphene.runs.store import find_finished, make_plan

Asked = str | int | Concept  # an integer is the index of a class


def make_maps(
    classifier: Classifier,
    concepts: Asked | Sequence[Asked],
    recipe: Recipe = PRESETS["default"],
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    verifiers: Sequence[Classifier] = (),
    executor: Executor = Serial(),
    callbacks: Callbacks = Callbacks(),
) -> SavedMaps:
    """The map of each concept, in order, as a sequence that reads a map when it is asked for.

    The maps are files in `out`, by default in a temporary folder that goes with the sequence; finished ones in `out`
    are kept. `verifiers` are other models of the same classes whose opinion of the pictures is recorded. Raises
    `OtherRecipe` where `out` holds a map of the same concept by another recipe or model, unless `overwrite`.
    """
    temporary = tempfile.TemporaryDirectory(prefix="phosphene-") if out is None else None
    folder = Path(temporary.name) if temporary is not None else Path(str(out))
    recipe = fit_recipe(recipe, classifier)
    asked = parse_concepts(classifier, concepts, recipe)
    options: dict[str, Any] = {"overwrite": overwrite, "verifiers": verifiers}
    finished = make(classifier, asked, recipe, folder, executor=executor, callbacks=callbacks, **options)
    references = {reference.concept: reference for reference in finished}
    return SavedMaps([references[concept.name] for concept in asked], temporary)


def make(
    classifier: Classifier,
    concepts: Asked | Sequence[Asked],
    recipe: Recipe,
    folder: Path,
    *,
    overwrite: bool = False,
    verifiers: Sequence[Classifier] = (),
    executor: Executor = Serial(),
    callbacks: Callbacks = Callbacks(),
    storage: Storage = FULL,
    keep_going: bool = False,
) -> Iterator[MapReference]:
    """Make the map of each concept in `folder`; yields a reference to each as soon as it is there, finished ones of
    earlier runs first. Keeps no map in memory. With `keep_going` a concept that fails stops none of the others;
    `callbacks.on_failure` is called with it."""
    options = {"overwrite": overwrite, "storage": storage, "keep_going": keep_going}
    recipe = fit_recipe(recipe, classifier)
    asked = parse_concepts(classifier, concepts, recipe)
    check_same_classes(classifier, verifiers)
    plan = make_plan(folder, asked, classifier, recipe)
    prepare_folder(folder)

    def wait(sentence: str) -> None:
        if not overwrite:
            check_running_plan(folder, plan)
        callbacks.on_warning(sentence)

    with lock_folder(folder, wait):
        done = {} if overwrite else find_finished(folder, asked, classifier, recipe, callbacks.on_warning)
        plan.save(folder)
        missing = [concept for concept in asked if concept.name not in done]
        callbacks.on_start(len(missing), len(missing) * recipe.iterations)
        for concept in asked:
            if concept.name in done:
                reference = _add_opinions(done[concept.name], concept, verifiers)
                callbacks.on_finish(reference)
                yield reference
        for reference in _run(classifier, missing, recipe, folder, verifiers, executor, callbacks, options):
            callbacks.on_finish(reference)
            yield reference


def fit_recipe(recipe: Recipe, classifier: Classifier) -> Recipe:
    """The recipe for this classifier: labels that do not exclude each other have no margin, so their logit counts."""
    exclusive = classifier.output_kind.exclusive
    return replace(recipe, score="logit") if recipe.score == "half_margin" and not exclusive else recipe


def parse_concepts(classifier: Classifier, concepts: Asked | Sequence[Asked], recipe: Recipe) -> list[Concept]:
    """The concepts that are asked for, each once. Raises `UnknownConcept` or `BadInput` where one cannot be."""
    several = concepts if isinstance(concepts, Iterable) and not isinstance(concepts, str) else [concepts]
    parsed = [_parse_one(classifier, one, recipe) for one in several]
    if not parsed:
        raise BadInput("no concept given; name at least one class, for example `goldfish`")
    if recipe.score != "logit" and not classifier.output_kind.exclusive:
        raise BadInput(
            f"the score {recipe.score} is of classes that exclude each other, the outputs of {classifier.name} are "
            f"{classifier.output_kind.name}; expected the score logit"
        )
    by_name = {concept.name: concept for concept in parsed}
    for concept in parsed:
        if scores_used(concept) - {recipe.score}:
            raise BadInput(
                f"{concept.name!r} is scored by {', '.join(sorted(scores_used(concept)))}, the recipe says "
                f"{recipe.score}; make both the same, so that the record tells the truth"
            )
        check_readable(classifier, concept)
        if _asks(concept) != _asks(by_name[concept.name]):
            raise BadInput(f"two different concepts are called {concept.name!r}; give them different names")
    return list(by_name.values())


def _parse_one(classifier: Classifier, concept: Asked, recipe: Recipe) -> Concept:
    """A concept of a text, or of an integer, which is the index of a class whatever the classes are called."""
    if isinstance(concept, (int, Integral)) and not isinstance(concept, bool):
        concept = f"index:{int(concept)}"
    if isinstance(concept, str):
        return parse(
            concept, classifier.labels, model=classifier.name, scored=recipe.score, resolver=ModelResolver(classifier)
        )
    if isinstance(concept, int) or not hasattr(concept, "targets"):
        raise BadInput(f"a concept is a {type(concept).__name__}; expected a name, an index or a Concept")
    return score_by(concept, recipe.score)


def _asks(concept: Concept) -> object:
    return concept.targets, readout_of(concept)


def check_same_classes(classifier: Classifier, verifiers: Sequence[Classifier]) -> None:
    """Raise `BadInput` unless every verifier has the classifier's classes."""
    for verifier in verifiers:
        if verifier.labels != classifier.labels:
            raise BadInput(
                f"{verifier.name} cannot verify {classifier.name}: their classes differ; choose a verifier with the "
                f"same {len(classifier.labels)} labels"
            )


def _add_opinions(reference: MapReference, concept: Concept, verifiers: Sequence[Classifier]) -> MapReference:
    """A finished map with the opinions that it still lacks, written to its file."""
    known = {opinion.fingerprint or opinion.model for opinion in reference.scores.opinions}
    missing = [verifier for verifier in verifiers if not {verifier.fingerprint, verifier.name} & known]
    if not missing:
        return reference
    saliency = reference.load()
    (added,) = collect_opinions([verifier.fold() for verifier in missing], [concept], saliency.raw_picture[None])
    completed = replace(saliency, scores=replace(saliency.scores, opinions=(*saliency.scores.opinions, *added)))
    completed.save(reference.path)
    return MapReference.to(completed, reference.path)


def _run(
    classifier: Classifier,
    concepts: Sequence[Concept],
    recipe: Recipe,
    folder: Path,
    verifiers: Sequence[Classifier],
    executor: Executor,
    callbacks: Callbacks,
    options: Mapping[str, Any],
) -> Iterator[MapReference]:
    """Job after job, as the executor brings them; `options` are further fields of a job."""
    if not concepts:
        return
    with tempfile.TemporaryDirectory(prefix="phosphene-models-") as pickles:
        models, place = OpenModels(), None if executor.in_process else Path(pickles)
        model, *witnesses = (models.add(refer_to(one, place), one) for one in (classifier, *verifiers))
        batch_size = fit_batch_size(models.open_folded(model))
        jobs = [
            Job(model, tuple(witnesses), batch, recipe, folder, batch_size, **options)
            for batch in _batches(concepts, max(1, batch_size // recipe.samples))
        ]
        for result in executor.run(jobs, models, callbacks.on_iterations):
            for warning in result.warnings:
                callbacks.on_warning(warning)
            for failure in result.failures:
                callbacks.on_failure(failure)
            yield from result.maps


def _batches(concepts: Sequence[Concept], size: int) -> list[tuple[Concept, ...]]:
    """Concepts in batches of at most `size`; none of classes and channels, whose stages differ."""
    alike = [tuple(some) for _, some in groupby(concepts, key=lambda concept: layer_of(concept) is None)]
    return [some[start : start + size] for some in alike for start in range(0, len(some), size)]
