"""Files of unknown origin, read whole only where they are regular files of a size that makes sense.

A device, a pipe or a folder under the name of a file is refused before a byte is read, and nothing waits for one. What
is refused is an `OSError` whose `strerror` says what was found, so that a reader has one kind of failure to tell of.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MEGABYTE = 1 << 20
TEXT_LIMIT = 16 * MEGABYTE  # labels and sets: a million names
RECORD_LIMIT = 64 * MEGABYTE  # JSON of a run, a scan or a calibration
IMAGE_LIMIT = 256 * MEGABYTE
ARTIFACT_LIMIT = 512 * MEGABYTE  # a map of 2048 × 2048 pixels has 300

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_file(path: Path, limit: int) -> bytes:
    """The bytes of a regular file of at most `limit` bytes. Raises `OSError` for anything else, without waiting."""
    # Opening a pipe would wait for a writer; a file that has become something else since it was looked at is seen here.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(descriptor)
        _check_regular(path, status)
        if status.st_size > limit:
            raise _too_large(path, status.st_size, limit)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit:  # it grows, or its size is not what the system says
        raise _too_large(path, len(content), limit)
    return content


def read_text(path: Path, limit: int = TEXT_LIMIT) -> str:
    """The text of a UTF-8 file, with or without a byte order mark. Raises `OSError` or `UnicodeDecodeError`."""
    return read_file(path, limit).decode("utf-8-sig")


def check_regular(path: Path) -> None:
    """Raise `OSError` unless the path leads to a regular file."""
    _check_regular(path, path.stat())


def describe_kind(mode: int) -> str:
    """What a file is that is not a regular one, in two words."""
    return next((words for is_kind, words in KINDS if is_kind(mode)), "not a regular file")


def explain(error: BaseException) -> str:
    """The reason of a failure in one line without the path, which the caller names."""
    reason = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return str(reason).splitlines()[0]


def _check_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, f"it is {describe_kind(status.st_mode)}, not a regular file", str(path))


def _too_large(path: Path, size: int, limit: int) -> OSError:
    found, most = (f"{count / MEGABYTE:.0f} MB" for count in (size, limit))
    return OSError(errno.EFBIG, f"it is larger than such a file can be ({found}, at most {most})", str(path))
