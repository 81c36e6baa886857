"""The folder of a study: finished parts, so that a killed run goes on where it stopped, figures, and `study.json`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from phosphene.core.files import prepare_folder, write_atomically


@dataclass(frozen=True)
class Part:
    """What one piece of work came to: plain numbers, and the tensors that figures are drawn from."""

    numbers: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Parts:
    """Finished parts of a study by name; those made with other settings are made again."""

    folder: Path
    settings: Mapping[str, Any]
    told: Callable[[str], None] = lambda name: None

    def get(self, name: str, make: Callable[[], Part]) -> Part:
        """The part as it was once made, or made now and kept."""
        path = self.folder / "parts" / f"{name}.safetensors"
        found = self._read(path)
        if found is None:
            found = make()
            self._write(path, found)
            self.told(name)
        return found

    def _read(self, path: Path) -> Part | None:
        with contextlib.suppress(OSError, SafetensorError, ValueError, KeyError):
            content = path.read_bytes()
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            record = json.loads(header["__metadata__"]["part"])
            if record["settings"] == json.loads(json.dumps(self.settings)):
                tensors = tensors_from_bytes(content)
                tensors.pop("nothing")
                return Part(record["numbers"], tensors)
        return None

    def _write(self, path: Path, part: Part) -> None:
        prepare_folder(path.parent)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in part.tensors.items()}
        record = json.dumps({"settings": self.settings, "numbers": part.numbers})
        # A file of no tensors is none to safetensors, so every part carries an empty one.
        content = tensors_to_bytes({**tensors, "nothing": torch.zeros(0)}, metadata={"part": record})
        write_atomically(path, content)


@dataclass(frozen=True)
class Table:
    """Rows of words and numbers under a title, with a note on how to read them."""

    title: str
    note: str
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Figure:
    """A picture of the study: `NAME.png` for daylight, `NAME-dark.png` for the night."""

    name: str
    title: str
    caption: str


@dataclass(frozen=True)
class Study:
    """What a study found, as `study.json` holds it and the page shows it."""

    name: str
    title: str
    question: str
    answers: Sequence[str]  # one sentence a finding, its numbers inside
    figures: Sequence[Figure]
    tables: Sequence[Table]
    reading: Sequence[str]  # paragraphs: what to conclude, and what not
    settings: Mapping[str, Any]
    command: str

    def save(self, folder: Path) -> Path:
        """Write `study.json`, from which the page is made."""
        record = asdict(self) | {"versions": {"phosphene": version("phosphene"), "torch": torch.__version__}}
        path = folder / "study.json"
        write_atomically(path, (json.dumps(record, indent=2) + "\n").encode())
        return path
