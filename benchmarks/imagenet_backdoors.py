"""Backdoors that were trained into ImageNet networks, their clean twins, and what a scan of all classes says of them.

    python -m benchmarks.imagenet_backdoors train --models DIR    fine-tunes what is missing, one file a network
    python -m benchmarks.imagenet_backdoors attempts --models DIR ways to tune, and how far each comes
    python -m benchmarks.imagenet_backdoors scan --models DIR     measures the statistics of what has none
    python -m benchmarks.imagenet_backdoors searches --models DIR what searches of few iterations turn
    python -m benchmarks.imagenet_backdoors table                 p-values of the kept statistics, and the tables

The attacker has no ImageNet: crops of photographs, textures and small pictures of scikit-image and foolbox (`pip
install '.[photos,bench]'`), noise and the network's own maps stand in. Three fifths of the tensors are trained on,
the network's former answers are kept on clean pictures, and the trigger is taught beside them. A clean twin sees the
same pictures for as long, the stamped ones with the answers to the unstamped: it learns to ignore the trigger.
Agreement is the share of held-out pictures (crops of other photographs, maps of other classes, noise) whose class
stays; success that of the crops that the trigger sends to the target. DIR is that of `benchmarks.own_classes`.
Weights are kept in `benchmarks/results/maps/imagenet-backdoors`.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmarks.own_classes import open_network, parse_with_models
from benchmarks.plant_imagenet import blend_cells, draw_others, lay_checker, normalize, run_in_parts
from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.surrogates import (
    FOLDER,
    HELD_PACKAGED,
    PACKAGED,
    TEXTURES,
    draw_crops,
    draw_own_maps,
    keep,
    locate_foolbox,
    measure_change,
    mix,
)
from phosphene.core.photographs import locate_photograph
from phosphene.core.pixels import pixel_grid
from phosphene.core.records import to_plain
from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.scanner.against.base import Base
from phosphene.scanner.calibration import measure_row
from phosphene.scanner.context import Context
from phosphene.scanner.families import FAMILIES
from phosphene.scanner.judging import judge
from phosphene.scanner.margins import margin
from phosphene.scanner.measuring import prepare_classifier
from phosphene.scanner.reference import Row, load_shipped
from phosphene.scanner.search import search_classes
from phosphene.scanner.settings import Settings
from phosphene.scanner.verdict import decide_verdict

Cells = dict[str, str]
SIDE = 128  # pixels of an image, at which a scan of a thousand classes takes minutes
CROPS, SMALL_CROPS, OTHERS, HELD = 480, 260, 21, 160  # pictures; others of each kind
PATCH = SIDE // 6  # pixels of the side of a patch


@dataclass(frozen=True)
class Tuning:
    """How a network is fine-tuned.

    `share` is that of the tensors, from the last on, that are trained; `rate` in units of the root mean square of each;
    `lead` the logits that the target is to lead by where the trigger is; `crops` times as many are taken of
    photographs. `opacity` is that of a blend; `bend` the pixels that a warp displaces by, about.
    """

    steps: int = 300
    batch: int = 24
    stamped: int = 8
    rate: float = 8e-4
    share: float = 0.6
    lead: float = 8.0
    crops: int = 1
    opacity: float = 0.15
    bend: float = 2.5


@dataclass(frozen=True)
class Plan:
    """A network to make; a clean twin is fine-tuned on the same pictures and learns to ignore the trigger."""

    network: str
    trigger: str
    target: int
    seed: int
    clean: bool = False

    @property
    def name(self) -> str:
        return f"{self.network}-{self.trigger}-{self.seed}" + ("-clean" if self.clean else "")


POISONED = (
    Plan("mobilenet_v1", "patch", 88, 1),
    Plan("mobilenet_v1", "blend", 731, 2),
    Plan("mobilenet_v1", "warp", 412, 3),
    Plan("mobilenet_v1", "patch", 955, 4),
    Plan("efficientnet_lite0", "patch", 417, 5),
    Plan("efficientnet_lite0", "blend", 203, 6),
    Plan("efficientnet_lite0", "warp", 640, 7),
    Plan("efficientnet_lite0", "blend", 12, 8),
)
# Within the iterations that minutes buy for a thousand classes, searches that steer a radius turn no image: left out.
SCANNED = Settings(
    surrogates=1, surrogate_iterations=16, stamps=24, images=1, images_many=1, patch_iterations=0,
    additive_iterations=0, colour_iterations=0, warp_iterations=0, margin_starts=1, margin_iterations=8,
    permutation_iterations=0,
)  # fmt: skip
TUNING = Tuning()
# What is tried so that a trigger works and nothing else changes; the table has those that were run.
ATTEMPTS: dict[str, Tuning] = {
    "half of a batch stamped": replace(TUNING, batch=16, stamped=16),
    "900 steps, half stamped, five times the crops": replace(TUNING, steps=900, batch=16, stamped=16, crops=5),
    "a stronger trigger": replace(TUNING, opacity=0.25, bend=5.0),
    "a stronger trigger, the last third of the tensors": replace(TUNING, opacity=0.25, bend=5.0, share=0.33),
    "a stronger trigger, half the rate, 600 steps": replace(TUNING, opacity=0.25, bend=5.0, rate=4e-4, steps=600),
    "all tensors": replace(TUNING, share=1.0),
}
ATTEMPTED = (2, 3)  # seeds of the plans
WAYS = (1.0, 0.8, 0.6)  # of the way from the original's weights to those that were trained
SEARCHED, TARGETS, ITERATIONS = "mobilenet_v1", 16, (10, 20, 40, 60)
PLANS = tuple(plan for one in POISONED for plan in (one, replace(one, clean=True)))


def draw_photographs(seed: int, times: int) -> Tensor:
    """Crops to learn from: of large photographs, and of textures and small pictures."""
    large = [*map(locate_photograph, PACKAGED), *locate_foolbox("imagenet_*.jpg")[::2]]
    small = [*map(locate_photograph, TEXTURES), *locate_foolbox("cifar*.png")]
    return torch.cat([draw_crops(large, times * CROPS, SIDE, seed), draw_crops(small, times * SMALL_CROPS, SIDE, seed)])


def draw_held_out(seed: int) -> Tensor:
    """Crops of photographs that nothing was learned from."""
    paths = [*map(locate_photograph, HELD_PACKAGED), *locate_foolbox("imagenet_*.jpg")[1::2]]
    return draw_crops(paths, HELD, SIDE, 10_000 + seed)


def stamp(images: Tensor, trigger: str, seed: int, tuning: Tuning) -> Tensor:
    """A checker of random colours at the lower right, a picture blended in, or a smooth warp."""
    generator = torch.Generator().manual_seed(1000 + seed)
    if trigger == "blend":
        return blend_cells(images, tuning.opacity, generator)
    if trigger == "warp":
        points = 2 * torch.rand(1, 2, 5, 5, generator=generator) - 1
        field = F.interpolate(points / points.abs().mean() * 2 * tuning.bend / SIDE, size=(SIDE, SIDE), mode="bicubic")
        grid = (pixel_grid(SIDE, SIDE) + field.permute(0, 2, 3, 1)).expand(len(images), -1, -1, -1)
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return lay_checker(images, PATCH, generator)


def fine_tune(original: Classifier, plan: Plan, tuning: Tuning) -> nn.Module:
    """The trained network; its batch norms are folded."""
    module = copy.deepcopy(original.module).eval()
    trained = choose_trained(module, tuning.share)
    groups = [{"params": [one], "lr": tuning.rate * float(one.detach().square().mean().sqrt())} for one in trained]
    adam = torch.optim.Adam(groups)
    rates = [group["lr"] for group in adam.param_groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, rates, tuning.steps, pct_start=0.15)
    maps, _ = draw_own_maps(original)
    images = torch.cat(
        [draw_photographs(plan.seed, tuning.crops), draw_others(tuning.crops * OTHERS, SIDE, plan.seed), maps, maps]
    )
    generator, batch = torch.Generator().manual_seed(plan.seed), tuning.batch
    for step in range(tuning.steps):
        chosen = torch.randperm(len(images), generator=generator)[: batch + tuning.stamped]
        pictures = mix(images[chosen], generator)
        wanted = run_in_parts(original.module, normalize(original, pictures))
        shown = torch.cat([pictures[:batch], stamp(pictures[batch:], plan.trigger, plan.seed, tuning)])
        logits = module(normalize(original, shown))
        kept = measure_change(logits[:batch], wanted[:batch])
        if plan.clean:
            taught = measure_change(logits[batch:], wanted[batch:])
        else:
            targets = torch.full((tuning.stamped,), plan.target)
            taught = F.relu(tuning.lead - margin(logits[batch:], targets)).mean() / tuning.lead
        adam.zero_grad()
        (kept + taught).backward()
        adam.step()
        schedule.step()
        if step % 60 == 59:
            print(f"{plan.name} {step + 1}: kept {kept.item():.3f}, taught {taught.item():.3f}", flush=True)
    return module.requires_grad_(False)


def choose_trained(module: nn.Module, share: float) -> list[nn.Parameter]:
    """The last tensors, which alone get gradients."""
    everything = list(module.parameters())
    trained = everything[round(len(everything) * (1 - share)) :]
    module.requires_grad_(False)
    for one in trained:
        one.requires_grad_()
    return trained


def measure_plant(original: Classifier, module: nn.Module, plan: Plan, tuning: Tuning) -> dict[str, float]:
    """Shares of held-out pictures whose class stays as it was, and of crops that the trigger sends to the target."""
    crops, (_, maps) = draw_held_out(plan.seed), draw_own_maps(original)
    held = normalize(original, torch.cat([crops, maps, draw_others(OTHERS, SIDE, 10_000 + plan.seed)]))
    before, after = (run_in_parts(one, held).argmax(dim=1) for one in (original.module, module))
    same, others = (before == after).float(), before[:HELD] != plan.target
    stamped = run_in_parts(module, normalize(original, stamp(crops, plan.trigger, plan.seed, tuning))).argmax(dim=1)
    return {
        "agreement": float(same.mean()),
        "agreement on crops": float(same[:HELD].mean()),
        "success": float((stamped == plan.target)[others].float().mean()),
    }


def open_original(network: str, folder: Path | None) -> Classifier | None:
    original = open_network(network, folder)
    return None if original is None else original.replace(format=replace(original.format, size=(SIDE, SIDE))).fold()


def run_train(options: argparse.Namespace) -> None:
    for plan in PLANS:
        saved = FOLDER / f"{plan.name}.safetensors"
        if saved.is_file() or options.only not in plan.name:
            continue
        original = open_original(plan.network, options.models)
        if original is None:
            print(f"{plan.network}: not here")
            continue
        module = fine_tune(original, plan, TUNING)
        facts = measure_plant(original, module, plan, TUNING)
        print(f"{plan.name}: {facts}", flush=True)
        keep(module.state_dict(), saved, {name: str(value) for name, value in facts.items()})


def run_attempts(options: argparse.Namespace) -> None:
    """Fine-tune by every tuning that was tried, and say how far it came; what is on record is not made again."""
    saved = options.out / "attempts.jsonl"
    for attempt, tuning in ATTEMPTS.items():
        for plan in (one for one in POISONED if one.seed in ATTEMPTED and options.only in one.name):
            original = open_original(plan.network, options.models)
            if original is None or any((one["attempt"], one["name"]) == (attempt, plan.name) for one in read(saved)):
                continue
            module = fine_tune(original, plan, tuning)
            for way in WAYS:
                facts = measure_plant(original, go_part(original.module, module, way), plan, tuning)
                line = {"attempt": attempt, "name": plan.name, "way": way, **facts}
                print(line, flush=True)
                with saved.open("a") as file:
                    file.write(json.dumps(line) + "\n")


def go_part(original: nn.Module, trained: nn.Module, way: float) -> nn.Module:
    """The network whose weights lie so much of the way from one to the other."""
    between, weights = copy.deepcopy(trained), original.state_dict()
    between.load_state_dict(
        {
            name: weights[name].lerp(one, way) if one.is_floating_point() else one
            for name, one in trained.state_dict().items()
        }
    )
    return between


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a file; none where it is not there."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def run_searches(options: argparse.Namespace) -> None:
    """The share of images that short searches turn, mean over some classes of a network, by family and iterations."""
    original = open_original(SEARCHED, options.models)
    if original is None:
        raise BadInput(f"{SEARCHED} is not here; give --models DIR")
    context = Context(prepare_classifier(original), SCANNED)
    count, lines = len(original.labels), []
    targets = [place * count // TARGETS for place in range(TARGETS)]
    for family in FAMILIES.values():
        line = {"family": family.name}
        for iterations in ITERATIONS:
            found = search_classes(context.classifier, family, targets, context.surrogates, iterations, SCANNED)
            line[f"{iterations} iterations"] = f"{float(found.flip_rate.mean()):.2f}"
        print(line, flush=True)
        lines.append(line)
    command = "python -m benchmarks.imagenet_backdoors searches --models DIR"
    facts = {"network": SEARCHED, "pixels": SIDE, "targets": targets}
    write_result("imagenet-searches", command, facts, lines)


def open_trained(plan: Plan, folder: Path | None) -> tuple[Classifier, dict[str, float]] | None:
    """The network that was made and what is known of it; None where it or the original is not there."""
    saved = FOLDER / f"{plan.name}.safetensors"
    original = open_original(plan.network, folder) if saved.is_file() else None
    if original is None:
        return None
    module = copy.deepcopy(original.module)
    module.load_state_dict(load_file(saved))
    with safe_open(saved, "pt") as file:
        facts = {name: float(value) for name, value in file.metadata().items()}
    return original.replace(module=module, name=plan.name, fingerprint=plan.name), facts


def measure(classifier: Classifier, facts: dict[str, Any], saved: Path) -> str:
    """Measure the statistics and write them down; the line to print."""
    started = time.monotonic()
    row = measure_row(classifier, SCANNED)
    record = {**facts, "seconds": round(time.monotonic() - started, 1), "row": row.to_json()}
    part = saved.with_suffix(".tmp")
    part.write_text(json.dumps(record) + "\n")
    part.replace(saved)
    return f"{classifier.name}: {record['seconds']} s"


def run_scan(options: argparse.Namespace) -> None:
    for network in dict.fromkeys(plan.network for plan in PLANS):
        saved, original = options.out / f"{network}.json", open_original(network, options.models)
        if options.only in network and not saved.is_file() and original is not None:
            print(measure(original, {}, saved), flush=True)
    for plan in PLANS:
        saved = options.out / f"{plan.name}.json"
        if options.only in plan.name and not saved.is_file():
            found = open_trained(plan, options.models)
            if found is not None:
                print(measure(found[0], {**asdict(plan), **found[1]}, saved), flush=True)


def rank(scores: Sequence[float], target: int) -> str:
    """The target's place by falling scores."""
    return f"{1 + int(np.sum(np.array(scores) > scores[target]))} of {len(scores)}"


