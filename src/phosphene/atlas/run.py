"""An atlas from nothing to `atlas.json`: every class made, failures gathered, scores surveyed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from phosphene.atlas.record import FILE_NAME, Atlas
from phosphene.atlas.survey import survey
from phosphene.core.files import prepare_folder
from phosphene.core.locks import lock_target
from phosphene.errors import ArtifactError, BadInput
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Classes
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.runs.callbacks import Callbacks, noop
from phosphene.runs.executors.executor import Executor
from phosphene.runs.executors.serial import Serial
from phosphene.runs.failures import Failure
from phosphene.runs.make import fit_recipe, make
from phosphene.runs.reference import MapReference
from phosphene.runs.storage import COMPACT, Storage


def make_atlas(
    classifier: Classifier,
    classes: Sequence[Classes],
    recipe: Recipe = PRESETS["default"],
    *,
    out: Path,
    verifiers: Sequence[Classifier] = (),
    executor: Executor = Serial(),
    storage: Storage = COMPACT,
    overwrite: bool = False,
    callbacks: Callbacks = Callbacks(),
    on_survey: Callable[[int], None] = noop,
) -> Atlas:
    """Make the map of each class in `out`, those that are missing, and write `atlas.json`.

    A class that fails stops none of the others: it is among the atlas's `failures`, and the next run tries it again.
    Raises `ArtifactError` where another atlas is being made in `out`, and `BadInput` where every class has failed.
    """
    recipe, failures = fit_recipe(recipe, classifier), list[Failure]()
    references: dict[str, MapReference] = {}

    def note_failure(failure: Failure) -> None:
        failures.append(failure)
        callbacks.on_failure(failure)

    prepare_folder(out)
    with lock_target(out / FILE_NAME, refuse):
        for reference in make(
            classifier,
            classes,
            recipe,
            out,
            overwrite=overwrite,
            verifiers=verifiers,
            executor=executor,
            callbacks=replace(callbacks, on_failure=note_failure),
            storage=storage,
            keep_going=True,
        ):
            references[reference.concept] = reference
        made = [references[one.name] for one in classes if one.name in references]
        if not made:
            raise BadInput(f"every class failed; the first, {failures[0].concept}: {failures[0].reason}")
        atlas = survey(classifier, recipe, made, failures, on_survey)
        atlas.save(out)
    return atlas


def refuse(sentence: str) -> None:
    """Two atlases in one folder would make every class twice: the second does not wait."""
    raise ArtifactError(f"{sentence.split(';')[0]}; wait until it is done, or choose another --out")
