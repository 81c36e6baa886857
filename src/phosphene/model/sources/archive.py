"""What is inside a zip archive, without unpacking it; and the refusal of whatever would run code."""

from __future__ import annotations

import zipfile
from pathlib import Path

from phosphene.errors import BadWeights, UnsafeWeights

ENTRY_LIMIT = 1 << 16  # bytes of a marker that is read; a marker is a word


def list_entries(path: Path) -> list[str]:
    """The names in a zip archive without the folder that all of torch's lie in; empty where the file is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError):
        return []
    return [*names, *(name.partition("/")[2] for name in names)]


def require_trust(path: Path, what: str, why: str, trusted: bool) -> None:
    """Raise `UnsafeWeights` unless the user trusts the file."""
    if not trusted:
        raise UnsafeWeights(
            f"{str(path)!r} is {what}, and opening it could run its author's code ({why}); save the module's "
            f"state_dict() as safetensors, or pass --trust-pickle if you trust the author"
        )


def unreadable(path: Path, what: str, error: BaseException) -> BadWeights:
    """A parser's complaint about a file in one line."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return BadWeights(f"cannot read {str(path)!r} as {what}: {reason[:300]}")
