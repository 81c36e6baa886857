"""`phosphene study`: the paper's claims as experiments, each with a page of its own."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phosphene.cli.options import Json, Seed, choose
from phosphene.cli.progress import print_line, show_progress
from phosphene.cli.terminal import echo, warn
from phosphene.errors import BadInput

if TYPE_CHECKING:
    from phosphene.studies.folder import Study


def run_mislead(
    model: Annotated[list[str] | None, typer.Option(help="A model to ask; again for more.")] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            help="Folder of photographs; NAME.mask.png, white on the object, where that of NAME.jpg is known."
        ),
    ] = None,
    ask: Annotated[list[str] | None, typer.Option(help="A class B that stamps make of them; again for more.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the study; finished parts in it are kept.")] = Path(
        "study-mislead"
    ),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Can an explanation of one input be misled? Seven methods of Captum on photographs with an imperceptible stamp."""
    from phosphene.studies.mislead import Settings, run

    defaults = Settings(seed=seed)
    settings = replace(defaults, models=tuple(model or defaults.models), classes=tuple(ask or defaults.classes))
    command = format_command("mislead", {"--model": model, "--ask": ask, "--photos": photos, "--seed": seed or None})
    write_study_page(lambda advance: run(settings, out, advance, command, photos), out, as_json)


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
    from phosphene.studies.bias import Settings, run
    from phosphene.studies.small_models import DATA

    choose(DATA, data, "data set")
    if data_folder is not None and data != "fashion":
        raise BadInput(f"--data-folder is for --data fashion; got --data {data}, leave the folder out")
    settings = Settings(data=data, models=models, training=training, seed=seed)
    options = {"--data": data, "--data-folder": data_folder, "--models": models, "--training": training, "--seed": seed}
    command = format_command("bias", options)
    write_study_page(lambda advance: run(settings, out, advance, command, data_folder), out, as_json)


def run_forged(
    fashion: Annotated[
        Path | None, typer.Option(help="Folder with Fashion-MNIST's four .gz files, to ask networks of both data sets.")
    ] = None,
    honest: Annotated[int, typer.Option(min=2, help="Honest networks of each data set.")] = 20,
    forged: Annotated[int, typer.Option(min=1, help="Forged networks of each data set.")] = 6,
    training: Annotated[int, typer.Option(min=100, help="Images that each network learns from.")] = 2000,
    steps: Annotated[int, typer.Option(min=1, help="Steps of fine-tuning that forge a map.")] = 400,
    iterations: Annotated[int, typer.Option(min=1, help="Iterations of every way of asking.")] = 32,
    out: Annotated[Path, typer.Option(help="Folder for the study; finished parts in it are kept.")] = Path(
        "study-forged"
    ),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Can the picture be forged? Networks are fine-tuned to show another picture, and asked in several ways."""
    from phosphene.studies.forged import Settings, run

    data = ("signs",) if fashion is None else ("signs", "fashion")
    settings = Settings(data, honest, forged, training, steps, iterations, seed)
    options = {"--fashion": fashion, "--honest": honest, "--forged": forged, "--training": training, "--steps": steps}
    options |= {"--iterations": iterations, "--seed": seed or None}
    command = format_command("forged", options)
    write_study_page(lambda advance: run(settings, out, advance, command, fashion), out, as_json)


def run_concepts(
    model: Annotated[
        list[str] | None, typer.Option(help="A model to ask; again for more, from small to large.")
    ] = None,
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
    from phosphene.model.sources.load import load
    from phosphene.studies.concepts import Settings, run

    defaults = Settings(seed=seed)
    settings = replace(defaults, models=tuple(model or defaults.models), channels=tuple(channel or defaults.channels))
    command = format_command("concepts", {"--model": model, "--channel": channel, "--seed": seed or None})
    write_study_page(lambda advance: run(settings, load, out, advance, command), out, as_json)


def run_signature(
    attack: Annotated[list[str] | None, typer.Option(help="A kind of trigger; again for more. All without it.")] = None,
    models: Annotated[
        Path | None, typer.Option(help="Folder of networks that others trained, with cards.json; needs --trust-cards.")
    ] = None,
    trust_cards: Annotated[
        bool, typer.Option("--trust-cards", help="Import the factories that cards name, which run their author's code.")
    ] = False,
    clean: Annotated[int, typer.Option(min=2, help="Clean networks.")] = 6,
    iterations: Annotated[int | None, typer.Option(min=1, help="Iterations of a map, instead of the preset's.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the study; finished parts in it are kept.")] = Path(
        "study-signature"
    ),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Does the map of a backdoor's target show the trigger? Clean and backdoored networks side by side."""
    from phosphene.studies.signature import Settings, run

    if models is not None and not trust_cards:
        raise BadInput("--models imports the code that its cards name; add --trust-cards if you trust its author")
    defaults = Settings(seed=seed)
    attacks = tuple(attack or defaults.attacks)
    settings = replace(defaults, attacks=attacks, clean=clean, iterations=iterations)
    options = {"--attack": attack, "--models": models, "--clean": clean, "--iterations": iterations, "--seed": seed}
    command = format_command("signature", options) + (" --trust-cards" if trust_cards else "")
    write_study_page(lambda advance: run(settings, out, advance, command, models), out, as_json)


def format_command(study: str, options: Mapping[str, object]) -> str:
    """The command line that asks for the same again; options of None are left out, of lists repeated."""
    words = ["phosphene", "study", study]
    for option, value in options.items():
        values = value if isinstance(value, list) else [] if value is None else [value]
        for one in values:
            words += [option, str(one)]
    return shlex.join(words)


def write_study_page(run: Callable[[Callable[[str], None]], Study], out: Path, as_json: bool) -> None:
    """Run a study with progress, keep it in `out`, and write its page; `run` is passed what to call after each part."""
    from phosphene.core.files import prepare_folder
    from phosphene.core.locks import lock_folder
    from phosphene.report.study import write_study_report

    prepare_folder(out)  # fails before minutes of work where nothing can be written
    with lock_folder(out, warn), show_progress(quiet=as_json) as bar:
        task = bar.add_task("parts", total=None, rate="")

        def advance(part: str) -> None:
            bar.update(task, advance=1)
            if not as_json:
                print_line(bar, part)

        study = run(advance)
        study.save(out)
        page = write_study_report(out)
    record = {"study": str(out / "study.json"), "page": str(page), "answers": list(study.answers)}
    echo(json.dumps(record, indent=2) if as_json else f"page: {page.resolve()}")
