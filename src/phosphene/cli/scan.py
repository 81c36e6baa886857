"""`phosphene scan` and `phosphene calibrate`: is there a backdoor in a model, without data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phosphene.cli.common import Json, Source, one_line_errors, progress
from phosphene.errors import BadInput

if TYPE_CHECKING:
    from phosphene.scanner.record import Scan

Seed = Annotated[int, typer.Option(help="Seed of every random draw.")]


def scan(
    model: Annotated[str | None, typer.Argument(help="The model; left out with --factory.")] = None,
    budget: Annotated[
        float | None, typer.Option(help="Seconds that the scan may take; they decide how deep it goes.")
    ] = None,
    seed: Seed = 0,
    report: Annotated[Path | None, typer.Option(help="Write the scan to FILE: .html a page, else its JSON.")] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="Your own clean models, from `phosphene calibrate`, in place of the shipped ones."),
    ] = None,
    *,
    source: Source,
    as_json: Json = False,
) -> None:
    """Scan MODEL for a backdoor, without any data.

    Exit codes: 0 nothing found (which is not "clean"), 1 backdoor-like or suspicious, 2 an error of the user's,
    3 inconclusive or a natural weak spot.
    """
    with one_line_errors():
        if budget is not None and not budget > 0:
            raise BadInput(f"--budget is {budget:g}; expected seconds, more than 0")
        if report is not None and (report.is_dir() or not report.parent.is_dir()):  # before minutes are spent
            raise BadInput(f"--report is {str(report)!r}; expected a file in a folder that exists")
        classifier = source.load(model)
        from phosphene.scanner.reference import Reference
        from phosphene.scanner.scanning import scan as scan_model
        from phosphene.scanner.settings import Settings

        reference = Reference.load(calibration) if calibration is not None else None
        with progress(quiet=as_json) as bar:
            task = bar.add_task("scan", total=None, rate="")
            found = scan_model(classifier, Settings(seed=seed), reference=reference, budget=budget,
                               on_stage=lambda stage: bar.update(task, description=stage))  # fmt: skip
        if report is not None:
            _write(found, report)
        typer.echo(json.dumps(found.to_json(), indent=2) if as_json else _told(found))
        if report is not None and not as_json:
            typer.echo(f"report: {report.resolve()}")
    raise typer.Exit(found.exit_code)


def _write(found: Scan, path: Path) -> None:
    from phosphene.report.scan import write_scan_report

    if path.suffix == ".html":
        write_scan_report(found, path)
    else:
        found.save(path)


def _told(found: Scan) -> str:
    """The verdict in words, the most suspicious classes, and what has to be known beside them."""
    from phosphene.scanner.record import VERDICTS

    external = "not used" if found.p_external is None else f"{found.p_external:.3g}"
    lines = [
        f"{found.model.name}: {found.verdict} (p = {found.p_value:.3g}): {VERDICTS[found.verdict].means}",
        f"p-values: internal {found.p_internal:.3g} (this model's classes against each other), external {external} "
        f"(against {found.calibration.models} clean models)",
    ]
    if found.target is not None:
        lines.append(f"target: {found.target.index} {found.target.name}")
    if found.trigger is not None:
        best = found.trigger
        lines.append(f"strongest candidate: {best.family} for {best.target.name}, size {best.size:.3g}, "
                     f"flips {best.flip_rate:.0%} of fresh surrogates")  # fmt: skip
    lines += [f"  {one.score:6.2f}  {one.index} {one.name}" for one in found.ranking()[:5]]
    lines += [f"check: {check}" for check in found.checks]
    lines.append(f"not covered: {'; '.join(found.not_covered)}")
    lines.append(f"{found.seconds:.0f} s, {found.passes} images through the network; "
                 + ", ".join(f"{stage.name}: {stage.classes} classes" for stage in found.stages))  # fmt: skip
    return "\n".join(lines)