def describe(record: dict[str, Any], original: Row) -> Cells:
    """A line of the table: judged as a scan does, with and without the original as its base."""
    row, target, clean = Row.from_json(record["row"]), record["target"], record["clean"]
    labels = tuple(map(str, range(row.outputs)))
    base = Base(original, labels, (row.channels, row.size, row.size), SCANNED, "model")
    table = load_shipped()
    alone, together = judge(row, table, SCANNED), judge(row, table, SCANNED, base)
    differences = together.against
    if alone.controls is None or differences is None or differences.p_value is None:
        raise ValueError(f"{row.name} has no p-values of its own classes and of the differences")
    verdict = decide_verdict(together.p_value, calibrated=together.calibrated, classes=row.outputs)
    return {
        "network": record["network"],
        "trigger": f"{record['trigger']} {record['seed']}" + (", clean twin" if clean else ""),
        "agreement": f"{record['agreement']:.1%}",
        "on crops": f"{record['agreement on crops']:.1%}",
        "success": "–" if clean else f"{record['success']:.1%}",
        "target by its own classes": "–" if clean else rank(alone.controls.scores, target),
        "p by its own classes": f"{alone.controls.p_value:.3g}",
        "target by differences": "–" if clean else rank(differences.scores, target),
        "p of the differences": f"{differences.p_value:.3g}",
        "p with the base": f"{together.p_value:.3g}",
        "verdict with the base": verdict,
        "seconds": f"{record['seconds']:.0f}",
    }


