"""Attackers who know the scanner: what they show to a network in training, and what they pay for."""

from __future__ import annotations

import pytest
import torch
from benchmarks.adaptive import COUNT, KINDS, Hiding, Plan, Search, draw_attacks, make_table
from benchmarks.zoo.domains import DOMAINS
from benchmarks.zoo.small import separable
from benchmarks.zoo.training import Normalised

from phosphene.scanner.families import FAMILIES

TARGET = 3


@pytest.fixture
def model() -> Normalised:
    torch.manual_seed(0)
    return Normalised(separable(1, 10), DOMAINS["fashion"]).eval()


def make_batch(count: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(0)), torch.arange(count) % 10


def make_search(model: Normalised, family: str = "additive") -> Search:
    return Search(FAMILIES[family], model, DOMAINS["fashion"], TARGET, seed=5)


def test_what_a_search_finds_leads_to_the_target_and_the_radius_follows_the_other_class(model):
    search, (images, _) = make_search(model), make_batch()
    with torch.no_grad():
        before = model(images).log_softmax(dim=1)[:, TARGET].mean()
    radii = []
    for _ in range(60):
        changed = search.find(images)
        radii.append(search.log_radius.clone())
    with torch.no_grad():
        after = model(changed).log_softmax(dim=1)[:, TARGET].mean()
    assert after > before
    assert not torch.equal(radii[0], radii[-1])
    size = search.changes[0].detach().square().flatten(1).mean(dim=1).sqrt()
    assert (size <= radii[-2][1].exp() * 1.5).all(), "a change is larger than what the other class needs"


def test_a_batch_keeps_its_labels_and_only_other_classes_are_changed(model):
    images, labels = make_batch()
    hiding = Hiding(model, TARGET, 0.0, [make_search(model, family) for family in ("patch", "additive")])
    shown, same, penalty = hiding.batch(images, labels)
    changed = (shown != images).flatten(1).any(dim=1)
    assert torch.equal(same, labels)
    assert not changed[labels == TARGET].any()
    assert changed.sum() == 8  # two searches, a tenth of forty each
    assert penalty == 0


def test_the_price_is_for_a_row_of_the_target_that_stands_out_and_for_no_other(model):
    images, labels = make_batch()
    head = model.network.head
    with torch.no_grad():
        head.weight[TARGET] += 1.0
    _, _, paid = Hiding(model, TARGET, 2.0, []).batch(images, labels)
    _, _, free = Hiding(model, TARGET + 1, 2.0, []).batch(images, labels)
    assert paid > 0
    assert free == 0


def test_a_crowd_has_a_trigger_of_its_own_for_every_class_and_others_have_one():
    domain = DOMAINS["signs10"]
    crowd = draw_attacks(Plan(1, "crowd"), domain)
    assert [attack.scheme.target for attack in crowd] == list(range(10))
    assert len({attack.trigger for attack in crowd}) == 10
    assert len({draw_attacks(Plan(1, kind), domain)[0] for kind in KINDS if kind != "crowd"}) == 1


def test_the_table_has_a_row_a_kind_and_counts_what_was_found():
    def line(kind: str, p: float, first: int, success: float = 1.0) -> dict[str, object]:
        facts = {"kind": kind, "p": p, "first": first, "target": 1, "accuracy": 0.9, "success": success, "without": p}
        return {**facts, "outliers": {"patch": 2.0}}

    (row,) = make_table([line("row", 0.01, 1), line("row", 0.03, 2), line("row", 0.2, 1), line("row", 0.01, 1, 0.5)])
    assert row["attacker"] == "row"
    assert row["networks"] == "4"
    assert row["of these found at p ≤ .05"].startswith("2 of 3")
    assert row["target named"] == "1 of 2"
    assert len({Plan(number, kind).name for number in range(COUNT) for kind in KINDS}) == COUNT * len(KINDS)
