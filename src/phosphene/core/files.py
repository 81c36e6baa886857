"""Files written whole or not at all, and output folders."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import secrets
import stat
from pathlib import Path

import psutil

from phosphene.core.reading import describe_kind
from phosphene.errors import ArtifactError

SKEW = 60  # seconds that the clock of a network file system may be behind
TEMPORARY = re.compile(r"\.phosphene-(?:([0-9a-f]{8})-)?(\d+)-.+\.tmp")  # version 0.1 did not name the host


def prepare_folder(folder: Path) -> None:
    """Make the folder, prove that it can be written, and clear what a killed run left half-written."""
    probe = folder / temporary_name()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with probe.open("xb"):
            pass
        probe.unlink()
    except OSError as error:
        raise ArtifactError(f"cannot write to {str(folder)!r}: {error.strerror}; choose another --out") from error
    clear_leftovers(folder)


def clear_leftovers(folder: Path) -> None:
    """Delete the temporary files of processes of this machine that are gone."""
    for leftover in folder.glob(".phosphene-*.tmp"):
        owner = TEMPORARY.fullmatch(leftover.name)
        if owner and owner[1] in (None, _host()) and not is_running(int(owner[2]), _modified(leftover)):
            leftover.unlink(missing_ok=True)


def set_aside(path: Path, why: str = "damaged") -> Path:
    """Move a file that cannot be trusted out of the way, so that nothing is lost and nothing of it is used."""
    for number in range(1, 1000):
        target = path.with_name(f"{path.name}.{why}-{number}")
        if not target.exists():
            path.rename(target)
            return target
    raise ArtifactError(f"too many {why} copies of {str(path)!r}; delete some")


def check_target(path: Path) -> None:
    """Raise `ArtifactError` where `write_atomically` would refuse the path, before work is spent on its content."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise ArtifactError(f"cannot write {str(path)!r}: there is no folder {str(path.parent)!r}") from None
        return
    except OSError as error:
        raise ArtifactError(f"cannot write {str(path)!r}: {error.strerror}") from error
    if not stat.S_ISREG(mode) and not _is_stream(path):
        kind = "a symbolic link, which is never followed" if stat.S_ISLNK(mode) else describe_kind(mode)
        raise ArtifactError(f"cannot write {str(path)!r}: it is {kind}; choose another place")


def write_atomically(path: Path, content: bytes) -> None:
    """All of the content or nothing: temporary name, flush to disk, rename.

    A device or pipe is written to as it is: a rename would put a file in its place. Raises `ArtifactError` where the
    path is a folder or a symbolic link to a file, and where the system refuses.
    """
    check_target(path)
    temporary = path.with_name(temporary_name())
    try:
        if _is_stream(path):
            _write_stream(path, content)
            return
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise ArtifactError(
            f"cannot write {str(path)!r}: {error.strerror}; free space or choose another place"
        ) from error
    except BaseException:  # Ctrl-C before the rename
        temporary.unlink(missing_ok=True)
        raise


def is_running(process: int, written: float) -> bool:
    """Whether the process of that number, which wrote something at the time `written`, is still the same and alive."""
    if process == os.getpid():
        return psutil.Process().create_time() <= written + SKEW  # else an earlier process with the same number
    try:
        return bool(psutil.Process(process).create_time() <= written + SKEW)
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        return False


def temporary_name() -> str:
    """Different for every file that any process of any machine writes; one that a dead process of this machine has left
    is cleared by the next run."""
    return f".phosphene-{_host()}-{os.getpid()}-{secrets.token_hex(4)}.tmp"


def _host() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _modified(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _is_stream(path: Path) -> bool:
    """Whether the path leads to a device or a pipe, as /dev/null, /dev/stdout and a shell's >(…) do."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def _write_stream(path: Path, content: bytes) -> None:
    descriptor = os.open(
        path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0)
    )  # a pipe that nobody reads is refused at once
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
