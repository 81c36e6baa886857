"""Ctrl-C and SIGTERM at any moment: one line, finished work kept, exit code 130 or 143.

A signal raises `KeyboardInterrupt`, so that what is half-written is cleaned up. Other people's code may swallow that,
as imports and destructors do: whoever is still running a moment later is ended, which loses no more than a kill does,
and a kill loses nothing that is finished. Before a command has begun there is nothing to clean: it is ended at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

GRACE = 3.0  # seconds for cleaning up
SIGNALS = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED = 128  # and the number of the signal, as shells have it
SENTENCE = "interrupted; what is finished is kept, and the same command makes the rest"


class Interruption:
    """What is done with a signal; `working` says whether there is something to clean up."""

    def __init__(self) -> None:
        self.working = False
        self.number: int = signal.SIGINT  # of the last signal

    @property
    def exit_code(self) -> int:
        return INTERRUPTED + self.number

    def install(self) -> None:
        """Handle the signals that this process is not told to ignore, as a shell's background jobs are."""
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self.handle)

    def handle(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        if not self.working:
            self.end()
        self.working = False  # a second signal does not wait
        timer = threading.Timer(GRACE, self.end)
        timer.daemon = True
        timer.start()
        raise KeyboardInterrupt

    def end(self) -> None:
        """End the process now."""
        terminal = "\x1b[?25h" if sys.stderr.isatty() else ""  # a progress bar hides the cursor
        os.write(2, f"{terminal}phosphene: {SENTENCE}\n".encode())
        os._exit(self.exit_code)
