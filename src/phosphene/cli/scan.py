"""`phosphene scan`: is there a backdoor in a model, without data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phosphene.cli.errors import Verdict
from phosphene.cli.given import Given, describe_given, open_against
from phosphene.cli.options import Json, Seed, Source
from phosphene.cli.progress import show_progress
from phosphene.cli.scan_folder import FolderPlan, run_folder_scan
from phosphene.cli.terminal import echo, warn
from phosphene.core.files import check_target, clear_leftovers
from phosphene.core.locks import lock_target
from phosphene.errors import BadInput

if TYPE_CHECKING:
    from phosphene.scanner.record import Scan, Trigger
    from phosphene.scanner.settings import Settings

CLASSES_SHOWN = 5


@dataclass(frozen=True)
class Exports:
    """Forms that auditors file, each written before the exit code is given."""

    sarif: Annotated[Path | None, typer.Option(help="Write the scan as SARIF 2.1.0 to FILE too.")] = None
    cyclonedx: Annotated[
        Path | None, typer.Option(help="Write a CycloneDX 1.6 bill of materials with the model's card to FILE.")
    ] = None
    in_toto: Annotated[
        Path | None, typer.Option(help="Write an in-toto statement, predicate test-result, to FILE; to be signed.")
    ] = None

    def list_targets(self) -> dict[str, Path | None]:
        """By option."""
        return {name.replace("_", "-"): path for name, path in vars(self).items()}

    def write(self, scan: Scan, weights: Path | None) -> None:
        from phosphene.scanner.exports.artifact import Artifact
        from phosphene.scanner.exports.registry import write_export

        for form, path in self.list_targets().items():
            if path is not None:
                write_export(scan, form, Artifact.of(scan, weights), path)


def run_scan(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL|DIR", help="The model, left out with --factory; or a folder of models, each scanned."
        ),
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="Seconds that the scan may take; they decide how deep it goes.")
    ] = None,
    seed: Seed = 0,
    report: Annotated[Path | None, typer.Option(help="Write the scan to FILE: .html a page, else its JSON.")] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="Your own clean models, from `phosphene calibrate`, in place of the shipped ones."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="For DIR: folder for the scans, by default DIR-scans beside it; finished ones are kept."),
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(
            help="For DIR: processes, so that a model that crashes takes no other with it, which is the default; or "
            "serial."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="For DIR: models at a time, by default 1; they share the threads.")
    ] = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Measure all statistics, also where the first ones show nothing.")
    ] = False,
    *,
    source: Source,
    exports: Exports,
    given: Given,
    as_json: Json = False,
) -> None:
    """Scan MODEL for a backdoor, or each model in the folder DIR, without any data.

    Exit codes: 0 nothing found (which is not "clean"), 1 backdoor-like or suspicious, 2 an error of the user's,
    3 inconclusive, 70 an error of this program's. Of a folder: 1 where any model is accused,
    else 3 where any is not decided, else 2 where one could not be scanned. The same command goes on where it stopped
    and scans what is new or changed. With --factory files of tensors are its weights; `models.json` in DIR may say
    otherwise, file by file.
    """
    check_budget(budget)
    if model is not None and is_folder(model):
        refuse_for_folder({"report": report, "cyclonedx": exports.cyclonedx, "in-toto": exports.in_toto})
        check_file("sarif", exports.sarif)
        settings = make_settings(seed, thorough=thorough)
        plan = FolderPlan(budget, settings, calibration, executor or "processes", workers or 1, exports.sarif, given)
        run_folder_scan(Path(model), out, source, plan, as_json=as_json)
        return
    refuse_for_model({"out": out, "executor": executor, "workers": workers})
    files = {"report": report, **exports.list_targets()}
    for option, path in files.items():
        check_file(option, path)
    with hold_files(files.values()):
        asked = Asked(budget, make_settings(seed, thorough=thorough), calibration, given)
        result = scan_model(model, source, asked, quiet=as_json)
        if report is not None:
            write_result(result, report)
        exports.write(result, source.weights)
    echo(json.dumps(result.to_json(), indent=2) if as_json else describe_scan(result))
    if report is not None and not as_json:
        echo(f"report: {report.resolve()}")
    raise Verdict(result.exit_code)


def is_folder(model: str) -> bool:
    """Whether MODEL is a folder of models; asked of the file system first, which imports nothing."""
    if not Path(model).is_dir():
        return False
    from phosphene.scanner.folder.listing import is_folder_of_models

    return is_folder_of_models(model)


def refuse_for_folder(options: Mapping[str, object]) -> None:
    if given := [name for name, value in options.items() if value is not None]:
        raise BadInput(
            f"--{given[0]} is for one model; of a folder, pages and JSON lie in --out, and --sarif takes all"
        )


def refuse_for_model(options: Mapping[str, object]) -> None:
    if given := [name for name, value in options.items() if value is not None]:
        raise BadInput(f"--{given[0]} is for a folder of models; leave it out, and give --report FILE for a page")


def make_settings(seed: int, *, thorough: bool) -> Settings:
    from phosphene.scanner.settings import Settings

    return Settings(seed=seed, clear=1.0) if thorough else Settings(seed=seed)


@dataclass(frozen=True)
class Asked:
    """What is asked of one model."""

    budget: float | None
    settings: Settings
    calibration: Path | None
    given: Given


def scan_model(model: str | None, source: Source, asked: Asked, *, quiet: bool) -> Scan:
    """The scan of a model, with its stages on the progress line."""
    classifier = source.load(model)
    base = None if asked.given.against is None else open_against(asked.given.against, model, source)
    from phosphene.scanner.pictures import load_pictures
    from phosphene.scanner.reference import Reference
    from phosphene.scanner.scanning import check_duration, scan

    reference = Reference.load(asked.calibration) if asked.calibration is not None else None
    pictures = load_pictures(asked.given.images, classifier.image_shape) if asked.given.images is not None else None
    if asked.budget is None and (long := check_duration(classifier, asked.settings)) is not None:
        warn(long)
    with show_progress(quiet=quiet) as bar:
        task = bar.add_task("scan", total=None, rate="")
        return scan(
            classifier,
            asked.settings,
            reference=reference,
            budget=asked.budget,
            against=base,
            images=pictures,
            on_stage=lambda stage: bar.update(task, description=stage),
            on_warning=warn,
        )


def check_budget(budget: float | None) -> None:
    if budget is not None and not budget > 0:
        raise BadInput(f"--budget is {budget:g}; expected seconds, more than 0")


def check_file(option: str, path: Path | None) -> None:
    """Raise `BadInput` or `ArtifactError` where a file cannot be written, before minutes are spent."""
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise BadInput(f"--{option} is {str(path)!r}; expected a file in a folder that exists")
    if path is not None:
        check_target(path)


@contextmanager
def hold_files(paths: Iterable[Path | None]) -> Iterator[None]:
    """Keep other scans from writing the same files meanwhile, and clear what a killed one left half-written."""
    files = sorted({path.absolute() for path in paths if path is not None})  # in one order, or two would wait for ever
    with ExitStack() as stack:
        for file in files:
            stack.enter_context(lock_target(file, warn))
            if not file.exists() or file.is_file():
                clear_leftovers(file.parent)
        yield


def write_result(scan: Scan, path: Path) -> None:
    """The scan as a page or as JSON, by the ending of the file."""
    from phosphene.report.scan import write_scan_report

    if path.suffix == ".html":
        write_scan_report(scan, path)
    else:
        scan.save(path)


def describe_scan(scan: Scan) -> str:
    """The verdict, the most suspicious classes, and what has to be known beside them."""
    lines = describe_verdict(scan)
    if scan.target is not None:
        lines.append(f"target: {scan.target.title}")
    if scan.trigger is not None:
        lines.append(describe_trigger(scan.trigger))
    lines += [f"  {one.score:6.2f}  {one.title}" for one in scan.ranking()[:CLASSES_SHOWN]]
    lines += [f"check: {check}" for check in scan.checks]
    lines.append(f"not covered: {'; '.join(scan.not_covered)}")
    lines.append(describe_cost(scan))
    return "\n".join(lines)


def describe_verdict(scan: Scan) -> list[str]:
    from phosphene.scanner.record import VERDICTS

    external = "not used" if scan.p_external is None else f"{scan.p_external:.3g}"
    own = "not used" if scan.own_classes is None else f"{scan.own_classes.p_value:.3g}"
    return [
        f"{scan.model.name}: {scan.verdict} (p = {scan.p_value:.3g}): {VERDICTS[scan.verdict].means}",
        f"p-values: internal {scan.p_internal:.3g} (this model's classes against each other), external {external} "
        f"(against {scan.calibration.models} clean models), own classes {own} (gap of the first, where no references "
        f"speak for a model of many classes)",
        *describe_given(scan),
    ]


def describe_trigger(trigger: Trigger) -> str:
    return (
        f"strongest candidate: {trigger.family} for {trigger.target.name}, size {trigger.size:.3g}, "
        f"flips {trigger.flip_rate:.0%} of fresh surrogates"
    )


def describe_cost(scan: Scan) -> str:
    stages = ", ".join(f"{stage.name}: {stage.classes} classes" for stage in scan.stages)
    return f"{scan.seconds:.0f} s, {scan.passes} images through the network; {stages}"
