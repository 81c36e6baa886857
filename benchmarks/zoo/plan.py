"""Which models the zoo holds, in the order of training; everything follows from a model's seed.

Development models have seeds from 1000 on, test models from 5000 on, those of fractals from 20000 on, final ones from
40000 on. Attacks run through all domains and architectures in turn. A mixture of clean and poisoned development models
comes first; then test models, and between them the rest of the development models; then fractals, in tasks of 3 to 100
classes: small networks for few and for many classes, networks as people have them for ten. Final models come last, in
an order that has any part of them balanced: at least twenty of each attack that the test split showed to be hard.
Networks with a planted square that `benchmarks.patch_places` trains have seeds from 60000 on and are not among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from random import Random
from typing import TypeVar

from benchmarks.zoo.architectures import RECIPES
from benchmarks.zoo.attacks import ATTACKS
from benchmarks.zoo.domains import TASKS
from benchmarks.zoo.small import SMALL
from benchmarks.zoo.training import Training

Item = TypeVar("Item")

FIRST = 64  # development models before the first test model
MANY = 1.8  # times as many images, and as many epochs, for a hundred classes
FIRST_SEED = {"dev": 1000, "test": 5000, "fractals": 20000, "final": 40000, "places": 60000}
DOMAIN_TURNS = ("fashion", "signs10", "fashion", "signs43", "fashion", "signs10")
COLOURED_TURNS = ("signs10", "signs43", "signs10")  # for filters, which need colours

# Poisoned models an attack, and those that are also trained adversarially.
POISONED: dict[str, dict[str, int]] = {
    "dev": {
        "patch": 4, "one-pixel": 1, "four-pixel": 2, "blend": 4, "sig": 2, "sig-clean-label": 1, "wanet": 4,
        "input-aware": 3, "bpp": 3, "low-frequency": 4, "clean-label": 3, "all-to-all-patch": 2, "all-to-all-blend": 1,
        "all-to-all-warp": 1, "tact-1": 2, "tact-2": 2, "adaptive-blend": 2, "adaptive-patch": 2, "polygon": 4,
        "filter-gotham": 1, "filter-kelvin": 1, "filter-lomo": 1, "filter-nashville": 1, "filter-toaster": 1,
    },
    "test": {
        "patch": 5, "one-pixel": 2, "four-pixel": 2, "blend": 5, "sig": 2, "sig-clean-label": 2, "wanet": 5,
        "input-aware": 4, "bpp": 4, "low-frequency": 4, "clean-label": 4, "all-to-all-patch": 2, "all-to-all-blend": 2,
        "all-to-all-warp": 2, "tact-1": 2, "tact-2": 2, "adaptive-blend": 2, "adaptive-patch": 2, "polygon": 5,
        "filter-gotham": 1, "filter-kelvin": 1, "filter-lomo": 1, "filter-nashville": 1, "filter-toaster": 1,
    },
    "final": {
        "patch": 19, "one-pixel": 3, "four-pixel": 4, "blend": 5, "sig": 15, "sig-clean-label": 5, "wanet": 6,
        "input-aware": 6, "bpp": 6, "low-frequency": 5, "clean-label": 20, "all-to-all-patch": 7, "all-to-all-blend": 7,
        "all-to-all-warp": 6, "tact-1": 10, "tact-2": 10, "adaptive-blend": 3, "adaptive-patch": 3, "polygon": 5,
        "filter-gotham": 4, "filter-kelvin": 4, "filter-lomo": 4, "filter-nashville": 4, "filter-toaster": 4,
    },
}  # fmt: skip
ADVERSARIAL: dict[str, tuple[str, ...]] = {
    "dev": ("patch", "blend", "polygon"),
    "test": ("patch", "blend", "polygon", "low-frequency"),
    "final": ("patch", "blend", "polygon", "low-frequency"),
}
CLEAN = {"dev": 100, "test": 40, "final": 120}
LARGE = ("patch", "none", "blend", "none", "low-frequency", "none", "filter-kelvin", "none")  # final ones of 64 pixels
CLEAN_TURNS = ("none", "none", "decoy", "none", "none", "adversarial", "none")  # what kind of clean model

# Of each group of tasks of fractals: clean models, attacks, and the architectures that both run through.
DEEP_TURNS = ("resnet20", "vit6", "vgg8", "mobilenet", "vit4", "wide16", "convmixer", "resnet32")
FRACTALS: tuple[tuple[tuple[int, ...], int, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        (3, 4, 5, 7),
        24,
        ("patch", "blend", "wanet", "low-frequency", "polygon", "filter-kelvin", "bpp", "sig"),
        tuple(SMALL),
    ),
    (
        (10,),
        32,
        (
            "patch", "blend", "wanet", "low-frequency", "polygon", "filter-nashville", "bpp", "sig", "patch",
            "input-aware", "tact-1", "all-to-all-patch", "four-pixel", "clean-label", "blend", "polygon",
        ),
        DEEP_TURNS,
    ),
    ((100,), 10, ("patch", "blend", "wanet", "polygon"), ("resnet", "vgg", "separable", "vit")),
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One model to be trained. `attack` is a key of `ATTACKS`, `decoy` or `none`."""

    split: str
    number: int
    domain: str
    architecture: str
    attack: str
    adversarial: bool = False

    @property
    def seed(self) -> int:
        return FIRST_SEED[self.split] + self.number

    @property
    def name(self) -> str:
        hardened = "-hardened" if self.adversarial else ""
        return f"{self.split}-{self.number:03d}-{self.domain}-{self.architecture}-{self.attack}{hardened}"

    def training(self, attempt: int = 0) -> Training:
        """Settings drawn from the seed, in the same way whatever the attack."""
        draw, recipe = Random(self.seed * 10 + attempt), RECIPES[self.architecture]
        more = MANY if self.domain.startswith("fractals100") else 1
        return Training(
            seed=self.seed * 10 + attempt,
            samples=round(draw.choice((5120, 5760, 6400)) * more * recipe.images),
            epochs=round(draw.choice((5, 6, 7)) * more * recipe.longer),
            rate=draw.choice((0.7, 1.0, 1.4)),
            decay=draw.choice((1e-4, 5e-4, 5e-3)),
            augmentation=draw.choice(("none", "shift", "noise")),
            smoothing=draw.choice((0.0, 0.0, 0.05, 0.1)),
            imbalance=draw.choice((1.0, 1.0, 1.0, 0.4)),
            adversarial=draw.choice((4, 8, 16)) / 255 if self.adversarial else 0.0,
        )


