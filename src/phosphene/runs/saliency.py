"""A finished map as files: `<concept>.safetensors` with its evidence and `<concept>.png`.

Files are written under a temporary name, flushed and renamed, so that a kill at any moment loses at most the map in
progress. Every artifact carries a digest of all it says; `load` refuses one whose bytes are not those once written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from phosphene.core.files import write_atomically
from phosphene.core.images import png_bytes
from phosphene.core.reading import ARTIFACT_LIMIT, read_file
from phosphene.core.records import from_plain, parse_json, to_plain
from phosphene.errors import ArtifactError, DamagedArtifact, PhospheneError
from phosphene.model.outputs import OUTPUTS
from phosphene.model.record import ModelRecord
from phosphene.recipe.recipe import check_record
from phosphene.runs.scores import Scores, upgrade_scores
from phosphene.runs.storage import FULL, Storage, decode, encode

FORMAT, COMPACT_FORMAT = 2, 3  # a map that is stored whole is written as ever, so that older versions read it
TENSORS = ("map", "importance", "mask", "picture", "raw_picture", "development")


@dataclass(frozen=True)
class SaliencyMap:
    """The model's map of one concept with everything that was measured about it.

    Tensors: `map` (C,H,W) signed; `importance` (H,W) and `mask` (H,W) in [0,1]; `picture` (C,H,W) in [0,1], refined,
    and `raw_picture`, not; `development` (frames,C,H,W) uint8, raw pictures from the first iteration to the last.
    `recipe` is the plain JSON of a `Recipe`; `trace` the mean score of each iteration; `targets` the classes that the
    concept raises. docs/numbers.md says what the scores mean. `storage` says what its file holds: read from a compact
    one, `map` is exact to half precision and `development` has no frames.
    """

    concept: str
    targets: tuple[int, ...]
    map: Tensor
    importance: Tensor
    mask: Tensor
    picture: Tensor
    raw_picture: Tensor
    development: Tensor
    recipe: dict[str, Any]
    model: ModelRecord
    scores: Scores
    checks: tuple[str, ...] = ()
    trace: tuple[float, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    passes: int = 0
    seconds: float = 0.0
    storage: Storage = FULL

    @property
    def index(self) -> int | None:
        """The class index where the concept is one class."""
        return self.targets[0] if len(self.targets) == 1 else None

    def save(self, path: Path) -> None:
        """Write the picture, then the artifact, whose appearance says that the map is finished."""
        if self.storage.png:
            write_atomically(path.with_suffix(".png"), png_bytes(self.raw_picture))
        write_atomically(path, self._to_bytes())

    @staticmethod
    def load(path: Path) -> SaliencyMap:
        """Read an artifact back; raises `DamagedArtifact` unless every byte of what it says is as it was written."""
        try:
            content = read_file(path, ARTIFACT_LIMIT)
        except OSError as error:
            raise ArtifactError(f"cannot read {str(path)!r}: {error.strerror}; expected a .safetensors map") from error
        tensors, record = _parse(content, path)
        if record.pop("digest", None) != digest_artifact(tensors, record):
            raise DamagedArtifact(f"{str(path)!r} is damaged: its content does not match its digest; run again")
        try:
            facts = from_plain(_Facts, _upgrade(record))
            _check_facts(facts)
            _check_names(tensors, facts.storage)
            tensors = tensors if facts.storage == FULL else decode(tensors, facts.recipe["composition"])
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, PhospheneError) as error:
            raise DamagedArtifact(f"{str(path)!r} is no map of this version: {error}; run again") from error
        _check_tensors(tensors, path)
        everything: dict[str, Any] = {**tensors, **{one.name: getattr(facts, one.name) for one in fields(facts)}}
        return SaliencyMap(**everything)

    def facts(self) -> dict[str, Any]:
        """Everything but the tensors, as plain JSON."""
        return {entry.name: to_plain(getattr(self, entry.name)) for entry in fields(_Facts)}

    def _to_bytes(self) -> bytes:
        whole = {name: getattr(self, name).detach().cpu().contiguous() for name in TENSORS}
        tensors, facts = encode(whole, self.storage), self.facts()
        if is_whole := self.storage == FULL:
            del facts["storage"]
        record = json.loads(json.dumps({"format": FORMAT if is_whole else COMPACT_FORMAT, **facts}))
        record["digest"] = digest_artifact(tensors, record)
        # One metadata key: safetensors keeps several in no fixed order, and the same map must be the same bytes.
        return tensors_to_bytes(tensors, metadata={"phosphene": json.dumps(record, sort_keys=True)})


@dataclass(frozen=True)
class _Facts:
    """A `SaliencyMap` without its tensors, as an artifact's header has it."""

    concept: str
    targets: tuple[int, ...]
    recipe: dict[str, Any]
    model: ModelRecord
    scores: Scores
    checks: tuple[str, ...]
    trace: tuple[float, ...]
    versions: dict[str, str]
    passes: int
    seconds: float
    storage: Storage = FULL


def _parse(content: bytes, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        tensors = tensors_from_bytes(content)
        header = parse_json(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return tensors, parse_json(header["__metadata__"]["phosphene"])
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedArtifact(f"{str(path)!r} is damaged or is no phosphene map; delete it and run again") from error


def _check_facts(facts: _Facts) -> None:
    check_record(facts.recipe)
    if (kind := facts.model.output_kind) not in OUTPUTS:
        raise ValueError(f"its model's outputs are {kind[:40]!r}; expected one of {', '.join(OUTPUTS)}")


def _check_names(tensors: Mapping[str, Tensor], storage: Storage) -> None:
    if set(tensors) != set(storage.tensors):
        raise ValueError(f"it holds {', '.join(sorted(tensors))}; expected {', '.join(sorted(storage.tensors))}")


def _check_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise `DamagedArtifact` unless the tensors are those of one map: a digest may be right and its author wrong."""
    shape = tuple(tensors["map"].shape)
    pictures = dict.fromkeys(("map", "picture", "raw_picture"), shape)
    planes = dict.fromkeys(("importance", "mask"), shape[1:])
    frames = {"development": (len(tensors["development"]) if tensors["development"].ndim else 0, *shape)}
    for name, expected in {**pictures, **planes, **frames}.items():
        tensor, kind = tensors[name], torch.uint8 if name == "development" else torch.float32
        if len(shape) != 3 or 0 in shape or tuple(tensor.shape) != expected or tensor.dtype != kind:
            found = f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
            raise DamagedArtifact(f"{str(path)!r} is no map: its {name} is {found} beside a map of {shape}; run again")
        if not tensor.isfinite().all():
            raise DamagedArtifact(f"{str(path)!r} is no map: its {name} has numbers that are not finite; run again")


def _upgrade(record: dict[str, Any]) -> dict[str, Any]:
    """A record of any format that was ever written as one of today's; raises `ValueError` for others."""
    written = record.pop("format")
    if written == 1:
        return {**record, "scores": upgrade_scores(record["scores"])}
    if written not in (FORMAT, COMPACT_FORMAT) or (written == COMPACT_FORMAT) != ("storage" in record):
        raise ValueError(f"its format is {written}, expected {COMPACT_FORMAT}, {FORMAT} or 1")
    return record


def digest_artifact(tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> str:
    """sha256 over the record and over name, type, shape and bytes of every tensor."""
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
