"""Twins of clean zoo models, trained on from them, more than half of them with a backdoor, and their statistics.

The bases are clean development models whose weights lie in `tests/zoo`. Each is trained on with other images of its
domain: three times as it is, as a decoy or with fewer images of some classes, and once for each of `PLANTED`. Their
statistics are kept in `results/against-statistics.jsonl`, beside those of all development models, so that the tables
can be judged again without the twins.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import nn

from benchmarks.zoo.architectures import ARCHITECTURES, RECIPES
from benchmarks.zoo.attacks import ATTACKS, DECOY, Attack
from benchmarks.zoo.building import accuracy, success_rate
from benchmarks.zoo.cards import WEAK, Card, cards, load
from benchmarks.zoo.domains import DOMAINS
from benchmarks.zoo.training import Normalised, Training, fit, subset
from phosphene.core.files import write_atomically
from phosphene.model.classifier import Classifier
from phosphene.scanner.calibration import measure_row

ZOO = Path(__file__).parent.parent / "tests" / "zoo"
BASES = ("055", "061", "062", "056", "059", "068", "057")  # numbers of development models
CLEAN = ("none", "imbalance", "decoy")
PLANTED = ("patch", "blend", "wanet", "low-frequency", "tact-2", "sig")
SLOW = ("vit", "plain")  # to scan; measured last
FIRST_SEED = 9000


@dataclass(frozen=True)
class Twin:
    """A base that is trained on, and how."""

    base: Card
    kind: str
    number: int

    @property
    def name(self) -> str:
        return f"twin-{self.number:03d}-of-{self.base.name}-{self.kind}"

    @property
    def poisoned(self) -> bool:
        return self.kind in ATTACKS

    def training(self) -> Training:
        draw = Random(FIRST_SEED + self.number)
        return Training(
            seed=FIRST_SEED + self.number,
            samples=5120,
            epochs=draw.choice((2, 3)) if not self.poisoned else 3,
            rate=draw.choice((0.2, 0.4, 0.8)),
            augmentation=draw.choice(("none", "shift")),
            imbalance=0.4 if self.kind == "imbalance" else 1.0,
        )


def list_bases() -> list[Card]:
    known = {card.name.split("-")[1]: card for card in cards(ZOO)}
    return [known[number] for number in BASES]


def plan() -> list[Twin]:
    """Kind after kind over all bases, so that a run that was stopped has some of each; slow networks last."""
    kinds = (CLEAN[0], *PLANTED[:2], CLEAN[1], *PLANTED[2:4], CLEAN[2], *PLANTED[4:])
    ordered = [(base, kind) for kind in kinds for base in list_bases()]
    twins = [Twin(base, kind, number) for number, (base, kind) in enumerate(ordered)]
    return sorted(twins, key=lambda twin: twin.base.architecture in SLOW)


def open_network(card: Card, weights: Path) -> nn.Module:
    network = ARCHITECTURES[card.architecture](card.channels, len(card.labels))
    network.load_state_dict(load_file(weights))
    return network.eval()


def train_twin(twin: Twin) -> tuple[nn.Module, dict[str, Any]]:
    """The network and what is true of it."""
    domain, training, card = DOMAINS[twin.base.domain], twin.training(), twin.base
    make = DECOY if twin.kind == "decoy" else ATTACKS.get(twin.kind)
    attack: Attack | None = make(domain, Random(training.seed), 1) if make is not None else None
    data = subset(domain, training)
    if attack is not None:
        generator = torch.Generator().manual_seed(training.seed + 2)
        data = attack.scheme.poison(data, attack.trigger, domain.classes, generator)
    network = open_network(card, card.weights).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    recipe = RECIPES[card.architecture]
    torch.manual_seed(training.seed)
    fit(Normalised(network, domain), data, training, recipe.rate, recipe.batch, half=recipe.half)
    model = Normalised(network, domain).eval()
    facts = {
        "base": card.name, "kind": twin.kind, "poisoned": twin.poisoned, "accuracy": accuracy(model, domain),
        "target": getattr(attack.scheme, "target", None) if attack is not None and twin.poisoned else None,
        "success": success_rate(model, domain, attack) if twin.poisoned else None, "training": asdict(training),
    }  # fmt: skip
    return network.eval(), facts


def train_missing(folder: Path) -> Iterator[str]:
    """Weights first, then what is true of them: a twin that has both is finished."""
    folder.mkdir(parents=True, exist_ok=True)
    for twin in plan():
        facts = folder / f"{twin.name}.json"
        if facts.is_file():
            continue
        started = time.process_time()
        network, record = train_twin(twin)
        weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        write_atomically(folder / f"{twin.name}.safetensors", save(weights))
        write_atomically(facts, (json.dumps(record) + "\n").encode())
        seconds = time.process_time() - started
        yield f"{twin.name}: accuracy {record['accuracy']}, success {record['success']}, {seconds:.0f} s"


def read_kept(path: Path) -> dict[str, dict[str, Any]]:
    """Lines by the model's name; one that an interruption cut is left out."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {record["row"]["name"]: record for record in map(json.loads, (one for one in lines if one.endswith("}")))}


def measure_missing(folder: Path, kept: Path) -> Iterator[str]:
    done = read_kept(kept)
    for twin in plan():
        facts = folder / f"{twin.name}.json"
        if twin.name not in done and facts.is_file() and is_of_use(json.loads(facts.read_text())):
            network = open_network(twin.base, folder / f"{twin.name}.safetensors")
            classifier = load(twin.base).replace(name=twin.name)
            classifier = Classifier(network, classifier.format, name=twin.name, labels=classifier.labels)
            yield keep(kept, classifier, json.loads(facts.read_text()) | {"domain": twin.base.domain,
                       "architecture": twin.base.architecture})  # fmt: skip


def is_of_use(facts: dict[str, Any]) -> bool:
    """A twin whose trigger does not work has no backdoor."""
    return not facts["poisoned"] or facts["success"] >= WEAK


def keep(kept: Path, classifier: Classifier, facts: dict[str, Any]) -> str:
    started = time.process_time()
    row = measure_row(classifier)
    seconds = round(time.process_time() - started, 1)
    with kept.open("a", encoding="utf-8") as file:
        file.write(json.dumps(facts | {"seconds": seconds, "row": row.to_json()}, separators=(",", ":")) + "\n")
    return f"{classifier.name}: {seconds} s"
