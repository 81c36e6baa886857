"""The folder of a run: which maps of it are finished and stand for what is asked, and what is written beside them."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from phosphene.core.files import set_aside
from phosphene.core.records import to_plain
from phosphene.errors import ArtifactError, BadInput, DamagedArtifact, OtherRecipe
from phosphene.model.classifier import Classifier
from phosphene.model.fingerprint import behaves_alike
from phosphene.model.record import ModelRecord
from phosphene.recipe.concepts import Concept, classes_of, find_direction
from phosphene.recipe.recipe import Recipe
from phosphene.runs.plan import Plan, PlannedMap, read_plan
from phosphene.runs.reference import MapReference
from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.versions import installed_versions

DIGITS, OLD_DIGITS = 16, 6  # hexadecimal, of the hash in a file's name; 6 were few enough for two names to meet


def file_stem(concept: str, digits: int = DIGITS) -> str:
    """A file name for a concept: readable, safe everywhere, and different for different concepts.

    In lower-case ASCII, so that no file system takes two of them for one.
    """
    readable = re.sub(r"[^a-z0-9]+", "-", concept.lower()).strip("-")[:60]
    if re.fullmatch(r"[a-z0-9]+( [a-z0-9]+)*", concept) and readable == concept.replace(" ", "-"):
        return readable
    return f"{readable or 'concept'}-{hashlib.sha256(concept.encode()).hexdigest()[:digits]}"


def check_file_names(concepts: Sequence[str]) -> None:
    """Raise `BadInput` where two concepts would be written to one file."""
    owners: dict[str, str] = {}
    for concept in concepts:
        other = owners.setdefault(file_stem(concept), concept)
        if other != concept:
            raise BadInput(
                f"{concept!r} and {other!r} would be written to the same file, {file_stem(concept)!r}; make them in "
                f"two folders"
            )


def load_all(folder: Path) -> list[SaliencyMap]:
    """The maps of a folder, in the order of `artifact_paths`."""
    return [SaliencyMap.load(path) for path in artifact_paths(folder)]


def artifact_paths(folder: Path) -> list[Path]:
    """The finished maps of a folder: in the order of `run.json`, then any others by name; `ArtifactError` if none."""
    if not folder.is_dir():
        raise ArtifactError(f"no folder {str(folder)!r}; expected the --out folder of `phosphene map`")
    plan = read_plan(folder)
    rank = {entry.file: position for position, entry in enumerate(plan.maps if plan else ())}
    paths = sorted(folder.glob("*.safetensors"), key=lambda path: (rank.get(path.name, len(rank)), path.name))
    if not paths:
        raise ArtifactError(f"no finished maps in {str(folder)!r}; expected the --out folder of `phosphene map`")
    return paths


def artifact_path(folder: Path, concept: str) -> Path:
    """Where the map of a concept lies in an output folder."""
    return folder / f"{file_stem(concept)}.safetensors"


def find_artifact(folder: Path, concept: str) -> Path:
    """Where the map of a concept lies or would lie; one that an earlier version gave a shorter name is found, too."""
    path, old = artifact_path(folder, concept), folder / f"{file_stem(concept, OLD_DIGITS)}.safetensors"
    if old == path or path.exists() or not old.exists():
        return path
    with contextlib.suppress(DamagedArtifact):
        return old if SaliencyMap.load(old).concept == concept else path
    return path


def _give_new_name(old: Path, path: Path) -> None:
    """Move a map and its pictures to their name of today, the artifact last."""
    for ending in (".gif", ".png", ".safetensors"):
        with contextlib.suppress(FileNotFoundError):
            old.with_suffix(ending).rename(path.with_suffix(ending))


def find_finished(
    folder: Path,
    concepts: Sequence[Concept],
    classifier: Classifier,
    recipe: Recipe,
    on_warning: Callable[[str], None],
) -> dict[str, MapReference]:
    """The maps of the folder that are already what is asked for, by concept.

    Damaged files, and maps of the same weights in other code, are set aside with a warning; raises `OtherRecipe` where
    another map stands in the way.
    """
    finished: dict[str, MapReference] = {}
    for concept in concepts:
        path = artifact_path(folder, concept.name)
        if (old := find_artifact(folder, concept.name)) != path:
            _give_new_name(old, path)
        if not path.exists():
            continue
        try:
            saliency = SaliencyMap.load(path)
        except DamagedArtifact as error:
            on_warning(f"{error} (kept as {set_aside(path).name}, computed again)")
            continue
        if not behaves_alike(saliency.model.behavior, classifier.behavior) and _same_weights(saliency, classifier):
            on_warning(
                f"{str(path)!r} was made by a network of the same weights that computed something else "
                f"(kept as {set_aside(path, 'stale').name}, computed again)"
            )
            continue
        direction = find_direction(concept)
        digest = None if direction is None else direction.origin.digest
        wanted = identity(concept.name, classes_of(concept), recipe.to_json(), ModelRecord.of(classifier), digest)
        _check_identity(path, identity_of(saliency), wanted)
        finished[concept.name] = MapReference.to(saliency, path)
    return finished


def _same_weights(saliency: SaliencyMap, classifier: Classifier) -> bool:
    theirs = ModelRecord.of(classifier)
    return (saliency.model.fingerprint, saliency.model.input) == (theirs.fingerprint, theirs.input)


def identity(
    concept: str, targets: Sequence[int], recipe: Mapping[str, Any], model: ModelRecord, direction: str | None = None
) -> dict[str, Any]:
    """Concept, recipe and weights: what has to agree for a finished map to be the one that is asked for. Of a direction
    its digest, because another file may have its name."""
    asked = {"concept": concept, "classes": list(targets), "weights": model.fingerprint, "input": model.input}
    asked["outputs"] = model.output_kind
    asked |= {} if direction is None else {"direction": direction}
    return asked | dict(recipe)


def identity_of(saliency: SaliencyMap) -> dict[str, Any]:
    """The identity of a finished map, its recipe in today's words."""
    channel = saliency.scores.channel
    digest = None if channel is None or channel.direction is None else channel.direction.digest
    return identity(saliency.concept, saliency.targets, _upgrade_recipe(saliency.recipe), saliency.model, digest)


def _check_identity(path: Path, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    differing = [name for name in {**wanted, **there} if there.get(name) != wanted.get(name)]
    if differing:
        name = differing[0]
        raise OtherRecipe(
            f"{str(path)!r} holds a map with another {', '.join(differing)} ({name} there: {there.get(name)}, "
            f"asked: {wanted.get(name)}); choose another --out or pass --overwrite"
        )


def _upgrade_recipe(record: dict[str, Any]) -> dict[str, Any]:
    """A recipe with the slots that are younger than its record, whose defaults are what was done before them."""
    try:
        return Recipe.from_json(record).to_json()
    except BadInput:  # by a version that knows more
        return record


def make_plan(folder: Path, concepts: Sequence[Concept], classifier: Classifier, recipe: Recipe) -> Plan:
    """What is asked, of which model, and which files will answer it. Raises `BadInput` where two would be one file."""
    check_file_names([concept.name for concept in concepts])
    paths = {concept: artifact_path(folder, concept.name) for concept in concepts}
    maps = [
        PlannedMap(path.name, concept.name, tuple(classes_of(concept)), path.with_suffix(".png").name)
        for concept, path in paths.items()
    ]
    return Plan(tuple(maps), to_plain(ModelRecord.of(classifier)), recipe.to_json(), installed_versions())
