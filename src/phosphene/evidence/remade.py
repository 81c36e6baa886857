"""Scores that make maps again: by models that have forgotten, and from other seeds.

The further maps are made by `make_maps` into `evidence/` under the run's folder, so that they can be looked at and
what was interrupted goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from phosphene.evidence.members import Member
from phosphene.evidence.randomised import STAGES, forgetful
from phosphene.evidence.similarity import Looks, different_pairs, looks
from phosphene.evidence.soundness import rounded
from phosphene.model.classifier import Classifier
from phosphene.recipe.recipe import Recipe
from phosphene.runs.callbacks import Callbacks
from phosphene.runs.make import make_maps


@dataclass(frozen=True)
class Run:
    """The maps that are examined together, of one classifier, and how their bare pictures look to the eyes."""

    folder: Path
    classifier: Classifier
    members: tuple[Member, ...]
    eyes: tuple[Classifier, ...]
    appearance: Looks
    listener: Callbacks

    @property
    def recipe(self) -> Recipe:
        return self.members[0].recipe

    @cached_property
    def similarities(self) -> dict[str, Tensor]:
        """Of each map to each, `(maps, maps)`, by way of seeing."""
        return self.appearance.to(self.appearance)

    @property
    def between(self) -> dict[str, Tensor]:
        """Similarities of maps of different classes: what any score of sameness has to be read beside."""
        return {way: different_pairs(matrix) for way, matrix in self.similarities.items()}

    @property
    def workshop(self) -> str:
        """Where further maps of this recipe lie, from the run's folder."""
        recipe = json.dumps(self.recipe.to_json(), sort_keys=True)
        return f"evidence/{hashlib.sha256(recipe.encode()).hexdigest()[:8]}"

    def remade(self, name: str, classifier: Classifier, members: Sequence[Member], recipe: Recipe) -> Looks:
        """How the members' maps look when they are made again; kept in the workshop under `name`."""
        made = make_maps(classifier, [member.concept for member in members], recipe,
                         out=self.folder / self.workshop / name, callbacks=self.listener)  # fmt: skip
        return Looks.joined([looks(saliency.raw_picture[None], self.eyes) for saliency in made])


def sanity(run: Run, count: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Similarity of the first `count` maps to the maps by the model with more and more of its layers drawn anew.

    `stages` has that to the map of the same class, `beside` that to the maps of all `count` classes, in their order.
    """
    members = run.members[:count]
    stages: dict[str, dict[str, Tensor]] = {}
    for stage in STAGES:
        again = run.remade(stage.replace(" ", "-"), forgetful(run.classifier, stage, run.recipe), members, run.recipe)
        stages[stage] = {way: matrix[: len(members)] for way, matrix in run.appearance.to(again).items()}
    for place in range(len(members)):
        beside = {stage: {way: rounded(matrix[place]) for way, matrix in alike.items()}
                  for stage, alike in stages.items()}  # fmt: skip
        own = {stage: {way: row[place] for way, row in alike.items()} for stage, alike in beside.items()}
        yield place, {"made_in": run.workshop, "stages": own, "beside": beside}


def stability(run: Run, count: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Similarity of each map to its maps from `count` other seeds, and of those to each other."""
    seeds = [run.recipe.seed + 1 + k for k in range(count)]
    again = [run.remade(f"seed-{seed}", run.classifier, run.members, replace(run.recipe, seed=seed)) for seed in seeds]
    made = [run.appearance, *again]
    pairs = [made[a].to(made[b]) for a in range(len(made)) for b in range(a + 1, len(made))]
    for place in range(len(run.members)):
        yield place, {"seeds": count, "same": {
            way: rounded(torch.stack([alike[way][place, place] for alike in pairs])) for way in run.appearance.rows
        }}  # fmt: skip
