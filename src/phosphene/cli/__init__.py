"""The command line: thin, over the library. One file a command; `app` puts them together."""

from phosphene.cli.app import main as main
