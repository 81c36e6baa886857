"""What makes a scan the one that is asked for: the bytes of the model, what was said of it, and the scanner."""

from __future__ import annotations

import hashlib
import mmap
import stat
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from phosphene.core.records import digest_record, to_plain
from phosphene.errors import BadInput
from phosphene.model.labels import read_labels
from phosphene.model.sources.factory import factory_source
from phosphene.model.sources.onnx_files.reading import is_onnx
from phosphene.scanner.exports.artifact import hash_file

EXTERNAL = b"location"  # what an ONNX file calls the name of a file that has its weights


def hash_model(path: Path) -> str:
    """SHA-256 of a file or, of a folder, of the lines `SHA-256  NAME` of its files, as sha256sum prints them.

    Raises `BadInput` where a folder holds anything but files and folders: a link leads to what nobody looked at.
    """
    if not path.is_dir():
        return hash_file(path)
    lines = []
    for file in sorted(path.rglob("*")):
        mode = file.lstat().st_mode
        if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            raise BadInput(
                f"{file.relative_to(path).as_posix()!r} is a link or a device, which a scan of a folder does not "
                f"follow; expected a folder of files, or scan this one alone"
            )
        if stat.S_ISREG(mode):
            lines.append(f"{hash_file(file)}  {file.relative_to(path).as_posix()}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def hash_beside(path: Path) -> dict[str, str]:
    """SHA-256, by name, of the files beside an ONNX file whose names stand in it: its weights may lie there."""
    if path.is_dir() or path.stat().st_size == 0 or not is_onnx(path):
        return {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(EXTERNAL) < 0:
            return {}
        others = (one for one in sorted(path.parent.rglob("*")) if one.is_file() and one != path)
        named = [one for one in others if content.find(one.name.encode("utf-8", "replace")) >= 0]
    return {one.relative_to(path.parent).as_posix(): hash_file(one) for one in named}


def hash_factory(factory: str | None) -> str | None:
    """SHA-256 of the file that a factory's code lies in; what that imports is not looked at. Raises `BadInput` where
    there is no such factory."""
    if factory is None:
        return None
    factory_source(factory)
    file = getattr(sys.modules.get(factory.partition(":")[0]), "__file__", None)
    return hash_file(Path(file)) if file is not None and Path(file).is_file() else None


def describe_scanner(calibration: Path | None, shipped: Path) -> dict[str, str]:
    """The version and the clean models that a scan compares with."""
    return {"version": version("phosphene"), "reference": hash_file(calibration or shipped)}


def make_key(content: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits for a model's content and options, settings and scanner in `content` included."""
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    plain["labels"] = read_labels(plain.get("labels"))
    return digest_record(to_plain({**content, "options": plain}))[:16]
