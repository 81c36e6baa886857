"""A folder of checkpoints from nothing to `scans.json`: what is missing is scanned, failures are gathered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phosphene.core.files import prepare_folder, set_aside
from phosphene.core.locks import lock_target
from phosphene.core.records import digest_record, to_plain
from phosphene.errors import ArtifactError, BadInput, DamagedArtifact, PhospheneError
from phosphene.model.labels import read_labels
from phosphene.model.sources.load import list_said
from phosphene.runs.callbacks import noop
from phosphene.runs.executors.executor import Executor
from phosphene.runs.executors.serial import Serial
from phosphene.runs.failures import describe_failure
from phosphene.runs.open_models import OpenModels
from phosphene.runs.versions import installed_versions
from phosphene.scanner.against.base import Base
from phosphene.scanner.folder.identity import describe_scanner, hash_beside, hash_factory, hash_model, make_key
from phosphene.scanner.folder.job import ScanJob
from phosphene.scanner.folder.listing import Candidate, list_folder, show_name
from phosphene.scanner.folder.options import read_options
from phosphene.scanner.folder.record import FILE_NAME, ComparedWith, FolderScan, ScannedModel, describe_model
from phosphene.scanner.pictures import SMALL, load_pictures
from phosphene.scanner.record import Scan
from phosphene.scanner.reference import SHIPPED, Reference
from phosphene.scanner.settings import Settings

STEM = 40  # characters of a model's name that its files keep
SAID_OF_MODELS = ("model", "factory")  # beside what `list_said` lists


@dataclass(frozen=True)
class FolderCallbacks:
    """Functions that a run calls; each may be left out."""

    on_start: Callable[[int, int], None] = noop  # models in all, and of these that are not scanned yet
    on_scan: Callable[[ScannedModel, Scan], None] = noop  # a finished one, of this run or an earlier one
    on_failure: Callable[[ScannedModel], None] = noop
    on_warning: Callable[[str], None] = noop
    on_finish: Callable[[FolderScan], None] = noop  # before the folder is given free


@dataclass(frozen=True)
class Plan:
    """What is asked of every model alike."""

    out: Path
    options: Mapping[str, Any]
    settings: Settings
    budget: float | None
    calibration: Path | None
    against: Base | None
    images: Path | None
    scanner: Mapping[str, Any]

    def plan(self, candidate: Candidate, said: Mapping[str, Any]) -> ScanJob | ScannedModel:
        """The job of a model, or its failure where its bytes cannot be read."""
        options = self._combine(candidate, said)
        try:
            sha256, beside = hash_model(candidate.path), hash_beside(candidate.path)
            content = {"name": candidate.name, "sha256": sha256, "beside": beside, **self.scanner}
            key = make_key(content, options)
        except (PhospheneError, OSError) as error:
            return ScannedModel(
                candidate.name, None, options=describe_options(options), failure=describe_failure(error)
            )
        target = self.out / f"{make_stem(candidate.name)}-{key}.json"
        return ScanJob(
            candidate,
            options,
            self.settings,
            self.budget,
            self.calibration,
            sha256,
            beside,
            target,
            self.against,
            self.images,
        )

    def _combine(self, candidate: Candidate, said: Mapping[str, Any]) -> dict[str, Any]:
        """What is said of one file goes before what is said of all; an architecture in place of a factory."""
        options = {**self.options, **said}
        if candidate.whole or "model" in said:
            options.pop("factory", None)
        return {name: value for name, value in options.items() if value is not None and value is not False}


def scan_folder(
    folder: Path,
    out: Path,
    options: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    *,
    budget: float | None = None,
    calibration: Path | None = None,
    against: Base | None = None,
    images: Path | None = None,
    executor: Executor = Serial(),
    callbacks: FolderCallbacks = FolderCallbacks(),
) -> FolderScan:
    """Scan every model in `folder`, those that are not scanned yet, and write `OUT/scans.json`.

    `options` are those of `phosphene.load` for all files but `model` and `weights`; `models.json` in the folder says
    otherwise of single ones. `budget` is in seconds for each model. Each is compared with the same base where `against`
    is given; one of other classes or images fails. `images` is a folder of clean pictures. A model that fails stops
    none of the others, and the next run tries it again. Raises `BadInput` where nothing can be a model, `ArtifactError`
    where another run is writing into `out`.
    """
    settings, listing = settings or Settings(), list_folder(folder)
    said = read_options(folder, listing)
    check_apart(folder, out)
    reference = None if calibration is None else Reference.load(calibration)  # refused now, not once for each model
    base = {"settings": to_plain(settings), "budget": budget, **describe_scanner(calibration, SHIPPED)}
    read_labels((options or {}).get("labels"))
    base["factory"] = hash_factory((options or {}).get("factory"))
    if against is not None:
        base["against"] = digest_record(to_plain(against))
    if images is not None:
        base["images"] = load_pictures(images, SMALL).digest
    plan = Plan(out, options or {}, settings, budget, calibration, against, images, base)
    prepare_folder(out)
    with lock_target(out / FILE_NAME, _refuse):
        planned = [plan.plan(one, said.get(one.name, {})) for one in listing.models]
        models = {one.file: one for one in _run(planned, executor, callbacks)}
        record = FolderScan(
            folder=show_name(folder.resolve().name),
            models=tuple(models[one.name] for one in listing.models),
            left_out=listing.left_out,
            settings=to_plain(settings),
            budget=budget,
            calibration=reference.name if reference is not None else "shipped",
            versions=installed_versions(),
            against=None if against is None else ComparedWith(against.name, against.fingerprint),
            images=base.get("images"),
        )
        record.save(out)
        callbacks.on_finish(record)
    return record


def check_apart(folder: Path, out: Path) -> None:
    """Raise `BadInput` where the scans would lie among the models: whoever made the folder may have laid links there,
    and the next run would look at its own results."""
    if out.resolve().is_relative_to(folder.resolve()):
        raise BadInput(f"--out is {str(out)!r}, which lies in the folder that is scanned; choose another")


def make_stem(name: str) -> str:
    """What is readable of a model's name in the names of its files; the key beside it tells names apart."""
    stem = name.rpartition(".")[0] or name
    return re.sub(r"[^a-z0-9]+", "-", stem.lower())[:STEM].strip("-") or "model"


