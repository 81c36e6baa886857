"""Files of TorchScript, which hold their author's program beside the weights."""

from __future__ import annotations

from pathlib import Path

import torch

from phosphene.model.input_format import InputFormat
from phosphene.model.sources.archive import list_entries, require_trust, unreadable
from phosphene.model.sources.factory import EVERYTHING
from phosphene.model.sources.source import Source


def is_torchscript(path: Path) -> bool:
    entries = list_entries(path)
    return "constants.pkl" in entries and any(name.startswith("code/") for name in entries)


def torchscript_source(path: Path, trusted: bool) -> Source:
    require_trust(path, "a TorchScript program", "its own, with every operator that torch has", trusted)
    try:
        module = torch.jit.load(path, map_location="cpu")
    except (Exception, SystemExit) as error:  # whatever a parser throws at bytes of unknown origin
        raise unreadable(path, "a TorchScript program", error) from error
    return Source(
        name=f"file:{path.name}",
        build=None,
        weights=None,
        pretrained=lambda: module,
        format=InputFormat((1, 1)),
        labels=None,
        unknown=EVERYTHING,
    )
