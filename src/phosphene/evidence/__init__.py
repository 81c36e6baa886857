"""Evidence beside every picture: a folder of finished maps in, their scores into the artifacts, the run's averages out.

Each map is examined on its own (`measures`), some are made again by models that have forgotten and from other seeds
(`remade`), and `evidence.json` says what it amounts to (`summary`). Scores are written map by map; running again
measures only what is missing or was measured under other settings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phosphene.core.files import write_atomically
from phosphene.errors import BadInput
from phosphene.evidence.case import Case
from phosphene.evidence.measures import MEASURES
from phosphene.evidence.members import Member, company_digest, members_of, with_entries
from phosphene.evidence.photographs import available
from phosphene.evidence.remade import Run, sanity, stability
from phosphene.evidence.similarity import Looks, looks
from phosphene.evidence.summary import SUMMARIES, Company
from phosphene.model.classifier import Classifier
from phosphene.runs.callbacks import Callbacks
from phosphene.runs.make import check_same_classes

SUMMARY = "evidence.json"
FORMAT = 1


@dataclass(frozen=True)
class Settings:
    """How much is asked for: draws a score, and the maps that are made anew where a score needs it.

    Randomised models make `sanity` of the maps again; every map is made again from `seeds` other seeds.
    """

    samples: int = 8
    sanity: int = 0
    seeds: int = 0

    def __post_init__(self) -> None:
        for name, least in (("samples", 1), ("sanity", 0), ("seeds", 0)):
            if getattr(self, name) < least:
                raise BadInput(f"{name} is {getattr(self, name)}; expected at least {least}")


def _silent(*heard: object) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class Watcher:
    """What a caller may want to hear: the map that is examined, which of how many; warnings; further maps' making."""

    examined: Callable[[str, int, int], None] = _silent
    warned: Callable[[str], None] = _silent
    making: Callbacks = Callbacks()


def evaluate(
    folder: str | Path,
    classifier: Classifier,
    *,
    concepts: Sequence[str] = (),
    verifiers: Sequence[Classifier] = (),
    settings: Settings = Settings(),
    watcher: Watcher = Watcher(),
) -> dict[str, Any]:
    """Score the maps of the folder, all or those of `concepts`; returns what it writes to `evidence.json`.

    Raises `BadInput` where the maps are not this classifier's or not of one recipe, `MeaninglessScore` where a score
    comes to nothing.
    """
    check_same_classes(classifier, verifiers)
    members = members_of(Path(folder), classifier, concepts, watcher.warned)
    fast = classifier.fold()
    eyes = tuple(verifiers) or (fast,)
    appearance = Looks.joined([looks(member.load().raw_picture[None], eyes) for member in members])
    run = Run(Path(folder), classifier, tuple(members), eyes, appearance, watcher.making)
    examine = _Examination(fast, tuple(verifiers), run, settings, watcher)
    members = [with_entries(member, examine.missing(place)) for place, member in enumerate(members)]
    for name, remade, count in (("sanity", sanity, settings.sanity), ("stability", stability, settings.seeds)):
        for place, entry in remade(run, count) if count else ():
            members[place] = with_entries(
                members[place], {name: {"needs": {"eyes": examine.settings["eyes"]}, **entry}}
            )
    record = {
        "format": FORMAT, "model": classifier.name, "samples": settings.samples, "eyes": [eye.name for eye in eyes],
        "maps": [{"concept": m.concept.name, "file": m.path.name, "digest": m.digest} for m in members],
        "scores": dict(_summaries(members, run, examine.settings)),
    }  # fmt: skip
    write_atomically(Path(folder) / SUMMARY, (json.dumps(record, indent=1) + "\n").encode())
    return record


class _Examination:
    """What is to be measured under which settings, and the measuring of one map after the other."""

    def __init__(
        self, fast: Classifier, verifiers: tuple[Classifier, ...], run: Run, asked: Settings, watcher: Watcher
    ) -> None:
        self.fast, self.verifiers, self.run, self.asked, self.watcher = fast, verifiers, run, asked, watcher
        self.photographs = available(fast.format.channels)
        if self.photographs is None:
            watcher.warned("no photographs to lay maps on: they need a model of 1 or 3 channels and scikit-image "
                           "(`pip install 'phosphene[photos]'`)")  # fmt: skip
        self.settings: dict[str, Any] = {
            "samples": asked.samples,
            "verifiers": _identities(verifiers),
            "eyes": _identities(run.eyes),
            "company": company_digest(run.members),
            "photographs": list(self.photographs.names) if self.photographs else None,
        }

    def missing(self, place: int) -> dict[str, Any]:
        """The scores that the map at `place` lacks, or has under other settings."""
        member, members = self.run.members[place], self.run.members
        self.watcher.examined(member.concept.name, place, len(members))
        entries: dict[str, Any] = {}
        case: Case | None = None
        for name, measure in MEASURES.items():
            needs = {need: self.settings[need] for need in measure.needs}
            present = member.evidence.get(name, {}).get("needs") == needs
            if present or not measure.applies(len(members), self.verifiers):
                continue
            case = case or self._case(place)
            entries[name] = {"needs": needs, **measure.measured(case)}
        return entries

    def _case(self, place: int) -> Case:
        member, members = self.run.members[place], self.run.members
        return Case(
            classifier=self.fast, concept=member.concept, saliency=member.load(), place=place,
            company=tuple(one.concept for one in members),
            other=members[(place + 1) % len(members)].load() if len(members) > 1 else None,
            verifiers=self.verifiers, photographs=self.photographs, samples=self.asked.samples,
            similarities={way: matrix[place] for way, matrix in self.run.similarities.items()},
        )  # fmt: skip


def _summaries(members: Sequence[Member], run: Run, settings: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of every score that enough of the maps have under the present settings."""
    company = Company(tuple(member.concept.name for member in members), run.between)
    for name, summary in SUMMARIES.items():
        entries = [member.evidence[name] for member in members if name in member.evidence]
        found = [entry for entry in entries if all(settings[need] == held for need, held in entry["needs"].items())]
        if found and (len(found) == len(members) or name in ("sanity", "stability")):
            yield name, summary(found, company)


def _identities(classifiers: Sequence[Classifier]) -> list[str]:
    return [f"{classifier.name} {classifier.fingerprint[:12]}" for classifier in classifiers]
