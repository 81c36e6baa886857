"""The command line: thin, over the library. One file a command; `app` puts them together, `start` runs it."""

from phosphene.cli.start import main as main
