"""The user's own folder on Python's path, for the user's own module and for nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def working_folder_last() -> Iterator[None]:
    """Modules of the working folder can be imported inside, where no installed one has their name.

    Last on the path: a `torchvision.py` that lies beside a model must not be run in place of the library. Not at all
    where Python was told to keep the working folder off its path (`-P`, PYTHONSAFEPATH).
    """
    folder = str(Path.cwd())
    if getattr(sys.flags, "safe_path", False):
        yield
        return
    sys.path.append(folder)
    try:
        yield
    finally:
        # The last one: whatever the module has added to the path itself stays there.
        for place in reversed(range(len(sys.path))):
            if sys.path[place] == folder:
                del sys.path[place]
                break
