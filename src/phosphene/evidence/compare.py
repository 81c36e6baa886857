"""Is one map the other? Two artifacts side by side, their distance read against that of other seeds.

A map depends on the last bit of every sum: another build of torch, processor or number of threads gives another one, as
another seed does. What two such maps have in common is what `evaluate --seeds` measures; whoever reproduces a map asks
whether theirs is as near as a map of another seed is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from phosphene.errors import ArtifactError, BadInput
from phosphene.runs.saliency import SaliencyMap


@dataclass(frozen=True)
class Comparison:
    """`cosine` of the two maps, in [−1,1], 1 where they are the same; `largest` difference of a number of the map.

    `seeds` are the cosines of the first map to its maps of other seeds, as `evaluate --seeds` has left them; `differ`
    names what the artifacts say otherwise: concept, weights, recipe, versions, each with both values.
    """

    concept: str
    identical: bool
    cosine: float
    largest: float
    seeds: tuple[float, ...]
    differ: Mapping[str, tuple[str, str]]

    @property
    def verdict(self) -> str:
        """In one sentence, what the distance means."""
        if self.identical:
            return "the same map, bit for bit"
        if set(self.differ) & {"concept", "weights"}:
            return "maps of different concepts or weights: their distance is no matter of reproduction"
        if not self.seeds:
            return "not the same bits; `phosphene evaluate DIR --seeds 3` measures how far other seeds are"
        if self.cosine >= min(self.seeds):
            return "as near as maps of other seeds, or nearer: reproduced up to the noise of the seed"
        return "further apart than maps of other seeds: not reproduced"


def compare(first: Path, second: Path) -> Comparison:
    """Compare two artifacts. Raises `BadInput` where their maps have different shapes."""
    one, other = SaliencyMap.load(first), SaliencyMap.load(second)
    if one.map.shape != other.map.shape:
        shapes = " and ".join(" × ".join(map(str, saliency.map.shape)) for saliency in (one, other))
        raise BadInput(f"maps of {shapes} cannot be compared; expected maps of one model")
    return Comparison(
        concept=one.concept,
        identical=torch.equal(one.map, other.map),
        cosine=measure_cosine(one.map, other.map),
        largest=float((one.map - other.map).abs().max()),
        seeds=tuple(measure_cosine(one.map, saliency.map) for saliency in load_seeds(first)),
        differ=list_differences(one, other),
    )


def measure_cosine(one: Tensor, other: Tensor) -> float:
    """Cosine of two maps of one shape, in [−1,1]; 0 where one of them is empty."""
    return float(torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0))


def load_seeds(path: Path) -> list[SaliencyMap]:
    """The maps of other seeds that `evaluate --seeds` has made of an artifact; those of another concept or weights, or
    that cannot be read, are no seeds of it."""
    own = SaliencyMap.load(path)
    seeds = []
    for candidate in sorted(path.parent.glob(f"evidence/*/seed-*/{path.name}")):
        try:
            saliency = SaliencyMap.load(candidate)
        except ArtifactError:
            continue
        if not list_differences(own, saliency).keys() - {"seed", *saliency.versions, *own.versions}:
            seeds.append(saliency)
    return seeds


def list_differences(one: SaliencyMap, other: SaliencyMap) -> dict[str, tuple[str, str]]:
    """What two artifacts say otherwise of concept, weights, recipe and software, by name."""
    facts = [_list_facts(saliency) for saliency in (one, other)]
    names = dict.fromkeys([*facts[0], *facts[1]])
    pairs = {name: (str(facts[0].get(name, "–")), str(facts[1].get(name, "–"))) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _list_facts(saliency: SaliencyMap) -> dict[str, Any]:
    asked = {"concept": saliency.concept, "weights": saliency.model.fingerprint}
    return {**asked, **saliency.recipe, **saliency.versions}


def pair_files(first: Path, second: Path) -> Sequence[tuple[Path, Path]]:
    """Two artifacts, or those of the same name in two folders. Raises `BadInput` where there is nothing to pair."""
    if not first.is_dir() or not second.is_dir():
        return [(first, second)]
    names = sorted(
        {path.name for path in first.glob("*.safetensors")} & {path.name for path in second.glob("*.safetensors")}
    )
    if not names:
        raise BadInput(f"{str(first)!r} and {str(second)!r} have no map of the same name; expected two runs")
    return [(first / name, second / name) for name in names]
