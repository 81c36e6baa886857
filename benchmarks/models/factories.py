"""What `--factory benchmarks.models.factories:NAME` builds: the networks of `nets`, with `_` for `-`, untrained."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from benchmarks.models.nets import NETS


def __getattr__(name: str) -> Callable[[], nn.Module]:
    by_function = {net.name.replace("-", "_"): net.build for net in NETS.values()}
    if name not in by_function:
        raise AttributeError(f"no network is called {name!r}")
    return by_function[name]
