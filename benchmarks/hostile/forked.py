"""The command in a forked process: a hundred of them start in the time that one interpreter takes to import torch."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from phosphene.errors import PhospheneError


@dataclass(frozen=True)
class Outcome:
    """Exit code, negative for a signal, what was printed, how long it took, and the most memory that it had, in MB."""

    code: int
    out: str
    err: str
    seconds: float
    memory: int

    @property
    def is_one_line(self) -> bool:
        """Whether all that was said of an error is one line."""
        return "Traceback" not in self.err and len(self.err.splitlines()) <= 1


@dataclass(frozen=True)
class Running:
    """A command that was started."""

    process: int
    folder: Path
    started: float

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal, if the command is still there."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process, number)

    def wait(self) -> Outcome:
        _, state, used = os.wait4(self.process, 0)
        out, err = ((self.folder / f"{self.process}.{name}").read_text(errors="replace") for name in ("out", "err"))
        status = os.waitstatus_to_exitcode(state)
        return Outcome(status, out, err, time.monotonic() - self.started, used.ru_maxrss // 1024)


def load_command() -> Callable[[], None]:
    """What `phosphene` on the command line runs."""
    (entry,) = entry_points(group="console_scripts", name="phosphene")
    command: Callable[[], None] = entry.load()
    return command


def call(*arguments: object) -> str:
    """What `phosphene ARGUMENTS` prints, in this process. Raises `PhospheneError` with its one line where it refuses,
    and `AssertionError` for any other end."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["phosphene", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            load_command()()
        code: object = 0
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = before
    if code == 2:
        raise PhospheneError(err.getvalue().strip())
    assert code == 0, f"exit {code}: {err.getvalue()}"
    return out.getvalue()


def start(arguments: Sequence[object], folder: Path, before: Callable[[], None] = lambda: None) -> Running:
    """Start `phosphene ARGUMENTS`; `folder` takes what it prints. `before` is called in the new process."""
    folder.mkdir(parents=True, exist_ok=True)
    process = os.fork()
    if process == 0:
        _become_command([str(argument) for argument in arguments], folder, before)
    return Running(process, folder, time.monotonic())


def run(arguments: Sequence[object], folder: Path, before: Callable[[], None] = lambda: None) -> Outcome:
    return start(arguments, folder, before).wait()


def _become_command(arguments: Sequence[str], folder: Path, before: Callable[[], None]) -> None:
    code = 70
    try:
        for descriptor, name in ((1, "out"), (2, "err")):
            file = os.open(folder / f"{os.getpid()}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, descriptor)
            setattr(sys, f"std{name}", os.fdopen(descriptor, "w", closefd=False))  # not what a test has put there
        sys.argv = ["phosphene", *arguments]
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
        before()
        load_command()()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
