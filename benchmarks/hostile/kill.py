"""kill -9 at random moments over every command that writes: nothing finished is lost or changed, nothing is left."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.hostile.forked import Outcome, run, start
from benchmarks.hostile.targets import SIZE, prepare
from phosphene.runs.saliency import SaliencyMap

KILLS = 3  # of one folder, before its last run is let alone
CONCEPTS = ("ant", "bee", "cat", "dog")
# Every part that a study has, each as small as it may be.
SHORT_STUDY = ("--honest", 2, "--forged", 1, "--training", 100, "--steps", 1, "--iterations", 1)
Content = dict[str, bytes]


@dataclass(frozen=True)
class Command:
    """A command over a folder; `finished` are the files that must not change once they are there, `meaning` what must
    come out whether it was killed or not."""

    name: str
    arguments: Callable[[Path], Sequence[object]]
    prepare: Callable[[Path], None]
    finished: Callable[[Path], Content]
    meaning: Callable[[Path], Any]
    codes: tuple[int, ...] = (0,)
    share: float = 1.0  # of the kills that are asked for, for what takes long


def list_commands(good: Path) -> dict[str, Command]:
    factory = ("--weights", good / "weights.safetensors", "--factory", "benchmarks.hostile.targets:tiny_net")
    source = (*factory, "--labels", good / "labels.txt", "--size", SIZE, "--channels", 3, "--mean", 0.5, "--std", 0.25)
    recipe = ("--preset", "fast", "--iterations", 40)

    def copy_maps(folder: Path) -> None:
        shutil.copytree(good / "maps", folder / "maps")

    def copy_weights(folder: Path) -> None:
        (folder / "models").mkdir(parents=True)
        for number in range(2):
            shutil.copy(good / "weights.safetensors", folder / "models" / f"{number}.safetensors")

    def map_with(workers: int) -> Callable[[Path], Sequence[object]]:
        return lambda folder: ("map", *CONCEPTS, *recipe, "--workers", workers, "--out", folder / "maps", *source)

    nothing = lambda folder: {}  # noqa: E731
    commands = (
        Command("map", map_with(1), _make, _maps, _read_maps),
        Command("map, 2 workers", map_with(2), _make, _maps, _read_maps),
        Command(
            "atlas, 2 workers",
            lambda folder: (
                "atlas",
                "--executor",
                "processes",
                "--workers",
                2,
                *recipe,
                "--out",
                folder / "maps",
                *source,
            ),
            _make,
            _maps,
            _read_atlas,
        ),
        Command(
            "evaluate",
            lambda folder: ("evaluate", folder / "maps", "--seeds", 1, *source),
            copy_maps,
            nothing,
            _read_evidence,
        ),
        Command(
            "scan",
            lambda folder: ("scan", "--report", folder / "scan.json", *source),
            _make,
            lambda folder: _content(folder, "scan.json"),
            lambda folder: _without_seconds(json.loads((folder / "scan.json").read_text())),
            codes=(0, 1, 3),
        ),
        Command(
            "calibrate",
            lambda folder: ("calibrate", folder / "models", "--out", folder / "table.json", *source[2:]),
            copy_weights,
            nothing,
            lambda folder: json.loads((folder / "table.json").read_text())["rows"],
        ),
        Command(
            "report",
            lambda folder: ("report", folder / "maps"),
            copy_maps,
            lambda folder: _content(folder, "maps/*.safetensors"),
            lambda folder: (folder / "maps" / "report.html").read_bytes(),
        ),
        Command(
            "study",
            lambda folder: ("study", "forged", *SHORT_STUDY, "--out", folder / "study"),
            _make,
            lambda folder: _content(folder, "study/parts/*.safetensors"),
            lambda folder: json.loads((folder / "study" / "study.json").read_text()),
            share=0.2,
        ),
    )
    return {command.name: command for command in commands}


def attack(work: Path, names: Sequence[str], count: int, seed: int = 0) -> list[dict[str, Any]]:
    """`count` kills of each command, of slow ones their share; finished rounds are kept in `work`."""
    good = work / "good"
    prepare(good)
    return [
        _attack_command(work, command, round(count * command.share), seed)
        for name, command in list_commands(good).items()
        if name in names or not names
    ]


def _attack_command(work: Path, command: Command, count: int, seed: int) -> dict[str, Any]:
    place = work / "kill" / command.name.replace(", ", "-").replace(" ", "-")
    expected, seconds = _run_alone(place / "alone", command)
    rounds = []
    for number in range(-(-count // KILLS)):
        record = place / f"{seed}-{number}.json"
        if not record.exists():
            result = _run_round(place / "round", command, Random(f"{seed}/{command.name}/{number}"), expected, seconds)
            record.write_text(json.dumps(result))
        rounds.append(json.loads(record.read_text()))
    return {
        "command": command.name,
        "kills": sum(one["kills"] for one in rounds),
        "in the middle": sum(one["in the middle"] for one in rounds),
        "finished files changed or lost": sum(one["changed"] for one in rounds),
        "other results": sum(one["other"] for one in rounds),
        "left over": sum(one["left"] for one in rounds),
        "faults": sorted({fault for one in rounds for fault in one["faults"]})[:10],
    }


def _run_alone(folder: Path, command: Command) -> tuple[Any, float]:
    shutil.rmtree(folder, ignore_errors=True)
    command.prepare(folder)
    outcome = run(command.arguments(folder), folder / "printed")
    assert outcome.code in command.codes, outcome
    return command.meaning(folder), outcome.seconds


def _run_round(folder: Path, command: Command, chance: Random, expected: Any, seconds: float) -> dict[str, Any]:
    """Kill the command a few times over one folder, then let it finish."""
    import time

    shutil.rmtree(folder, ignore_errors=True)
    command.prepare(folder)
    kept: Content = {}
    result: dict[str, Any] = {"kills": 0, "in the middle": 0, "changed": 0, "faults": []}
    for _ in range(KILLS):
        running = start(command.arguments(folder), folder / "printed")
        time.sleep(chance.random() * seconds)
        running.kill()
        outcome = running.wait()
        result["kills"] += 1
        result["in the middle"] += outcome.code == -9
        result["faults"] += _list_faults(outcome, (*command.codes, -9))
        now = command.finished(folder)
        result["changed"] += _count_changed(kept, now)
        kept = now
    last = run(command.arguments(folder), folder / "printed")
    result["faults"] += _list_faults(last, command.codes)
    result["changed"] += _count_changed(kept, command.finished(folder))
    result["other"] = int(command.meaning(folder) != expected)
    result["left"] = len(list(folder.rglob(".phosphene-*")))
    return result


def _list_faults(outcome: Outcome, codes: Sequence[int]) -> list[str]:
    fine = outcome.code in codes and "Traceback" not in outcome.err
    return [] if fine else [f"exit {outcome.code}: {outcome.err.strip()[-300:]}"]


def _count_changed(before: Mapping[str, bytes], now: Mapping[str, bytes]) -> int:
    return sum(now.get(name) != content for name, content in before.items())


def _make(folder: Path) -> None:
    folder.mkdir(parents=True)


def _content(folder: Path, pattern: str) -> Content:
    return {path.name: path.read_bytes() for path in folder.glob(pattern)}


def _maps(folder: Path) -> Content:
    """The finished maps, each of which can be read."""
    found = _content(folder, "maps/*.safetensors")
    for name in found:
        SaliencyMap.load(folder / "maps" / name)
    return found


def _read_maps(folder: Path) -> Any:
    maps = (SaliencyMap.load(path) for path in sorted((folder / "maps").glob("*.safetensors")))
    return [(one.concept, one.map.tolist(), one.picture.tolist(), one.trace) for one in maps]


def _read_atlas(folder: Path) -> Any:
    atlas = json.loads((folder / "maps" / "atlas.json").read_text())
    return _read_maps(folder), [{**one, "seconds": 0} for one in atlas["classes"]], atlas["failures"]


def _read_evidence(folder: Path) -> Any:
    evidence = json.loads((folder / "maps" / "evidence.json").read_text())
    return _read_maps(folder), evidence["scores"]


def _without_seconds(record: dict[str, Any]) -> dict[str, Any]:
    """A scan without what the clock says."""
    stages = [{**stage, "seconds": 0} for stage in record["stages"]]
    return {**record, "seconds": 0, "stages": stages, "digest": ""}
