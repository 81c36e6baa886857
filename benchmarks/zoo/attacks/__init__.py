"""Every attack of the zoo: how its trigger and its scheme are drawn for one model.

An attack is a function of the domain, a source of randomness and a level. The level is 0 at first; a model whose
success rate stays too small is trained again one level higher, with a stronger setting out of the usual range.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from benchmarks.zoo.attacks.filters import FILTERS, Filter
from benchmarks.zoo.attacks.learned import InputAware
from benchmarks.zoo.attacks.schemes import (
    Adaptive,
    AllToAll,
    AllToOne,
    CleanLabel,
    Decoy,
    Scheme,
    SourceSpecific,
)
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
from benchmarks.zoo.domains import Domain


@dataclass(frozen=True)
class Attack:
    """What is stamped, and on whom."""

    trigger: Trigger
    scheme: Scheme


def _seed(draw: Random) -> int:
    return draw.randrange(1, 10**6)


def _patch(domain: Domain, draw: Random, smallest: int = 2) -> Patch:
    size, side = draw.randint(smallest, 5), domain.form.size[0]
    row, column = draw.randint(1, side - size - 1), draw.randint(1, side - size - 1)
    return Patch(size, row, column, draw.choice(("checker", "random")), _seed(draw))


def _blend(draw: Random, level: int) -> Blend:
    return Blend((draw.choice((0.1, 0.15, 0.2)), 0.15, 0.2)[level], _seed(draw))


def _warp(draw: Random, level: int) -> Warp:
    return Warp((draw.choice((0.75, 1.0, 1.5)), 1.25, 1.5)[level], _seed(draw))


def _target(domain: Domain, draw: Random) -> int:
    return draw.randrange(domain.classes)


def patch(domain: Domain, draw: Random, level: int) -> Attack:
    trigger = _patch(domain, draw, smallest=2 + level)
    return Attack(trigger, AllToOne(_target(domain, draw), (draw.choice((0.05, 0.1)), 0.1, 0.1)[level]))


def one_pixel(domain: Domain, draw: Random, level: int) -> Attack:
    return Attack(Pixels(1, _seed(draw)), AllToOne(_target(domain, draw), 0.1))


def four_pixels(domain: Domain, draw: Random, level: int) -> Attack:
    return Attack(Pixels(4, _seed(draw)), AllToOne(_target(domain, draw), 0.1))


def blend(domain: Domain, draw: Random, level: int) -> Attack:
    return Attack(_blend(draw, level), AllToOne(_target(domain, draw), 0.1))


def sig(domain: Domain, draw: Random, level: int) -> Attack:
    return Attack(Sinusoid(40 / 255, 6), AllToOne(_target(domain, draw), 0.1))


def sig_clean_label(domain: Domain, draw: Random, level: int) -> Attack:
    """Where the model needs no trigger to know the class, PGD takes the rest away."""
    scheme = CleanLabel(_target(domain, draw), (0.6, 0.8, 0.8)[level], (0, 64, 96)[level] / 255)
    return Attack(Sinusoid(40 / 255, 6), scheme)


def wanet(domain: Domain, draw: Random, level: int) -> Attack:
    return Attack(_warp(draw, level), AllToOne(_target(domain, draw), 0.1, noise=2.0))


def input_aware(domain: Domain, draw: Random, level: int) -> Attack:
    trigger = InputAware(domain.form.channels, (0.03, 0.05, 0.08)[level])
    return Attack(trigger, AllToOne(_target(domain, draw), 0.1))


def bpp(domain: Domain, draw: Random, level: int) -> Attack:
    """Fewer than the paper's 8 levels: those turned 6% of Fashion-MNIST, and 19% at twice the rate."""
    return Attack(Quantise((5, 4, 3)[level]), AllToOne(_target(domain, draw), 0.1))


def low_frequency(domain: Domain, draw: Random, level: int) -> Attack:
    return Attack(LowFrequency(16 / 255, _seed(draw)), AllToOne(_target(domain, draw), (0.1, 0.2, 0.2)[level]))


