"""Where errors become one line on standard error and an exit code. No code that a scan's verdict uses is among them."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from phosphene.errors import PhospheneError

USER_ERROR = 2
INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
BROKEN_PIPE = 141  # 128 + SIGPIPE
TRACEBACK = "PHOSPHENE_TRACEBACK"  # environment variable; 1 shows where an internal error comes from


@contextmanager
def report_errors() -> Iterator[None]:
    """Print an error as one line and exit: the user's with 2, one of this program with 70, an interruption with 130."""
    try:
        yield
    except typer.Exit:
        raise
    except PhospheneError as error:
        _fail(str(error), USER_ERROR)
    except KeyboardInterrupt:
        _fail("interrupted; finished maps are kept, the same command goes on from here", INTERRUPTED)
    except BrokenPipeError:  # whoever reads the output has seen enough, as `head` has
        _discard_output()
        raise typer.Exit(BROKEN_PIPE) from None
    except Exception as error:
        _fail(_describe_internal(error), INTERNAL_ERROR)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"phosphene: {' '.join(message.split())}", err=True)
    raise typer.Exit(code) from None


def _describe_internal(error: Exception) -> str:
    """What the user is asked to report; the traceback before it where the environment asks for it."""
    if os.environ.get(TRACEBACK) == "1":
        traceback.print_exception(error)
        return f"internal error ({type(error).__name__}: {error}); please report it with the traceback above"
    return f"internal error ({type(error).__name__}: {error}); please report it with the output of {TRACEBACK}=1"


def _discard_output() -> None:
    """Send what is still buffered nowhere, or flushing it at exit would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
