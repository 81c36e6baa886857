"""The maps of a folder as the members of a run: their concepts, what has been measured of them, and their files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from phosphene.errors import BadInput, PhospheneError
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Classes, Concept
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import Recipe
from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.store import artifact_paths, find_artifact

NEEDS_OF_0_1 = {"eyes": "feature_extractors", "company": "maps"}


@dataclass(frozen=True)
class Member:
    """A map without its tensors, so that a thousand fit into memory.

    `digest` is that of the map; `entries` are what has been measured of it, as its file has them, by key of measure.
    """

    path: Path
    concept: Concept
    recipe: Recipe
    digest: str
    entries: Mapping[str, Any]

    def load(self) -> SaliencyMap:
        return SaliencyMap.load(self.path)


def open_members(
    folder: Path, classifier: Classifier, concepts: Sequence[str], on_warning: Callable[[str], None]
) -> list[Member]:
    """The maps to measure: all of the folder, or those of `concepts`; maps of channels and maps that are zero are left
    out with a warning.

    Raises `BadInput` unless all are of this classifier and of one recipe.
    """
    paths = _find_paths(folder, classifier, concepts) if concepts else artifact_paths(folder)
    members = []
    for path in paths:
        saliency = SaliencyMap.load(path)
        _check_model(path, saliency, classifier)
        if not saliency.map.any():
            on_warning(f"the map of {saliency.concept} is zero [dead-concept]; its evidence is left out")
        elif saliency.targets:
            members.append(_make_member(path, saliency, classifier))
        else:
            on_warning(f"{saliency.concept} raises no class of its own; its evidence is left out")
    if not members:
        raise BadInput(f"no map of {str(folder)!r} raises a class and is not zero; evidence is measured for classes")
    _check_recipes(members)
    return members


def save_entries(member: Member, entries: Mapping[str, Any]) -> Member:
    """The member with further entries, written to its artifact; tensors and other scores stay as they are."""
    if all(member.entries.get(key) == entry for key, entry in entries.items()):
        return member
    saliency = member.load()
    evidence = {**member.entries, **entries, "digest": member.digest}
    replace(saliency, scores=replace(saliency.scores, evidence=evidence)).save(member.path)
    return replace(member, entries=evidence)


def digest_maps(members: Sequence[Member]) -> str:
    """Changes when a map of the run changes, is added or is removed."""
    return hashlib.sha256("\n".join(member.digest for member in members).encode()).hexdigest()[:16]


def concept_of(saliency: SaliencyMap, labels: Sequence[str]) -> Concept:
    """The concept of a finished map; where its name does not parse to its targets, the set of these targets."""
    score = saliency.recipe.get("score", Recipe.score)
    targets = Classes(saliency.targets, saliency.concept, score)
    try:
        concept = parse(saliency.concept, labels, scored=score)
    except PhospheneError:  # the name of a set file, or a concept of the user's own
        return targets
    return concept if (concept.name, concept.targets) == (targets.name, targets.targets) else targets


def _make_member(path: Path, saliency: SaliencyMap, classifier: Classifier) -> Member:
    content = saliency.concept.encode() + saliency.map.numpy().tobytes()
    return Member(
        path=path,
        concept=concept_of(saliency, classifier.labels),
        recipe=_read_recipe(path, saliency),
        digest=hashlib.sha256(content).hexdigest()[:16],
        entries={key: _upgrade_entry(entry) for key, entry in saliency.scores.evidence.items()},
    )


def _read_recipe(path: Path, saliency: SaliencyMap) -> Recipe:
    """Raises `BadInput` where a slot holds what is not registered here, such as a user's own distribution."""
    try:
        return Recipe.from_json(saliency.recipe)
    except BadInput as error:
        raise BadInput(
            f"{str(path)!r} was made by a recipe that is unknown here ({error}); register what it uses, or make the "
            f"map again"
        ) from error


def _upgrade_entry(entry: Any) -> Any:
    """An entry with the settings it needs under today's names."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("needs"), Mapping):
        return entry
    return {**entry, "needs": {NEEDS_OF_0_1.get(need, need): value for need, value in entry["needs"].items()}}


def _find_paths(folder: Path, classifier: Classifier, concepts: Sequence[str]) -> list[Path]:
    existing = artifact_paths(folder)
    names = dict.fromkeys(parse(text, classifier.labels, model=classifier.name).name for text in concepts)
    paths = {name: find_artifact(folder, name) for name in names}
    if missing := [name for name, path in paths.items() if path not in existing]:
        raise BadInput(f"{str(folder)!r} holds no map of {', '.join(missing)}; make it with `phosphene map` first")
    return list(paths.values())


def _check_model(path: Path, saliency: SaliencyMap, classifier: Classifier) -> None:
    theirs = saliency.model.fingerprint
    if theirs != classifier.fingerprint:
        raise BadInput(
            f"{str(path)!r} was made by {saliency.model.name} with weights {theirs[:12]}, "
            f"{classifier.name} has {classifier.fingerprint[:12]}; give the model that made it"
        )


def _check_recipes(members: Sequence[Member]) -> None:
    for member in members:
        if member.recipe != members[0].recipe:
            raise BadInput(
                f"{member.path.name!r} and {members[0].path.name!r} were made by different recipes, and no "
                f"average of them means anything; name the concepts of one recipe"
            )
