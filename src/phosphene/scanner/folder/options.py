"""`models.json` in a folder of checkpoints: what has to be said of each file beside the command line.

The file belongs to whoever made the folder, so it says how a model is fed and which architecture of a library it has,
and nothing that would run code: neither a factory nor trust in pickles, and no file outside of the folder.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from phosphene.core.reading import TEXT_LIMIT, explain, read_file
from phosphene.core.records import from_plain, parse_json
from phosphene.errors import BadInput
from phosphene.scanner.folder.listing import OPTIONS_FILE, Listing

COMMAND_LINE_ONLY = ("factory", "trust_pickle")
LIBRARY_NAME = re.compile(r"(timm|torchvision):[A-Za-z0-9_.\-]+")
Numbers = float | tuple[float, ...]


@dataclass(frozen=True)
class FileOptions:
    """Options of `phosphene.load` for one file; `model` names the architecture that its tensors belong to."""

    model: str | None = None
    size: int | tuple[int, int] | None = None
    channels: int | None = None
    mean: Numbers | None = None
    std: Numbers | None = None
    labels: str | tuple[str, ...] | None = None  # a file in the folder, or the names
    outputs: str | None = None
    output: str | None = None


def read_options(folder: Path, listing: Listing) -> dict[str, dict[str, Any]]:
    """By the name of a model, what is said of it; nothing where there is no `models.json`. Raises `BadInput`."""
    path = folder / OPTIONS_FILE
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise BadInput(f"{str(path)!r} is no regular file; expected one, or none")
        record = parse_json(read_file(path, TEXT_LIMIT))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {str(path)!r}: {explain(error)}; expected options by the file's name") from error
    known = {one.name for one in listing.models}
    if strangers := [name for name in record if name not in known]:
        raise BadInput(
            f"{OPTIONS_FILE} speaks of {strangers[0]!r}, and no model of {str(folder)!r} is called so; mend or "
            f"delete the entry"
        )
    return {name: _read_entry(folder, name, entry) for name, entry in record.items()}


def _read_entry(folder: Path, name: str, entry: Any) -> dict[str, Any]:
    where = f"{OPTIONS_FILE}: {name!r}"
    if not isinstance(entry, Mapping):
        raise BadInput(f"{where} is a {type(entry).__name__}; expected an object of options")
    if forbidden := [key for key in COMMAND_LINE_ONLY if key in entry]:
        option = f"--{forbidden[0].replace('_', '-')}"
        raise BadInput(
            f"{where} has {forbidden[0]!r}, which would run code that the folder names; give {option} on the command "
            f"line if you trust it, and delete the entry"
        )
    allowed = [field.name for field in fields(FileOptions)]
    if unknown := [key for key in entry if key not in allowed]:
        raise BadInput(f"{where} has the unknown option {unknown[0]!r}; expected some of {', '.join(allowed)}")
    try:
        options = from_plain(FileOptions, entry)
    except ValueError as error:
        raise BadInput(f"{where} cannot be read: {error}") from error
    _check_model(where, options.model)
    given = {key: value for key, value in vars(options).items() if value is not None}
    return given | _find_labels(folder, where, options.labels)


def _check_model(where: str, model: str | None) -> None:
    if model is not None and not LIBRARY_NAME.fullmatch(model):
        raise BadInput(f"{where} has the model {model!r}; expected timm:NAME or torchvision:NAME")


def _find_labels(folder: Path, where: str, labels: str | tuple[str, ...] | None) -> dict[str, Any]:
    """The path of a file of labels, which lies in the folder itself: another could be anybody's."""
    if not isinstance(labels, str):
        return {}
    path = folder / labels
    if Path(labels).name != labels or path.is_symlink() or not path.is_file():
        raise BadInput(f"{where} has the labels {labels!r}; expected names, or a file that lies in the folder itself")
    return {"labels": path}
