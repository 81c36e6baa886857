"""What was tried to make the method better, on classes that the comparison with other tools does not use.

    python -m benchmarks.experiments                             all of it, 32 classes; goes on where it stopped
    python -m benchmarks.experiments default 'mirrored border' --seeds 0 1 --classes 16

Steps, radii, moments, falloff, colour and views one at a time are in `benchmarks.variants`; masks in
`benchmarks.refinements`.

Bare pictures only: recognition by Lite1 and Lite2 decides. What was measured of each picture is kept in
`benchmarks/results/experiments-observed.json`, one line an experiment and seed.
"""

from __future__ import annotations

import argparse
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import torch
from safetensors.torch import save_file
from scipy.stats import t
from torch import Tensor

import phosphene
from benchmarks.estimates import MakeMaps, estimate_best_maps, estimate_maps
from benchmarks.overhead import make_traced_placement
from benchmarks.recognition import VERIFIERS, random_classes
from benchmarks.record import RESULTS, load_observed, markdown, save_observed, write_result
from phosphene.core.images import ImageShape
from phosphene.method.fidelity import measure_fidelities, measure_fidelity
from phosphene.method.recognition import measure_recognition
from phosphene.method.scaling import display_scale, render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept
from phosphene.recipe.distributions import Gaussian, Grey, Mixture, Pink, Uniform
from phosphene.recipe.geometries import Spectral
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.recipe.scores import SCORES

OBSERVED = RESULTS / "experiments-observed.json"
MAPS = RESULTS / "maps" / "experiments"
SEEDS = (0, 1)
BASE = "full size throughout"  # what each row departs from
TOGETHER = 4  # classes in one estimate: as many as a pass has rows
FULL = replace(PRESETS["default"], coarse=0.0)

NOISES = {"Gaussian noise": Gaussian(), "1/f noise": Pink()}  # of unseen draws, at the contrast of the map's picture
DRAWS = 8


def development_classes(count: int = 32) -> list[int]:
    """Classes to tune on: none of the 100 of seed 0, which the comparison is made on."""
    compared = set(random_classes(0, 100))
    return random.Random(1).sample([index for index in range(1000) if index not in compared], count)


def make_with_placement(mode: str, border: str) -> MakeMaps:
    """Maps under views that interpolate otherwise, or show something else than nothing beyond the border."""

    def make(classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe, restart: int = 0) -> Tensor:
        with patch("phosphene.recipe.draws.place", make_traced_placement(mode, border)):
            return estimate_maps(classifier, concepts, recipe, restart)

    return make


def estimate_undropped(classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe, restart: int = 0) -> Tensor:
    """The fine stage goes on from every coarse map, also from those that the model does not recognize at half size."""
    with patch("phosphene.method.multires.DROP_BELOW", 0.0):
        return estimate_maps(classifier, concepts, recipe, restart)


def make_best_of_seeds(count: int) -> MakeMaps:
    """Of maps from `count` seeds the one of the highest own fidelity on fresh draws."""

    def make(classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe, restart: int = 0) -> Tensor:
        recipes = [replace(recipe, seed=recipe.seed * count + k) for k in range(count)]
        by_concept = torch.stack([estimate_maps(classifier, concepts, one, restart) for one in recipes], dim=1)
        best = []
        for concept, maps in zip(concepts, by_concept, strict=True):
            fidelities = [one.probability for one in measure_fidelities(classifier, concept, maps, recipe)]
            best.append(maps[fidelities.index(max(fidelities))])
        return torch.stack(best)

    return make


@dataclass(frozen=True)
class Windowed(Spectral):
    """Maps that fade towards the edges, so that no object is begun where half of it has no room."""

    edge: float = 0.1  # strength at the edge
    width: float = 0.2  # of the side, from the edge to full strength

    def decode(self, coefficients: Tensor, shape: ImageShape) -> Tensor:
        return super().decode(coefficients, shape) * self._window(*shape[1:])

    def encode(self, maps: Tensor) -> Tensor:
        return super().encode(maps / self._window(*maps.shape[2:]))

    def pull(self, gradient: Tensor) -> Tensor:
        return super().pull(gradient * self._window(*gradient.shape[2:]))

    def _window(self, height: int, width: int) -> Tensor:
        across, down = (self._ramp(side) for side in (width, height))
        return self.edge + (1 - self.edge) * down[:, None] * across

    def _ramp(self, side: int) -> Tensor:
        places = (torch.arange(side) + 0.5) / side
        near = torch.minimum(places, 1 - places) / self.width
        return 0.5 - 0.5 * torch.cos(torch.pi * near.clamp(max=1))


