"""`atlas.json`: the scores of every class of an atlas, without its maps; small enough to be kept and compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phosphene.core.files import write_atomically
from phosphene.core.reading import RECORD_LIMIT, explain, read_file
from phosphene.core.records import read_sealed, seal, to_plain
from phosphene.errors import ArtifactError
from phosphene.model.record import ModelRecord
from phosphene.runs.failures import Failure
from phosphene.runs.scores import Guess

FILE_NAME = "atlas.json"
FORMAT = 1


@dataclass(frozen=True)
class Neighbour:
    """A class that the map of another raises, by this share of what its own map does."""

    concept: str
    share: float


@dataclass(frozen=True)
class Judgement:
    """What another model predicts for the bare picture: whether the concept, its log-probability, the best class."""

    model: str
    agrees: bool | None
    log_probability: float | None
    best: str


@dataclass(frozen=True)
class AtlasClass:
    """The scores of one class. Shares and probabilities are in [0,1].

    `fidelity` and `top1` are on the recipe's own samples, `elsewhere` the probability on others, by name; `seen`
    whether the model predicts the class for its bare picture; `gini` and `effective_area` those of the importance;
    `neighbours` the classes that the map raises most, the nearest first.
    """

    concept: str
    index: int
    file: str
    family: str
    fidelity: float
    top1: float
    elsewhere: Mapping[str, float]
    refined_fidelity: float
    area: float
    seen: bool
    top5: tuple[Guess, ...]
    judgements: tuple[Judgement, ...]
    gini: float
    effective_area: float
    passes: int
    seconds: float
    restarts: int
    checks: tuple[str, ...]
    neighbours: tuple[Neighbour, ...] = ()

    @property
    def agreement(self) -> float | None:
        """The share of the other models that predict the class for its picture; None without one."""
        asked = [judgement.agrees for judgement in self.judgements if judgement.agrees is not None]
        return sum(asked) / len(asked) if asked else None


@dataclass(frozen=True)
class Atlas:
    """The content of `atlas.json`; `recipe` is plain JSON. `failures` are the classes without a map, with reasons."""

    model: ModelRecord
    recipe: Mapping[str, Any]
    versions: Mapping[str, str]
    classes: tuple[AtlasClass, ...]
    failures: tuple[Failure, ...] = ()
    format: int = field(default=FORMAT)

    def save(self, folder: Path) -> Path:
        """Write `FOLDER/atlas.json`; returns its path."""
        path = folder / FILE_NAME
        write_atomically(path, (json.dumps(seal(to_plain(self)), indent=1, ensure_ascii=False) + "\n").encode())
        return path


def load_atlas(path: Path) -> Atlas | None:
    """The atlas of a file, None where there is none. Raises `ArtifactError` where it cannot be read."""
    try:
        return read_sealed(Atlas, read_file(path, RECORD_LIMIT), FORMAT)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"cannot read {str(path)!r}: {explain(error)}; delete it and run `phosphene atlas` again"
        ) from error
