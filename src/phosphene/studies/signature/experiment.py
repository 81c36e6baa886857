"""Clean and backdoored networks on generated signs, the maps of all their classes, and what these show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from phosphene.errors import BadInput
from phosphene.method.scaling import render_pictures
from phosphene.model.classifier import Classifier
from phosphene.recipe.concepts import Classes
from phosphene.recipe.recipe import Recipe
from phosphene.studies import small_models
from phosphene.studies.agnostic import estimate_maps, make_recipe
from phosphene.studies.folder import Part, Parts
from phosphene.studies.signature.attacks import ATTACKS, Attack
from phosphene.studies.signature.measures import measure_lift, measure_likeness, score_maps
from phosphene.studies.signature.poisoning import measure_success, poison
from phosphene.studies.signature.public import PublicNetwork, open_networks
from phosphene.studies.small_models import Examples

HELD_OUT = 600
EPOCHS, WIDTH, BATCH = 8, 24, 50
TWIN = "none"  # the attack of a clean network


@dataclass(frozen=True)
class Settings:
    """Networks of every attack, and so many clean ones, of which the first is the twin of all backdoored ones."""

    attacks: tuple[str, ...] = tuple(ATTACKS)
    clean: int = 6
    target: int = 2
    training: int = 4000
    preset: str = "default"
    iterations: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.attacks if name not in ATTACKS]
        if unknown or not self.attacks:
            raise BadInput(f"attacks are {', '.join(unknown) or 'none'}; expected some of {', '.join(ATTACKS)}")

    def make_recipe(self) -> Recipe:
        changes = {} if self.iterations is None else {"iterations": self.iterations}
        return make_recipe(self.preset, seed=self.seed, **changes)


@dataclass(frozen=True)
class Network:
    """One network: `numbers` has accuracy, success and the rule's score; `maps` and `pictures` are `(K, C, S, S)`."""

    name: str
    numbers: Mapping[str, Any]
    maps: Tensor
    pictures: Tensor


@dataclass(frozen=True)
class Results:
    """`clean[0]` is the twin; `shown` has for every attack a stamped image, the mean change that the trigger makes."""

    names: tuple[str, ...]
    clean: tuple[Network, ...]
    poisoned: Mapping[str, Network]
    stamped: Mapping[str, Tensor]
    changes: Mapping[str, Tensor]
    public: tuple[tuple[PublicNetwork, Network], ...]

    @property
    def twin(self) -> Network:
        return self.clean[0]


def measure(settings: Settings, out: Path, on_progress: Callable[[str], None], models: Path | None) -> Results:
    """All measurements, resumed from the files in `out`."""
    recipe = settings.make_recipe()
    decisive = {name: value for name, value in asdict(settings).items() if name not in ("attacks", "clean")}
    parts = Parts(out, {**decisive, "recipe": recipe.to_json()}, on_progress)
    training, test = small_models.load_signs(settings.training + HELD_OUT, None).split(settings.training)
    attacks = {name: ATTACKS[name] for name in settings.attacks}

    def build(attack: Attack | None, seed: int) -> Network:
        name = f"{TWIN if attack is None else attack.name}-{seed}".replace(" ", "-")
        part = parts.get(name, lambda: measure_network(training, test, attack, seed, settings))
        return Network(name, part.numbers, part.tensors["maps"], part.tensors["pictures"])

    return Results(
        test.names,
        tuple(build(None, settings.seed + place) for place in range(settings.clean)),
        {name: build(attack, settings.seed) for name, attack in attacks.items()},
        {name: attack.stamp(test.images[:1])[0] for name, attack in attacks.items()},
        {name: (attack.stamp(test.images) - test.images).mean(dim=0) for name, attack in attacks.items()},
        measure_public(models, parts, recipe) if models is not None else (),
    )


def measure_network(training: Examples, test: Examples, attack: Attack | None, seed: int, settings: Settings) -> Part:
    """Train one network, and estimate the maps of all its classes."""
    data = training if attack is None else poison(training, attack, settings.target, seed)
    *_, (_, module) = small_models.train(data, seed, epochs=EPOCHS, width=WIDTH, batch=BATCH)
    classifier = small_models.make_classifier(module, test, f"signs {TWIN if attack is None else attack.name}")
    success = None if attack is None else measure_success(classifier, test, attack, settings.target)
    numbers = {"accuracy": small_models.measure_accuracy(classifier, test), "success": success}
    return estimate_all(classifier, settings.make_recipe(), numbers)


def estimate_all(classifier: Classifier, recipe: Recipe, numbers: Mapping[str, Any]) -> Part:
    """Maps of all classes of a network, and their pictures."""
    concepts = [Classes((index,), classifier.labels[index]) for index in range(len(classifier.labels))]
    maps = estimate_maps(classifier.fold(), concepts, recipe)
    return Part({**numbers, "score": score_maps(maps)}, {"maps": maps, "pictures": render_pictures(maps, recipe)})


def measure_public(models: Path, parts: Parts, recipe: Recipe) -> tuple[tuple[PublicNetwork, Network], ...]:
    """Maps of the networks of a folder with cards."""
    found = []
    for network in open_networks(models):
        part = parts.get(f"public-{network.name}", lambda: estimate_all(network.load(), recipe, {}))  # noqa: B023
        found.append((network, Network(network.name, part.numbers, part.tensors["maps"], part.tensors["pictures"])))
    return tuple(found)


def compare(results: Results, name: str, target: int) -> dict[str, Any]:
    """What the maps of a backdoored network show of its trigger, beside the other classes and the twin's maps.

    A map contains the trigger where its likeness exceeds that of all the twin's maps.
    """
    network, twin, change = results.poisoned[name], results.twin, results.changes[name]
    likeness, of_twin = measure_likeness(network.maps, change), measure_likeness(twin.maps, change)
    others = [place for place in range(len(likeness)) if place != target]
    row: dict[str, Any] = {
        "likeness": float(likeness[target]),
        "likeness of others": float(likeness[others].mean()),
        "likeness of the twin": float(of_twin[target]),
        "containing": int((likeness > of_twin.max()).sum()),
        "visible": bool(likeness[target] > max(of_twin.max(), likeness[others].max())),
    }
    region = ATTACKS[name].region
    if region is not None:
        place = region(network.maps.shape[-1])
        lift, twin_lift = measure_lift(network.maps, place), measure_lift(twin.maps, place)
        row |= {"lift": float(lift[target]), "lift of the twin": float(twin_lift[target])}
        row |= {"lift of others": float(lift[others].mean())}
        row["visible"] = row["visible"] or bool(lift[target] > max(twin_lift.max(), lift[others].max()))
    return row
