"""What every score must be before anybody reads it: measured on something, finite, and able to come out otherwise.

A score that is not is refused with `MeaninglessScore` instead of being averaged into a table. Averages carry 95%
intervals: of rates after Wilson (JASA 1927), which stay honest at 0% and 100%; of other means after Student.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from phosphene.errors import MeaninglessScore

NORMAL_95 = 1.959964
SHUFFLES = 9999
ANY, SHARE, COSINE = (-math.inf, math.inf), (0.0, 1.0), (-1.0, 1.0)


def sound(score: str, values: Tensor | Sequence[float], *, varying: bool = False) -> Tensor:
    """The values as they are; raises `MeaninglessScore` where there are none, one is not finite or, where they ought
    to vary, all are the same."""
    checked = torch.as_tensor(values, dtype=torch.float32)
    if checked.numel() == 0:
        raise MeaninglessScore(f"{score} was computed on zero samples; expected at least one; ask for more --samples")
    if not checked.isfinite().all():
        raise MeaninglessScore(f"{score} is not finite; expected numbers; look for NaN in the model or the map")
    if varying and bool((checked == checked.flatten()[0]).all()):
        raise MeaninglessScore(
            f"{score} is {checked.flatten()[0].item():g} throughout; expected it to depend on what is measured; "
            f"the map is empty, or the model answers the same to everything"
        )
    return checked


def rate(score: str, shares: Sequence[float]) -> dict[str, Any]:
    """Mean of shares in [0,1], one a map, with its Wilson interval.

    A share of several draws counts as one observation: draws of one map are no independent witnesses.
    """
    values = sound(score, shares)
    count, share = len(values), values.mean().item()
    shrink = 1 + NORMAL_95**2 / count
    centre = (share + NORMAL_95**2 / (2 * count)) / shrink
    reach = NORMAL_95 / shrink * math.sqrt(max(0.0, share * (1 - share) / count + NORMAL_95**2 / (4 * count**2)))
    return _estimate(share, max(0.0, centre - reach), min(1.0, centre + reach), count)


def mean(score: str, numbers: Sequence[float] | Tensor, within: tuple[float, float] = ANY) -> dict[str, Any]:
    """Mean with Student's interval, cut to what is possible; of a single number the interval is unknown (None)."""
    from scipy.stats import t

    values = sound(score, numbers).double()
    count, middle = len(values), values.mean().item()
    if count < 2:
        return _estimate(middle, None, None, count)
    reach = float(t.ppf(0.975, count - 1)) * values.std().item() / math.sqrt(count)
    return _estimate(middle, max(within[0], middle - reach), min(within[1], middle + reach), count)


def separation(score: str, same: Sequence[float] | Tensor, different: Sequence[float] | Tensor) -> float:
    """AUC: the chance that a random number of `same` exceeds one of `different`, ties counting half.

    1 tells them apart without a mistake, 0.5 not at all.
    """
    high, low = sound(score, same), sound(score, different)
    sound(score, torch.cat([high.flatten(), low.flatten()]), varying=True)
    gap = high.flatten()[:, None] - low.flatten()[None, :]
    return ((gap > 0).float() + 0.5 * (gap == 0).float()).mean().item()


def matched(score: str, matrix: Tensor) -> dict[str, float] | None:
    """Whether partners, on the diagonal of `(n, n)`, are more alike than others: as an AUC, and by how much chance.

    `chance` is the share of shuffled partnerships that are as alike on average: under 0.05 something tells partners
    apart. None where there is nobody else to be partner of.
    """
    count = len(matrix)
    if count < 2:
        return None
    own = matrix.diagonal()
    apart = separation(score, own, matrix[~torch.eye(count, dtype=torch.bool)])
    generator = torch.Generator().manual_seed(0)
    shuffled = torch.rand(SHUFFLES, count, generator=generator).argsort(dim=1)
    alike = matrix[torch.arange(count), shuffled].mean(dim=1)
    as_high = (alike >= own.mean() - 1e-6).sum().item()  # the sum of the same numbers in another order may differ
    return {"separation": round(apart, 4), "chance": round((1 + as_high) / (1 + SHUFFLES), 4)}


def rounded(numbers: Sequence[float] | Tensor, digits: int = 4) -> list[float]:
    """Plain numbers, short enough to be read in an artifact."""
    return [round(float(number), digits) for number in numbers]


def _estimate(value: float, low: float | None, high: float | None, count: int) -> dict[str, Any]:
    bounds = {name: None if bound is None else round(bound, 4) for name, bound in (("low", low), ("high", high))}
    return {"value": round(value, 4), **bounds, "count": count}
