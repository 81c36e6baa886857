"""`phosphene scan DIR`: every model of a folder, in one run that can be resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from phosphene.cli.errors import Verdict
from phosphene.cli.given import Given, open_against
from phosphene.cli.options import Source, choose
from phosphene.cli.progress import print_line, show_progress
from phosphene.cli.terminal import echo, warn
from phosphene.core.files import check_target, write_atomically
from phosphene.core.locks import lock_target
from phosphene.errors import BadInput

if TYPE_CHECKING:
    from rich.progress import Progress

    from phosphene.runs.executors.executor import Executor
    from phosphene.scanner.against.base import Base
    from phosphene.scanner.folder.record import FolderScan, ScannedModel
    from phosphene.scanner.folder.run import FolderCallbacks
    from phosphene.scanner.record import Scan
    from phosphene.scanner.settings import Settings

NAMED = 10  # entries that are left out and named; of more only the number is told


@dataclass(frozen=True)
class FolderPlan:
    """What is asked of every model, where they are scanned, and the file for a log of all."""

    budget: float | None
    settings: Settings
    calibration: Path | None
    executor: str
    workers: int
    sarif: Path | None
    given: Given = Given()


def run_folder_scan(
    folder: Path,
    out: Path | None,
    source: Source,
    plan: FolderPlan,
    *,
    as_json: bool,
) -> None:
    """Scan what is missing, print the table, and end with the exit code of all."""
    from phosphene.scanner.folder.run import check_apart, scan_folder

    if source.weights is not None:
        raise BadInput(f"--weights is for one model, and {str(folder)!r} is a folder of them; leave it out")
    if source.contrast is not None:
        raise BadInput("--contrast is for models that read texts, and those are scanned one by one; leave it out")
    out, where = out or place_beside(folder), choose_where(plan.executor, plan.workers)
    check_apart(folder, out)
    options = {name: value for name, value in source.parse().items() if name not in ("weights", "contrast")}
    with ExitStack() as stack:
        if plan.sarif is not None:
            check_target(plan.sarif)
            stack.enter_context(lock_target(plan.sarif.absolute(), warn))
        bar = stack.enter_context(show_progress(quiet=as_json))
        base = None if plan.given.against is None else find_base(plan.given.against, source, plan, out, bar)
        record = scan_folder(
            folder,
            out,
            options,
            plan.settings,
            budget=plan.budget,
            calibration=plan.calibration,
            against=base,
            images=plan.given.images,
            executor=where,
            callbacks=make_callbacks(bar, out, quiet=as_json),
        )
        if plan.sarif is not None:
            write_sarif(record, out, plan.sarif)
    print_table(record, out, as_json=as_json)
    raise Verdict(record.exit_code)


def find_base(against: str, source: Source, plan: FolderPlan, out: Path, bar: Progress) -> Base:
    """The base of all models of the folder: as a record says, or measured once."""
    from phosphene.scanner.against.base import Base
    from phosphene.scanner.folder.base import measure_base_once
    from phosphene.scanner.record import Scan

    opened = open_against(against, None, source)
    if isinstance(opened, Scan):
        return Base.of_scan(opened)
    task = bar.add_task("base", total=None, rate="")
    base = measure_base_once(
        opened,
        plan.settings,
        out,
        budget=plan.budget,
        calibration=plan.calibration,
        images=plan.given.images,
    )
    bar.remove_task(task)
    return base


def place_beside(folder: Path) -> Path:
    """`DIR-scans` beside the folder: in it, whoever made it may have laid links, and nothing of ours belongs there."""
    whole = folder.resolve()
    if not whole.name:
        raise BadInput(f"{str(folder)!r} has no folder beside it; give --out")
    return whole.with_name(f"{whole.name}-scans")


def choose_where(name: str, workers: int) -> Executor:
    """Where the models are scanned. Workers share the threads of this process, each with at least one."""
    import torch

    from phosphene.runs.executors.processes import Processes
    from phosphene.runs.executors.serial import Serial

    kinds: dict[str, Callable[[], Executor]] = {"processes": lambda: Processes(workers), "serial": lambda: Serial()}
    make = choose(kinds, name, "executor")
    if name == "serial" and workers > 1:
        raise BadInput(f"--workers is {workers}, and --executor serial has one; leave one of them out")
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    return make()


def make_callbacks(bar: Progress, out: Path, *, quiet: bool) -> FolderCallbacks:
    """Models on the bar, a line and a page for each, and the page of all at the end."""
    from phosphene.report.scan import write_scan_report
    from phosphene.report.scans import write_scans_report
    from phosphene.scanner.folder.run import FolderCallbacks

    task = bar.add_task("models", total=None, rate="")

    def tell(line: str) -> None:
        bar.update(task, advance=1)
        if not quiet:
            print_line(bar, line)

    def start(models: int, missing: int) -> None:
        bar.update(task, total=models)
        if not quiet and missing < models:
            print_line(bar, f"{missing} of {models} models are not scanned yet")

    def finish(model: ScannedModel, scan: Scan) -> None:
        page = out / str(model.page)
        if not page.exists():
            write_scan_report(scan, page)
        tell(describe_line(model))

    def write_index(record: FolderScan) -> None:
        write_scans_report(record, out)

    return FolderCallbacks(
        on_start=start,
        on_scan=finish,
        on_failure=lambda model: tell(describe_line(model)),
        on_warning=warn,
        on_finish=write_index,
    )


def describe_line(model: ScannedModel) -> str:
    """`net3.safetensors: suspicious (p = 0.0125), target 7 ship, 31 s`."""
    if model.verdict is None:
        return f"{model.file}: not scanned: {model.failure}"
    target = "" if model.target is None else f", target {model.target.title}"
    return f"{model.file}: {model.verdict} (p = {model.p_value:.3g}){target}, {model.seconds:.0f} s"


def write_sarif(record: FolderScan, out: Path, path: Path) -> None:
    """One log with a result for each model; what could not be scanned is a notification of an error."""
    from phosphene.scanner.exports.artifact import Artifact
    from phosphene.scanner.exports.sarif import make_sarif_of_many
    from phosphene.scanner.record import Scan

    done = [one for one in record.models if one.record is not None]
    scans = [(Scan.load(out / str(one.record)), Artifact(one.file, one.sha256)) for one in done]
    failures = {one.file: str(one.failure) for one in record.failures}
    log = make_sarif_of_many(scans, failures, record.exit_code)
    write_atomically(path, (json.dumps(log, indent=2, allow_nan=False) + "\n").encode())


def print_table(record: FolderScan, out: Path, *, as_json: bool) -> None:
    """Every model in a line, what was left out, and where it all lies."""
    from phosphene.report.scans import PAGE, explain_chance

    if as_json:
        echo(json.dumps(record.to_json(), indent=2))
    else:
        for line in (describe_line(model) for model in record.models):
            echo(line.replace("\n", " "))
        echo(explain_chance(record))
        echo(f"report: {(out / PAGE).resolve()}")
    for line in describe_left_out([f"{one.name}: {one.reason}" for one in record.left_out]):
        warn(line)
    if record.failures:
        warn(
            f"{len(record.failures)} of {len(record.models)} models could not be scanned: "
            f"{', '.join(one.file for one in record.failures)}; the same command tries them again"
        )


def describe_left_out(lines: Sequence[str]) -> list[str]:
    """Each entry in a line, or their number where there are many: the table has them all."""
    if len(lines) <= NAMED:
        return [f"left out: {line}" for line in lines]
    return [f"{len(lines)} other entries of the folder are left out; scans.json and the page name them"]