def make_with_mean_score(first: str, second: str) -> MakeMaps:
    """A class scored half by one registered score and half by another."""
    halves = SCORES[first], SCORES[second]

    def score_both(outputs: Tensor, indices: Sequence[int]) -> Tensor:
        return 0.5 * (halves[0](outputs, indices) + halves[1](outputs, indices))

    def make(classifier: Classifier, concepts: Sequence[Concept], recipe: Recipe, restart: int = 0) -> Tensor:
        with patch.dict(SCORES, {recipe.score: score_both}):
            return estimate_maps(classifier, concepts, recipe, restart)

    return make


@dataclass(frozen=True)
class Experiment:
    """One departure from full size throughout: another recipe, or another way of making maps from one."""

    recipe: Recipe = FULL
    make: MakeMaps = estimate_maps
    times: int = 1  # estimates for one map

    def count_passes(self) -> int:
        """Of one start that keeps its coarse map; a pass at half the size costs a quarter."""
        recipe = self.recipe
        return round(self.times * recipe.iterations * recipe.samples * (1 - 0.75 * recipe.coarse))


def start_coarse(recipe: Recipe, **changes: Any) -> Experiment:
    """A coarse stage whose maps are never dropped."""
    return Experiment(replace(recipe, **changes), estimate_undropped)


EXPERIMENTS: dict[str, Experiment] = {
    "default": Experiment(PRESETS["default"]),
    BASE: Experiment(),
    "a single attempt": Experiment(replace(FULL, restarts=1)),
    "72 iterations, step 0.3": Experiment(replace(FULL, iterations=72, step=0.3)),
    "falloff 1.2": Experiment(replace(FULL, geometry=Spectral(falloff=1.2))),
    "colour 0.7, 0.4": Experiment(replace(FULL, geometry=Spectral(colour=(0.7, 0.4)))),
    "2 views an iteration, half as many": Experiment(replace(FULL, samples=2, iterations=60, step=0.3)),
    "half logit, half margin": Experiment(FULL, make_with_mean_score("logit", "margin")),
    "grey, uniform and pink noise": Experiment(replace(FULL, distribution=Mixture((Grey(), Uniform(), Pink())))),
    "best of 2 seeds, half as long": Experiment(
        replace(FULL, iterations=60, step=0.3, restarts=1), make_best_of_seeds(2), times=2
    ),
    "fading towards the edges": Experiment(replace(FULL, geometry=Windowed())),
    "half size first, 40%": start_coarse(FULL, coarse=0.4),
    "half size first, 50%": start_coarse(FULL, coarse=0.5),
    "half size first, 60%": start_coarse(FULL, coarse=0.6),
    "half size first, 60%, step 0.3": start_coarse(FULL, coarse=0.6, step=0.3),
    "half size first, 60%, mean of the last 30%": start_coarse(FULL, coarse=0.6, average_last=0.3),
    "fast": Experiment(PRESETS["fast"]),
    "fast, half size first, 60% of 64": start_coarse(PRESETS["fast"], iterations=64, coarse=0.6),
    "fast, half size first, 50% of 80": start_coarse(PRESETS["fast"], iterations=80, coarse=0.5),
    "fast, half size first, 75% of 96": start_coarse(PRESETS["fast"], iterations=96, coarse=0.75),
    "fast, half size first, 75% of 80": start_coarse(PRESETS["fast"], iterations=80, coarse=0.75),
    "mirrored border": Experiment(FULL, make_with_placement("bilinear", "reflection")),
    "views read the nearest pixel": Experiment(FULL, make_with_placement("nearest", "zeros")),
}


def observe(name: str, models: Sequence[Classifier], classes: Sequence[int], seed: int) -> None:
    """Make the maps of an experiment that are missing, and write down how each model recognizes them."""
    experiment, key = EXPERIMENTS[name], f"{name} / {seed}"
    recipe = replace(experiment.recipe, seed=experiment.recipe.seed + seed)
    missing = [index for index in classes if str(index) not in load_observed(OBSERVED).get(key, {})]
    for start in range(0, len(missing), TOGETHER):
        chunk = [parse(str(index), models[0].labels) for index in missing[start : start + TOGETHER]]
        maps = estimate_best_maps(models[0], chunk, recipe, experiment.make)
        save_maps(name, seed, chunk, maps)
        pictures = render_pictures(maps, recipe)
        recognition = [measure_recognition(model, chunk, pictures) for model in models]
        on_noises = measure_on_noises(models[0], chunk, maps * display_scale(maps, recipe), recipe)
        seen = torch.cat([*recognition, on_noises], dim=1)
        record = load_observed(OBSERVED)
        for concept, row in zip(chunk, seen.tolist(), strict=True):
            record.setdefault(key, {})[str(concept.targets[0])] = [round(number, 3) for number in row]
        save_observed(OBSERVED, record)


