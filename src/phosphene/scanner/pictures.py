"""Clean pictures of the user's, as backgrounds in place of surrogates: optional evidence, which no scan needs.

What is measured on pictures is compared only with references that were measured on the same ones: the statistics of
clean models on pictures and on surrogates are not alike (docs/scanner-results.md). So a table from `phosphene calibrate
--images` makes a scan measure on them; with any other the statistics stay on surrogates, and the pictures are for
verification alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from phosphene.core.constraints import Count
from phosphene.core.images import ImageShape, list_images, load_image
from phosphene.core.reading import IMAGE_LIMIT, explain, read_file
from phosphene.errors import BadInput
from phosphene.scanner.settings import Settings

MOST = 256  # pictures; of more those of the smallest digests are used
SMALL = (3, 8, 8)  # a size that is enough for their digest
NAMED = 5  # files that are named in a check


Role = Literal["statistics and verification", "verification"]
STATISTICS_TOO: Role = "statistics and verification"
VERIFICATION: Role = "verification"


@dataclass(frozen=True)
class PicturesUsed:
    """What the record of a scan says of the pictures, by number and digest; they themselves are not kept.

    `role` says whether the statistics were measured on them too. Of those that no search has seen, `tried` are not
    predicted as the class of the candidate without it; with it `flipped` are, and `shuffled` with its pixels shuffled
    in place.
    """

    count: Count
    digest: str
    role: Role
    tried: Count
    flipped: Count
    shuffled: Count
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures `(n, C, H, W)` in [0,1], in the order of the digests of their files; `digest` is that of these digests.

    `unreadable` are names of files with the reason; `unused` counts those beyond the most that are used.
    """

    images: Tensor
    digest: str
    unreadable: tuple[str, ...] = ()
    unused: int = 0

    def __len__(self) -> int:
        return len(self.images)

    @property
    def for_search(self) -> Tensor:
        """Every second picture, from the first on."""
        return self.images[::2]

    def list_unseen(self, *, searched: bool) -> Tensor:
        """Pictures that no search has seen: all, or, where there were searches on pictures, the others; of one picture
        alone the same."""
        return self.images[1::2] if searched and len(self) > 1 else self.images


def load_pictures(folder: Path, shape: ImageShape) -> Pictures:
    """The pictures below a folder at the size of a model; the same bytes count once.

    Raises `BadInput` where there is no picture that can be read, and for a model of other than 1 or 3 channels.
    """
    if shape[0] not in (1, 3):
        raise BadInput(f"pictures have 1 or 3 channels, and the model takes {shape[0]}; leave out --images")
    files, unreadable = _hash_files(list_images(folder))
    images: dict[str, Tensor] = {}
    unused = 0
    for digest, path in sorted(files.items()):
        if len(images) == MOST:
            unused += 1
            continue
        try:
            images[digest] = load_image(path, shape)
        except BadInput as error:
            unreadable.append(f"{path.name} ({_find_reason(error)})")
    if not images:
        named = "; ".join(unreadable[:NAMED])
        raise BadInput(f"no picture in {str(folder)!r} can be read: {named}; expected one or more")
    return Pictures(torch.stack(list(images.values())), hash_digests(images), tuple(unreadable), unused)


def _hash_files(paths: Iterable[Path]) -> tuple[dict[str, Path], list[str]]:
    """Files by the digest of their bytes, and those whose bytes cannot be read."""
    files: dict[str, Path] = {}
    unreadable = []
    for path in paths:
        try:
            files.setdefault(hashlib.sha256(read_file(path, IMAGE_LIMIT)).hexdigest(), path)
        except OSError as error:
            unreadable.append(f"{path.name} ({explain(error)})")
    return files, unreadable


def list_checks(pictures: Pictures, settings: Settings) -> list[str]:
    """What a user must know of the files, and of what they were used for."""
    checks = []
    if pictures.unreadable:
        more = f", and {len(pictures.unreadable) - NAMED} more" if len(pictures.unreadable) > NAMED else ""
        checks.append(f"pictures that cannot be read are left out: {'; '.join(pictures.unreadable[:NAMED])}{more}")
    if pictures.unused:
        checks.append(f"{len(pictures)} pictures are used; {pictures.unused} more are not")
    if not settings.backgrounds:
        checks.append(
            "the references were not measured on these pictures, so the p-values are those of surrogates, and the "
            "pictures verify the candidate; phosphene calibrate --images makes references on them"
        )
    return checks


def hash_digests(digests: Iterable[str]) -> str:
    """One digest of several, whatever their order."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def _find_reason(error: BadInput) -> str:
    """Of "cannot read PATH: REASON; what to do", the reason."""
    return str(error).split(": ", 1)[-1].split(";")[0].split(" <")[0]  # no object by its place in memory
