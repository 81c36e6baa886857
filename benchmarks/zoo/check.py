"""Do the models hold what their cards say, and can clean and poisoned ones be told apart by what is no evidence?

Three questions. Are accuracy and success rate what the card says, measured again? Is a poisoned model as accurate as
its clean peers, those of the same domain, architecture and kind of training? And is a trivial classifier on the
metadata and counters of the files at chance?
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import rankdata
from torch import nn

from benchmarks.zoo.building import accuracy, success_rate
from benchmarks.zoo.cards import MAIN, WEAK, Card, load
from benchmarks.zoo.domains import DOMAINS
from benchmarks.zoo.training import Normalised

TOLERANCE = 0.005  # kernels of other machines may turn an image that lies on a border
GAP = 0.02  # by which a poisoned model may be less accurate than its clean peers
FOLDS, REPEATS, RESAMPLES = 5, 10, 500

Matrix = NDArray[np.float64]


def measure_again(cards: Sequence[Card]) -> list[tuple[Card, float, float | None]]:
    """Accuracy and success rate of each model from its weights and its trigger's parameters."""
    found = []
    for card in cards:
        domain = DOMAINS[card.domain]
        model: nn.Module = Normalised(load(card).module, domain).eval()
        success = success_rate(model, domain, card.made) if card.poisoned else None
        found.append((card, accuracy(model, domain), success))
    return found


def measure_gaps(cards: Sequence[Card]) -> dict[str, float]:
    """By how much each poisoned model is more accurate than the median of its clean peers."""
    peers: dict[tuple[str, str, bool], list[float]] = defaultdict(list)
    for card in cards:
        if not card.poisoned:
            peers[card.domain, card.architecture, card.adversarial].append(card.accuracy)
            peers[card.domain, card.architecture, not card.adversarial] += []
    found = {}
    for card in cards:
        alike = peers.get((card.domain, card.architecture, card.adversarial)) or peers.get(
            (card.domain, card.architecture, not card.adversarial)
        )
        if card.poisoned and alike:
            found[card.name] = card.accuracy - median(alike)
    return found


def read_counters(card: Card) -> list[float]:
    """What a file tells without its weights: size, number and length of metadata, tensors, steps of batch norms."""
    with safe_open(card.weights, "pt") as file:
        metadata = file.metadata() or {}
        steps = [int(file.get_tensor(name)) for name in file.keys() if name.endswith("num_batches_tracked")]  # noqa: SIM118
        tensors = len(file.keys())
    said = sum(len(key) + len(value) for key, value in metadata.items())
    return [card.weights.stat().st_size, len(metadata), said, tensors, max(steps, default=0), len(steps)]


def read_statistics(card: Card) -> list[float]:
    """Means and spreads of what batch norms have seen; zeros for networks without any."""
    weights = load_file(card.weights)
    found = []
    for ending in ("running_mean", "running_var"):
        seen = [tensor for name, tensor in weights.items() if name.endswith(ending)]
        means, spreads = [float(tensor.mean()) for tensor in seen], [float(tensor.std()) for tensor in seen]
        found += [mean(means), mean(spreads)] if seen else [0.0, 0.0]
    return found


def auc(scores: Matrix, positive: NDArray[np.bool_]) -> float:
    """The chance that a positive scores higher than a negative, ties halved."""
    ranks = rankdata(scores)[positive].sum()
    count, others = int(positive.sum()), int((~positive).sum())
    return float((ranks - count * (count + 1) / 2) / (count * others))


def fit_logistic(features: Matrix, positive: NDArray[np.bool_], strength: float = 1.0) -> NDArray[np.float64]:
    """Weights of a ridge-regularised logistic regression, the constant last."""
    rows = np.column_stack([features, np.ones(len(features))])

    def loss(weights: Matrix) -> tuple[float, Matrix]:
        margins = np.where(positive, 1, -1) * (rows @ weights)
        slope = rows.T @ (expit(rows @ weights) - positive) + strength * np.append(weights[:-1], 0)
        return float(np.logaddexp(0, -margins).sum() + strength / 2 * (weights[:-1] ** 2).sum()), slope

    return minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B").x


def measure_separability(features: Matrix, positive: NDArray[np.bool_], seed: int = 0) -> tuple[float, float, float]:
    """Cross-validated AUC with its 95% interval over resampled models; the mean of AUCs over several ways to fold.

    Scores are not averaged before: where there is nothing to find, a held-out model lies on the wrong side of the
    mean of the others, and averaging would make that a rule.
    """
    features = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-9)
    draw = np.random.default_rng(seed)
    scores = [_score_held_out(features, positive, draw) for _ in range(REPEATS)]

    def over(rows: NDArray[np.int_]) -> float:
        return float(np.mean([auc(one[rows], positive[rows]) for one in scores]))

    resampled: list[float] = []
    while len(resampled) < RESAMPLES:
        rows = draw.integers(len(positive), size=len(positive))
        if 0 < positive[rows].sum() < len(rows):
            resampled.append(over(rows))
    low, high = np.quantile(resampled, [0.025, 0.975])
    return over(np.arange(len(positive))), float(low), float(high)


