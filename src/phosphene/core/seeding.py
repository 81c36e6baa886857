"""Random generators that depend on names and numbers, never on batch, worker or resumption."""

from __future__ import annotations

import hashlib

from torch import Generator


def make_generator(seed: int, stream: str, iteration: int, restart: int = 0) -> Generator:
    """A CPU generator for one iteration of the stream called `stream`, usually a concept's name; every restart of the
    stream has other numbers."""
    stream = f"{stream}/again {restart}" if restart else stream
    digest = hashlib.sha256(f"{seed}/{stream}/{iteration}".encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
