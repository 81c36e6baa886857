"""The plan of a run, `run.json`: what was asked, of which model, and which files will answer it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from phosphene.core.files import write_atomically
from phosphene.core.reading import RECORD_LIMIT, explain, read_file
from phosphene.core.records import check_fields, from_plain, open_seal, parse_json, seal, to_plain
from phosphene.errors import ArtifactError, DamagedArtifact, OtherRecipe

FILE_NAME = "run.json"


@dataclass(frozen=True)
class PlannedMap:
    """A concept, the classes that it raises, and the names of the files that will answer it."""

    file: str
    concept: str = ""
    targets: tuple[int, ...] = ()
    picture: str = ""


@dataclass(frozen=True)
class Plan:
    """The content of `run.json`; `model` and `recipe` are plain JSON, so that those of other versions are readable."""

    maps: tuple[PlannedMap, ...]
    model: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        content = json.dumps(seal(to_plain(self)), indent=2, sort_keys=True) + "\n"
        write_atomically(folder / FILE_NAME, content.encode())


def read_plan(folder: Path) -> Plan | None:
    """The plan of a folder, None where there is none. Raises `DamagedArtifact` where it cannot be read.

    Nothing is lost with it: every map is complete in itself.
    """
    path = folder / FILE_NAME
    try:
        record = open_seal(parse_json(read_file(path, RECORD_LIMIT)))
        check_fields(Plan, record)
        return from_plain(Plan, record)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DamagedArtifact(
            f"cannot read {str(path)!r}: {explain(error)}; delete it: the maps are complete without it, and are then "
            f"shown in the order of their names"
        ) from error


def check_running_plan(folder: Path, wanted: Plan) -> None:
    """Raise `OtherRecipe` where the run that is writing into the folder makes one of the wanted files otherwise."""
    try:
        running = read_plan(folder)
    except ArtifactError:
        return  # the maps themselves are looked at when their turn comes
    if running is None or {one.file for one in running.maps}.isdisjoint(one.file for one in wanted.maps):
        return
    here, there = (to_plain(replace(plan, versions={}, maps=())) for plan in (wanted, running))
    if here != there:
        raise OtherRecipe(
            f"another run, of another model or recipe, is writing the same maps into {str(folder)!r}; choose another "
            f"--out"
        )
