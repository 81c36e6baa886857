"""Files that would grow, block or never end: what each option answers, in how much memory and time."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.hostile.forked import run
from benchmarks.hostile.kill import list_commands
from benchmarks.hostile.targets import prepare

GIGABYTE = 1 << 30
MOST_MEMORY = 2 * GIGABYTE


def write_compressed_weights(path: Path, numbers: int) -> None:
    """A torch file of zeros whose members are compressed to a thousandth."""
    plain = io.BytesIO()
    torch.save({"w": torch.zeros(1000)}, plain)
    chunk = bytes(1 << 22)
    with zipfile.ZipFile(plain) as good, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        for member in good.infolist():
            if member.filename.endswith("/data/0"):
                with bomb.open(member.filename, "w", force_zip64=True) as content:
                    for _ in range(4 * numbers // len(chunk)):
                        content.write(chunk)
            else:
                bomb.writestr(member.filename, good.read(member))


def write_lying_weights(path: Path, numbers: int, *, legacy: bool) -> None:
    """A torch file that declares many more numbers than it has."""
    plain = io.BytesIO()
    torch.save({"w": torch.zeros(99_999)}, plain, _use_new_zipfile_serialization=not legacy)
    true, false = (b"J" + struct.pack("<i", count) for count in (99_999, numbers))
    if legacy:
        path.write_bytes(plain.getvalue().replace(true, false))
        return
    with zipfile.ZipFile(plain) as good, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as lie:
        for member in good.infolist():
            lie.writestr(member.filename, good.read(member).replace(true, false))


class _Call:
    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


def write_calling_weights(path: Path, function: Callable[..., Any], *arguments: Any) -> None:
    """A pickle that calls a function when it is loaded."""
    path.write_bytes(pickle.dumps({"w": _Call(function, *arguments)}, protocol=2))


def write_sparse(path: Path, size: int, head: bytes = b"") -> None:
    """A file of a size that takes no room on the disk."""
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)


def list_bombs(work: Path) -> Iterator[tuple[str, Path]]:
    """Names and files; pipes, devices and folders among them."""
    folder = work / "bombs"
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, Callable[[Path], None]] = {
        "compressed.pt": lambda path: write_compressed_weights(path, GIGABYTE),
        "declares.pt": lambda path: write_lying_weights(path, 2_000_000_000, legacy=False),
        "declares-legacy.pt": lambda path: write_lying_weights(path, 2_000_000_000, legacy=True),
        "bytearray.pt": lambda path: write_calling_weights(path, bytearray, 8 * GIGABYTE),
        "system.pt": lambda path: write_calling_weights(path, os.system, f"touch {folder / 'code-ran'}"),
        "ten-gigabytes.pt": lambda path: write_sparse(path, 10 * GIGABYTE),
        "ten-gigabytes.safetensors": lambda path: write_sparse(
            path, 10 * GIGABYTE, (8 * GIGABYTE).to_bytes(8, "little")
        ),
        "ten-gigabytes.json": lambda path: write_sparse(path, 10 * GIGABYTE, b"{"),
        "nested.json": lambda path: path.write_bytes(b"[" * 10_000_000) and None,
        "wide.json": lambda path: path.write_bytes(b'{"a":[' + b"[]," * 10_000_000 + b"[]]}") and None,
        "empty.json": lambda path: path.write_bytes(b"") and None,
        "pipe": os.mkfifo,
    }
    for name, write in made.items():
        if not (folder / name).exists():
            write(folder / name)
        yield name, folder / name
    yield from (("a folder", folder), ("/dev/zero", Path("/dev/zero")), ("/dev/full", Path("/dev/full")))


def attack(work: Path) -> list[dict[str, Any]]:
    """Every bomb for every option that names a file."""
    good = work / "good"
    prepare(good)
    source = list(list_commands(good)["scan"].arguments(work))[3:]
    weights, labels = source.index("--weights") + 1, source.index("--labels") + 1

    def with_file(place: int, file: Path) -> list[object]:
        return [*source[:place], file, *source[place + 1 :]]

    options: dict[str, Callable[[Path], Sequence[object]]] = {
        "--weights": lambda file: ("list", "concepts", *with_file(weights, file)),
        "--labels": lambda file: ("list", "concepts", *with_file(labels, file)),
        "--calibration": lambda file: ("scan", "--calibration", file, *source),
        "@SET": lambda file: ("map", f"@{file}", "--iterations", 2, "--out", work / "bombs-out", *source),
        "report": lambda file: ("report", file),
        "show": lambda file: ("show", file),
        "compare": lambda file: ("compare", file, file),
    }
    rows = []
    for option, arguments in options.items():
        results = [(name, _measure(arguments(file), work)) for name, file in list_bombs(work)]
        rows.append(
            {
                "option": option,
                "files": len(results),
                "refused in one line": sum(result["refused"] for _, result in results),
                "most memory, MB": max(result["memory"] for _, result in results),
                "slowest, s": max(result["seconds"] for _, result in results),
                "code run": int((work / "bombs" / "code-ran").exists()),
                "faults": [
                    f"{name}: {result['memory']} MB, {result['words']}"
                    for name, result in results
                    if not result["refused"] or result["memory"] > MOST_MEMORY >> 20
                ],
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def _measure(arguments: Sequence[object], work: Path) -> dict[str, Any]:
    """One command, with a minute of the processor."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))

    outcome = run(arguments, work / "printed", limit)
    return {
        "refused": outcome.code == 2 and outcome.is_one_line,
        "memory": outcome.memory,
        "seconds": round(outcome.seconds, 1),
        "words": f"exit {outcome.code} {outcome.err.strip()[-200:]}",
    }
