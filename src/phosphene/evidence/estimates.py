"""Averages over maps with 95% intervals, and the refusal of numbers that cannot mean anything.

A number that is not finite, that was measured on nothing or that could not have come out otherwise raises
`MeaninglessScore` instead of entering an average.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from phosphene.core.intervals import auc, student, wilson
from phosphene.errors import MeaninglessScore

SHUFFLES = 9999
DIGITS = 4  # enough for every table, and short enough to read in an artifact
ANY, SHARE, COSINE = (-math.inf, math.inf), (0.0, 1.0), (-1.0, 1.0)  # ranges of a mean


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` maps with its 95% interval, which is unknown (None) where there is a single map."""

    value: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True)
class PartnerTest:
    """Are partners more similar than others: an AUC (`separation`), and its p-value by permutation (`chance`)."""

    separation: float
    chance: float


def check_finite(score: str, values: Tensor | Sequence[float], *, varying: bool = False) -> Tensor:
    """The values as a float32 tensor. Raises `MeaninglessScore`, which names the score, where there are none, one is
    not finite or, with `varying`, all are equal."""
    checked = torch.as_tensor(values, dtype=torch.float32)
    if checked.numel() == 0:
        raise MeaninglessScore(f"{score} was computed on zero samples; expected at least one; ask for more --samples")
    if not checked.isfinite().all():
        raise MeaninglessScore(f"{score} is not finite; expected numbers; look for NaN in the model or the map")
    if varying and bool((checked == checked.flatten()[0]).all()):
        raise MeaninglessScore(
            f"{score} is {checked.flatten()[0].item():g} throughout; expected it to depend on what is measured; "
            f"the map is empty, or the model gives the same outputs for every image"
        )
    return checked


def estimate_rate(score: str, shares: Sequence[float]) -> Estimate:
    """Mean of shares in [0,1], one a map, with Wilson's interval.

    A share of several draws counts as one observation, because draws of one map are not independent.
    """
    values = check_finite(score, shares)
    share = values.mean().item()
    low, high = wilson(share, len(values))
    return Estimate(round(share, DIGITS), round(low, DIGITS), round(high, DIGITS), len(values))


def estimate_mean(score: str, numbers: Sequence[float] | Tensor, within: tuple[float, float] = ANY) -> Estimate:
    """Mean of numbers, one a map, with Student's interval cut to the range of the score."""
    values = check_finite(score, numbers).double()
    mean, interval = round(values.mean().item(), DIGITS), student(values.tolist())
    if interval is None:
        return Estimate(mean, None, None, len(values))
    low, high = max(within[0], interval[0]), min(within[1], interval[1])
    return Estimate(mean, round(low, DIGITS), round(high, DIGITS), len(values))


def separation(score: str, same: Sequence[float] | Tensor, different: Sequence[float] | Tensor) -> float:
    """AUC: the probability that a random number of `same` exceeds one of `different`, ties counting half."""
    high, low = check_finite(score, same).flatten(), check_finite(score, different).flatten()
    check_finite(score, torch.cat([high, low]), varying=True)
    return auc(high.tolist(), low.tolist())


def compare_partners(score: str, matrix: Tensor) -> PartnerTest | None:
    """Whether partners, on the diagonal of a matrix `(n, n)` of similarities, are more similar than others.

    The p-value is the share of shuffled partnerships that are as similar on average. None where n is 1.
    """
    count = len(matrix)
    if count < 2:
        return None
    own = matrix.diagonal()
    area = separation(score, own, matrix[~torch.eye(count, dtype=torch.bool)])
    generator = torch.Generator().manual_seed(0)
    shuffled = torch.rand(SHUFFLES, count, generator=generator).argsort(dim=1)
    similarity = matrix[torch.arange(count), shuffled].mean(dim=1)
    as_high = (
        (similarity >= own.mean() - 1e-6).sum().item()
    )  # the same numbers in another order may sum to a little less
    return PartnerTest(round(area, DIGITS), round((1 + as_high) / (1 + SHUFFLES), DIGITS))


def round_all(numbers: Sequence[float] | Tensor) -> list[float]:
    """Plain numbers of four decimals."""
    return [round(float(number), DIGITS) for number in numbers]
