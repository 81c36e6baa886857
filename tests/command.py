"""How the tests run the command: in this process where that will do, in another where it must be killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

TESTS = Path(__file__).parent
PROGRAM = "from phosphene.cli import main; main()"
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}  # several processes with two threads each wait for each other
FORMAT = ("--size", "32", "--channels", "3", "--mean", "0.5", "--std", "0.25")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


def phosphene(*arguments: object) -> Outcome:
    from phosphene.cli.app import app

    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


def started(*arguments: object, program: str = PROGRAM, cwd: Path = TESTS, **options: Any) -> subprocess.Popen[str]:
    """The command in a process of its own, by default in the folder of the tests, where `models` lies."""
    line = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(line, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def ran(*arguments: object, program: str = PROGRAM, **options: Any) -> Outcome:
    """The outcome of the command in a process of its own."""
    process = started(*arguments, program=program, **options)
    out, err = process.communicate(timeout=240)
    return Outcome(process.returncode, out, err)


def wait_for(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Return as soon as the condition holds; fail if the process ends before."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)


def saved(module: nn.Module, path: Path) -> Path:
    save_file(module.state_dict(), path)
    return path


def from_factory(weights: Path, factory: str = "models:colour_net") -> tuple[object, ...]:
    """Options that load a tiny model."""
    return ("--weights", weights, "--factory", factory, *FORMAT)


def finished_maps(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and time of writing of each finished map."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.glob("*.safetensors")}
