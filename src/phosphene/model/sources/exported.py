"""Files of torch.export (.pt2).

Opening one can run its author's code. `torch.export.load` of torch 2.13 unpickles without restraint whatever weight,
constant or custom object the archive marks as pickled (`export/pt2_archive/_package.py`), passes symbolic sizes to
`sympy.sympify`, which evaluates them, looks up operators as attributes of the module `torch`, and runs guards that are
kept as source. So such a file is trusted by name of option, as a pickle is.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn

from phosphene.errors import BadInput
from phosphene.model.input_format import InputFormat
from phosphene.model.sources.archive import list_entries, require_trust, unreadable
from phosphene.model.sources.factory import EVERYTHING
from phosphene.model.sources.source import Source


def is_exported(path: Path) -> bool:
    entries = list_entries(path)
    return "archive_format" in entries or "serialized_exported_program.json" in entries


def exported_source(path: Path, trusted: bool) -> Source:
    """The record of an exported program: its example input says channels and size, and nothing says the rest."""
    require_trust(path, "an exported program", "pickles, and sizes that are evaluated", trusted)
    if any(name.startswith("data/aotinductor/") for name in list_entries(path)):
        raise BadInput(f"{str(path)!r} is compiled code without gradients; expected what torch.export.save writes")
    try:
        with path.open("rb") as file:  # a path must end in .pt2
            program = torch.export.load(file)
    except (Exception, SystemExit) as error:  # whatever a parser throws at bytes of unknown origin
        raise unreadable(path, "an exported program", error) from error
    shape = _read_shape(program)
    return Source(
        name=f"file:{path.name}",
        build=None,
        weights=None,
        pretrained=lambda: _take_module(program),
        format=InputFormat(shape[1:], shape[0]) if shape else InputFormat((1, 1)),
        labels=None,
        unknown=("mean", "std") if shape else EVERYTHING,
    )


def _take_module(program: torch.export.ExportedProgram) -> nn.Module:
    """The program as modules of the names that the user gave them, so that layers can be asked for, or as it is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch itself
            module = torch.export.unflatten(program)
        for part in module.modules():
            for node in getattr(part, "graph", torch.fx.Graph()).nodes:
                node.meta.pop("val", None)  # tensors without data, which a copy of the module trips over
        return module
    except Exception:  # programs with loops, branches and shared parts refuse in their own ways
        return program.module()


def _read_shape(program: torch.export.ExportedProgram) -> tuple[int, int, int] | None:
    """Channels, height and width of the example input, where there is one image and nothing else."""
    inputs, keywords = program.example_inputs or ((), {})
    tensors = [one for one in (*inputs, *keywords.values()) if isinstance(one, torch.Tensor)]
    if len(tensors) != 1 or tensors[0].ndim != 4:
        return None
    channels, height, width = tensors[0].shape[1:]
    return int(channels), int(height), int(width)
