"""Does the fidelity of the coarse map predict which finished maps other models do not recognize?

    python -m benchmarks.halfway                    64 development classes, two seeds, no restarts

Maps of `default`, but none is dropped: the fine stage goes on from every coarse map. What was measured is kept in
`benchmarks/results/halfway-observed.json`, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from scipy.stats import mannwhitneyu
from torch import Tensor

import phosphene
from benchmarks.experiments import SEEDS, TOGETHER, development_classes
from benchmarks.recognition import VERIFIERS
from benchmarks.record import RESULTS, load_observed, markdown, save_observed, write_result
from phosphene.method.fidelity import Fidelity, measure_fidelity
from phosphene.method.multires import DROP_BELOW, estimate
from phosphene.method.recognition import measure_recognition
from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Concept
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS, Recipe

OBSERVED = RESULTS / "halfway-observed.json"
UNDERSTOOD = -1.0  # mean log-probability by the judges from which a map counts as recognized

SIGNALS: dict[str, tuple[int, float]] = {  # column of what was observed, and the bound below which it warns
    "own fidelity of the coarse map, half the size": (0, DROP_BELOW),
    "own fidelity of the finished map": (1, 0.9),
    "the same, stricter": (1, 0.97),
}


def observe(models: Sequence[Classifier], concepts: Sequence[Concept], recipe: Recipe) -> Tensor:
    """`(concepts, 2 + judges)`: fidelity of the coarse map and of the finished one, log p of each judge."""
    halfway: list[float] = []

    def record_fidelity(*arguments: Any) -> Fidelity:
        measured = measure_fidelity(*arguments)
        halfway.append(measured.probability)
        return measured

    multires = "phosphene.method.multires"
    with patch(f"{multires}.DROP_BELOW", 0.0), patch(f"{multires}.measure_fidelity", record_fidelity):
        *_, last = estimate(models[0], concepts, recipe)
    maps = last.maps()
    finished = [
        measure_fidelity(models[0], concept, one, recipe).probability
        for concept, one in zip(concepts, maps, strict=True)
    ]
    judged = [measure_recognition(model, concepts, render_pictures(maps, recipe))[:, 1] for model in models[1:]]
    return torch.stack([torch.tensor(halfway), torch.tensor(finished), *judged], dim=1)


def summarize(name: str, seen: Tensor) -> dict[str, Any]:
    """One signal: of which maps it warns, and how well it separates at any bound."""
    column, bound = SIGNALS[name]
    signal, lost = seen[:, column], seen[:, 2:].mean(dim=1) < UNDERSTOOD
    warned = signal < bound
    return {
        "signal": name,
        "warns below": bound,
        "maps": len(seen),
        "not understood by the judges": int(lost.sum()),
        "of them warned of": int((warned & lost).sum()),
        "false warnings": int((warned & ~lost).sum()),
        "AUC": format_auc(signal[~lost], signal[lost]),
    }


def format_auc(higher: Tensor, lower: Tensor) -> str:
    """The share of pairs in which the first group has the higher value; a dash where one group is empty."""
    pairs = len(higher) * len(lower)
    return f"{mannwhitneyu(higher.numpy(), lower.numpy()).statistic / pairs:.2f}" if pairs else "–"


def find_missing(record: Mapping[str, Mapping[str, object]], seed: int, classes: Sequence[int]) -> list[int]:
    return [index for index in classes if str(index) not in record.get(str(seed), {})]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=64)
    options = parser.parse_args(arguments)
    models = [phosphene.load(name).fold() for name in ("efficientnet_lite0", *VERIFIERS)]
    classes = development_classes(options.classes)
    for seed in SEEDS:
        recipe = replace(PRESETS["default"], seed=seed)
        left = find_missing(load_observed(OBSERVED), seed, classes)
        for start in range(0, len(left), TOGETHER):
            chunk = [parse(str(index), models[0].labels) for index in left[start : start + TOGETHER]]
            record = load_observed(OBSERVED)
            for concept, numbers in zip(chunk, observe(models, chunk, recipe).tolist(), strict=True):
                record.setdefault(str(seed), {})[str(concept.targets[0])] = [round(number, 4) for number in numbers]
            save_observed(OBSERVED, record)
    record = load_observed(OBSERVED)
    seen = torch.tensor([record[str(seed)][str(index)] for seed in SEEDS for index in classes])
    rows = [summarize(name, seen) for name in SIGNALS]
    print(markdown(rows))
    settings = {"classes": classes, "seeds": SEEDS, "understood": UNDERSTOOD}
    print(write_result("halfway", "python -m benchmarks.halfway", settings, rows))


if __name__ == "__main__":
    main()
