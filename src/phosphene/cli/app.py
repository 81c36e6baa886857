"""The `phosphene` command: every subcommand by its name. Nothing heavy is imported before one runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import typer

from phosphene.cli.atlas import run_atlas
from phosphene.cli.calibrate import run_calibrate
from phosphene.cli.compare import run_compare
from phosphene.cli.diff import run_diff
from phosphene.cli.errors import report_errors
from phosphene.cli.evaluate import run_evaluate
from phosphene.cli.gallery import run_gallery
from phosphene.cli.list import run_list
from phosphene.cli.map import run_map
from phosphene.cli.options import spread_options
from phosphene.cli.report import run_report
from phosphene.cli.scan import run_scan
from phosphene.cli.show import run_show
from phosphene.cli.study import run_bias, run_concepts, run_forged, run_mislead, run_signature

app = typer.Typer(
    help="See what an image classifier sees when it is shown nothing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
study_app = typer.Typer(help="Run an experiment on the method's claims and write its page.", no_args_is_help=True)


def register(group: typer.Typer, name: str, command: Callable[..., None], without: Sequence[str] = ()) -> None:
    """Make `command` the subcommand `name` of a group, with its options spread and its errors in one line."""
    group.command(name)(report_errors()(spread_options(command, without=without)))


register(app, "map", run_map)
register(app, "atlas", run_atlas)
register(app, "diff", run_diff)
register(app, "report", run_report)
register(app, "gallery", run_gallery)
register(app, "show", run_show)
register(app, "compare", run_compare)
register(app, "list", run_list)
register(app, "evaluate", run_evaluate)
register(app, "scan", run_scan)
register(app, "calibrate", run_calibrate, without=["weights"])
app.add_typer(study_app, name="study")
register(study_app, "mislead", run_mislead)
register(study_app, "bias", run_bias)
register(study_app, "concepts", run_concepts)
register(study_app, "forged", run_forged)
register(study_app, "signature", run_signature)