def describe_options(options: Mapping[str, Any]) -> dict[str, str]:
    """As on the command line, files by their names alone."""
    named = {name: str(options[name]) for name in SAID_OF_MODELS if options.get(name) is not None}
    return named | dict(list_said(options))


def _run(
    planned: list[ScanJob | ScannedModel], executor: Executor, callbacks: FolderCallbacks
) -> Iterator[ScannedModel]:
    """Finished models first, then those that are missing, as the executor brings them."""
    jobs = {job.candidate.name: job for job in planned if isinstance(job, ScanJob)}
    done = [name for name, job in jobs.items() if _is_finished(job, callbacks.on_warning)]
    missing = [job for name, job in jobs.items() if name not in done]
    callbacks.on_start(len(planned), len(missing))
    for failed in (one for one in planned if isinstance(one, ScannedModel)):
        callbacks.on_failure(failed)
        yield failed
    for name in done:
        yield _describe(jobs[name], callbacks)
    by_target = {job.target: job for job in missing}
    for result in executor.run(missing, OpenModels(), noop) if missing else ():
        for warning in result.warnings:
            callbacks.on_warning(warning)
        for failure in result.failures:
            job = jobs[failure.concept]
            failed = ScannedModel(
                failure.concept, job.sha256, job.beside, describe_options(job.options), failure=failure.reason
            )
            callbacks.on_failure(failed)
            yield failed
        for target in result.files:
            yield _describe(by_target[target], callbacks)


def _is_finished(job: ScanJob, on_warning: Callable[[str], None]) -> bool:
    try:
        return job.find_finished() is not None
    except DamagedArtifact as error:
        on_warning(f"{error} (kept as {set_aside(job.target).name}, scanned again)")
        return False


def _describe(job: ScanJob, callbacks: FolderCallbacks) -> ScannedModel:
    scan = Scan.load(job.target)
    line = describe_model(job.candidate.name, job.sha256, job.beside, describe_options(job.options), scan, job.target)
    callbacks.on_scan(line, scan)
    return line


def _refuse(sentence: str) -> None:
    """Two runs in one folder would scan every model twice: the second does not wait."""
    raise ArtifactError(f"{sentence.split(';')[0]}; wait until it is done, or choose another --out")
