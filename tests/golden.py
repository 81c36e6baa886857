"""Maps and scan statistics whose bits are pinned: what a change of the code must not change in silence.

    python tests/golden.py                     what differs from tests/golden.json, and nothing else
    python tests/golden.py --record            write it anew, after a change that is meant to change numbers

Digests hold on the build that they were recorded on: kernels of another build, or of a processor with other instructions,
sum in another order, and the estimate amplifies the last bit of a gradient to another picture. So they are taken in a
process of its own with the instructions of `COMMON`, which most processors have, and the build tells the digest of a few
layers and their gradient, too. On another build, record at the commit before a change and compare after it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS.parent)]
RECORD = TESTS / "golden.json"
THREADS = 1  # of the record, whatever the suite runs with
COMMON = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}

from benchmarks import zoo

import models
import phosphene
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.recipe.distributions import Flat, Gaussian, Mixture, Pink, Uniform
from phosphene.recipe.geometries import Pixel, Spectral
from phosphene.recipe.recipe import PRESETS, Recipe
from phosphene.recipe.views import STILL
from phosphene.runs.executors.processes import Processes
from phosphene.runs.executors.serial import Serial


@dataclass(frozen=True)
class Case:
    """One call of `make_maps`: a digest for each of its concepts."""

    model: str
    concepts: tuple[str, ...]
    preset: str = "default"
    changes: dict[str, Any] = field(default_factory=dict)
    workers: int = 1

    @property
    def recipe(self) -> Recipe:
        return replace(PRESETS[self.preset], **self.changes)

    def key(self, concept: str) -> str:
        changes = ", ".join(f"{name}={value}" for name, value in self.changes.items())
        return f"{self.model} | {concept} | {self.preset} | {changes} | {self.workers} workers"


def case(model: str, *concepts: str, preset: str = "default", workers: int = 1, **changes: Any) -> Case:
    return Case(model, concepts, preset, changes, workers)


SHORT = {"iterations": 8, "restarts": 1}
BRIEF = {"iterations": 20, "restarts": 1}
CASES = [
    case("lite0", "goldfish", "zebra", iterations=16, restarts=1),
    case("lite0", "goldfish", iterations=4, restarts=2),
    case("lite0", "zebra", "daisy", workers=2, **SHORT),
    case("lite0", "tench", preset="paper", iterations=8, refine_every=4),
    case("lite0", "beagle, pug, collie", "tabby - tiger cat", "0.5 * zebra + 2 * horse cart", **SHORT),
    case("lite0", "blocks.4:37", "blocks.4:37@center", "conv_stem:3 - conv_stem:5", **SHORT),
    case("colour", "2", samples=2, schedule="cosine", **BRIEF),
    case("colour", "2", nudge_steps=2, **BRIEF),
    case("colour", "2", geometry=Pixel(), composition="clip", **BRIEF),
    case("colour", "2", distribution=Mixture(), score="margin", **BRIEF),
    case("colour", "2", distribution=Pink(), score="log_probability", views=STILL, **BRIEF),
    case("colour", "2", seed=3, **BRIEF),
    case("colour", "0", "3, 5", "7 - 2", "body:4", iterations=60),
    case("colour", "0", "3", workers=2, iterations=30),
    *(case("colour", "1", preset=preset, **({"refine_every": 5} if preset == "paper" else {})) for preset in PRESETS),
    *(case("grey", "4", distribution=one, iterations=30) for one in (Gaussian(), Uniform(), Flat(), Pink())),
    case("grey", "4", "stem:2@center", geometry=Spectral(falloff=1.3), average_last=0.2, iterations=30),
    case("grey", "4", shared_scale=True, betas=(0.8, 0.95), geometry=Pixel(radius=9.0), iterations=30),
    case("large", "3", "5", "stem:1", iterations=12, restarts=2),
    *(case(f"zoo {place}", "0", "3", iterations=20, restarts=2) for place in (0, 3, 6, 9, 12, 15, 18, 21)),
    case("zoo 1", "1", preset="paper", iterations=20, refine_every=7, samples=3),
]  # fmt: skip
SCANNED = (0, 4, 8, 12, 16, 20)  # of the mini zoo


@functools.cache
def classifier(model: str) -> Classifier:
    if model == "lite0":
        return phosphene.load("efficientnet_lite0")
    if model == "large":
        return Classifier(models.ConvNet(3, 20), InputFormat((192, 192), 3, (0.5,), (0.25,)), name="large")
    if model.startswith("zoo "):
        return zoo.load(zoo.cards(TESTS / "zoo")[int(model.removeprefix("zoo "))])
    return {"grey": models.grey_classifier, "colour": models.colour_classifier}[model]()


def find() -> dict[str, Any]:
    """What the code makes now, in a process with the instructions of `COMMON`: torch reads them when it is imported."""
    program = [sys.executable, str(TESTS / "golden.py"), "--json"]
    done = subprocess.run(program, env={**os.environ, **COMMON}, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def find_here() -> dict[str, Any]:
    """What the code makes in this process."""
    with fixed_threads():
        return {"build": build(), "maps": dict(maps()), "scans": dict(scans())}


def maps(cases: list[Case] = CASES) -> Iterator[tuple[str, str]]:
    """Name and digest of every pinned map; the digest's second half is that of mask, importance and pictures."""
    for one in cases:
        executor = Processes(one.workers) if one.workers > 1 else Serial()
        made = phosphene.make_maps(classifier(one.model), one.concepts, one.recipe, executor=executor)
        for concept, saliency in zip(one.concepts, made, strict=True):
            rest = (saliency.importance, saliency.mask, saliency.raw_picture, saliency.development)
            yield one.key(concept), f"{digest(saliency.map)} {digest(*rest)}"


