"""A long `phosphene atlas` under kill -9: its driver, or one of its workers, at random moments, then the same command.

    python -m benchmarks.killed_atlas --kills 12 --log killed.json -- efficientnet_lite0 --executor processes --out DIR

After each kill every finished map is hashed; one that a later round finds changed or gone is counted. The log says
when, whom and after how many maps. It ends when the command does, with its exit code.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import psutil

COMMAND = (sys.executable, "-c", "from phosphene.cli import main; main()", "atlas")
DRIVER, WORKER = "driver", "worker"
WORKERS = {"spawn_main": WORKER, "ray::_run": "ray worker"}  # by a part of their command line


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--between", type=float, nargs=2, default=(60, 420), help="Seconds between two kills.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("arguments", nargs="+", help="Those of `phosphene atlas`, after --.")
    options = parser.parse_args(arguments)
    folder = Path(options.arguments[options.arguments.index("--out") + 1])
    log = json.loads(options.log.read_text()) if options.log.exists() else {"kills": [], "changed": 0, "invalid": 0}
    sys.exit(run(options, folder, log))


def run(options: argparse.Namespace, folder: Path, log: dict[str, Any]) -> int:
    chance, kept = Random(options.seed + len(log["kills"])), hash_maps(folder)
    while True:
        process = psutil.Popen([*COMMAND, *options.arguments])
        code = watch(process, options, chance, log, folder)
        now = hash_maps(folder)
        log["changed"] += sum(now.get(name) != digest for name, digest in kept.items())
        kept = now
        options.log.write_text(json.dumps(log, indent=1))
        if code is not None:
            log["maps"] = len(now)
            log["exit"] = code
            options.log.write_text(json.dumps(log, indent=1))
            return code


def watch(
    process: psutil.Popen, options: argparse.Namespace, chance: Random, log: dict[str, Any], folder: Path
) -> int | None:
    """Let the command run and kill somebody now and then; its exit code, None where the driver was killed."""
    while True:
        try:
            more = len(log["kills"]) < options.kills
            return int(process.wait(chance.uniform(*options.between) if more else None))
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            whom = chance.choice((DRIVER, WORKER))
            children = process.children(recursive=True)
            workers = {one: kind for one in children if (kind := name_worker(one))}
            victim = chance.choice([*workers]) if whom == WORKER and workers else process
            victim.kill()
            log["kills"].append(
                {
                    "whom": workers.get(victim, DRIVER),
                    "maps": len(list(folder.glob("*.safetensors"))),
                    "time": time.strftime("%H:%M:%S"),
                }
            )
            options.log.write_text(json.dumps(log, indent=1))
            if victim is process:
                process.wait()
                return None


def name_worker(process: psutil.Process) -> str:
    """What kind of worker a process is; empty for what only helps, as Ray's own servers do."""
    with contextlib.suppress(psutil.Error):
        line = " ".join(process.cmdline())
        return next((kind for mark, kind in WORKERS.items() if mark in line), "")
    return ""


def hash_maps(folder: Path) -> dict[str, str]:
    """Digest of every finished map."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.safetensors")}


if __name__ == "__main__":
    main()
