"""What was tried to make the refined picture as recognisable as the bare one, on the maps of `benchmarks.experiments`.

    python -m benchmarks.refinements                   after `python -m benchmarks.experiments 'full size throughout'`

Only the masks differ: every row refines the same maps of the development classes under the same law of fidelity. What
was seen of each picture is kept in `benchmarks/results/refinements-observed.json`, so that an interrupted run goes on.
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
from benchmarks.experiments import FULL, MAPS, development_classes, keep_observed, kept
from benchmarks.recognition import VERIFIERS
from benchmarks.record import RESULTS, markdown, write_result
from phosphene import refinement
from phosphene.method.recognition import measure_recognition
from phosphene.method.scaling import display_scale, render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept
from phosphene.recipe.grammar import parse

OBSERVED = RESULTS / "refinements-observed.json"


@dataclass(frozen=True)
class Way:
    """One way of masking: softness of the threshold, sizes of feature map by rank (0 the deepest), ε of the law."""

    softness: float = refinement.SOFTNESS
    ranks: tuple[int, ...] = (0, 1, 2)
    tolerance: float = FULL.tolerance

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        deepest = refinement.feature_activations

        def chosen(classifier: Classifier, pictures: Tensor) -> dict[str, Tensor]:
            found = list(deepest(classifier, pictures).items())
            return dict(found[rank] for rank in self.ranks)

        with (patch.object(refinement, "SOFTNESS", self.softness),
              patch.object(refinement, "feature_activations", chosen)):  # fmt: skip
            yield


WAYS: dict[str, Way] = {
    "as the package does": Way(),
    "hard edge (0.05), as before": Way(softness=0.05),
    "softness 0.08": Way(softness=0.08),
    "softness 0.2": Way(softness=0.2),
    "deepest map only (7×7)": Way(ranks=(0,)),
    "second only (14×14)": Way(ranks=(1,)),
    "the two deepest": Way(ranks=(0, 1)),
    "hard edge, ε 0.01": Way(softness=0.05, tolerance=0.01),
    "hard edge, second only": Way(softness=0.05, ranks=(1,)),
}


def observe(name: str, models: Sequence[Classifier], index: int) -> list[float]:
    """Area (1: unrefined) and, by each model, top-1 and log-probability of the refined and of the bare picture."""
    concept: Concept = parse(str(index), models[0].labels)
    saliency = load_file(MAPS / "full-size-throughout-0" / f"{index}.safetensors")["map"][None]
    recipe = replace(FULL, tolerance=WAYS[name].tolerance)
    with WAYS[name].taken():
        (found,) = refinement.refine(models[0], [concept], saliency, recipe)
    pictures = render_pictures(torch.cat([found.mask * saliency, saliency]), recipe, display_scale(saliency, recipe))
    seen = torch.cat([measure_recognition(model, [concept, concept], pictures) for model in models], dim=1)
    return [round(number, 3) for number in (found.area, *seen.flatten().tolist())]


def row(name: str, record: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """One line: how much area the masks keep, how many maps have none, and recognition of the refined pictures."""
    seen = torch.tensor(list(record.values()))
    areas, refined, bare = seen[:, 0], seen[:, 1:7].mean(dim=0), seen[:, 7:].mean(dim=0)
    cells: dict[str, Any] = {
        "masks": name, "maps": len(seen), "unrefined": int((areas == 1).sum()),
        "mean area": f"{areas[areas < 1].mean():.0%}",
    }  # fmt: skip
    for place, model in enumerate(("Lite0", "Lite1", "Lite2")):
        cells[f"{model} top-1"] = f"{refined[2 * place]:.0%} (bare {bare[2 * place]:.0%})"
        cells[f"{model} log p"] = f"{refined[2 * place + 1]:.2f} ({bare[2 * place + 1]:.2f})"
    return cells


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=", ".join(WAYS))
    options = parser.parse_args(arguments)
    models = [phosphene.load(name).fold() for name in ("efficientnet_lite0", *VERIFIERS)]
    classes = development_classes()
    for name in options.names or WAYS:
        for index in classes:
            record = kept(OBSERVED)
            if str(index) not in record.get(name, {}):
                record.setdefault(name, {})[str(index)] = observe(name, models, index)
                keep_observed(OBSERVED, record)
        rows = [row(one, kept(OBSERVED)[one]) for one in WAYS if one in kept(OBSERVED)]
        write_result("refinements", "python -m benchmarks.refinements", {"classes": classes}, rows)
        print(markdown(rows), flush=True)


if __name__ == "__main__":
    main()
