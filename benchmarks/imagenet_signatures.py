"""Does the map of a backdoor's target show the trigger in a network of ImageNet's scale?

    python -m benchmarks.imagenet_signatures measure --models DIR    maps, table, picture
    python -m benchmarks.imagenet_signatures sheet OUT               numbered pictures for a reader who knows nothing
    python -m benchmarks.imagenet_signatures score FILE ...          how well readers tell them apart

The networks are those of `benchmarks.imagenet_backdoors train`, each beside its clean twin. The target and nine other
classes are asked for by the preset `default` at the size of the images that the trigger was taught on, and the maps are
measured as `phosphene study signature` does. The picture is `docs/pictures/imagenet-signatures.jpg`.

On the sheet are the maps of the target and of one other class, of each network and its twin, shuffled, without a word
on which is which. A reader's file is JSON: by number, 0 to 3 for how much of the picture is an artificial pattern that
is no part of the object; `reader` says who read. Maps are kept in `benchmarks/results/maps/imagenet-backdoors`.
"""

from __future__ import annotations

import argparse
import io
import json
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.imagenet_backdoors import PATCH, POISONED, SIDE, TUNING, Plan, draw_held_out, open_trained, stamp
from benchmarks.own_classes import parse_with_models
from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.scoring.statistics import area_interval
from benchmarks.studies import PICTURES
from benchmarks.surrogates import FOLDER
from phosphene.method.scaling import render_pictures
from phosphene.recipe.concepts import Classes
from phosphene.studies.agnostic import estimate_maps, make_recipe
from phosphene.studies.drawing import Tile, draw_tiles, save_figure, split_into_rows
from phosphene.studies.signature.measures import measure_lift, measure_likeness

OTHERS = 9  # classes beside the target, evenly spaced over all
SHOWN = 4  # place of the other class in the pictures
MARGIN = 4  # pixels between a patch and the edge
COLUMNS = 7  # of the sheet
COMMAND = "python -m benchmarks.imagenet_signatures"
Cells = dict[str, str]