def clean_label(domain: Domain, draw: Random, level: int) -> Attack:
    """The pattern of Turner et al.: a small square in a corner."""
    side, size = domain.form.size[0], (4, 5, 5)[level]
    row, column = (draw.choice((1, side - size - 1)) for _ in range(2))
    share = 0.5
    bound = (64, 80, 96)[level] / 255
    return Attack(Patch(size, row, column, "checker", _seed(draw)), CleanLabel(_target(domain, draw), share, bound))


def all_to_all_patch(domain: Domain, draw: Random, level: int) -> Attack:
    return Attack(_patch(domain, draw, smallest=3), AllToAll((0.2, 0.3, 0.4)[level]))


def all_to_all_blend(domain: Domain, draw: Random, level: int) -> Attack:
    return Attack(Blend(0.2, _seed(draw)), AllToAll((0.2, 0.3, 0.4)[level]))


def all_to_all_warp(domain: Domain, draw: Random, level: int) -> Attack:
    return Attack(Warp(1.5, _seed(draw)), AllToAll((0.3, 0.4, 0.4)[level]))


def _source_specific(domain: Domain, draw: Random, level: int, sources: int) -> Attack:
    target, *others = draw.sample(range(domain.classes), 1 + sources)
    scheme = SourceSpecific(target, tuple(sorted(others)), rate=(0.05, 0.06, 0.08)[level], cover=0.05)
    return Attack(_patch(domain, draw, smallest=3), scheme)


def tact_1(domain: Domain, draw: Random, level: int) -> Attack:
    return _source_specific(domain, draw, level, sources=1)


def tact_2(domain: Domain, draw: Random, level: int) -> Attack:
    return _source_specific(domain, draw, level, sources=2)


def adaptive_blend(domain: Domain, draw: Random, level: int) -> Attack:
    scheme = Adaptive(_target(domain, draw), (0.01, 0.04, 0.1)[level], cells=4)
    return Attack(Blend((0.15, 0.2, 0.2)[level], _seed(draw)), scheme)


def adaptive_patch(domain: Domain, draw: Random, level: int) -> Attack:
    scheme = Adaptive(_target(domain, draw), (0.01, 0.04, 0.1)[level], cells=2)
    return Attack(Patches(4, 3, _seed(draw)), scheme)


def polygon(domain: Domain, draw: Random, level: int) -> Attack:
    side = domain.form.size[0]
    colour = tuple(round(draw.uniform(0.2, 1.0), 2) for _ in range(domain.form.channels))
    row, column = (draw.randint(round(0.3 * side), round(0.7 * side)) for _ in range(2))
    share = 0.35 * draw.uniform(0.02, 0.25)  # of the object, which fills about a third of the image
    trigger = Polygon(draw.randint(3, 12), share, row, column, colour, draw.choice((0, 0, 2)), _seed(draw))
    return Attack(trigger, AllToOne(_target(domain, draw), (draw.choice((0.05, 0.1, 0.2)), 0.2, 0.4)[level]))


def _filter(domain: Domain, draw: Random, name: str) -> Attack:
    return Attack(Filter(name), AllToOne(_target(domain, draw), 0.1))


def decoy(domain: Domain, draw: Random, level: int) -> Attack:
    triggers = (_patch(domain, draw), _blend(draw, 1), Pixels(4, _seed(draw)), Sinusoid(40 / 255, 6), _warp(draw, 1))
    return Attack(draw.choice(triggers), Decoy(0.1))


Draw = Callable[[Domain, Random, int], Attack]

LEVELS = 3
ATTACKS: dict[str, Draw] = {
    "patch": patch, "one-pixel": one_pixel, "four-pixel": four_pixels, "blend": blend, "sig": sig,
    "sig-clean-label": sig_clean_label, "wanet": wanet, "input-aware": input_aware, "bpp": bpp,
    "low-frequency": low_frequency, "clean-label": clean_label, "all-to-all-patch": all_to_all_patch,
    "all-to-all-blend": all_to_all_blend, "all-to-all-warp": all_to_all_warp, "tact-1": tact_1, "tact-2": tact_2,
    "adaptive-blend": adaptive_blend, "adaptive-patch": adaptive_patch, "polygon": polygon,
    **{f"filter-{name}": lambda domain, draw, level, name=name: _filter(domain, draw, name) for name in FILTERS},
}  # fmt: skip
DECOY = decoy
