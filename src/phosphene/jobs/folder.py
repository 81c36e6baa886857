"""The folder of a run: which maps of it are finished and stand for what is asked, and what is written beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from phosphene.artifact import SaliencyMap, file_stem, identity, set_aside, write_run
from phosphene.classifier import Classifier
from phosphene.concepts import Concept, classes_of
from phosphene.errors import BadInput, DamagedArtifact, OtherRecipe
from phosphene.jobs.chunk import model_record, versions
from phosphene.recipe import Recipe


def artifact_path(folder: Path, concept: str) -> Path:
    """Where the map of a concept lies in an output folder."""
    return folder / f"{file_stem(concept)}.safetensors"


def finished_maps(
    folder: Path,
    asked: Sequence[Concept],
    classifier: Classifier,
    recipe: Recipe,
    warned: Callable[[str], None],
) -> dict[str, SaliencyMap]:
    """Maps of the folder that are already what is asked for. Damaged files are set aside, others' maps are refused."""
    found: dict[str, SaliencyMap] = {}
    for concept in asked:
        path = artifact_path(folder, concept.name)
        if not path.exists():
            continue
        try:
            saliency = SaliencyMap.load(path)
        except DamagedArtifact as error:
            warned(f"{error} (kept as {set_aside(path).name}, computed again)")
            continue
        _same_recipe(
            path, saliency, identity(concept.name, classes_of(concept), recipe.to_json(), model_record(classifier))
        )
        found[concept.name] = saliency
    return found


def _same_recipe(path: Path, saliency: SaliencyMap, wanted: dict[str, Any]) -> None:
    there = replace(saliency, recipe=_as_of_now(saliency.recipe)).identity()
    differing = [name for name in {**wanted, **there} if there.get(name) != wanted.get(name)]
    if differing:
        name = differing[0]
        raise OtherRecipe(
            f"{str(path)!r} holds a map with another {', '.join(differing)} ({name} there: {there.get(name)}, "
            f"asked: {wanted.get(name)}); choose another --out or pass --overwrite"
        )


def _as_of_now(record: dict[str, Any]) -> dict[str, Any]:
    """A recipe with the slots that are younger than its record, whose defaults are what was done before them."""
    try:
        return Recipe.from_json(record).to_json()
    except (TypeError, KeyError, BadInput):  # by a version that knows more
        return record


def write_plan(folder: Path, asked: Sequence[Concept], classifier: Classifier, recipe: Recipe) -> None:
    """`run.json`, before the first map: what was asked and where its answers will lie."""
    write_run(folder, {
        "model": model_record(classifier), "recipe": recipe.to_json(), "versions": versions(),
        "maps": [{"concept": concept.name, "targets": list(classes_of(concept)),
                  "file": artifact_path(folder, concept.name).name,
                  "picture": artifact_path(folder, concept.name).with_suffix(".png").name}
                 for concept in asked],
    })  # fmt: skip
