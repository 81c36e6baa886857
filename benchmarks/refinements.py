"""What was tried to make the refined picture as recognisable as the bare one, on the maps of `benchmarks.experiments`.

    python -m benchmarks.refinements                   after `python -m benchmarks.experiments 'full size throughout'`

Only the masks differ: every row refines the same maps of the development classes under the same law of fidelity.
Observations are kept in `benchmarks/results/refinements-observed.json`, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import torch
from safetensors.torch import load_file
from torch import Tensor

import phosphene
from benchmarks.experiments import FULL, MAPS, development_classes
from benchmarks.recognition import VERIFIERS
from benchmarks.record import RESULTS, load_observed, markdown, save_observed, write_result
from phosphene.method import refinement
from phosphene.method.recognition import measure_recognition
from phosphene.method.scaling import display_scale, render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept
from phosphene.recipe.grammar import parse

OBSERVED = RESULTS / "refinements-observed.json"


@dataclass(frozen=True)
class Masks:
    """How masks are made: softness of the threshold, sizes of feature map by rank (0 the deepest), ε of the law."""

    softness: float = refinement.SOFTNESS
    ranks: tuple[int, ...] = (0, 1, 2)
    tolerance: float = FULL.tolerance

    @contextlib.contextmanager
    def apply(self) -> Iterator[None]:
        """The package makes such masks inside."""
        find_all = refinement.feature_activations

        def find_some(classifier: Classifier, pictures: Tensor) -> dict[str, Tensor]:
            activations = list(find_all(classifier, pictures).items())
            return dict(activations[rank] for rank in self.ranks)

        softness = patch.object(refinement, "SOFTNESS", self.softness)
        with softness, patch.object(refinement, "feature_activations", find_some):
            yield


MASKS: dict[str, Masks] = {
    "as the package does": Masks(),
    "hard edge (0.05), as before": Masks(softness=0.05),
    "softness 0.08": Masks(softness=0.08),
    "softness 0.2": Masks(softness=0.2),
    "deepest map only (7×7)": Masks(ranks=(0,)),
    "second only (14×14)": Masks(ranks=(1,)),
    "the two deepest": Masks(ranks=(0, 1)),
    "hard edge, ε 0.01": Masks(softness=0.05, tolerance=0.01),
    "hard edge, second only": Masks(softness=0.05, ranks=(1,)),
}


def observe(name: str, models: Sequence[Classifier], index: int) -> list[float]:
    """Area (1: unrefined) and, by each model, top-1 and log-probability of the refined and of the bare picture."""
    concept: Concept = parse(str(index), models[0].labels)
    saliency = load_file(MAPS / "full-size-throughout-0" / f"{index}.safetensors")["map"][None]
    recipe = replace(FULL, tolerance=MASKS[name].tolerance)
    with MASKS[name].apply():
        (refined,) = refinement.refine(models[0], [concept], saliency, recipe)
    pictures = render_pictures(torch.cat([refined.mask * saliency, saliency]), recipe, display_scale(saliency, recipe))
    seen = torch.cat([measure_recognition(model, [concept, concept], pictures) for model in models], dim=1)
    return [round(number, 3) for number in (refined.area, *seen.flatten().tolist())]


def summarize(name: str, record: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """One line: how much area the masks keep, how many maps have none, and recognition of the refined pictures."""
    seen = torch.tensor(list(record.values()))
    areas, refined, bare = seen[:, 0], seen[:, 1:7].mean(dim=0), seen[:, 7:].mean(dim=0)
    cells: dict[str, Any] = {
        "masks": name,
        "maps": len(seen),
        "unrefined": int((areas == 1).sum()),
        "mean area": f"{areas[areas < 1].mean():.0%}",
    }
    for place, model in enumerate(("Lite0", "Lite1", "Lite2")):
        cells[f"{model} top-1"] = f"{refined[2 * place]:.0%} (bare {bare[2 * place]:.0%})"
        cells[f"{model} log p"] = f"{refined[2 * place + 1]:.2f} ({bare[2 * place + 1]:.2f})"
    return cells


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=", ".join(MASKS))
    parser.add_argument("--classes", type=int, default=32)
    options = parser.parse_args(arguments)
    models = [phosphene.load(name).fold() for name in ("efficientnet_lite0", *VERIFIERS)]
    classes = development_classes(options.classes)
    for name in options.names or MASKS:
        for index in classes:
            record = load_observed(OBSERVED)
            if str(index) not in record.get(name, {}):
                record.setdefault(name, {})[str(index)] = observe(name, models, index)
                save_observed(OBSERVED, record)
        rows = [summarize(one, load_observed(OBSERVED)[one]) for one in MASKS if one in load_observed(OBSERVED)]
        write_result("refinements", "python -m benchmarks.refinements", {"classes": classes}, rows)
        print(markdown(rows), flush=True)


if __name__ == "__main__":
    main()
