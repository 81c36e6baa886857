"""What is read: the presets' pictures bare, refined, at other contrasts, and other tools' pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmarks.estimates import estimate_best_maps
from benchmarks.peers.methods import METHODS as PEERS
from benchmarks.peers.methods import Method
from benchmarks.peers.ours import Preset
from phosphene.method.refinement import refine
from phosphene.method.scaling import display_scale, render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS


@dataclass(frozen=True)
class Refined:
    """A preset's refined pictures: where no mask keeps the fidelity, the bare one."""

    name: str
    together: int = 4

    def __call__(self, classifier: Classifier, classes: Sequence[int], seed: int) -> list[Tensor]:
        recipe = replace(PRESETS[self.name], seed=seed)
        concepts = [parse(str(index), classifier.labels, scored=recipe.score) for index in classes]
        maps = estimate_best_maps(classifier, concepts, recipe)
        masks = torch.stack([one.mask for one in refine(classifier, concepts, maps, recipe)])
        return list(render_pictures(maps * masks[:, None], recipe, display_scale(maps, recipe)))


# Of pictures that are made by looking at crops of a canvas: the middle that the judges name most often.
MIDDLES = {
    "Horama MACO, 132 passes": 0.275,
    "Horama MACO": 0.275,
    "DreamLens MACO, 128 passes": 0.5,
    "DreamLens MACO": 0.275,
}
METHODS: dict[str, Method] = {
    "default": Preset("default"),
    "default, refined": Refined("default"),
    "best": Preset("best"),
    "paper": Preset("paper"),
    **{name: entry.method for name, entry in PEERS.items() if entry.tool not in ("phosphene", "a few lines")},
}