def scans() -> Iterator[tuple[str, str]]:
    """Name and digest of every statistic of a few scanned models of the mini zoo."""
    from phosphene.scanner.calibration import measure_row
    from phosphene.scanner.settings import Settings

    settings = Settings(surrogates=2, surrogate_iterations=8, stamps=12, images=4, patch_iterations=8,
                        additive_iterations=6, colour_iterations=4, warp_iterations=4, margin_iterations=6,
                        permutation_iterations=6)  # fmt: skip
    for place in SCANNED:
        card = zoo.cards(TESTS / "zoo")[place]
        row = measure_row(zoo.load(card), settings)
        numbers = {**row.classes, **{name: (value,) for name, value in row.whole.items()}}
        for name, values in sorted(numbers.items()):
            yield f"{card.name} | {name}", digest(torch.tensor(values, dtype=torch.float64))


@contextmanager
def fixed_threads() -> Iterator[None]:
    """As many threads as the record was made with."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def digest(*tensors: Tensor) -> str:
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]


def build() -> dict[str, Any]:
    """What decides the last bits beside the code."""
    with fixed_threads():
        return {"torch": torch.__version__, "machine": platform.machine(), "threads": THREADS,
                "cpu": torch.backends.cpu.get_cpu_capability(), "layers": digest(*run_layers())}  # fmt: skip


def run_layers() -> tuple[Tensor, Tensor]:
    """Logits and gradient of a few layers of the kinds that networks and maps consist of, by torch alone."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    images = draw(4, 3, 112, 112).contiguous(memory_format=torch.channels_last).requires_grad_()
    grid = F.affine_grid(torch.eye(2, 3) + 0.05 * draw(4, 2, 3), [4, 3, 112, 112], align_corners=False)
    seen = torch.fft.irfft2(torch.fft.rfft2(F.grid_sample(images, grid, align_corners=False)), s=(112, 112))
    one = F.conv2d(seen, draw(32, 3, 3, 3), stride=2, padding=1).clamp(0, 6)
    two = F.conv2d(F.conv2d(one, draw(96, 32, 1, 1)), draw(96, 1, 5, 5), padding=2, groups=96).clamp(0, 6)
    logits = F.linear(two.mean(dim=(2, 3)), draw(1000, 96))
    (gradient,) = torch.autograd.grad(logits.log_softmax(dim=1)[:, 0].sum(), images)
    return logits.detach(), gradient


def differences(recorded: dict[str, str], found: dict[str, str]) -> list[str]:
    return [name for name in {**recorded, **found} if recorded.get(name) != found.get(name)]


def main() -> None:
    if "--json" in sys.argv:
        print(json.dumps(find_here()))
        return
    found = find()
    if "--record" in sys.argv:
        RECORD.write_text(json.dumps(found, indent=1) + "\n")
    recorded = json.loads(RECORD.read_text())
    if recorded["build"] != found["build"]:
        print(f"recorded on {recorded['build']}, this is {found['build']}: last bits differ")
    for kind in ("maps", "scans"):
        changed = differences(recorded[kind], found[kind])
        print(f"{len(found[kind])} {kind}, {len(changed)} differ", *changed, sep="\n  ")


if __name__ == "__main__":
    main()