def measure_on_noises(classifier: Classifier, concepts: Sequence[Concept], maps: Tensor, recipe: Recipe) -> Tensor:
    """In what share of draws of each noise the map makes its class top-1, `(maps, noises)`."""
    rates = [
        [measure_fidelity(classifier, concept, one, recipe, noise, DRAWS).top1 for noise in NOISES.values()]
        for concept, one in zip(concepts, maps, strict=True)
    ]
    return torch.tensor(rates)


def save_maps(name: str, seed: int, concepts: Sequence[Concept], maps: Tensor) -> None:
    """The maps themselves, to be looked at and to refine in other ways."""
    folder = MAPS / f"{name} {seed}".replace(",", "").replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    for concept, one in zip(concepts, maps, strict=True):
        save_file({"map": one.contiguous()}, folder / f"{concept.targets[0]}.safetensors")


def summarize(name: str, record: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, Any]:
    """One line: recognition, and the difference of log p to `BASE` on the same classes and seeds.

    Its interval is over classes: seeds of one class are not independent.
    """
    pairs = {
        (seed, index): (seen, record[f"{BASE} / {seed}"][index])
        for seed in SEEDS
        for index, seen in record.get(f"{name} / {seed}", {}).items()
        if index in record.get(f"{BASE} / {seed}", {})
    }
    seen, beside = (torch.tensor([pair[side] for pair in pairs.values()]) for side in (0, 1))
    gains: dict[str, list[float]] = {}
    for (_, index), gain in zip(pairs, (seen - beside)[:, [3, 5]].mean(dim=1).tolist(), strict=True):
        gains.setdefault(index, []).append(gain)
    gained = torch.tensor([sum(one) / len(one) for one in gains.values()])
    top, sure = seen[:, [0, 2, 4]].mean(dim=0), seen[:, [1, 3, 5]].mean(dim=0)
    return {
        "experiment": name,
        "passes of an attempt": EXPERIMENTS[name].count_passes(),
        "maps": len(pairs),
        **{f"{model} top-1": f"{share:.0%}" for model, share in zip(("Lite0", "Lite1", "Lite2"), top, strict=True)},
        "Lite1 log p": f"{sure[1]:.2f}",
        "Lite2 log p": f"{sure[2]:.2f}",
        **{f"holds on {noise}": f"{rate:.0%}" for noise, rate in zip(NOISES, seen[:, 6:].mean(dim=0), strict=True)},
        "log p over full size's": format_difference(gained) if name != BASE else "–",
    }


def format_difference(gains: Tensor) -> str:
    """A mean with its 95% t interval; without one where there is one class only."""
    if len(gains) < 2:
        return f"{gains.mean():+.2f}"
    reach = float(t.ppf(0.975, len(gains) - 1)) * gains.std().item() / len(gains) ** 0.5
    return f"{gains.mean():+.2f} ({gains.mean() - reach:+.2f} to {gains.mean() + reach:+.2f})"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=", ".join(EXPERIMENTS).replace("%", "%%"))
    parser.add_argument("--classes", type=int, default=32)
    parser.add_argument("--seeds", type=int, nargs="*", choices=SEEDS, default=[0])
    options = parser.parse_args(arguments)
    models = [phosphene.load(name).fold() for name in ("efficientnet_lite0", *VERIFIERS)]
    classes = development_classes(options.classes)
    for seed, name in itertools.product(options.seeds, options.names or EXPERIMENTS):
        observe(name, models, classes, seed)
        record = load_observed(OBSERVED)
        rows = [summarize(one, record) for one in EXPERIMENTS if any(f"{one} / {seed}" in record for seed in SEEDS)]
        write_result("experiments", "python -m benchmarks.experiments", {"classes": classes, "seeds": SEEDS}, rows)
        print(markdown(rows), flush=True)


if __name__ == "__main__":
    main()
