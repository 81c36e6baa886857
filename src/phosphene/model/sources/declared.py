"""What a torch file declares about itself, checked before anything of that size is put into memory.

torch unpacks a compressed member of a zip whatever it grows to, and does not verify checksums.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from pickletools import opcodes

import torch
from torch import Tensor

from phosphene.core.reading import MEGABYTE
from phosphene.errors import BadWeights

CHUNK = 8 * MEGABYTE
CODES = frozenset(one.code for one in opcodes)
# What the pickle of a file says to call it; torch allows it, with any number of bytes. Pickles write names in full.
BYTES_CALL = b"\nbytearray\n"
ZIP = b"PK\x03\x04"  # what torch tells a zip by: a legacy file may hold the marks of another place by chance


def check_torch_file(path: Path, *, trust_pickle: bool = False) -> None:
    """Raise `BadWeights` where a torch file would become much larger than it is, or where its bytes are not those that
    were saved. Reads a zip once; of a file that is no zip only what it declares."""
    with path.open("rb") as file:
        is_zip = file.read(len(ZIP)) == ZIP
    if is_zip:
        _check_members(path)
    if not trust_pickle:  # with trust the pickle's own code decides what it takes
        _check_calls(path, is_zip)
        _check_tensors(path)


def _check_members(path: Path) -> None:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise BadWeights(f"{str(path)!r} is a damaged zip: {error}; get or save it again") from error
    with archive:
        members = archive.infolist()
        if packed := [one.filename for one in members if one.compress_type != zipfile.ZIP_STORED]:
            raise BadWeights(
                f"{str(path)!r} holds compressed members ({packed[0]!r}), which torch.save does not write and which "
                f"may grow to any size; save the state dict again with torch.save"
            )
        if sum(one.file_size for one in members) > path.stat().st_size:
            raise BadWeights(f"{str(path)!r} declares members that are larger than the file; it is damaged or forged")
        for member in members:
            _read_through(archive, member, path)


def _read_through(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    """Read a member to its end, where its checksum is compared."""
    try:
        with archive.open(member) as content:
            while content.read(CHUNK):
                pass
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise BadWeights(f"{str(path)!r} is damaged: {error}; get or save it again") from error


def _check_calls(path: Path, is_zip: bool) -> None:
    """Refuse a pickle that asks for bytes by their number."""
    if any(BYTES_CALL in before + chunk for before, chunk in pairwise((b"", *_read_pickles(path, is_zip)))):
        raise BadWeights(
            f"{str(path)!r} holds a bytearray, which may ask for any amount of memory and is no weight; "
            f"save the state dict alone"
        )


def _read_pickles(path: Path, is_zip: bool) -> Iterator[bytes]:
    """The pickles of a zip; the whole of another file, in which they are not marked, unless it begins with none."""
    if is_zip:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.filename.endswith(".pkl"):
                    with archive.open(member) as content:
                        yield from iter(lambda content=content: content.read(CHUNK), b"")  # type: ignore[misc]
        return
    with path.open("rb") as file:
        if file.peek(1)[:1].decode("latin-1") in CODES:  # what begins with none is refused at its first byte
            yield from iter(lambda: file.read(CHUNK), b"")


def _check_tensors(path: Path) -> None:
    """Compare the storage of each tensor, which takes no memory on the meta device, with the size of the file.

    Not their sum: tensors may share a storage.
    """
    content = torch.load(path, map_location="meta", weights_only=True)
    declared = max((tensor.untyped_storage().nbytes() for tensor in _find_tensors(content)), default=0)
    if declared > path.stat().st_size:
        raise BadWeights(f"{str(path)!r} declares tensors that are larger than the file; it is damaged or forged")


def _find_tensors(content: object) -> Iterator[Tensor]:
    if isinstance(content, Tensor):
        if content.layout == torch.strided and not content.is_nested:
            yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from _find_tensors(value)
