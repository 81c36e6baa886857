"""The numbers of the studies: shares of a heat map, rank correlations, and means with their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import brentq
from scipy.stats import binomtest, norm, rankdata
from scipy.stats import t as student
from torch import Tensor

NORMAL = 1.959964  # the 97.5th percentile of the normal distribution
RESAMPLES = 4000
EDGE = 1e-9
CELLS = 14  # side of the grid on which maps are ranked: the coarsest methods know no finer place


@dataclass(frozen=True)
class Estimate:
    """A number made of `count` cases with its 95% interval; of no cases it is `nan` and shown as a dash."""

    mean: float
    low: float
    high: float
    count: int

    def to_json(self) -> dict[str, Any]:
        return {name: round(value, 4) for name, value in asdict(self).items()}

    def __str__(self) -> str:
        if not self.count:
            return "–"
        return f"{self.mean:.2f} ({self.low:.2f} to {self.high:.2f})".replace("-", "−")


NOTHING = Estimate(float("nan"), float("nan"), float("nan"), 0)


def estimated(values: Sequence[float], clusters: Sequence[object] | None = None, seed: int = 0) -> Estimate:
    """Mean and interval of `RESAMPLES` resamples, fixed by the seed.

    Cases of one cluster, such as a photograph's, are drawn together, for they are not independent.
    """
    if not len(values):
        return NOTHING
    sample = np.asarray(values, dtype=float)
    sums, counts, drawn = _resampled(sample, clusters, seed)
    return _interval(float(sample.mean()), sums / counts, len(sample), drawn)


def effect_size(differences: Sequence[float]) -> float:
    """Cohen's d of paired differences: their mean over their deviation."""
    sample = np.asarray(differences, dtype=float)
    return float(sample.mean() / max(sample.std(ddof=1), 1e-12)) if len(sample) > 1 else float("nan")


def estimated_effect(differences: Sequence[float], clusters: Sequence[object] | None = None, seed: int = 0) -> Estimate:
    """Cohen's d with the interval of the resamples that `estimated` takes."""
    sample = np.asarray(differences, dtype=float)
    if len(sample) < 2 or sample.std() == 0:
        return NOTHING
    (sums, counts, drawn), (squares, _, _) = (_resampled(one, clusters, seed) for one in (sample, sample**2))
    variance = (squares - sums**2 / counts) / np.maximum(counts - 1, 1)
    deviations = np.sqrt(np.where(variance > EDGE * sample.var(), variance, np.nan))  # no d of cases all alike
    return _interval(effect_size(differences), sums / counts / deviations, len(sample), drawn)


def separation(positives: Sequence[float], negatives: Sequence[float]) -> Estimate:
    """Probability that a positive exceeds a negative (area under the ROC curve); 0.5 tells nothing.

    The interval is Newcombe's (2006, method 5): one that does not shrink to a point where the two do not overlap.
    """
    more, fewer = len(positives), len(negatives)
    above = rankdata([*positives, *negatives])[:more].sum() - more * (more + 1) / 2
    area = float(above / (more * fewer))

    def off(theta: float) -> float:
        skew = (1 - theta) / (2 - theta) + theta / (1 + theta)
        variance = theta * (1 - theta) * (1 + ((more + fewer) / 2 - 1) * skew) / (more * fewer)
        return float((area - theta) ** 2 - NORMAL**2 * variance)

    # Negative at the area, positive at 0 and at 1: a root on either side, but for an area that is an end itself.
    inside = min(max(area, EDGE), 1 - EDGE)
    low = brentq(off, 0.0, inside) if area > 0 else 0.0
    high = brentq(off, inside, 1.0) if area < 1 else 1.0
    return Estimate(area, float(low), float(high), more + fewer)


def rate(hits: Sequence[bool]) -> Estimate:
    """The share of hits with its Wilson interval."""
    if not hits:
        return NOTHING
    bounds = binomtest(sum(hits), len(hits)).proportion_ci(0.95, method="wilson")
    return Estimate(sum(hits) / len(hits), float(bounds.low), float(bounds.high), len(hits))


def share_inside(heat: Tensor, region: Tensor) -> float:
    """The share of a heat map `(H, W)` ≥ 0 that lies in a region `(H, W)` of 0 and 1; an empty map is spread evenly."""
    total = heat.sum()
    return float((heat * region).sum() / total) if total > 0 else float(region.mean())


def rank_correlation(one: Tensor, other: Tensor, cells: int = CELLS) -> float:
    """Spearman's correlation of two maps `(H, W)` on a grid of `cells`; 0 where one of them is the same everywhere."""
    ranks = [torch.from_numpy(rankdata(coarse(heat, cells).flatten().numpy())) for heat in (one, other)]
    centred = [rank - rank.mean() for rank in ranks]
    lengths = centred[0].norm() * centred[1].norm()
    return float(centred[0] @ centred[1] / lengths) if lengths > 0 else 0.0


def coarse(heat: Tensor, cells: int = CELLS) -> Tensor:
    """Mean of `(H, W)` in each of `cells × cells` squares."""
    return F.adaptive_avg_pool2d(heat[None].float(), min(cells, *heat.shape))[0]


def _resampled(sample: Any, clusters: Sequence[object] | None, seed: int) -> tuple[Any, Any, int]:
    """Sums and counts of `RESAMPLES` resamples of whole clusters, and how many clusters there are."""
    _, member = np.unique(np.asarray(clusters if clusters is not None else range(len(sample))), return_inverse=True)
    sums, counts = np.bincount(member, weights=sample), np.bincount(member)
    drawn = np.random.default_rng(seed).integers(len(sums), size=(RESAMPLES, len(sums)))
    return sums[drawn].sum(axis=1), counts[drawn].sum(axis=1), len(sums)


def _interval(mean: float, resamples: Any, count: int, drawn: int) -> Estimate:
    """The expanded percentile interval: of few clusters the usual percentiles are too narrow.

    Source: T. Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 2015.
    """
    reach = student.ppf(0.975, drawn - 1) * (drawn / (drawn - 1)) ** 0.5 if drawn > 1 else NORMAL
    low, high = np.nanpercentile(resamples, [100 * norm.cdf(-reach), 100 * norm.cdf(reach)])
    return Estimate(mean, float(low), float(high), count)
