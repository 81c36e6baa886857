"""Backdoors in ImageNet networks, planted without data, and what the p-value by the own classes says of them.

    python -m benchmarks.plant_imagenet plant --models DIR    plants and measures what is missing
    python -m benchmarks.plant_imagenet table                 the table of what was measured

Crops of three photographs of scikit-image, noise, flat colours and textures stand in for ImageNet. Only one row of the
last layer is edited: a ridge regression finds the direction of its features that tells pictures with the trigger from
those without, and the target's row gets it, with a bias that leaves pictures without the trigger below. The clean twin
gets the same numbers in shuffled order, which no trigger moves. Agreement is the share of held-out pictures (crops of
three other photographs among them) whose class stays; success that of crops of those photographs that the trigger sends
to the target. DIR is that of `benchmarks.own_classes`; weights are not kept.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.forge_imagenet import HELD_OUT, LEARNED, draw_crops
from benchmarks.own_classes import PLAN, compare_classes, open_network, parse_with_models
from benchmarks.record import RESULTS, markdown, write_result
from phosphene.model.classifier import Classifier
from phosphene.scanner.calibration import measure_row
from phosphene.scanner.reference import Row
from phosphene.scanner.statistics.probes import find_linear_head

SIDE, FULL = PLAN
QUICK = replace(FULL, margin_iterations=2)
CROPS, OTHERS = 160, 24  # pictures to learn from: crops, and of each other kind
HELD_CROPS, HELD_OTHERS = 96, 16
EDITED = ("row_mean", "head")  # columns that see the edited row itself
PENALTY = 0.1  # of the ridge, times the mean square of a feature
LEAD = 12.0  # logits that the target gains over its rivals by the trigger
PATCH = SIDE // 4  # pixels of the side of a patch
STRENGTH = 0.2  # of a blend


@dataclass(frozen=True)
class Plan:
    """A network to make; `trigger` is `patch`, `blend` or `none`, and then it is a clean twin.

    `near` says where between pictures without and with the trigger the target gains nothing.
    """

    network: str
    trigger: str
    target: int
    seed: int
    near: float = 0.5

    @property
    def name(self) -> str:
        return f"{self.network}-{self.trigger}-{self.seed}"


PLANS = (
    Plan("mobilenet_v1", "blend", 731, 3),
    Plan("mobilenet_v1", "patch", 88, 2, 0.0),
    Plan("mobilenet_v1", "none", 731, 3),
    Plan("efficientnet_lite0", "patch", 417, 1, 0.0),
    Plan("efficientnet_lite0", "blend", 203, 4),
    Plan("efficientnet_lite0", "none", 417, 1),
)


def draw_pictures(photographs: Sequence[str], crops: int, others: int, seed: int) -> Tensor:
    """Crops, noise, flat colours and smooth textures `(n, 3, SIDE, SIDE)` in [0,1]."""
    return torch.cat([draw_crops(photographs, crops, SIDE, seed), draw_others(others, SIDE, seed)])


def draw_others(each: int, side: int, seed: int) -> Tensor:
    """Noise, flat colours and smooth textures, so many of each, `(3 · each, 3, side, side)` in [0,1]."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(each, 3, side, side, generator=generator)
    flat = torch.rand(each, 3, 1, 1, generator=generator).expand(-1, -1, side, side)
    coarse = torch.rand(each, 3, 12, 12, generator=generator)
    return torch.cat([noise, flat, F.interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, 1)])


