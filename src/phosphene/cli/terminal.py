"""What is printed: text of unknown origin never reaches the terminal as control characters."""

from __future__ import annotations

import sys

from phosphene.core.text import make_one_line, make_visible


def echo(text: str) -> None:
    """Print on standard output."""
    print(make_visible(text), flush=True)


def warn(message: str) -> None:
    """Print one line on standard error."""
    print(f"phosphene: {make_one_line(message)}", file=sys.stderr, flush=True)
