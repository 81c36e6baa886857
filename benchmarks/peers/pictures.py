"""Pictures on disk: one file a class, written whole or not at all, so that a run can stop anywhere and go on."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.peers.methods import Method
from benchmarks.peers.network import count_passes
from benchmarks.record import RESULTS
from phosphene.model.classifier import Classifier
from phosphene.model.freezing import frozen

PICTURES = RESULTS / "maps" / "peers"


@dataclass(frozen=True)
class Picture:
    """A picture `(3, h, w)` in [0,1], and the images that went through the network for it."""

    picture: Tensor
    passes: float


def folder_of(name: str, seed: int, root: Path = PICTURES) -> Path:
    return root / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}-{seed}"


def load(path: Path) -> Picture | None:
    """The picture in a file; None where there is none, or one that was cut."""
    try:
        with safe_open(path, "pt") as file:
            return Picture(file.get_tensor("picture").float(), float(file.metadata()["passes"]))
    except (FileNotFoundError, SafetensorError):
        return None


def save(path: Path, made: Picture) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file({"picture": made.picture.half().contiguous()}, part, {"passes": str(made.passes)})
    part.replace(path)


def make_missing(
    name: str, method: Method, classifier: Classifier, classes: Sequence[int], seed: int, root: Path = PICTURES
) -> int:
    """Make the pictures that are still missing; returns how many were made."""
    target = folder_of(name, seed, root)
    missing = [index for index in classes if load(target / f"{index}.safetensors") is None]
    for start in range(0, len(missing), method.together):
        chunk, began = missing[start : start + method.together], time.perf_counter()
        counter = count_passes(classifier.module, classifier.format.size)
        with frozen(classifier.module), counter as passes, torch.enable_grad():
            pictures = method(classifier, chunk, seed)
        for index, picture in zip(chunk, pictures, strict=True):
            save(target / f"{index}.safetensors", Picture(picture, passes.backward / len(chunk)))
        seconds = (time.perf_counter() - began) / len(chunk)
        print(f"{name} / {seed}: {start + len(chunk)} of {len(missing)}, {seconds:.1f} s a class", flush=True)
    return len(missing)
