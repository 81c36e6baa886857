"""The folder of a study: finished parts, from which an interrupted run resumes, figures, and `study.json`."""

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
from phosphene.core.reading import ARTIFACT_LIMIT, read_file
from phosphene.core.records import parse_json


@dataclass(frozen=True)
class Part:
    """The result of one piece of work: plain numbers, and the tensors that figures are drawn from."""

    numbers: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Parts:
    """Finished parts of a study by name, in files; those of other settings are computed again.

    `on_progress` is called with the name of each part that was computed.
    """

    folder: Path
    settings: Mapping[str, Any]
    on_progress: Callable[[str], None] = lambda name: None

    def get(self, name: str, compute: Callable[[], Part]) -> Part:
        """The part as it is on disk, or computed now and written."""
        path = self.folder / "parts" / f"{name}.safetensors"
        part = self._read(path)
        if part is None:
            part = compute()
            self._write(path, part)
            self.on_progress(name)
        return part

    def _read(self, path: Path) -> Part | None:
        with contextlib.suppress(OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError):
            content = read_file(path, ARTIFACT_LIMIT)
            header = parse_json(content[8 : 8 + int.from_bytes(content[:8], "little")])
            record = parse_json(header["__metadata__"]["part"])
            if record["settings"] == json.loads(json.dumps(self.settings)):
                tensors = tensors_from_bytes(content)
                tensors.pop("nothing")
                return Part(record["numbers"], tensors)
        return None

    def _write(self, path: Path, part: Part) -> None:
        prepare_folder(path.parent)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in part.tensors.items()}
        record = json.dumps({"settings": self.settings, "numbers": part.numbers})
        # safetensors refuses a file without tensors, so every part has an empty one.
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
    """A picture of the study: `NAME.png` for the light theme, `NAME-dark.png` for the dark one."""

    name: str
    title: str
    caption: str


@dataclass(frozen=True)
class Study:
    """The results of a study, as `study.json` contains them and the page shows them."""

    name: str
    title: str
    question: str
    answers: Sequence[str]  # one sentence a finding, with its numbers
    figures: Sequence[Figure]
    tables: Sequence[Table]
    reading: Sequence[str]  # paragraphs: what follows, and what does not
    settings: Mapping[str, Any]
    command: str

    def save(self, folder: Path) -> Path:
        """Write `study.json`, from which the page is made."""
        record = asdict(self) | {"versions": {"phosphene": version("phosphene"), "torch": torch.__version__}}
        path = folder / "study.json"
        write_atomically(path, (json.dumps(record, indent=2) + "\n").encode())
        return path