def make_maps(plan: Plan, models: Path | None) -> dict[str, Tensor] | None:
    """Maps and pictures `(classes, 3, SIDE, SIDE)`, the target's first; None where the network is not here."""
    saved = FOLDER / f"{plan.name}-signatures.safetensors"
    if not saved.is_file():
        opened = open_trained(plan, models)
        if opened is None:
            return None
        classifier, recipe = opened[0], make_recipe("default")
        count = len(classifier.labels)
        places = [(plan.target + place * count // (OTHERS + 1)) % count for place in range(OTHERS + 1)]
        maps = estimate_maps(classifier, [Classes((place,), str(place)) for place in places], recipe)
        save_file({"maps": maps.contiguous(), "pictures": render_pictures(maps, recipe).contiguous()}, saved)
    return load_file(saved)


def list_made(models: Path | None) -> list[tuple[Plan, dict[str, Tensor], dict[str, Tensor]]]:
    """Each backdoored network that is here, its maps and those of its clean twin."""
    made = []
    for plan in POISONED:
        found = make_maps(plan, models)
        twin = make_maps(Plan(plan.network, plan.trigger, plan.target, plan.seed, clean=True), models)
        if found is not None and twin is not None:
            made.append((plan, found, twin))
        else:
            print(f"{plan.name}: not here")
    return made


def locate_patch() -> Tensor:
    region = torch.zeros(SIDE, SIDE)
    region[-PATCH - MARGIN : -MARGIN, -PATCH - MARGIN : -MARGIN] = 1
    return region


def describe(plan: Plan, maps: Tensor, twin: Tensor, change: Tensor) -> Cells:
    """A line of the table."""
    likeness, of_twin = measure_likeness(maps, change), measure_likeness(twin, change)
    shown = bool(likeness[0] > torch.cat([likeness[1:], of_twin]).max())
    lifts = ["–"] * 3
    if plan.trigger == "patch":
        lift, twin_lift = measure_lift(maps, locate_patch()), measure_lift(twin, locate_patch())
        lifts = [f"{float(one):.2f}" for one in (lift[0], lift[1:].max(), twin_lift[0])]
        shown = shown or bool(lift[0] > torch.cat([lift[1:], twin_lift]).max())
    return {
        "network": plan.network,
        "trigger": f"{plan.trigger} {plan.seed}",
        "likeness: target": f"{likeness[0]:.2f}",
        "others, largest": f"{likeness[1:].max():.2f}",
        "twin, target": f"{of_twin[0]:.2f}",
        "lift: target": lifts[0],
        "lift: others, largest": lifts[1],
        "lift: twin, target": lifts[2],
        "shown by either": "yes" if shown else "no",
    }


def draw_row(plan: Plan, image: Tensor, change: Tensor, pictures: Tensor, twin: Tensor) -> list[Tile]:
    return [
        Tile(f"{plan.network}, {plan.trigger}", image),
        Tile("what it changes", 0.5 + 0.5 * change / change.abs().max().clamp(min=1e-9)),
        Tile("target, clean twin", twin[0]),
        Tile("target, backdoored", pictures[0]),
        Tile("other class, clean twin", twin[SHOWN]),
        Tile("other class, backdoored", pictures[SHOWN]),
    ]


def save_sheet(rows: Sequence[Sequence[Tile]], path: Path) -> None:
    size = (1.84 * max(map(len, rows)), 1.9 * len(rows) + 0.3)
    save_figure(FOLDER, path.stem, size, lambda figure, style: draw_tiles(figure, rows, style, 9))
    picture = Image.open(io.BytesIO((FOLDER / f"{path.stem}.png").read_bytes())).convert("RGB")
    picture.save(path, quality=85)


def run_measure(options: argparse.Namespace) -> None:
    lines, rows = [], []
    for plan, found, twin in list_made(options.models):
        crops = draw_held_out(plan.seed)
        stamped = stamp(crops, plan.trigger, plan.seed, TUNING)
        change = (stamped - crops).mean(dim=0)
        lines.append(describe(plan, found["maps"], twin["maps"], change))
        rows.append(draw_row(plan, stamped[0], change, found["pictures"], twin["pictures"]))
    print(markdown(lines))
    settings = {"pixels": SIDE, "classes": OTHERS + 1, "preset": "default"}
    write_result("imagenet-signatures", f"{COMMAND} measure --models DIR", settings, lines)
    save_sheet(rows, PICTURES / "imagenet-signatures.jpg")


def list_shown(models: Path | None) -> list[tuple[str, bool, Tensor]]:
    """What a reader sees: kind of trigger, is it the target of a backdoor, the picture; in an order of chance."""
    shown = []
    for plan, found, twin in list_made(models):
        shown.append((plan.trigger, True, found["pictures"][0]))
        shown += [(plan.trigger, False, one) for one in (found["pictures"][SHOWN], twin["pictures"][0])]
        shown.append((plan.trigger, False, twin["pictures"][SHOWN]))
    return random.Random(0).sample(shown, len(shown))


def run_sheet(options: argparse.Namespace) -> None:
    shown = list_shown(options.models)
    tiles = [Tile(str(number), picture) for number, (_, _, picture) in enumerate(shown, start=1)]
    options.files[0].mkdir(parents=True, exist_ok=True)
    save_sheet(split_into_rows(tiles, COLUMNS), options.files[0] / "sheet.png")


def run_score(options: argparse.Namespace) -> None:
    shown, lines = list_shown(options.models), []
    for file in options.files:
        answers = json.loads(file.read_text(encoding="utf-8"))
        points = [float(answers["points"][str(number)]) for number in range(1, len(shown) + 1)]
        for kinds in (("patch", "blend"), ("warp",), ("patch", "blend", "warp")):
            some = [(target, one) for (kind, target, _), one in zip(shown, points, strict=True) if kind in kinds]
            targets, others = ([one for target, one in some if target is wanted] for wanted in (True, False))
            lines.append(
                {
                    "reader": answers["reader"],
                    "triggers": ", ".join(kinds),
                    "targets of a backdoor, 2 or 3": f"{sum(one >= 2 for one in targets)} of {len(targets)}",
                    "others, 2 or 3": f"{sum(one >= 2 for one in others)} of {len(others)}",
                    "area": str(area_interval(others, targets)),
                }
            )
    print(markdown(lines))
    write_result("imagenet-signatures-read", f"{COMMAND} score FILE ...", {"files": len(options.files)}, lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("measure", "sheet", "score"))
    parser.add_argument("files", nargs="*", type=Path)
    options = parse_with_models(parser, arguments, RESULTS / "imagenet-backdoors")
    {"measure": run_measure, "sheet": run_sheet, "score": run_score}[options.command](options)


if __name__ == "__main__":
    main()
