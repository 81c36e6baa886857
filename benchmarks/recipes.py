"""What was tried so that networks of other families name the pictures: stages of an estimate, on development classes.

    python -m benchmarks.recipes --judge PATH --judge PATH        all rows, 24 classes; goes on where it stopped
    python -m benchmarks.recipes 'half margin' --judge PATH

One start a class, nothing refined; the bare picture at two contrasts. Maps are kept in `benchmarks/results/maps`, what
the judges say in `benchmarks/results/recipes-observed.json`: by row and judge, for each class and contrast whether it
is named, and its log-probability. Rows that a judge has seen stay in the table when that judge is not given.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import phosphene
from benchmarks.experiments import TOGETHER, development_classes
from benchmarks.judges import BATCH, add_judge_option, open_judges, title_of
from benchmarks.record import RESULTS, load_observed, markdown, save_observed, write_result
from benchmarks.stages import Stage, blur, estimate_stages, fade, mix_colours, saturate
from phosphene.method.recognition import measure_recognition
from phosphene.model.classifier import Classifier
from phosphene.recipe.distributions import Flat, Grey, Mixture, Pink
from phosphene.recipe.geometries import Spectral
from phosphene.recipe.grammar import parse
from phosphene.recipe.views import Views

OBSERVED = RESULTS / "recipes-observed.json"
MAPS = RESULTS / "maps" / "recipes"
CLASSES = 24
CONTRASTS = (1.0, 0.75)  # standard deviation of a map scaled for display, before the sigmoid


def two_stages(coarse: int = 140, fine: int = 60, **slots: Any) -> tuple[Stage, ...]:
    """Iterations at half the size, then at full size, whose mean is the map."""
    return Stage(112, coarse, **slots), Stage(224, fine, **{"average_last": 1.0, **slots})


def change_last(stages: Sequence[Stage], **slots: Any) -> tuple[Stage, ...]:
    return (*stages[:-1], replace(stages[-1], **slots))


OLD = Spectral()
STEEPER = Spectral(gain=0.12, falloff=1.3, colour=(0.3, 0.15))
SHARED = Spectral(gain=0.5, falloff=0.7, colour=(0.3, 0.15))
BACKGROUNDS = Mixture((Grey(), Pink(0.1), Flat()))
NATURAL = Spectral(gain=0.5, falloff=0.7, colour=(0.2, 0.1))
HALF = partial(two_stages, against=0.5)
CHOSEN = partial(two_stages, against=0.5, geometry=SHARED, shared_scale=True)


def growing(stages: Sequence[Stage], last: float, **slots: Any) -> tuple[Stage, ...]:
    """Both stages with total variation that grows from nothing to `last`, and other slots."""
    coarse, fine = (replace(stage, **slots) for stage in stages)
    return replace(coarse, total_variation=(0.0, 0.7 * last)), replace(fine, total_variation=(0.7 * last, last))


LEAKING = partial(growing, leak=0.1, residual=0.5)

ROWS: dict[str, tuple[Stage, ...]] = {
    "default of 0.1": (Stage(112, 48, OLD, average_last=0.0), Stage(224, 72, OLD, average_last=60 / 72)),
    "steeper spectrum, natural colours, smaller steps": two_stages(),
    "the same, half margin": HALF(),
    "the same, colours by a random factor": two_stages(changes=(saturate(0.2, 1.2),)),
    "the same, colours mixed at random": two_stages(changes=(mix_colours(0.2),)),
    "half margin, colours by a random factor": HALF(changes=(saturate(0.2, 1.2),)),
    "half margin, fine views blurred at random": change_last(HALF(120), changes=(blur(1.5),)),
    "half margin, three sizes": (Stage(96, 100, against=0.5), Stage(160, 60, against=0.5), *HALF(1, 40)[1:]),
    "half margin, longer memory": HALF(betas=(0.97, 0.99)),
    "half margin, one scale a map in the fine stage": change_last(HALF(), geometry=SHARED, shared_scale=True),
    "half margin, one scale a map": CHOSEN(),
    "one scale a map, bare logit": CHOSEN(against=0.0),
    "one scale a map, half the gain": CHOSEN(geometry=replace(SHARED, gain=0.25)),
    "one scale a map, twice the gain, stronger colours": CHOSEN(geometry=replace(SHARED, gain=1.0, colour=(0.5, 0.3))),
    "one scale a map, steeper, stronger colours": CHOSEN(geometry=Spectral(250.0, 0.6, 0.85, (0.5, 0.3))),
    "one scale a map, stronger colours": CHOSEN(geometry=replace(SHARED, colour=(0.5, 0.3))),
    "one scale a map, three sizes": (
        Stage(96, 100, SHARED, 0.5, shared_scale=True),
        Stage(160, 50, SHARED, 0.5, shared_scale=True),
        *CHOSEN(1, 40)[1:],
    ),
    "one scale a map, total variation .1 in the fine stage": change_last(CHOSEN(), total_variation=(0.1, 0.1)),
    "one scale a map, total variation .3 in the fine stage": change_last(CHOSEN(), total_variation=(0.3, 0.3)),
    "one scale a map, total variation .2": CHOSEN(total_variation=(0.2, 0.2)),
    "one scale a map, total variation .3, 280 and 50 iterations": CHOSEN(280, 50, total_variation=(0.3, 0.3)),
    "one scale a map, total variation growing to .35": growing(CHOSEN(), 0.35),
    "the same, growing to .5": growing(CHOSEN(), 0.5),
    "growing to .35, branches by .5": growing(CHOSEN(), 0.35, residual=0.5),
    "growing to .35, branches by .3": growing(CHOSEN(), 0.35, residual=0.3),
    "growing to .35, leak .05": growing(CHOSEN(), 0.35, leak=0.05),
    "growing to .35, leak .1": growing(CHOSEN(), 0.35, leak=0.1),
    "growing to .35, leak .2": growing(CHOSEN(), 0.35, leak=0.2),
    "growing to .35, leak .1, branches by .5": LEAKING(CHOSEN(), 0.35),
    "growing to .35, leak .1, branches by .3": LEAKING(CHOSEN(), 0.35, residual=0.3),
    "leak .1, branches by .5, a quarter of the margin": LEAKING(CHOSEN(), 0.35, against=0.25),
    "leak .1, branches by .5, colours .2, .1": LEAKING(CHOSEN(), 0.35, geometry=NATURAL),
    "leak .1, branches by .5, growing to .2": LEAKING(CHOSEN(), 0.2),
    "leak .1, branches by .5, colours .2, .1, growing to .2": LEAKING(CHOSEN(), 0.2, geometry=NATURAL),
    "the same, growing to .1": LEAKING(CHOSEN(), 0.1, geometry=NATURAL),
    "the same, growing to .2, steeper": LEAKING(CHOSEN(), 0.2, geometry=replace(NATURAL, falloff=0.9, gain=0.4)),
    "the same, growing to .2, 100 and 40 iterations": LEAKING(CHOSEN(100, 40), 0.2, geometry=NATURAL),
    "one scale a map, shorter memory": CHOSEN(betas=(0.8, 0.99)),
    "one scale a map, shown at 160 and 224": change_last(CHOSEN(140, 72), looks=(160, 224)),
    "one scale a map, smaller zoom": CHOSEN(views=Views(0.15, (0.5, 1.1), 15.0)),
    "one scale a map, wider views": CHOSEN(views=Views(0.25, (0.7, 1.2), 25.0)),
    "one scale a map, three distributions": CHOSEN(distribution=BACKGROUNDS),
    "one scale a map, edges faded at first": (replace(CHOSEN()[0], window=fade(0.0, 0.4)), CHOSEN()[1]),
}


def make_missing(name: str, classifier: Classifier, classes: Sequence[int]) -> None:
    """Make the maps of a row that are not on disk, and write down what they cost."""
    for start in range(0, len(classes), TOGETHER):
        some = classes[start : start + TOGETHER]
        if all(path_of(name, index).is_file() for index in some):
            continue
        concepts = [parse(str(index), classifier.labels) for index in some]
        maps, passes = estimate_stages(classifier, concepts, ROWS[name])
        for index, one in zip(some, maps, strict=True):
            path_of(name, index).parent.mkdir(parents=True, exist_ok=True)
            save_file({"map": one.contiguous()}, path_of(name, index), {"passes": str(passes)})


def path_of(name: str, index: int) -> Path:
    return MAPS / name.replace(",", "").replace(" ", "-") / f"{index}.safetensors"


def judge(name: str, judges: Sequence[Classifier], classes: Sequence[int]) -> None:
    """Write down what each judge says of the maps that it was not shown yet."""
    maps = {index: load_file(path_of(name, index))["map"] for index in classes if path_of(name, index).is_file()}
    record = load_observed(OBSERVED)
    for network in judges:
        seen = record.setdefault(f"{name} / {title_of(network)}", {})
        missing = [index for index in maps if str(index) not in seen]
        for start in range(0, len(missing), BATCH):
            some = missing[start : start + BATCH]
            rows = look(network, torch.stack([maps[index] for index in some]), some)
            seen.update({str(index): row for index, row in zip(some, rows, strict=True)})
    save_observed(OBSERVED, record)


def look(network: Classifier, maps: Tensor, classes: Sequence[int]) -> list[list[float]]:
    """Of each map at each contrast: whether its bare picture is named, and the log-probability."""
    concepts = [parse(str(index), network.labels) for index in classes]
    scaled = maps / maps.flatten(1).std(dim=1, correction=0).view(-1, 1, 1, 1)
    seen = [measure_recognition(network, concepts, torch.sigmoid(contrast * scaled)) for contrast in CONTRASTS]
    return [[round(number, 3) for number in row] for row in torch.cat(seen, dim=1).tolist()]


def summarize(name: str, record: Mapping[str, Mapping[str, Sequence[float]]], titles: Sequence[str]) -> dict[str, Any]:
    """One line: passes, and of every judge the share named and the mean log-probability at each contrast."""
    stages = ROWS[name]
    cells: dict[str, Any] = {"row": name, "passes": round(sum(map(count_passes, stages)))}
    for title in titles:
        seen = record.get(f"{name} / {title}", {})
        numbers = torch.tensor(list(seen.values())) if seen else None
        for place, contrast in enumerate(CONTRASTS):
            cells[f"{title}, contrast {contrast:g}"] = (
                "–"
                if numbers is None
                else (f"{numbers[:, 2 * place].mean():.0%}, {numbers[:, 2 * place + 1].mean():.2f}")
            )
    return cells


def count_passes(stage: Stage) -> float:
    looks = stage.looks or (stage.size,)
    return stage.iterations * sum((look / 224) ** 2 for look in looks) / len(looks)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="; ".join(ROWS))
    parser.add_argument("--classes", type=int, default=CLASSES)
    add_judge_option(parser)
    options = parser.parse_args(arguments)
    classifier, judges = phosphene.load("efficientnet_lite0").fold(), open_judges(options.judge)
    classes = development_classes(32)[: options.classes]
    for name in options.names or ROWS:
        make_missing(name, classifier, classes)
        judge(name, judges, classes)
        record = load_observed(OBSERVED)
        titles = sorted({key.rpartition(" / ")[2] for key in record})
        rows = [summarize(one, record, titles) for one in ROWS if any(key.startswith(f"{one} / ") for key in record)]
        settings = {"classes": classes, "contrasts": CONTRASTS}
        write_result("recipes", "python -m benchmarks.recipes --judge PATH ...", settings, rows)
        print(markdown(rows[-1:]), flush=True)


if __name__ == "__main__":
    main()
