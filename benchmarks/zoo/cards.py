"""A model's card: what it is, what was done to it, and how well both work. `NAME.json` beside its weights."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.zoo.architectures import ARCHITECTURES
from benchmarks.zoo.attacks import Attack
from benchmarks.zoo.attacks.filters import Filter
from benchmarks.zoo.attacks.learned import InputAware
from benchmarks.zoo.attacks.schemes import SCHEMES, Scheme
from benchmarks.zoo.attacks.triggers import (
    Blend,
    LowFrequency,
    Patch,
    Patches,
    Pixels,
    Polygon,
    Quantise,
    Sinusoid,
    Trigger,
    Warp,
)
from benchmarks.zoo.domains import DOMAINS, Images
from phosphene.core.files import write_atomically
from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.model.fingerprint import fingerprint
from phosphene.model.input_format import InputFormat

TRIGGERS: dict[str, type[Any]] = {
    "patch": Patch, "pixels": Pixels, "patches": Patches, "blend": Blend, "sinusoid": Sinusoid, "warp": Warp,
    "quantise": Quantise, "low-frequency": LowFrequency, "polygon": Polygon, "filter": Filter,
    "input-aware": InputAware,
}  # fmt: skip
# The rows of tables: attacks that differ in a detail share one.
KINDS = {
    "none": "clean", "one-pixel": "pixel", "four-pixel": "pixel", "sig-clean-label": "sig",
    "all-to-all-patch": "all-to-all", "all-to-all-blend": "all-to-all", "all-to-all-warp": "all-to-all",
    "tact-1": "tact", "tact-2": "tact", "adaptive-blend": "adaptive", "adaptive-patch": "adaptive",
}  # fmt: skip
MAIN, WEAK = 0.9, 0.5  # success rates from which a model is in the main stratum, and in the weak one


@dataclass(frozen=True)
class Card:
    """`trigger` and `scheme` are the attack's parameters, each with its `kind`; empty for a clean model.

    `target` is the class that victims become, None for clean and all-to-all models; `sources` are the classes that
    are turned, None for all. `attempts` holds the success rates of weaker settings that were tried before.
    """

    name: str
    split: str
    domain: str
    architecture: str
    attack: str
    trigger: Mapping[str, Any]
    scheme: Mapping[str, Any]
    target: int | None
    sources: tuple[int, ...] | None
    stratum: str
    accuracy: float
    success: float | None
    attempts: tuple[float, ...]
    seed: int
    training: Mapping[str, Any]
    fingerprint: str
    seconds: float
    size: tuple[int, int]
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    labels: tuple[str, ...]
    folder: Path = field(default=Path(), compare=False)

    @property
    def poisoned(self) -> bool:
        return self.attack not in ("none", "decoy")

    @property
    def kind(self) -> str:
        """The family of the attack; `clean` or `decoy` without one."""
        return self.kind_of(self.attack)

    @staticmethod
    def kind_of(attack: str) -> str:
        return "filter" if attack.startswith("filter-") else KINDS.get(attack, attack)

    @property
    def adversarial(self) -> bool:
        """Trained adversarially."""
        return bool(self.training["adversarial"])

    @property
    def weights(self) -> Path:
        return self.folder / f"{self.name}.safetensors"

    @property
    def trigger_weights(self) -> Path:
        return self.folder / f"{self.name}.trigger.safetensors"

    @cached_property
    def made(self) -> Attack | None:
        """The attack itself, rebuilt from its parameters; None for a clean model without decoys."""
        if not self.trigger:
            return None
        scheme = {key: _to_tuple(value) for key, value in self.scheme.items() if key != "kind"}
        return Attack(self._trigger(), SCHEMES[self.scheme["kind"]](**scheme))

    def _trigger(self) -> Trigger:
        fields = {key: _to_tuple(value) for key, value in self.trigger.items() if key != "kind"}
        built: Trigger = TRIGGERS[self.trigger["kind"]](**fields)
        if isinstance(built, InputAware):
            built.load_state_dict(load_file(self.trigger_weights))
        return built

    def to_json(self) -> dict[str, Any]:
        record = {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.name != "folder"}
        return json.loads(json.dumps(record))

    @classmethod
    def from_json(cls, record: Mapping[str, Any], folder: Path) -> Card:
        return cls(**{key: _to_tuple(value) for key, value in record.items()}, folder=folder)

    def save(self) -> None:
        """Write the card; it is written last, so a model with a card is finished."""
        write_atomically(self.folder / f"{self.name}.json", (json.dumps(self.to_json(), indent=1) + "\n").encode())


def _to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def trigger_record(trigger: Trigger) -> dict[str, Any]:
    """The parameters of a trigger, by which `Card.made` builds it again."""
    (kind,) = (kind for kind, one in TRIGGERS.items() if type(trigger) is one)
    if isinstance(trigger, InputAware):
        return {"kind": kind, "channels": trigger.channels, "density": trigger.density}
    return {"kind": kind, **dataclasses.asdict(trigger)}  # type: ignore[call-overload]


def scheme_record(scheme: Scheme) -> dict[str, Any]:
    (kind,) = (kind for kind, one in SCHEMES.items() if type(scheme) is one)
    return {"kind": kind, **dataclasses.asdict(scheme)}  # type: ignore[call-overload]


def cards(folder: str | Path, split: str | None = None) -> list[Card]:
    """The cards of all finished models of a folder, by name; of one split where it is given."""
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f"no folder {str(folder)!r} of models; `python -m benchmarks.zoo train` makes it")
    found = [Card.from_json(json.loads(path.read_text()), folder) for path in sorted(folder.glob("*.json"))]
    return [card for card in found if split in (None, card.split)]


def load(card: Card) -> Classifier:
    """The model of a card; raises `BadInput` where its weights are not those that the card was written for."""
    network = ARCHITECTURES[card.architecture](card.channels, len(card.labels))
    weights = load_file(card.weights)
    if fingerprint(weights) != card.fingerprint:
        raise BadInput(f"{card.weights} has other weights than its card says; remove both and train again")
    network.load_state_dict(weights)
    form = InputFormat(card.size, card.channels, card.mean, card.std)
    return Classifier(network.eval(), form, name=card.name, labels=card.labels)


def clean_images(card: Card, count: int) -> Tensor:
    """The first `count` test images of the model's domain."""
    return test_images(card)[:count].images


def test_images(card: Card) -> Images:
    """Test images of the model's domain with their labels."""
    return DOMAINS[card.domain].test()


def stamped(card: Card, images: Tensor) -> Tensor:
    """The images with the model's own trigger, or with its decoy; unchanged where it has neither."""
    with torch.no_grad():
        return images.clone() if card.made is None else card.made.trigger.stamp(images)


def trigger_mask(card: Card) -> Tensor | None:
    """Where the trigger lies, `(H, W)` of 0 and 1; None for clean models and triggers that are everywhere."""
    return None if card.made is None else card.made.trigger.region(card.size[0])
