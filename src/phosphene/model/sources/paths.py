"""MODEL as a path: what a file or folder is, told by what is in it, and the record of the model that it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from phosphene.errors import BadInput
from phosphene.model.sources.exported import exported_source, is_exported
from phosphene.model.sources.huggingface import huggingface_folder_source, is_huggingface_folder
from phosphene.model.sources.keras_models import is_keras, is_legacy_keras, keras_source, refuse_legacy_keras
from phosphene.model.sources.pickled import is_torch_file, pickled_source
from phosphene.model.sources.source import Source
from phosphene.model.sources.state_alone import state_alone
from phosphene.model.sources.timm_models import is_timm_folder, timm_folder_source
from phosphene.model.sources.torchscript import is_torchscript, torchscript_source
from phosphene.model.sources.weights import is_safetensors


@dataclass(frozen=True)
class FileFormat:
    """A kind of file or folder that holds a model: what to look for, and the record of what was found.

    `open` is passed the path and whether the user trusts it; it may raise `UnsafeWeights` where that is needed.
    """

    means: str
    recognizes: Callable[[Path], bool]
    open: Callable[[Path, bool], Source]


FOLDERS: dict[str, FileFormat] = {
    "timm": FileFormat(
        "config.json with an architecture, as timm writes it",
        is_timm_folder,
        lambda path, trust: timm_folder_source(path),
    ),
    "transformers": FileFormat(
        "config.json with a model_type, as transformers writes it",
        is_huggingface_folder,
        lambda path, trust: huggingface_folder_source(path),
    ),
}
FILES: dict[str, FileFormat] = {  # in this order: each is a zip archive that only what is inside tells from the others
    "torch.export": FileFormat("what torch.export.save writes (.pt2)", is_exported, exported_source),
    "TorchScript": FileFormat("what torch.jit.save writes", is_torchscript, torchscript_source),
    "Keras": FileFormat("what Keras 3 writes (.keras)", is_keras, keras_source),
    "Keras of old": FileFormat("HDF5 (.h5), which is refused", is_legacy_keras, refuse_legacy_keras),
    "safetensors": FileFormat("tensors alone, which need an architecture", is_safetensors, state_alone),
    "PyTorch": FileFormat("what torch.save writes: a whole module", is_torch_file, pickled_source),
}


def path_source(path: Path, *, trust_pickle: bool) -> Source:
    """The record of the model in a file or folder. Raises `BadInput` where it is none that is known."""
    formats = FOLDERS if path.is_dir() else FILES
    if not path.is_dir() and not path.is_file():
        raise BadInput(f"{str(path)!r} is neither a file nor a folder; expected a model in either")
    for known in formats.values():
        if known.recognizes(path):
            return known.open(path, trust_pickle)
    looked_for = "; ".join(f"{name} ({known.means})" for name, known in formats.items())
    kind = "folder" if path.is_dir() else "file"
    raise BadInput(f"the {kind} {str(path)!r} holds no model that is known; looked for {looked_for}")
