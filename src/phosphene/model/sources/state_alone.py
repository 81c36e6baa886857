"""Tensors without an architecture: which library's they could be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from phosphene.errors import BadInput
from phosphene.model.sources.source import Source
from phosphene.model.sources.weights import State, read_states


def state_alone(path: Path, trusted: bool) -> Source:
    refuse_states(read_states(path, trust_pickle=trusted), str(path))


def refuse_states(states: Mapping[str, State], where: str) -> NoReturn:
    """Say that tensors alone are no model, and what to type."""
    raise BadInput(
        f"{where!r} holds tensors and no architecture; name it with `timm:NAME --weights {where}` or "
        f"`torchvision:NAME --weights {where}`, or build it with --factory package.module:function --weights {where}"
    )
