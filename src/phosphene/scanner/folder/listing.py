"""What lies in a folder of checkpoints: what can be a model, and what is left out and why.

A file counts by its ending or by its content, so that one which is damaged, or called otherwise than it is, is told of
as a failure and not passed over. Links are never followed, and only folders that are models themselves are entered.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path

from phosphene.core.reading import describe_kind, explain
from phosphene.core.text import make_visible
from phosphene.errors import BadInput
from phosphene.model.sources.onnx_files.reading import is_onnx
from phosphene.model.sources.paths import FILES, FOLDERS
from phosphene.model.sources.registry import is_name

OPTIONS_FILE = "models.json"
ENDINGS = (".safetensors", ".pt", ".pth", ".pt2", ".onnx", ".keras", ".h5", ".hdf5", ".ckpt")
OWN_ARCHITECTURE = ("torch.export", "TorchScript", "Keras", "Keras of old")  # of `FILES`; ONNX and folders too


@dataclass(frozen=True)
class Candidate:
    """A file or folder that can be a model. `name` is shown and written down, `path` leads there; `whole` says whether
    it holds its own architecture and is opened as MODEL even where a factory is given."""

    name: str
    path: Path
    whole: bool


@dataclass(frozen=True)
class LeftOut:
    """Something in the folder that is not scanned, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """Both in natural order: `net2` before `net10`."""

    models: tuple[Candidate, ...]
    left_out: tuple[LeftOut, ...]


def is_folder_of_models(model: str | Path) -> bool:
    """Whether MODEL is a folder that is no model itself, so that what lies in it is scanned."""
    path = Path(model)
    return not is_name(str(model)) and path.is_dir() and not _is_model_folder(path)


def list_folder(folder: Path) -> Listing:
    """What lies in the folder; raises `BadInput` where it cannot be read or nothing in it can be a model."""
    try:
        paths = sorted(folder.iterdir(), key=lambda path: natural_key(path.name))
    except OSError as error:
        raise BadInput(f"cannot read the folder {str(folder)!r}: {explain(error)}") from error
    found = [_look_at(path) for path in paths if path.name != OPTIONS_FILE]
    models = tuple(one for one in found if isinstance(one, Candidate))
    if not models:
        raise BadInput(
            f"nothing in {str(folder)!r} can be a model ({len(found)} other entries); expected files such as "
            f"{', '.join(ENDINGS[:5])}, or folders of transformers or timm"
        )
    return Listing(models, tuple(one for one in found if isinstance(one, LeftOut)))


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Numbers in a name count as numbers; the name itself decides between names that are else alike."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name


def show_name(name: str) -> str:
    """A file's name in one line that can be written down; different for different names."""
    marked = name.replace("⟨", "⟨U+27E8⟩").replace("\n", "⟨U+000A⟩").replace("\t", "⟨U+0009⟩")
    return make_visible(marked)


def _look_at(path: Path) -> Candidate | LeftOut:
    name, mode = show_name(path.name), path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return LeftOut(name, "a symbolic link, which is not followed")
    if stat.S_ISDIR(mode):
        return Candidate(name, path, whole=True) if _is_model_folder(path) else LeftOut(name, "a folder, no model")
    if not stat.S_ISREG(mode):
        return LeftOut(name, describe_kind(mode))
    try:
        kind, why = _find_kind(path), "no model that is known"
    except OSError as error:
        kind, why = None, f"cannot be read: {explain(error)}"
    if kind is None and not path.name.lower().endswith(ENDINGS):
        return LeftOut(name, why)
    return Candidate(name, path, whole=kind in ("ONNX", *OWN_ARCHITECTURE))


def _is_model_folder(path: Path) -> bool:
    return any(known.recognizes(path) for known in FOLDERS.values())


def _find_kind(path: Path) -> str | None:
    """The kind of model file by its content, a key of `FILES` or ONNX."""
    if is_onnx(path):
        return "ONNX"
    return next((name for name, known in FILES.items() if known.recognizes(path)), None)