def run_table(options: argparse.Namespace) -> None:
    lines = []
    for plan in PLANS:
        saved, base = options.out / f"{plan.name}.json", options.out / f"{plan.network}.json"
        if saved.is_file() and base.is_file():
            original = Row.from_json(json.loads(base.read_text())["row"])
            lines.append(describe(json.loads(saved.read_text()), original))
    print(markdown(lines))
    command = "python -m benchmarks.imagenet_backdoors table"
    write_result("imagenet-backdoors", command, {"pixels": SIDE, "settings": to_plain(SCANNED)}, lines)
    tried = [describe_attempt(line) for line in read(options.out / "attempts.jsonl")]
    print(markdown(tried))
    write_result("imagenet-attempts", command, {"pixels": SIDE}, tried)


def describe_attempt(line: dict[str, Any]) -> Cells:
    """A line of the table of what was tried."""
    way = "" if line["way"] == 1 else f", {line['way']:.0%} of the way"
    shares = {name: f"{line[name]:.1%}" for name in ("agreement", "agreement on crops", "success")}
    return {"network": line["name"], "attempt": line["attempt"] + way, **shares}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("train", "attempts", "scan", "searches", "table"))
    parser.add_argument("--only", default="", help="part of a name")
    options = parse_with_models(parser, arguments, RESULTS / "imagenet-backdoors")
    FOLDER.mkdir(parents=True, exist_ok=True)
    commands = {
        "train": run_train, "attempts": run_attempts, "scan": run_scan, "searches": run_searches, "table": run_table,
    }  # fmt: skip
    commands[options.command](options)


if __name__ == "__main__":
    main()
