"""Files written whole or not at all, and output folders."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from phosphene.errors import ArtifactError


def prepare_folder(folder: Path) -> None:
    """Make the folder, prove that it can be written, and clear what a killed run left half-written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / ".phosphene-writable", b"")
        (folder / ".phosphene-writable").unlink()
    except (OSError, ArtifactError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArtifactError(f"cannot write to {str(folder)!r}: {reason}; choose another --out") from error
    for leftover in folder.glob(".phosphene-*.tmp"):
        owner = re.match(r"\.phosphene-(\d+)-", leftover.name)
        if owner and not _alive(int(owner[1])):
            leftover.unlink(missing_ok=True)


def set_aside(path: Path, why: str = "damaged") -> Path:
    """Move a file that cannot be trusted out of the way, so that nothing is lost and nothing of it is used."""
    for number in range(1, 1000):
        target = path.with_name(f"{path.name}.{why}-{number}")
        if not target.exists():
            path.rename(target)
            return target
    raise ArtifactError(f"too many {why} copies of {str(path)!r}; delete some")


def write_atomically(path: Path, content: bytes) -> None:
    """All of the content or nothing: temporary name, flush to disk, rename."""
    temporary = path.with_name(f".phosphene-{os.getpid()}-{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
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


def _alive(process: int) -> bool:
    if process == os.getpid():
        return False  # a leftover of this very process can only be an earlier one's with the same number
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
