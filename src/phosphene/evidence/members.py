"""The maps of a folder as the members of a run: whose they are, what has been measured of them, and where they lie."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from phosphene.errors import BadInput
from phosphene.evidence.case import concept_of
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import Recipe
from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.store import artifact_path, artifact_paths


@dataclass(frozen=True)
class Member:
    """A map without its tensors, so that a thousand fit; `digest` is that of the map, `evidence` as the file has it."""

    path: Path
    concept: Concept
    recipe: Recipe
    digest: str
    evidence: Mapping[str, Any]

    def load(self) -> SaliencyMap:
        return SaliencyMap.load(self.path)


def members_of(
    folder: Path, classifier: Classifier, concepts: Sequence[str], warned: Callable[[str], None]
) -> list[Member]:
    """The maps to examine: all of the folder, or those of `concepts`; of one model and one recipe, or `BadInput`."""
    paths = _chosen(folder, classifier, concepts) if concepts else artifact_paths(folder)
    members = []
    for path in paths:
        saliency = SaliencyMap.load(path)
        _check_model(path, saliency, classifier)
        if not saliency.targets:
            warned(f"{saliency.concept} raises no class of its own; its evidence is left out")
            continue
        members.append(_member(path, saliency, classifier))
    if not members:
        raise BadInput(f"no map of {str(folder)!r} raises a class; evidence is measured for classes")
    _check_recipes(members)
    return members


def with_entries(member: Member, entries: Mapping[str, Any]) -> Member:
    """The member with further scores, written to its artifact; tensors stay as they are."""
    if all(member.evidence.get(name) == entry for name, entry in entries.items()):
        return member
    saliency = member.load()
    evidence = {**saliency.scores.evidence, **entries, "digest": member.digest}
    replace(saliency, scores=replace(saliency.scores, evidence=evidence)).save(member.path)
    return replace(member, evidence=evidence)


def company_digest(members: Sequence[Member]) -> str:
    """Changes when a map of the run does, comes or goes."""
    return hashlib.sha256("\n".join(member.digest for member in members).encode()).hexdigest()[:16]


def _member(path: Path, saliency: SaliencyMap, classifier: Classifier) -> Member:
    digest = hashlib.sha256(saliency.concept.encode() + saliency.map.numpy().tobytes()).hexdigest()[:16]
    return Member(path, concept_of(saliency, classifier.labels), Recipe.from_json(saliency.recipe), digest,
                  saliency.scores.evidence)  # fmt: skip


def _chosen(folder: Path, classifier: Classifier, concepts: Sequence[str]) -> list[Path]:
    there = artifact_paths(folder)
    names = dict.fromkeys(parse(text, classifier.labels, model=classifier.name).name for text in concepts)
    chosen = [artifact_path(folder, name) for name in names]
    if missing := [name for name, path in zip(names, chosen, strict=True) if path not in there]:
        raise BadInput(f"{str(folder)!r} holds no map of {', '.join(missing)}; make it with `phosphene map` first")
    return chosen


def _check_model(path: Path, saliency: SaliencyMap, classifier: Classifier) -> None:
    theirs = saliency.model.fingerprint
    if theirs != classifier.fingerprint:
        raise BadInput(f"{str(path)!r} was made by {saliency.model.name} with weights {theirs[:12]}, "
                       f"{classifier.name} has {classifier.fingerprint[:12]}; give the model that made it")  # fmt: skip


def _check_recipes(members: Sequence[Member]) -> None:
    for member in members:
        if member.recipe != members[0].recipe:
            raise BadInput(f"{member.path.name!r} and {members[0].path.name!r} were made by different recipes, and no "
                           f"average of them means anything; name the concepts of one recipe")  # fmt: skip
