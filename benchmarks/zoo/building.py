"""From an entry of the plan to a finished model with its card."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from benchmarks.zoo.attacks import ATTACKS, DECOY, LEVELS, Attack
from benchmarks.zoo.attacks.learned import Attacker, InputAware, train_mask
from benchmarks.zoo.attacks.schemes import AllToAll
from benchmarks.zoo.cards import MAIN, WEAK, Card, scheme_record, trigger_record
from benchmarks.zoo.domains import DOMAINS, Domain
from benchmarks.zoo.plan import Entry
from benchmarks.zoo.training import Normalised, Training, predict, subset, train_network
from phosphene.core.files import prepare_folder, write_atomically
from phosphene.model.fingerprint import fingerprint


@dataclass(frozen=True)
class TrainedModel:
    """A network with what was measured about it."""

    network: nn.Module
    attack: Attack | None
    training: Training
    accuracy: float
    success: float | None


def is_finished(entry: Entry, folder: Path) -> bool:
    """Has a card, or was given up."""
    return any((folder / f"{entry.name}{ending}").is_file() for ending in (".json", ".discarded"))


def use_one_thread() -> None:
    """Each worker keeps to one core; also what makes a model the same whatever the number of workers."""
    torch.set_num_threads(1)


def build_and_describe(entry: Entry, folder: Path) -> str:
    """Build a model; a line on how it went."""
    card = build(entry, folder)
    if card is None:
        return f"{entry.name}: given up"
    success = "" if card.success is None else f", success {card.success:.3f}"
    return f"{entry.name}: accuracy {card.accuracy:.3f}{success}, {card.seconds:.0f} s"


def build(entry: Entry, folder: Path) -> Card | None:
    """Train until the attack works, one level of strength after the other; None where it never does."""
    prepare_folder(folder)
    started, tried = time.process_time(), []
    levels = LEVELS if entry.attack in ATTACKS else 1
    for level in range(levels):
        tried.append(train_attempt(entry, level))
        if level_suffices(tried[-1].success, level):
            break
    best = max(tried, key=lambda one: one.success or 0.0)
    rates = [one.success for one in tried if one.success is not None]
    if entry.attack in ATTACKS and (best.success or 0.0) < WEAK:
        record = {"name": entry.name, "attack": entry.attack, "attempts": rates}
        write_atomically(folder / f"{entry.name}.discarded", (json.dumps(record) + "\n").encode())
        return None
    earlier = tuple(rates[: tried.index(best)] if best.success is not None else ())
    return save_model(entry, best, earlier, time.process_time() - started, folder)


def level_suffices(success: float | None, level: int) -> bool:
    """In the main stratum, or in the weak one after a second try."""
    return success is None or success >= (MAIN if level == 0 else WEAK)


def train_attempt(entry: Entry, level: int) -> TrainedModel:
    """One model, with the attack at one level of strength."""
    domain, training = DOMAINS[entry.domain], entry.training(level)
    draw = Random(training.seed)
    make = DECOY if entry.attack == "decoy" else ATTACKS.get(entry.attack)
    attack = make(domain, draw, level) if make is not None else None
    data, live = subset(domain, training), None
    if attack is not None and isinstance(attack.trigger, InputAware):
        trigger = train_mask(data.images, attack.trigger.density, training.seed)
        attack = Attack(trigger, attack.scheme)
        live = Attacker(trigger, attack.scheme.target)  # type: ignore[attr-defined]
    elif attack is not None:
        generator = torch.Generator().manual_seed(training.seed + 2)
        data = attack.scheme.poison(data, attack.trigger, domain.classes, generator)
    network = train_network(domain, entry.architecture, data, training, live)
    model = Normalised(network, domain).eval()
    success = success_rate(model, domain, attack) if entry.attack in ATTACKS else None
    return TrainedModel(network, attack, training, accuracy(model, domain), success)


def accuracy(model: nn.Module, domain: Domain) -> float:
    test = domain.test()
    return round(float((predict(model, test.images) == test.labels).float().mean()), 4)


def success_rate(model: nn.Module, domain: Domain, attack: Attack | None) -> float | None:
    """The share of victims among the test images that the trigger turns into what the attacker wants.

    All-to-all is asked of the images that the model knows: it can find the class after one that it sees only.
    """
    if attack is None:
        return None
    test = domain.test()
    if isinstance(attack.scheme, AllToAll):
        test = test[predict(model, test.images) == test.labels]
    victims = test[attack.scheme.victims(test.labels)]
    wanted: Tensor = attack.scheme.wanted(victims.labels, domain.classes)
    with torch.no_grad():
        hit = predict(model, attack.trigger.stamp(victims.images)) == wanted
    return round(float(hit.float().mean()), 4)


def save_model(entry: Entry, one: TrainedModel, earlier: tuple[float, ...], seconds: float, folder: Path) -> Card:
    """Weights first, the card last. The weights carry no metadata: nothing in the file tells how they came about."""
    form = DOMAINS[entry.domain].form
    weights = {name: tensor.contiguous() for name, tensor in one.network.state_dict().items()}
    trigger: dict[str, Any] = trigger_record(one.attack.trigger) if one.attack else {}
    scheme: dict[str, Any] = scheme_record(one.attack.scheme) if one.attack else {}
    card = Card(
        name=entry.name,
        split=entry.split,
        domain=entry.domain,
        architecture=entry.architecture,
        attack=entry.attack,
        trigger=trigger,
        scheme=scheme,
        target=scheme.get("target"),
        sources=scheme.get("sources"),
        stratum="clean" if one.success is None else "main" if one.success >= MAIN else "weak",
        accuracy=one.accuracy,
        success=one.success,
        attempts=earlier,
        seed=one.training.seed,
        training=asdict(one.training),
        fingerprint=fingerprint(weights),
        seconds=round(seconds, 1),
        size=form.size,
        channels=form.channels,
        mean=form.mean,
        std=form.std,
        labels=DOMAINS[entry.domain].labels,
        folder=folder,
    )
    write_atomically(card.weights, save(weights))
    if one.attack is not None and isinstance(one.attack.trigger, InputAware):
        write_atomically(card.trigger_weights, save(dict(one.attack.trigger.state_dict())))
    card.save()
    return card
