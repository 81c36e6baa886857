"""Where errors become one line on standard error and an exit code. No code that a scan's verdict uses is among them."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from phosphene.cli.signals import SENTENCE, SIGNALS, Interruption
from phosphene.cli.terminal import warn
from phosphene.errors import PhospheneError

USER_ERROR = 2
SOME_FAILED = 3  # of many maps; the others are finished
INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h
BROKEN_PIPE = 141  # 128 + SIGPIPE
TRACEBACK = "PHOSPHENE_TRACEBACK"  # environment variable; 1 shows where an internal error comes from


class Verdict(typer.Exit):
    """The end of a scan, with the exit code of its verdict, or of many maps of which some are missing; nothing else may
    end a command with a code of its own."""


@contextmanager
def report_errors() -> Iterator[None]:
    """Print an error as one line and exit: the user's with 2, one of this program with 70, an interruption with 130
    or 143. A model's own code that ends the program is an error, whatever code it asks for."""
    interruption = _find_interruption()
    interruption.working = True
    try:
        yield
        sys.stdout.flush()
    except Verdict as verdict:
        _flush(verdict.exit_code)
    except PhospheneError as error:
        _fail(str(error), USER_ERROR)
    except KeyboardInterrupt:
        _fail(SENTENCE, interruption.exit_code)
    except BrokenPipeError:  # whoever reads the output has seen enough, as `head` has
        _discard_output()
        raise typer.Exit(BROKEN_PIPE) from None
    except (SystemExit, typer.Exit) as error:
        code = getattr(error, "code", getattr(error, "exit_code", None))
        _fail(f"a model's own code ended the program (exit {code}); nothing was decided", USER_ERROR)
    except Exception as error:
        _fail(_describe(error), INTERNAL_ERROR if not _is_output(error) else USER_ERROR)
    finally:
        interruption.working = False


def _find_interruption() -> Interruption:
    """That of `main`, which handles the signals, or one of its own where the command is called from elsewhere."""
    owners = (getattr(signal.getsignal(number), "__self__", None) for number in SIGNALS)
    return next((owner for owner in owners if isinstance(owner, Interruption)), Interruption())


def _flush(code: int) -> NoReturn:
    """Exit with a verdict's code, but only once all of the output has been taken."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        raise typer.Exit(BROKEN_PIPE) from None
    except OSError as error:
        _fail(_describe(error), USER_ERROR)
    raise typer.Exit(code)


def _fail(message: str, code: int) -> NoReturn:
    try:
        warn(message)
    except OSError:  # nobody listens to errors; the code says it
        _discard_output(sys.stderr.fileno())
    raise typer.Exit(code) from None


def _is_output(error: Exception) -> bool:
    """Whether standard output refused to take more, as a full disk does."""
    if not isinstance(error, OSError) or error.filename is not None:
        return False
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename.endswith(("cli/terminal.py", "cli/errors.py"))


def _describe(error: Exception) -> str:
    """What the user is asked to report; the traceback before it where the environment asks for it."""
    if _is_output(error):
        _discard_output()
        return f"cannot write to standard output: {error}; free space or send it elsewhere"
    if os.environ.get(TRACEBACK) == "1":
        traceback.print_exception(error)
        return f"internal error ({type(error).__name__}: {error}); please report it with the traceback above"
    return f"internal error ({type(error).__name__}: {error}); please report it with the output of {TRACEBACK}=1"


def _discard_output(descriptor: int = 1) -> None:
    """Send what is still buffered nowhere, or flushing it at exit would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
