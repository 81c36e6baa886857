"""Does the map of one concept raise another concept too?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from phosphene.evidence.case import Case
from phosphene.evidence.estimates import DIGITS, check_finite, round_all
from phosphene.evidence.figure import Figure, Matrix
from phosphene.evidence.measure import MapMeasure, RunInfo
from phosphene.evidence.stamping import center_logits
from phosphene.evidence.table import Table, make_table, share_cell

PAIRS = 8  # most entangled pairs that are named
LARGEST_MATRIX = 16  # concepts; a larger matrix is written to evidence.json and not drawn


@dataclass(frozen=True)
class EntanglementScore:
    """How far the map raises the score of each concept of the run, by name, in centred logits."""

    raised: Mapping[str, float]


@dataclass(frozen=True)
class EntangledPair:
    """The map of `map_of` raises the concept `raises` by this share of what the concept's own map does."""

    map_of: str
    raises: str
    share: float


@dataclass(frozen=True)
class EntanglementSummary:
    """`matrix[i][j]` is the rise of concept j by the map of i over its rise by its own map; `pairs` are the largest.

    `unraised` are the concepts that their own maps do not raise, as of a network that has learned nothing: of them
    there is no share, and they are not among `concepts`.
    """

    concepts: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    pairs: tuple[EntangledPair, ...]
    unraised: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entanglement(MapMeasure[EntanglementScore, EntanglementSummary]):
    """The rise of each concept of the run, on the same draws and views for all maps: rows differ by the map alone."""

    key = "entanglement"
    title = "Entanglement"
    question = "How much of another concept's own rise does the map of a concept cause?"
    good = "Near 0 or below for unrelated concepts: the model separates them."
    bad = "High for concepts that a person separates: for the model the evidence of one is evidence of the other."
    needs = ("samples", "maps")
    least_maps = 2
    score_type = EntanglementScore
    summary_type = EntanglementSummary

    def measure(self, case: Case) -> EntanglementScore:
        draws, saliency = case.draw("entanglement"), case.saliency.map
        before, after = (
            center_logits(case.compute_logits(draws, maps)) for maps in (torch.zeros_like(saliency), saliency)
        )
        raised = [(concept.score(after) - concept.score(before)).mean().item() for concept in case.concepts]
        check_finite(f"rise of scores by the map of {case.concept.name}", raised, varying=True)
        names = [concept.name for concept in case.concepts]
        return EntanglementScore(dict(zip(names, round_all(raised), strict=True)))

    def summarize(self, scores: Sequence[EntanglementScore], run: RunInfo) -> EntanglementSummary:
        rises = torch.tensor([[score.raised[name] for name in run.concepts] for score in scores])
        raises = check_finite("entanglement", rises).diagonal() > 0
        shares = divide_by_own_rise(rises[raises][:, raises])
        names = tuple(name for name, raised in zip(run.concepts, raises.tolist(), strict=True) if raised)
        unraised = tuple(name for name in run.concepts if name not in names)
        matrix = tuple(tuple(round_all(row)) for row in shares)
        return EntanglementSummary(names, matrix, _find_largest(shares, names), unraised)

    def table(self, summary: EntanglementSummary) -> Table:
        rows = [(pair.map_of, pair.raises, share_cell(pair.share)) for pair in summary.pairs]
        nothing = [(name, name, "not at all: no share of it can be told") for name in summary.unraised]
        return make_table(("map of", "raises", "of its own rise"), [*rows, *nothing])

    def figure(self, summary: EntanglementSummary) -> Figure | None:
        if not 2 <= len(summary.concepts) <= LARGEST_MATRIX:
            return None
        note = "Row: the map; column: the concept that it raises, in per cent of that one’s own rise"
        return Matrix("matrix of entanglement", note, summary.concepts, summary.matrix)


def divide_by_own_rise(rises: Tensor) -> Tensor:
    """Rises `(maps, concepts)`, each column over its own map's, which is above 0: ones on the diagonal."""
    return rises / rises.diagonal()


def _find_largest(shares: Tensor, names: Sequence[str]) -> tuple[EntangledPair, ...]:
    """The most entangled pairs of different concepts."""
    count = len(names)
    others = shares.clone().fill_diagonal_(-torch.inf).flatten()
    largest = others.topk(max(0, min(PAIRS, count * (count - 1)))).indices.tolist()
    return tuple(
        EntangledPair(names[index // count], names[index % count], round(others[index].item(), DIGITS))
        for index in largest
    )
