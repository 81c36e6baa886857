"""One writer at a time: a lock beside what is written, which says who holds it.

The lock is the system's own (`flock`), so that it goes with a process that is killed; its file disappears with the
owner, or with the next one. A file system or a machine without such locks refuses to lock, and that is an error: two
runs that cannot see each other would overwrite each other.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import stat
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

from phosphene.core.reading import read_file
from phosphene.errors import ArtifactError

LOCK_FILE = ".phosphene-lock"
WAIT = 0.2  # seconds between two attempts
OWNER_LIMIT = 1 << 12  # bytes of a lock file
OPEN = os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@contextlib.contextmanager
def lock_folder(folder: Path, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the folder, which exists; `on_wait` is called once with a sentence where another process holds it."""
    with _hold(folder / LOCK_FILE, str(folder), on_wait):
        yield


@contextlib.contextmanager
def lock_target(path: Path, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold one file that will be written, for as long as its content is computed. A device or pipe needs no lock."""
    if path.exists() and not path.is_file():
        yield
        return
    with _hold(path.with_name(f"{LOCK_FILE}-{path.name}"[:255]), str(path), on_wait):
        yield


@contextlib.contextmanager
def _hold(path: Path, what: str, on_wait: Callable[[str], None]) -> Iterator[None]:
    descriptor, told = _try(path), False
    while descriptor is None:
        if not told:
            on_wait(f"{what!r} is being written by {_describe_owner(path)}; waiting until it is done")
            told = True
        time.sleep(WAIT)
        descriptor = _try(path)
    try:
        _write_owner(descriptor)
        yield
    finally:
        with contextlib.suppress(OSError):  # a file that is open cannot be deleted on Windows
            path.unlink()  # before the lock goes: whoever has this very file open tries again
        os.close(descriptor)


def _try(path: Path) -> int | None:
    """An open descriptor that holds the lock, or None where another process has it."""
    try:
        descriptor = os.open(path, OPEN, 0o644)
    except OSError as error:
        raise _no_lock(path, error.strerror) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _no_lock(path, "it is not a regular file")
        if _lock(descriptor) and _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)
        return None
    except OSError as error:
        os.close(descriptor)
        raise _no_lock(path, error.strerror) from error
    except BaseException:
        os.close(descriptor)
        raise


def _lock(descriptor: int) -> bool:
    """Take the lock of an open file without waiting; False where another process has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _no_lock(path: Path, reason: str | None) -> ArtifactError:
    return ArtifactError(
        f"cannot write to {str(path.parent)!r}: no lock {path.name!r} ({reason}); choose another place"
    )


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the locked file is still the one at the path: its last owner may have deleted it meanwhile."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)


def _write_owner(descriptor: int) -> None:
    started = datetime.now(timezone.utc).astimezone().isoformat(timespec="seconds")
    owner = {"pid": os.getpid(), "host": platform.node(), "started": started}
    with contextlib.suppress(OSError):  # a full disk: the lock holds without a name
        os.ftruncate(descriptor, 0)
        os.write(descriptor, (json.dumps(owner) + "\n").encode())


def _describe_owner(path: Path) -> str:
    try:
        owner = json.loads(read_file(path, OWNER_LIMIT))
        return f"process {owner['pid']} on {owner['host']}, since {owner['started']}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # it is just being written, or just gone
        return "another process"
