"""A finished map as files: `<concept>.safetensors` with its evidence, `<concept>.png`, and `run.json` for the run.

Files are written under a temporary name, flushed and renamed, so that a kill at any moment loses at most the map in
progress. Every artifact carries a digest of all it says; `load` refuses one whose bytes are not those once written.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from phosphene.errors import ArtifactError, DamagedArtifact

FORMAT = 1
TENSORS = ("map", "importance", "mask", "picture", "raw_picture", "development")


@dataclass(frozen=True)
class SaliencyMap:
    """The model's map of one concept with everything that was measured about it.

    Tensors: `map` (C,H,W) signed; `importance` (H,W) and `mask` (H,W) in [0,1]; `picture` (C,H,W) in [0,1], refined,
    and `raw_picture`, not; `development` (frames,C,H,W) uint8, raw pictures from the first iteration to the last.
    `scores`, `trace` and the rest are plain JSON; docs/numbers.md says what each means.
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
    model: dict[str, Any]
    scores: dict[str, Any] = field(default_factory=dict)
    checks: tuple[str, ...] = ()
    trace: tuple[float, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    passes: int = 0
    seconds: float = 0.0

    @property
    def index(self) -> int | None:
        """The class index where the concept is one class."""
        return self.targets[0] if len(self.targets) == 1 else None

    def identity(self) -> dict[str, Any]:
        """What has to agree for a finished map to be the one that is asked for."""
        return identity(self.concept, self.targets, self.recipe, self.model)

    def save(self, path: Path) -> None:
        """Write the picture, then the artifact, whose appearance says that the map is finished."""
        write_atomically(path.with_suffix(".png"), png_bytes(self.picture))
        write_atomically(path, self._bytes())

    @staticmethod
    def load(path: Path) -> SaliencyMap:
        """Read an artifact back; raises `DamagedArtifact` unless every byte of what it says is as it was written."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ArtifactError(f"cannot read {str(path)!r}: {error.strerror}; expected a .safetensors map") from error
        try:
            tensors = tensors_from_bytes(content)
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            record = dict(json.loads(header["__metadata__"]["phosphene"]))
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise DamagedArtifact(
                f"{str(path)!r} is damaged or is no phosphene map; delete it and run again"
            ) from error
        written = record.pop("digest", None)
        if written != _digest(tensors, record) or set(tensors) != set(TENSORS):
            raise DamagedArtifact(f"{str(path)!r} is damaged: its content does not match its digest; run again")
        record.pop("format")
        record["targets"], record["checks"] = tuple(record["targets"]), tuple(record["checks"])
        record["trace"] = tuple(record["trace"])
        everything: dict[str, Any] = {**tensors, **record}
        return SaliencyMap(**everything)

    def _bytes(self) -> bytes:
        tensors = {name: getattr(self, name).detach().cpu().contiguous() for name in TENSORS}
        record = {"format": FORMAT} | {
            entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in TENSORS
        }
        record = json.loads(json.dumps(record))
        record["digest"] = _digest(tensors, record)
        # One metadata key: safetensors keeps several in no fixed order, and the same map must be the same bytes.
        return tensors_to_bytes(tensors, metadata={"phosphene": json.dumps(record, sort_keys=True)})


def identity(
    concept: str, targets: Sequence[int], recipe: Mapping[str, Any], model: Mapping[str, Any]
) -> dict[str, Any]:
    """Concept, recipe and weights: the inputs that decide a map."""
    asked = {"concept": concept, "classes": list(targets), "weights": model["fingerprint"], "input": model["input"]}
    return asked | dict(recipe)


def file_stem(concept: str) -> str:
    """A file name for a concept: readable, safe everywhere, and different for different concepts."""
    readable = re.sub(r"[^a-z0-9]+", "-", concept.lower()).strip("-")[:60]
    if re.fullmatch(r"[a-z0-9]+( [a-z0-9]+)*", concept) and readable == concept.replace(" ", "-"):
        return readable
    return f"{readable or 'concept'}-{hashlib.sha256(concept.encode()).hexdigest()[:6]}"


def load_all(folder: Path) -> list[SaliencyMap]:
    """The maps of a folder, in the order of `artifact_paths`."""
    return [SaliencyMap.load(path) for path in artifact_paths(folder)]


def artifact_paths(folder: Path) -> list[Path]:
    """The finished maps of a folder: in the order of `run.json`, then any others by name; `ArtifactError` if none."""
    if not folder.is_dir():
        raise ArtifactError(f"no folder {str(folder)!r}; expected the --out folder of `phosphene map`")
    order: list[str] = []
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        order = [entry["file"] for entry in json.loads((folder / "run.json").read_text())["maps"]]
    rank = {name: position for position, name in enumerate(order)}
    paths = sorted(folder.glob("*.safetensors"), key=lambda path: (rank.get(path.name, len(rank)), path.name))
    if not paths:
        raise ArtifactError(f"no finished maps in {str(folder)!r}; expected the --out folder of `phosphene map`")
    return paths


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


def set_aside(path: Path) -> Path:
    """Move a file that cannot be trusted out of the way, so that nothing is lost and nothing of it is used."""
    for number in range(1, 1000):
        target = path.with_name(f"{path.name}.damaged-{number}")
        if not target.exists():
            path.rename(target)
            return target
    raise ArtifactError(f"too many damaged copies of {str(path)!r}; delete some")


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


def write_run(folder: Path, record: Mapping[str, Any]) -> None:
    """`run.json`: what was asked for, by which model, and which files answer it."""
    write_atomically(folder / "run.json", (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())


def png_bytes(picture: Tensor) -> bytes:
    """A picture (C,H,W) or (H,W) in [0,1] as PNG; of other than 1 or 3 channels, their mean."""
    stream = io.BytesIO()
    to_image(picture).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def to_image(picture: Tensor) -> Any:
    """A Pillow image of a picture (C,H,W) or (H,W) in [0,1]."""
    from PIL import Image

    planes = picture if picture.ndim == 3 else picture[None]
    planes = planes if planes.shape[0] == 3 else planes.mean(dim=0, keepdim=True)
    pixels = to_bytes(planes).permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])


def to_bytes(picture: Tensor) -> Tensor:
    """[0,1] → uint8, rounded."""
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8)


def _digest(tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


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
