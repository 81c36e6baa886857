"""What is attacked: for each kind of file a good one, how it is changed, how it is read, and what its meaning is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor, nn

from benchmarks.hostile.forked import call
from benchmarks.hostile.mutate import mutate_bytes, mutate_record, nest_text
from phosphene.core.records import seal, to_plain
from phosphene.evidence.evaluation import evaluate
from phosphene.evidence.members import open_members
from phosphene.evidence.results import load_evaluation, make_results
from phosphene.model.classifier import Classifier
from phosphene.model.input_format import InputFormat
from phosphene.model.sources.load import load
from phosphene.recipe.grammar import parse
from phosphene.recipe.recipe import PRESETS
from phosphene.report.evidence import load_evidence
from phosphene.report.maps import INDEX, render_report
from phosphene.report.scan import write_scan_report
from phosphene.report.section import FULL, LEAN, describe_map, make_card
from phosphene.runs.make import make_maps
from phosphene.runs.plan import read_plan
from phosphene.runs.saliency import SaliencyMap, digest_artifact
from phosphene.runs.store import artifact_paths
from phosphene.scanner.calibration import calibrate
from phosphene.scanner.comparison import compare
from phosphene.scanner.fusion import fuse
from phosphene.scanner.record import Scan
from phosphene.scanner.reference import Reference
from phosphene.scanner.scanning import scan
from phosphene.scanner.settings import Settings

SIZE, CLASSES = 12, 4
FAST_SCAN = Settings(
    surrogates=2, surrogate_iterations=2, stamps=4, images=2, patch_iterations=2, additive_iterations=2,
    colour_iterations=2, warp_iterations=2, margin_starts=1, margin_iterations=2, permutation_iterations=2,
    permutation_starts=1, pair_iterations=2, long_iterations=2, restarts=1, window_images=2, window_iterations=2,
)  # fmt: skip


def tiny_net() -> nn.Module:
    """A network of a few hundred numbers; what the attacks need of a model is its file."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, CLASSES)
        )


def tiny_classifier() -> Classifier:
    names = ("ant", "bee", "cat", "dog")
    return Classifier(tiny_net(), InputFormat((SIZE, SIZE), 3, (0.5,), (0.25,)), name="tiny", labels=names)


def load_tiny(weights: Path, labels: Path | None = None) -> Classifier:
    factory = f"{__name__}:tiny_net"
    return load(weights=weights, factory=factory, size=SIZE, channels=3, mean=[0.5], std=[0.25], labels=labels)


@dataclass(frozen=True)
class Target:
    """`read` opens the file as the commands do, and returns its meaning; `faithful(meaning, good, path)` says whether
    an accepted file means what it says. `change` makes the mutation."""

    name: str
    path: Path
    change: Callable[[Random, bytes], bytes]
    read: Callable[[Path], Any]
    faithful: Callable[[Any, Any, Path], bool]


def equal(meaning: Any, good: Any, path: Path) -> bool:
    """A sealed record is the good one or is refused."""
    return bool(meaning == good)


def anything(meaning: Any, good: Any, path: Path) -> bool:
    """A forged record, whose digest is right, may say what it likes; it must not break anything."""
    return True


