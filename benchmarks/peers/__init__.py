"""Pictures of a class by other tools beside ours: the same network, classes and judges for all.

    python3 -m venv .venv-peers
    .venv-peers/bin/pip install -c constraints.txt -r benchmarks/peers/requirements.txt -e .
    .venv-peers/bin/python -m benchmarks.peers run           every picture; goes on where it stopped
    .venv-peers/bin/python -m benchmarks.peers evaluate      the table of recognition and the goals
    .venv-peers/bin/python -m benchmarks.peers time          seconds a class and memory, in turns
    .venv-peers/bin/python -m benchmarks.peers grid          docs/pictures/peers.jpg

A method is a frozen dataclass in `ours`, `lucent`, `dreamlens`, `horama` or `pixels`, and one line in `METHODS`. It is
called with a network, an index of a class and a seed, and gives a picture.
"""

from __future__ import annotations

from benchmarks.peers.methods import METHODS, Entry

__all__ = ["METHODS", "Entry"]
