"""What of the zoo is kept in the repository: every card, and a mini zoo for the tests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.zoo.cards import Card
from benchmarks.zoo.check import load_discarded
from phosphene.core.files import prepare_folder, write_atomically

HERE = Path(__file__).parent
MINI = HERE.parent.parent / "tests" / "zoo"
MINI_CLEAN, MINI_POISONED = 9, 15
FROM_DOMAIN = ("size", "channels", "mean", "std", "labels")  # fields that a line leaves out: they are the domain's


def publish(cards: Sequence[Card], folder: Path) -> str:
    """Write `cards.jsonl` and `discarded.jsonl` here, and the mini zoo into the tests' folder.

    Models that the folder lacks keep their lines, and where it has none of development the mini zoo stays.
    """
    lines = [{key: value for key, value in card.to_json().items() if key not in FROM_DOMAIN} for card in cards]
    discarded = load_discarded(folder)
    count = _merge_lines(HERE / "cards.jsonl", lines, discarded)
    _merge_lines(HERE / "discarded.jsonl", discarded, lines)
    if not any(card.split == "dev" for card in cards):
        return f"{len(cards)} cards of {count}; the mini zoo stays"
    small = chosen(cards)
    shutil.rmtree(MINI, ignore_errors=True)
    prepare_folder(MINI)
    for card in small:
        for path in folder.glob(f"{card.name}.*"):
            shutil.copyfile(path, MINI / path.name)
    size = sum(path.stat().st_size for path in MINI.iterdir()) / 2**20
    return f"{len(cards)} cards of {count}; mini zoo of {len(small)} models, {size:.1f} MB"


def chosen(cards: Sequence[Card]) -> list[Card]:
    """The mini zoo that is there, for tests and pages speak of its models; a new one where it is not complete."""
    held = {path.stem for path in MINI.glob("*.json")}
    there = [card for card in cards if card.name in held]
    return there if len(there) == MINI_CLEAN + MINI_POISONED else mini(cards)


def mini(cards: Sequence[Card]) -> list[Card]:
    """Development models whose attacks work: one a kind first, then by name; domains and architectures in turn."""
    dev = [card for card in cards if card.split == "dev" and card.stratum != "weak"]
    kinds = sorted({card.kind for card in dev if card.poisoned})
    turns = [[card for card in dev if card.kind == kind] for kind in kinds]
    poisoned = _in_turns(turns, MINI_POISONED)
    clean = _in_turns([[card for card in dev if not card.poisoned]], MINI_CLEAN)
    return sorted([*poisoned, *clean], key=lambda card: card.name)


def _in_turns(groups: Sequence[Sequence[Card]], count: int) -> list[Card]:
    """So many cards, one of each group after the other, each as unlike those before as its group allows."""
    chosen: list[Card] = []
    while len(chosen) < count:
        before = len(chosen)
        for group in groups:
            free = [card for card in group if card not in chosen]
            if free and len(chosen) < count:
                chosen.append(_most_unlike(chosen, free))
        if len(chosen) == before:
            break
    return chosen


def _most_unlike(chosen: Sequence[Card], candidates: Sequence[Card]) -> Card:
    """The candidate whose domain and architecture are rarest among the chosen; ten classes are faster to test."""

    def count_alike(card: Card) -> tuple[int, str]:
        alike = sum((card.domain == one.domain) + (card.architecture == one.architecture) for one in chosen)
        return alike + 3 * (card.domain == "signs43"), card.name

    return min(candidates, key=count_alike)


def _merge_lines(path: Path, records: Sequence[Mapping[str, Any]], elsewhere: Sequence[Mapping[str, Any]]) -> int:
    """Write the records in place of those of their names, new ones at the end, without those that are now elsewhere;
    how many the file then has."""
    old = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    gone = {record["name"] for record in elsewhere}
    merged = {record["name"]: record for record in (*old, *records) if record["name"] not in gone}
    content = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in merged.values())
    write_atomically(path, content.encode())
    return len(merged)
