"""Pairs of runs in one folder: equal ones share the work, others are refused; nothing is overwritten in silence."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import save_file

from benchmarks.hostile.forked import Outcome, start
from benchmarks.hostile.kill import CONCEPTS, list_commands
from benchmarks.hostile.targets import prepare, tiny_net
from phosphene.runs.saliency import SaliencyMap

Arguments = Callable[[Path], Sequence[object]]


def race(work: Path, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """`count` pairs of each kind, the second started at a random moment of the first."""
    good = work / "good"
    prepare(good)
    first = list_commands(good)["map"].arguments
    others = {"the same": first, "another seed": _with_seed(first), "another model": _with_model(first, good, work)}
    return [_race_kind(work, name, first, second, count, seed) for name, second in others.items()]


def _with_seed(first: Arguments) -> Arguments:
    return lambda folder: (*first(folder), "--seed", 1)


def _with_model(first: Arguments, good: Path, work: Path) -> Arguments:
    """The same architecture with weights of its own."""
    module = tiny_net()
    torch.manual_seed(1)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    other = work / "other.safetensors"
    save_file(module.state_dict(), other)
    return lambda folder: tuple(other if word == good / "weights.safetensors" else word for word in first(folder))


def _race_kind(work: Path, name: str, first: Arguments, second: Arguments, count: int, seed: int) -> dict[str, Any]:
    place = work / "race" / name.replace(" ", "-")
    results = []
    for number in range(count):
        record = place / f"{seed}-{number}.json"
        if not record.exists():
            result = _race_pair(place / "pair", first, second, Random(f"{seed}/{name}/{number}"))
            record.write_text(json.dumps(result))
        results.append(json.loads(record.read_text()))
    codes = Counter(" and ".join(map(str, result["codes"])) for result in results)
    return {
        "second run": name,
        "pairs": count,
        "exit codes": dict(codes),
        "waited, and said so": sum(result["waited"] for result in results),
        "maps of two runs in one folder": sum(result["mixed"] for result in results),
        "finished maps overwritten": sum(result["overwritten"] for result in results),
        "left over": sum(result["left"] for result in results),
        "faults": sorted({fault for result in results for fault in result["faults"]})[:10],
    }


def _race_pair(folder: Path, first: Arguments, second: Arguments, chance: Random) -> dict[str, Any]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    running = [start(first(folder), folder / "printed")]
    time.sleep(chance.random() * chance.choice((0.02, 0.5, 2.0)))
    running.append(start(second(folder), folder / "printed"))
    outcomes = [one.wait() for one in running]
    maps = {path.name: SaliencyMap.load(path) for path in (folder / "maps").glob("*.safetensors")}
    identities = {(one.model.fingerprint, json.dumps(one.recipe, sort_keys=True)) for one in maps.values()}
    succeeded = [outcome.code for outcome in outcomes].count(0)
    return {
        "codes": sorted(outcome.code for outcome in outcomes),
        "waited": int(any("waiting until it is done" in outcome.err for outcome in outcomes)),
        "mixed": int(len(identities) > 1),
        # Both succeed only where both asked for the same.
        "overwritten": int(succeeded == 2 and first(folder) != second(folder)) + int(len(maps) != len(CONCEPTS)),
        "left": len(list((folder / "maps").glob(".phosphene-*"))),
        "faults": [_describe(outcome) for outcome in outcomes if outcome.code not in (0, 2)],
    }


def _describe(outcome: Outcome) -> str:
    return f"exit {outcome.code}: {outcome.err.strip()[-300:]}"