def prepare(work: Path) -> dict[str, Target]:
    """Good files in `work`, and the targets by name."""
    work.mkdir(parents=True, exist_ok=True)
    classifier, folder = tiny_classifier(), work / "maps"
    if not (folder / "evidence.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        make_maps(classifier, ["ant", "bee"], replace(PRESETS["fast"], iterations=3), out=folder)
        evaluate(folder, classifier)
    found = scan(classifier, FAST_SCAN)
    found.save(work / "scan.json")
    (work / "table.json").unlink(missing_ok=True)
    table = calibrate([classifier], work / "table.json", FAST_SCAN)
    rows = tuple(replace(table.rows[0], fingerprint=f"{number:064}") for number in range(6))
    replace(table, rows=rows).save(work / "table.json")
    state = classifier.module.state_dict()
    (work / "weights.safetensors").write_bytes(tensors_to_bytes(state))
    torch.save(state, work / "zip.pt")
    torch.save(state, work / "legacy.pt", _use_new_zipfile_serialization=False)
    (work / "labels.txt").write_text("ant\nbee, honey bee\ncat\ndog\n")
    (work / "set.txt").write_text("ant\n2 # the cat\n\ndog\n")
    return {target.name: target for target in _list_targets(work, classifier)}


def _list_targets(work: Path, classifier: Classifier) -> list[Target]:
    maps, row = work / "maps", Reference.load(work / "table.json").rows[0]
    sections = [describe_map(SaliencyMap.load(one), number, LEAN) for number, one in enumerate(artifact_paths(maps))]
    cards = [make_card(section, "") for section in sections]
    digests = {one.name: card.digest for one, card in zip(artifact_paths(maps), cards, strict=True)}
    good = {name: value.clone() for name, value in classifier.module.state_dict().items()}

    def read_map(path: Path) -> Any:
        saliency = SaliencyMap.load(path)
        json.dumps(saliency.facts())
        call("show", path)
        describe_map(saliency, 1, FULL)
        open_members(path.parent, classifier, (), print)
        return saliency.facts(), [getattr(saliency, name).tolist() for name in ("map", "picture", "mask")]

    def read_scan(path: Path) -> Any:
        found = Scan.load(path)
        write_scan_report(found, path.with_suffix(".html"))
        return found.to_json()

    def read_table(path: Path) -> Any:
        table = Reference.load(path)
        outside = compare(row, table, FAST_SCAN).outside
        fuse(row, table, left_out=() if outside else table.list_incomparable(row, FAST_SCAN))
        return to_plain(table)

    def read_run(path: Path) -> Any:
        artifact_paths(path.parent)
        return read_plan(path.parent)

    def read_evidence(path: Path) -> Any:
        found = load_evaluation(path.parent)
        render_report(INDEX, cards, sections, evidence=load_evidence(path.parent, digests))
        if found is not None:
            make_results(found)
        return found

    def read_weights(path: Path) -> Any:
        opened = load_tiny(path)
        return opened.fingerprint, dict(opened.module.state_dict())

    def weights_said(meaning: Any, first: Any, path: Path) -> bool:
        same = all(torch.equal(good[name], tensor) for name, tensor in meaning[1].items())
        return bool(same == (meaning[0] == first[0]))  # other numbers, another fingerprint

    def read_labels(path: Path) -> Any:
        return load_tiny(work / "weights.safetensors", path).labels

    def labels_said(meaning: Any, first: Any, path: Path) -> bool:
        lines = path.read_bytes().decode("utf-8-sig").rstrip().splitlines()
        return bool(meaning == tuple(line.strip() for line in lines))

    def read_set(path: Path) -> Any:
        concept = parse(f"@{path}", classifier.labels)
        return concept.name, concept.targets

    artifact, table = maps / "ant.safetensors", work / "table.json"
    return [
        Target("safetensors", work / "weights.safetensors", mutate_bytes, read_weights, weights_said),
        Target("pt zip", work / "zip.pt", mutate_bytes, read_weights, weights_said),
        Target("pt legacy", work / "legacy.pt", mutate_bytes, read_weights, weights_said),
        Target("artifact, damaged", artifact, mutate_bytes, read_map, equal),
        Target("artifact, forged", artifact, _forge_artifact, read_map, anything),
        Target("scan, damaged", work / "scan.json", mutate_bytes, read_scan, equal),
        Target("scan, forged", work / "scan.json", _forge_record, read_scan, anything),
        Target("calibration, damaged", table, mutate_bytes, read_table, equal),
        Target("calibration, forged", table, _forge_record, read_table, anything),
        Target("run.json, damaged", maps / "run.json", mutate_bytes, read_run, equal),
        Target("run.json, forged", maps / "run.json", _forge_record, read_run, anything),
        Target("evidence.json, damaged", maps / "evidence.json", mutate_bytes, read_evidence, equal),
        Target("evidence.json, forged", maps / "evidence.json", _forge_record, read_evidence, anything),
        Target("labels", work / "labels.txt", mutate_bytes, read_labels, labels_said),
        Target("set", work / "set.txt", mutate_bytes, read_set, anything),
    ]


def _forge_record(chance: Random, content: bytes) -> bytes:
    """A changed record with the digest that belongs to it."""
    if chance.random() < 0.02:
        return nest_text(chance.choice((100, 2_000, 100_000)))
    record = json.loads(content)
    record.pop("digest", None)
    changed = mutate_record(chance, record)
    return json.dumps(seal(changed) if isinstance(changed, dict) else changed).encode()


def _forge_artifact(chance: Random, content: bytes) -> bytes:
    """A changed artifact, in its record or in a tensor, with the digest that belongs to it."""
    tensors = tensors_from_bytes(content)
    length = int.from_bytes(content[:8], "little")
    record = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["phosphene"])
    del record["digest"]
    if chance.random() < 0.3:
        name = chance.choice(list(tensors))
        tensors[name] = _change_tensor(chance, tensors[name])
    else:
        record = mutate_record(chance, record)
    record["digest"] = digest_artifact(tensors, record)
    return tensors_to_bytes(tensors, metadata={"phosphene": json.dumps(record, sort_keys=True)})


def _change_tensor(chance: Random, tensor: Tensor) -> Tensor:
    """Another shape, another type, or numbers that are none."""
    changes: tuple[Callable[[Tensor], Tensor], ...] = (
        lambda one: one.flatten(),
        lambda one: one[None],
        lambda one: one[:0],
        lambda one: one[..., :-1],
        lambda one: one.double(),
        lambda one: one.to(torch.uint8),
        lambda one: one.bool(),
        lambda one: one.to(torch.complex64),
        lambda one: one.to(torch.bfloat16),
        lambda one: torch.full_like(one.float(), float("nan")),
        lambda one: torch.full_like(one.float(), float("inf")),
        lambda one: one.float() * 1e30,
        lambda one: one.repeat(*[40 if one.ndim < 4 else 6] * one.ndim),
    )
    return chance.choice(changes)(tensor).contiguous()