def _score_held_out(features: Matrix, positive: NDArray[np.bool_], draw: np.random.Generator) -> Matrix:
    """Scores of models that the regression has not seen, from folds with equal shares of both kinds."""
    folds = np.empty(len(features), dtype=int)
    for kind in (True, False):
        rows = np.flatnonzero(positive == kind)
        folds[draw.permutation(rows)] = np.arange(len(rows)) % FOLDS
    scores = np.empty(len(features))
    for fold in range(FOLDS):
        weights = fit_logistic(features[folds != fold], positive[folds != fold])
        scores[folds == fold] = features[folds == fold] @ weights[:-1]
    return scores


def list_checks(cards: Sequence[Card], again: Sequence[tuple[Card, float, float | None]]) -> list[dict[str, Any]]:
    """A row a check: what was measured, what is wanted, and whether that holds."""
    changes = [abs(accuracy - card.accuracy) for card, accuracy, _ in again]
    changes += [abs(success - card.success) for card, _, success in again if success is not None and card.success]
    strata = [card for card, _, success in again if success is not None and _stratum(success) != card.stratum]
    apart = list(measure_gaps(cards).values())
    near = sum(gap >= -GAP for gap in apart)
    largest = max(changes, default=0)
    middle = median(apart or [math.nan])
    rows = [
        _row("models measured again", str(len(again)), "", True),
        _row("largest change of accuracy or success rate", f"{largest:.4f}", f"≤ {TOLERANCE}", largest <= TOLERANCE),
        _row("models in another stratum than their card says", str(len(strata)), "0", not strata),
        _row(
            "poisoned models at most 2 points below their clean peers",
            f"{near} of {len(apart)}",
            "all",
            near == len(apart),
        ),
        _row("median gap to clean peers, in points", f"{100 * middle:+.1f}", "≥ -2.0", middle >= -GAP),
    ]
    positive = np.array([card.poisoned for card in cards])
    for name, features in (("file and batch-norm counters", read_counters), ("batch-norm statistics", read_statistics)):
        area, low, high = measure_separability(np.array([features(card) for card in cards], dtype=float), positive)
        interval = f"{area:.2f} [{low:.2f}, {high:.2f}]"
        wanted = "no better than chance: lower end ≤ 0.5"
        rows.append(_row(f"AUC of a trivial classifier on {name}", interval, wanted, low <= 0.5))
    return rows


def _stratum(success: float) -> str:
    return "main" if success >= MAIN else "weak" if success >= WEAK else "none"


def _row(check: str, measured: str, wanted: str, holds: bool) -> dict[str, str]:
    return {"check": check, "measured": measured, "wanted": wanted, "holds": "yes" if holds else "no"}


def count_kinds(cards: Sequence[Card], discarded: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a kind of model: how many in each split and stratum, how accurate, how well the attack works."""
    apart = measure_gaps(cards)
    given_up = [Card.kind_of(one["attack"]) for one in discarded]
    order = list(dict.fromkeys(card.kind for card in sorted(cards, key=lambda card: (card.poisoned, card.name))))
    return [_describe_kind(kind, [card for card in cards if card.kind == kind], apart, given_up) for kind in order]


def _describe_kind(
    kind: str, cards: Sequence[Card], gaps: Mapping[str, float], given_up: Sequence[str]
) -> dict[str, Any]:
    """The row of one kind of model."""
    rates = [card.success for card in cards if card.success is not None]
    fashion = [card.accuracy for card in cards if card.domain == "fashion"]
    signs = [card.accuracy for card in cards if card.domain != "fashion"]
    own_gaps = [gaps[card.name] for card in cards if card.name in gaps]
    return {
        "kind": kind,
        "dev": sum(card.split == "dev" for card in cards),
        "test": sum(card.split == "test" for card in cards),
        "of these weak": sum(card.stratum == "weak" for card in cards) if rates else "",
        "given up": given_up.count(kind) if rates else "",
        "success, median (lowest)": f"{median(rates):.3f} ({min(rates):.3f})" if rates else "",
        "accuracy, Fashion / signs": " / ".join(f"{median(one):.3f}" if one else "–" for one in (fashion, signs)),
        "gap to clean peers, points": f"{100 * median(own_gaps):+.1f}" if own_gaps else "",
    }


def load_discarded(folder: Path) -> list[dict[str, Any]]:
    """What no setting made work: name, attack and the success rates that were reached."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.discarded"))]