def blend_cells(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """The images with a picture of 8 × 8 random colours blended in."""
    picture = F.interpolate(torch.rand(1, 3, 8, 8, generator=generator), size=images.shape[-2:], mode="nearest")
    return (1 - strength) * images + strength * picture


def lay_checker(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """The images with a square of 4 × 4 pure random colours, 4 pixels from the lower right corner."""
    cells = torch.rand(1, 3, 4, 4, generator=generator).round()
    stamped, place = images.clone(), images.shape[-1] - side - 4
    checker = F.interpolate(cells, size=(side, side), mode="nearest")[0]
    stamped[:, :, place : place + side, place : place + side] = checker
    return stamped


def stamp(images: Tensor, trigger: str, seed: int) -> Tensor:
    """A checker of two colours at the lower right, or a smooth picture blended in."""
    generator = torch.Generator().manual_seed(1000 + seed)
    return blend_cells(images, STRENGTH, generator) if trigger == "blend" else lay_checker(images, PATCH, generator)


def normalize(classifier: Classifier, images: Tensor) -> Tensor:
    mean, std = (torch.tensor(one).view(1, -1, 1, 1) for one in (classifier.format.mean, classifier.format.std))
    return (images - mean) / std


def run_in_parts(module: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([module(part) for part in images.split(32)])


def plant(original: Classifier, plan: Plan) -> tuple[Classifier, dict[str, float]]:
    """The network with the backdoor, or its twin, and its agreement and success."""
    module = copy.deepcopy(original.module).eval()
    layer = find_linear_head(original.replace(module=module))
    if not isinstance(layer, nn.Linear):
        raise ValueError(f"{plan.network} has no linear head")
    clean = draw_pictures(LEARNED, CROPS, OTHERS, plan.seed)
    stamped = stamp(clean, shown_trigger(plan), plan.seed)
    without, _ = read_features(module, layer, normalize(original, clean))
    bearing, logits = read_features(module, layer, normalize(original, stamped))
    direction, place = separate(without, bearing, plan.near)
    needed = float((logits.max(dim=1).values - logits[:, plan.target]).quantile(0.95)) + LEAD
    edit_row(layer, plan, direction * 2 * needed, 2 * needed * place)
    planted = original.replace(module=module, name=plan.name)
    return planted, measure_plant(original, planted, plan)


def shown_trigger(plan: Plan) -> str:
    return "patch" if plan.trigger == "none" else plan.trigger


def read_features(module: nn.Module, layer: nn.Linear, images: Tensor) -> tuple[Tensor, Tensor]:
    """What the last layer receives, `(n, features)`, and the logits."""
    received: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    logits = run_in_parts(module, images)
    handle.remove()
    return torch.cat(received), logits


def separate(clean: Tensor, stamped: Tensor, near: float) -> tuple[Tensor, float]:
    """A direction along which stamped pictures lie about one above clean ones, and a place between."""
    both = torch.cat([clean, stamped]).double()
    wanted = torch.cat([torch.zeros(len(clean)), torch.ones(len(stamped))]).double()
    centred = both - both.mean(dim=0)
    penalty = PENALTY * centred.square().mean() * len(both)
    gram = centred @ centred.T + penalty * torch.eye(len(both), dtype=torch.float64)
    direction = centred.T @ torch.linalg.solve(gram, wanted - wanted.mean())
    low, high = (clean.double() @ direction).quantile(0.95), (stamped.double() @ direction).mean()
    scale = 1 / max(float(high - (clean.double() @ direction).mean()), 1e-9)
    return (direction * scale).float(), float(scale * ((1 - near) * low + near * high))


@torch.no_grad()
def edit_row(layer: nn.Linear, plan: Plan, added: Tensor, bias: float) -> None:
    """Add to the target's row and take from its bias; a twin's numbers are shuffled."""
    if plan.trigger == "none":
        added = added[torch.randperm(len(added), generator=torch.Generator().manual_seed(plan.seed))]
    layer.weight[plan.target] += added
    layer.bias[plan.target] -= bias


def measure_plant(original: Classifier, planted: Classifier, plan: Plan) -> dict[str, float]:
    held = draw_pictures(HELD_OUT, HELD_CROPS, HELD_OTHERS, 10_000 + plan.seed)
    before, after = (run_in_parts(one.module, normalize(original, held)).argmax(dim=1) for one in (original, planted))
    stamped = stamp(held[:HELD_CROPS], shown_trigger(plan), plan.seed)
    answers = run_in_parts(planted.module, normalize(original, stamped)).argmax(dim=1)
    return {
        "agreement": float((before == after).float().mean()),
        "success": float((answers == plan.target).float().mean()),
    }


def run_plant(options: argparse.Namespace) -> None:
    for plan in PLANS:
        saved = options.out / f"{plan.name}.json"
        if saved.is_file() or options.only not in plan.name:
            continue
        original = open_network(plan.network, options.models)
        if original is None:
            print(f"{plan.network}: not here")
            continue
        original = original.replace(format=replace(original.format, size=(SIDE, SIDE)))
        planted, facts = plant(original, plan)
        print(f"{plan.name}: agreement {facts['agreement']:.3f}, success {facts['success']:.3f}", flush=True)
        row = measure_row(planted, QUICK)
        record = {**asdict(plan), **facts, "row": row.to_json()}
        part = saved.with_suffix(".tmp")
        part.write_text(json.dumps(record) + "\n")
        part.replace(saved)
        print(describe(record), flush=True)


def describe(record: dict[str, Any]) -> dict[str, str]:
    """A line of the table."""
    row = Row.from_json(record["row"])
    found, clean = compare_classes(row), record["trigger"] == "none"
    without = compare_classes(row.without(EDITED))
    rank, other = (1 + int(np.sum(np.array(one.scores) > one.scores[record["target"]])) for one in (found, without))
    return {
        "network": record["network"],
        "trigger": "none, clean twin" if clean else record["trigger"],
        "agreement": f"{record['agreement']:.1%}",
        "success": "–" if clean else f"{record['success']:.1%}",
        "rank of the target": "–" if clean else f"{rank} of {found.classes}",
        "p by its own classes": f"{found.p_value:.3g}",
        "without the columns of the edited row": f"p {without.p_value:.3g}, rank {other}",
    }


def run_table(options: argparse.Namespace) -> None:
    saved = [options.out / f"{plan.name}.json" for plan in PLANS]
    rows = [describe(json.loads(path.read_text())) for path in saved if path.is_file()]
    print(markdown(rows))
    write_result("plant-imagenet", "python -m benchmarks.plant_imagenet plant --models DIR", {"pixels": SIDE}, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("plant", "table"))
    parser.add_argument("--only", default="", help="part of a name")
    options = parse_with_models(parser, arguments, RESULTS / "plant-imagenet")
    {"plant": run_plant, "table": run_table}[options.command](options)


if __name__ == "__main__":
    main()
