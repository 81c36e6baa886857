"""What a gallery shows, before a map is read: the concepts of its folders in chapters, and who stands next to whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from phosphene.atlas.record import FILE_NAME, Atlas, AtlasClass, load_atlas
from phosphene.errors import BadInput
from phosphene.recipe.chapters import CHAPTERS, REST
from phosphene.runs.store import artifact_paths

ALL = "All pictures"  # the one chapter of maps that no atlas has put into families
RANKS = {title: rank for rank, title in enumerate([*(title for title, _ in CHAPTERS), REST])}


@dataclass(frozen=True)
class Folder:
    """A folder of maps: its artifacts by the stem of their file, and what its atlas says of them."""

    path: Path
    artifacts: Mapping[str, Path]
    atlas: Atlas | None
    rows: Mapping[str, AtlasClass]


@dataclass(frozen=True)
class Place:
    """A concept in the gallery, by the stem of its files, with those before and after it."""

    stem: str
    chapter: str
    before: str | None
    after: str | None


def open_folder(path: Path) -> Folder:
    """A folder of maps; raises `ArtifactError` where it holds none."""
    artifacts = {one.stem: one for one in artifact_paths(path)}
    atlas = load_atlas(path / FILE_NAME)
    rows = {Path(row.file).stem: row for row in atlas.classes} if atlas is not None else {}
    return Folder(path, artifacts, atlas, rows)


def open_folders(paths: Sequence[Path]) -> list[Folder]:
    """One folder or two; raises `BadInput` for the same one twice."""
    if len({path.resolve() for path in paths}) != len(paths):
        raise BadInput(f"{str(paths[0])!r} is given twice; expected one folder of maps, or two different ones")
    return [open_folder(path) for path in paths]


def arrange(folders: Sequence[Folder]) -> list[Place]:
    """Every concept of the folders, chapter after chapter, in the order of the classes."""
    stems = list(dict.fromkeys(stem for folder in folders for stem in folder.artifacts))
    numbers = {stem: number for number, stem in enumerate(stems)}

    def find_row(stem: str) -> AtlasClass | None:
        return next((folder.rows[stem] for folder in folders if stem in folder.rows), None)

    def rank(stem: str) -> tuple[int, int]:
        row = find_row(stem)
        return (len(RANKS), numbers[stem]) if row is None else (RANKS.get(row.family, len(RANKS)), row.index)

    ordered = sorted(stems, key=rank)
    around = [None, *ordered, None]
    rows = map(find_row, ordered)
    return [
        Place(stem, (row.family or ALL) if row is not None else ALL, before, after)
        for stem, row, before, after in zip(ordered, rows, around, around[2:], strict=False)
    ]
