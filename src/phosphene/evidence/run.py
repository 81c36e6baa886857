"""The maps that are measured together, and all that their scores depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from phosphene.evidence.case import Case
from phosphene.evidence.members import Member, digest_maps, open_members
from phosphene.evidence.photographs import Photographs, find_photographs
from phosphene.evidence.settings import EvaluationCallbacks
from phosphene.evidence.similarity import Embeddings, different_pairs, embed
from phosphene.model.classifier import Classifier
from phosphene.recipe.recipe import Recipe
from phosphene.runs.make import check_same_classes, make_maps


@dataclass(frozen=True)
class Run:
    """The maps of one classifier and one recipe, and how similar their bare pictures are.

    `folded` is the classifier with its batch norms folded, for passes that need no gradient of the original. The
    `feature_extractors` that judge similarity are the verifiers, or the classifier itself where there are none.
    """

    folder: Path
    classifier: Classifier
    folded: Classifier
    verifiers: tuple[Classifier, ...]
    feature_extractors: tuple[Classifier, ...]
    members: tuple[Member, ...]
    embeddings: Embeddings
    photographs: Photographs | None
    samples: int
    callbacks: EvaluationCallbacks

    @property
    def recipe(self) -> Recipe:
        return self.members[0].recipe

    @cached_property
    def similarities(self) -> dict[str, Tensor]:
        """Of each map to each, `(maps, maps)`, by kind of similarity."""
        return self.embeddings.compare(self.embeddings)

    @cached_property
    def between(self) -> dict[str, Tensor]:
        """Similarities of maps of different classes, by kind: what every other similarity has to be read beside."""
        return {kind: different_pairs(matrix) for kind, matrix in self.similarities.items()}

    @cached_property
    def settings_by_need(self) -> dict[str, Any]:
        """All that a score may depend on beside its map, as plain JSON: a measure names in `needs` what it reads."""
        return {
            "samples": self.samples,
            "verifiers": _identify(self.verifiers),
            "feature_extractors": _identify(self.feature_extractors),
            "maps": digest_maps(self.members),
            "photographs": list(self.photographs.names) if self.photographs else None,
        }

    def select_settings(self, needs: Sequence[str]) -> Mapping[str, Any]:
        return {need: self.settings_by_need[need] for need in needs}

    def make_case(self, index: int) -> Case:
        """The map at `index` with what is read from the other maps of the run."""
        member, count = self.members[index], len(self.members)
        return Case(
            classifier=self.folded,
            concept=member.concept,
            saliency=member.load(),
            index=index,
            concepts=tuple(one.concept for one in self.members),
            other=self.members[(index + 1) % count].load() if count > 1 else None,
            verifiers=self.verifiers,
            photographs=self.photographs,
            samples=self.samples,
            similarities={kind: matrix[index] for kind, matrix in self.similarities.items()},
        )

    @property
    def work_dir(self) -> str:
        """Where maps that are made again by this recipe lie, relative to the run's folder."""
        recipe = json.dumps(self.recipe.to_json(), sort_keys=True)
        return f"evidence/{hashlib.sha256(recipe.encode()).hexdigest()[:8]}"

    def remake(self, name: str, classifier: Classifier, members: Sequence[Member], recipe: Recipe) -> Embeddings:
        """Make the members' maps again, by another classifier or recipe, and embed their bare pictures.

        The maps stay in `name` under the working directory, where they can be looked at and are found again after an
        interruption.
        """
        concepts = [member.concept for member in members]
        out = self.folder / self.work_dir / name
        maps = make_maps(classifier, concepts, recipe, out=out, callbacks=self.callbacks)
        return Embeddings.concatenate([embed(one.raw_picture[None], self.feature_extractors) for one in maps])


def open_run(
    folder: Path,
    classifier: Classifier,
    concepts: Sequence[str],
    verifiers: Sequence[Classifier],
    samples: int,
    callbacks: EvaluationCallbacks,
) -> Run:
    """Open the maps of a folder, all or those of `concepts`, and embed their pictures.

    Raises `BadInput` where the verifiers have other classes, or the maps are of another model or of several recipes.
    """
    check_same_classes(classifier, verifiers)
    members = open_members(folder, classifier, concepts, callbacks.on_warning)
    folded = classifier.fold()
    extractors = tuple(verifiers) or (folded,)
    embeddings = [embed(member.load().raw_picture[None], extractors) for member in members]
    return Run(
        folder=folder,
        classifier=classifier,
        folded=folded,
        verifiers=tuple(verifiers),
        feature_extractors=extractors,
        members=tuple(members),
        embeddings=Embeddings.concatenate(embeddings),
        photographs=find_photographs(classifier.format.channels),
        samples=samples,
        callbacks=callbacks,
    )


def _identify(classifiers: Sequence[Classifier]) -> list[str]:
    return [f"{classifier.name} {classifier.fingerprint[:12]}" for classifier in classifiers]
