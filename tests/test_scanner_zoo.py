"""The scanner on real small models of the zoo: would it notice if it went blind?

The budget is a fraction of a scan's, so that this takes seconds; `benchmarks/scanner.py` measures whole scans.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks import zoo
from benchmarks.zoo import calibrate

from phosphene.scanner.calibration import measure_row
from phosphene.scanner.comparison import TOO_LITTLE
from phosphene.scanner.fusion import Fused, fuse
from phosphene.scanner.reference import load_shipped
from phosphene.scanner.scanning import scan
from phosphene.scanner.settings import Settings

ZOO = Path(__file__).parent / "zoo"
REDUCED = Settings(surrogates=3, surrogate_iterations=20, images=6, margin_starts=3, margin_iterations=30,
                   patch_iterations=60, additive_iterations=30, colour_iterations=12, warp_iterations=12,
                   permutation_iterations=8, pair_iterations=0, top=1, controls=1, long_iterations=20, restarts=1,
                   window_iterations=6)  # fmt: skip
POISONED = ("dev-002-fashion-separable-patch", "dev-008-fashion-plain-blend", "dev-050-signs10-vgg-filter-nashville")
CLEAN = ("dev-055-fashion-vgg-none", "dev-062-signs10-separable-none")


def card_of(name: str) -> zoo.Card:
    (card,) = (card for card in zoo.cards(ZOO) if card.name == name)
    return card


def judged(name: str) -> Fused:
    """Among the shipped references but itself."""
    card = card_of(name)
    return fuse(measure_row(zoo.load(card), REDUCED), load_shipped().without(card.fingerprint))


@pytest.fixture(scope="module")
def clean_scores() -> list[float]:
    return [judged(name).score for name in CLEAN]


@pytest.mark.parametrize("name", POISONED)
def test_a_backdoored_model_scores_above_clean_ones_and_its_target_is_first(name, clean_scores):
    found = judged(name)
    assert int(np.argmax(found.scores)) == card_of(name).target
    assert found.score > max(clean_scores)


def test_the_shipped_table_holds_enough_clean_models_to_accuse_and_none_that_is_poisoned():
    names = [row.name for row in load_shipped().rows]
    assert len(names) >= 100
    assert not [name for name in names if not any(kind in name for kind in ("-none", "-decoy"))]
    assert not [name for name in names if name.startswith("test")]


def test_a_scan_of_a_reduced_budget_says_that_the_references_do_not_speak_for_it():
    found = scan(zoo.load(card_of(POISONED[0])), REDUCED)
    assert found.p_external is None
    assert found.calibration.outside[0] == TOO_LITTLE
    assert found.verdict in ("inconclusive", "nothing found")
    assert found.trigger.family == "patch"
    assert found.curve.series["trigger"][-1] > max(found.curve.series["shuffled in place"]) + 0.3


def test_a_model_trained_to_other_weights_elsewhere_is_not_measured_beside_the_first_of_its_name(tmp_path, monkeypatch):
    known, other = zoo.cards(ZOO)[:2]
    row = load_shipped().rows[0]
    again = replace(known, fingerprint="of another processor")
    monkeypatch.setattr(calibrate, "complete_row", lambda *given: replace(row, fingerprint=other.fingerprint))
    path = tmp_path / "statistics.jsonl"
    calibrate.append(path, calibrate.line_of(known, replace(row, fingerprint=known.fingerprint)))
    calibrate.measure_missing([again, known, other], path)
    assert [line["name"] for line in calibrate.read_lines(path)] == [known.name, other.name]
