"""A full disk under every command that writes: one line, nothing half-written, and the rest is made once there is room.

Needs the right to mount a small file system (root).
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.hostile.forked import run
from benchmarks.hostile.kill import Command, list_commands
from benchmarks.hostile.targets import prepare

SIZES = (0, 16, 64, 4, 128)  # kilobytes that are free when a command starts; `--count` takes the first


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """A file system of its own, large at first."""
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "phosphene-hostile", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def attack(work: Path, count: int | None) -> list[dict[str, Any]]:
    """Every command but the study, which takes long and writes as the others do."""
    good = work / "good"
    prepare(good)
    commands = [one for one in list_commands(good).values() if "workers" not in one.name and one.share == 1]
    return [_fill(work, command, SIZES[:count]) for command in commands]


def _fill(work: Path, command: Command, sizes: Sequence[int]) -> dict[str, Any]:
    full, faults, left, finished = 0, [], 0, 0
    for free in sizes:
        with small_disk(work / "disk"):
            folder = work / "disk" / "run"
            command.prepare(folder)
            _take_all_but(work / "disk", free)
            outcome = run(command.arguments(folder), work / "printed")
            full += outcome.code == 2 and "No space left" in outcome.err
            if outcome.code not in (*command.codes, 2) or "Traceback" in outcome.err:
                faults.append(f"{free} kB: exit {outcome.code} {outcome.err.strip()[-200:]}")
            left += len(list(folder.rglob(".phosphene-*")))
            (work / "disk" / "filling").unlink()
            finished += run(command.arguments(folder), work / "printed").code in command.codes
    return {
        "command": command.name,
        "disks": len(sizes),
        "stopped in one line": full,
        "left half-written": left,
        "went on with room": finished,
        "faults": faults,
    }


def _take_all_but(disk: Path, kilobytes: int) -> None:
    """Fill the disk up to so much."""
    import os

    with (disk / "filling").open("wb") as file:
        space = os.statvfs(disk)
        file.write(bytes(max(0, space.f_bavail * space.f_frsize - 1024 * kilobytes)))
