"""Numbers of study 4: which forgeries succeed, what each asking shows, and how well doubt separates the networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from phosphene.studies.estimates import NO_ESTIMATE, Estimate, estimate_auc
from phosphene.studies.folder import Part
from phosphene.studies.forged.askings import list_askings
from phosphene.studies.forged.check import STATISTICS
from phosphene.studies.forged.networks import correlate

ASKINGS = tuple(list_askings(1, 1))
AGREES = 0.95  # of held-out images that a forged network must call as it did before
BESIDE = ", beside the other classes"  # of a statistic that compares a class with the others of its network
CHECKS = (*STATISTICS, *(f"{name}{BESIDE}" for name in STATISTICS))


def is_forged(part: Part) -> bool:
    return part.numbers["plan"]["victim"] is not None


def select(parts: Sequence[Part], development: bool, forged: bool) -> list[Part]:
    """Networks of one kind and split; of forged ones those whose forgery succeeded."""
    return [
        part
        for part in parts
        if part.numbers["plan"]["development"] == development
        and is_forged(part) == forged
        and (not forged or succeeds(part))
    ]


def list_forged(parts: Sequence[Part]) -> list[Part]:
    """All forged networks that are reported on, whether they succeeded or not."""
    return [part for part in parts if is_forged(part) and not part.numbers["plan"]["development"]]


def succeeds(part: Part) -> bool:
    """The network does its work and is sure of its map, which is more like the chosen picture than the honest one."""
    numbers = part.numbers
    return bool(
        numbers["agreement"] >= AGREES
        and numbers["own fidelity"] >= 0.5
        and numbers["correlation with the target"] > numbers["correlation with the honest map"]
    )


def measure_doubt(part: Part, check: str) -> float:
    """One number a network: of its most doubtful class."""
    if check.endswith(BESIDE):
        return float(part.numbers["stands out"][check.removesuffix(BESIDE)])
    return float(max(part.numbers["doubts"][check]))


def find_suspect(part: Part, check: str) -> int:
    """The most doubtful class."""
    return int(np.argmax(part.numbers["doubts"][check.removesuffix(BESIDE)]))


def list_doubts(parts: Sequence[Part], check: str) -> list[float]:
    return [measure_doubt(part, check) for part in parts]


@dataclass(frozen=True)
class Verdict:
    """A check with its bound, as the networks of development set it."""

    check: str
    bound: float

    def alarms(self, parts: Sequence[Part]) -> list[bool]:
        return [doubt > self.bound for doubt in list_doubts(parts, self.check)]


def choose_check(parts: Sequence[Part]) -> Verdict:
    """The check that separates the networks of development best; its bound lies one deviation above all honest ones."""
    honest, forged = select(parts, True, False), select(parts, True, True)
    ranked = sorted(CHECKS, key=lambda check: _rank(list_doubts(honest, check), list_doubts(forged, check)))
    doubts = list_doubts(honest, ranked[-1])
    return Verdict(ranked[-1], float(np.max(doubts) + np.std(doubts)))


def _rank(honest: Sequence[float], forged: Sequence[float]) -> tuple[float, float]:
    """Area under the ROC curve, and among equals the distance of the means in deviations of the honest networks."""
    if not honest or not forged:
        return 0.0, 0.0
    gap = (np.mean(forged) - np.mean(honest)) / max(float(np.std(honest)), 1e-6)
    return estimate_auc(forged, honest).mean, float(gap)


def estimate_power(parts: Sequence[Part], check: str) -> Estimate:
    """Area under the ROC curve on the networks that are reported on."""
    honest, forged = select(parts, False, False), select(parts, False, True)
    if not honest or not forged:
        return NO_ESTIMATE
    return estimate_auc(list_doubts(forged, check), list_doubts(honest, check))


def read_pictures(part: Part) -> Tensor:
    """`(askings, classes, C, S, S)` in [0,1]."""
    return part.tensors["pictures"].to(torch.float32) / 255


def list_correlations(part: Part, picture: str) -> list[float]:
    """Correlation of the victim's picture of each asking with the `target` or with the `honest` map."""
    victim = part.numbers["plan"]["victim"]
    return [correlate(row[victim], part.tensors[picture]) for row in read_pictures(part)]
