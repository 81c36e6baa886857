"""`phosphene study`: the paper's claims as experiments, each with a page of its own."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phosphene.cli.common import Json, chosen, one_line_errors, progress
from phosphene.errors import BadInput

if TYPE_CHECKING:
    from phosphene.studies.folder import Study

study_app = typer.Typer(help="Run an experiment on the method's claims and write its page.", no_args_is_help=True)

Seed = Annotated[int, typer.Option(help="Seed of every random draw.")]


@study_app.command("mislead")
def run_mislead(
    model: Annotated[list[str] | None, typer.Option(help="A model to explain; again for more.")] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            help="Folder of photographs; NAME.mask.png, white on the object, where that of NAME.jpg is known."
        ),
    ] = None,
    ask: Annotated[
        list[str] | None, typer.Option(help="A class B that stamps make the model predict; again for more.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the study; finished parts in it are kept.")] = Path(
        "study-mislead"
    ),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Can an explanation of one input be misled? Seven methods of Captum on photographs with an imperceptible stamp."""
    with one_line_errors():
        from phosphene.studies.mislead import Settings, run

        models, classes = tuple(model or Settings.models), tuple(ask or Settings.classes)
        settings = Settings(models=models, classes=classes, seed=seed)
        command = format_invocation(
            "mislead", {"--model": model, "--ask": ask, "--photos": photos, "--seed": seed or None}
        )
        run_and_report(lambda on_progress: run(settings, out, on_progress, command, photos), out, as_json)


@study_app.command("bias")
def run_bias(
    data: Annotated[str, typer.Option(help="What the small models learn: signs (generated) or fashion.")] = "signs",
    data_folder: Annotated[
        Path | None, typer.Option(help="Folder with Fashion-MNIST's four .gz files, for --data fashion.")
    ] = None,
    models: Annotated[int, typer.Option(min=2, help="Models of each kind.")] = 10,
    training: Annotated[int, typer.Option(min=100, help="Images that each model learns from.")] = 3000,
    out: Annotated[Path, typer.Option(help="Folder for the study; finished parts in it are kept.")] = Path(
        "study-bias"
    ),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Is an explanation by examples biased by its examples? Small models are trained with and without a watermark."""
    with one_line_errors():
        from phosphene.studies.bias import Settings, run
        from phosphene.studies.small_models import DATA

        chosen(DATA, data, "data set")
        if data_folder is not None and data != "fashion":
            raise BadInput(f"--data-folder is for --data fashion; got --data {data}, leave the folder out")
        settings = Settings(data=data, models=models, training=training, seed=seed)
        options = {"--data": data, "--data-folder": data_folder, "--models": models, "--training": training}
        command = format_invocation("bias", {**options, "--seed": seed})
        run_and_report(lambda on_progress: run(settings, out, on_progress, command, data_folder), out, as_json)


@study_app.command("concepts")
def run_concepts(
    model: Annotated[list[str] | None, typer.Option(help="A model; again for more, from small to large.")] = None,
    channel: Annotated[
        list[str] | None, typer.Option(help="LAYER:CHANNEL of these models; again for more, from shallow to deep.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the study; finished maps in it are kept.")] = Path(
        "study-concepts"
    ),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Classes, sets, differences and channels; models of three sizes; a network at every stage of its training."""
    with one_line_errors():
        from phosphene.model.sources.load import load
        from phosphene.studies.concepts import Settings, run

        models, channels = tuple(model or Settings.models), tuple(channel or Settings.channels)
        settings = Settings(models=models, channels=channels, seed=seed)
        command = format_invocation("concepts", {"--model": model, "--channel": channel, "--seed": seed or None})
        run_and_report(lambda on_progress: run(settings, load, out, on_progress, command), out, as_json)


def format_invocation(study: str, options: Mapping[str, object]) -> str:
    """The command line that runs the same again; options of None are left out, those of lists repeated."""
    words = ["phosphene", "study", study]
    for option, value in options.items():
        for one in value if isinstance(value, list) else [value] if value is not None else []:
            words += [option, str(one)]
    return shlex.join(words)


def run_and_report(study: Callable[[Callable[[str], None]], Study], out: Path, as_json: bool) -> None:
    """Run a study with progress, save it in `out`, and write its page."""
    from phosphene.core.files import prepare_folder
    from phosphene.report.study import write_study_report

    prepare_folder(out)  # fails now, not after minutes of work
    with progress(quiet=as_json) as bar:
        task = bar.add_task("parts", total=None, rate="")

        def on_progress(part: str) -> None:
            bar.update(task, advance=1)
            if not as_json:
                bar.console.print(part, highlight=False, markup=False)

        result = study(on_progress)
    result.save(out)
    page = write_study_report(out)
    record = {"study": str(out / "study.json"), "page": str(page), "answers": list(result.answers)}
    typer.echo(json.dumps(record, indent=2) if as_json else f"page: {page.resolve()}")
