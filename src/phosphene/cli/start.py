"""Entry point of the `phosphene` command. Signals are handled before anything else is imported."""

from __future__ import annotations

import sys

from phosphene.cli.signals import Interruption


def main() -> None:
    """Run the command; ends the process with its exit code."""
    interruption = Interruption()
    interruption.install()
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show is no reason to fail
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    from phosphene.cli.app import app
    from phosphene.core.memory import keep_freed_memory

    keep_freed_memory()
    app()