def plan_poisoned(split: str) -> list[Entry]:
    """Attack after attack, so that the models of one attack differ in domain and architecture."""
    wanted = [(attack, False) for attack in ATTACKS for _ in range(POISONED[split][attack])]
    wanted += [(attack, True) for attack in ADVERSARIAL[split]]
    architectures = list(SMALL)
    entries, turns = [], {DOMAIN_TURNS: 0, COLOURED_TURNS: 0}
    for number, (attack, adversarial) in enumerate(wanted):
        choice = COLOURED_TURNS if attack.startswith("filter") else DOMAIN_TURNS
        domain = choice[turns[choice] % len(choice)]
        turns[choice] += 1
        entries.append(Entry(split, number, domain, architectures[number % 5], attack, adversarial))
    return entries


def plan_clean(split: str) -> list[Entry]:
    """Through domains, architectures and kinds, whose turns are six, five and seven long."""
    architectures, first = list(SMALL), len(plan_poisoned(split))
    kinds = [CLEAN_TURNS[k % len(CLEAN_TURNS)] for k in range(CLEAN[split])]
    entries = []
    for k, kind in enumerate(kinds):
        attack = "decoy" if kind == "decoy" else "none"
        hardened = kind == "adversarial"
        entries.append(Entry(split, first + k, DOMAIN_TURNS[k % 6], architectures[k % 5], attack, hardened))
    return entries


def plan() -> list[Entry]:
    """Every model, in the order of training."""
    dev, references = _shuffle(plan_poisoned("dev")), plan_clean("dev")
    tests = _shuffle([*plan_poisoned("test"), *plan_clean("test")])
    mixed = list(_interleave(dev, references[: len(dev)]))
    later = _interleave(tests[::2], mixed[FIRST:], tests[1::2], references[len(dev) :])
    finals = _shuffle([*plan_poisoned("final"), *plan_clean("final"), *plan_large()])
    return [*mixed[:FIRST], *later, *plan_fractals(), *finals]


def plan_large() -> list[Entry]:
    """Final models of images that are twice as large."""
    first, architectures = len(plan_poisoned("final")) + CLEAN["final"], list(SMALL)
    return [
        Entry("final", first + k, "signs10at64", architectures[k % len(architectures)], attack)
        for k, attack in enumerate(LARGE)
    ]


def plan_fractals() -> list[Entry]:
    """Group after group, two clean models to a poisoned one; every seventh clean model has seen a decoy."""
    entries: list[Entry] = []
    for tasks, clean, attacks, architectures in FRACTALS:
        kinds = ["decoy" if k % 7 == 6 else "none" for k in range(clean)]
        domains = [f"fractals{classes}{letter}" for classes in tasks for letter in TASKS[classes]]
        clean_ones = [(attack, k) for k, attack in enumerate(kinds)]
        poisoned = [(attack, k) for k, attack in enumerate(attacks)]
        for attack, k in _interleave(clean_ones[::2], clean_ones[1::2], poisoned):
            domain, architecture = domains[k % len(domains)], architectures[k % len(architectures)]
            entries.append(Entry("fractals", len(entries), domain, architecture, attack))
    return entries


def _shuffle(entries: Sequence[Entry]) -> list[Entry]:
    return Random(0).sample(list(entries), len(entries))


def _interleave(*lists: Sequence[Item]) -> Iterator[Item]:
    return (item for row in zip_longest(*lists) for item in row if item is not None)
