"""A record and perhaps the user's own weights → a module that is filled, and what its tensors said."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from phosphene.errors import BadInput
from phosphene.model.sources.fitting import AVERAGED, choose_state
from phosphene.model.sources.source import Shape, Source
from phosphene.model.sources.weights import State, fill, read_states, without_counters

ROUNDS = 2  # once a module has the parts that the file has, a prefix may come off that hid the shapes of its head


@dataclass(frozen=True)
class Opened:
    """A module with its weights; `shape` is what their tensors say otherwise than the record (classes, channels, size),
    `checks` what has to be known beside it."""

    module: nn.Module
    shape: Shape = field(default_factory=dict)
    checks: tuple[str, ...] = ()


def open_source(
    source: Source, weights: str | Path | None, *, size: tuple[int, int] | None, trust_pickle: bool
) -> Opened:
    """The module of a record, with its own weights or with those in the user's file."""
    if weights is not None:
        return _open_own(source, weights, size, read_states(weights, trust_pickle=trust_pickle))
    if source.pretrained is not None:
        return Opened(source.pretrained())
    assert source.build is not None
    module = source.build()
    if source.weights is not None:
        fill(module, source.weights(module), where=source.name)
    return Opened(module)


def _open_own(source: Source, weights: str | Path, size: tuple[int, int] | None, states: dict[str, State]) -> Opened:
    if source.build is None:
        raise BadInput(f"{source.name} comes with its weights; leave out --weights {str(weights)!r}")
    module, where = source.build(), str(weights)
    shape: Shape = {}
    key, state = choose_state(states, module.state_dict().keys(), where)
    for _ in range(ROUNDS):
        if source.reshape is not None and (size is not None or not _fits(module, state)):
            module, shape = source.reshape(state, size)
            key, state = choose_state(states, module.state_dict().keys(), where)
    fill(module, state, where)
    return Opened(module, shape, ("averaged-weights",) if len(states) > 1 and AVERAGED.search(key) else ())


def _fits(module: nn.Module, state: State) -> bool:
    own, given = without_counters(module.state_dict()), without_counters(state)
    return own.keys() == given.keys() and all(own[name].shape == given[name].shape for name in own)
