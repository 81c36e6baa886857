"""A job: a batch of concepts, the model they are asked of, and where their maps go. Small, and the same anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from phosphene.errors import BadInput
from phosphene.model.batching import is_out_of_memory
from phosphene.model.classifier import Classifier
from phosphene.model.reference import ModelReference
from phosphene.recipe.concepts import Concept, layer_of
from phosphene.recipe.recipe import Recipe
from phosphene.runs.callbacks import noop
from phosphene.runs.failures import Failure, describe_failure
from phosphene.runs.open_models import OpenModels
from phosphene.runs.pipeline import run_batch
from phosphene.runs.reference import MapReference
from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.storage import FULL, Storage
from phosphene.runs.store import artifact_path, find_finished

DIED_TWICE = "its worker died twice: killed, or out of memory"


@dataclass(frozen=True)
class Job:
    """Concepts that go through the model together; `batch_size` images at once fit into memory. Without `overwrite` a
    map that has appeared meanwhile is kept, and is an error where it is another one. With `keep_going` a concept that
    fails is told of in the result and is no error."""

    model: ModelReference
    verifiers: tuple[ModelReference, ...]
    concepts: tuple[Concept, ...]
    recipe: Recipe
    folder: Path
    batch_size: int
    overwrite: bool = False
    storage: Storage = FULL
    keep_going: bool = False

    @property
    def iterations(self) -> int:
        return len(self.concepts) * self.recipe.iterations

    def run(self, models: OpenModels, on_iterations: Callable[[int], None] = noop) -> JobResult:
        return run_job(self, models, on_iterations)

    def split(self) -> tuple[list[Job], JobResult]:
        return split_job(self)

    def describe(self) -> str:
        return ", ".join(concept.name for concept in self.concepts)


@dataclass(frozen=True)
class JobResult:
    """The maps that a job has written or, of other jobs, the `files`; the warnings that were raised on the way, and
    what failed."""

    maps: tuple[MapReference, ...] = ()
    warnings: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    files: tuple[Path, ...] = ()


def split_job(job: Job) -> tuple[list[Job], JobResult]:
    """What is left of a job that kills whoever runs it: its concepts one by one or, of a single one, its failure."""
    if len(job.concepts) > 1:
        return [replace(job, concepts=(concept,)) for concept in job.concepts], JobResult()
    return [], JobResult(failures=(Failure(job.concepts[0].name, DIED_TWICE),))


def run_job(job: Job, models: OpenModels, on_iterations: Callable[[int], None] = noop) -> JobResult:
    """Make the maps of a job and write them; the result is paths and numbers.

    Channels are those of the layers as they were given, so a job that asks for one runs the model unfolded.
    """
    asks_for_channels = any(layer_of(concept) is not None for concept in job.concepts)
    model = models.open(job.model) if asks_for_channels else models.open_folded(job.model)
    verifiers = [models.open_folded(verifier) for verifier in job.verifiers]
    warnings: list[str] = []

    def make_all(concepts: Sequence[Concept]) -> list[SaliencyMap]:
        classifier = model.replace(batch_size=models.limit_batch(job.model, job.batch_size))
        return _run_in_memory(classifier, concepts, job, verifiers, on_iterations, warnings, models)

    made = _make_each(make_all, job.concepts) if job.keep_going else make_all(job.concepts)
    maps = [
        _save(replace(one, storage=job.storage), concept, job, model, warnings)
        for one, concept in zip(made, job.concepts, strict=True)
        if not isinstance(one, Failure)
    ]
    failures = (one for one in made if isinstance(one, Failure))
    return JobResult(tuple(maps), tuple(warnings), tuple(failures))


def _make_each(
    make_all: Callable[[Sequence[Concept]], list[SaliencyMap]], concepts: Sequence[Concept]
) -> list[SaliencyMap | Failure]:
    """The maps of a batch; where it fails, of each concept alone, or the reason why there is none."""
    try:
        return [*make_all(concepts)]
    except Exception as error:
        if len(concepts) == 1:
            return [Failure(concepts[0].name, describe_failure(error))]
    return [one for concept in concepts for one in _make_each(make_all, [concept])]


def _save(
    saliency: SaliencyMap, concept: Concept, job: Job, classifier: Classifier, warnings: list[str]
) -> MapReference:
    """Write a map, unless its file has appeared since the run began: a writer that knows no lock was here."""
    path = artifact_path(job.folder, saliency.concept)
    if path.exists() and not job.overwrite:
        there = find_finished(job.folder, [concept], classifier, job.recipe, warnings.append)
        if concept.name in there:
            return there[concept.name]
    saliency.save(path)
    return MapReference.to(saliency, path)


def _run_in_memory(
    classifier: Classifier,
    concepts: Sequence[Concept],
    job: Job,
    verifiers: Sequence[Classifier],
    on_iterations: Callable[[int], None],
    warnings: list[str],
    models: OpenModels,
) -> list[SaliencyMap]:
    """The maps of one batch; where memory runs out, of its halves with half as many images at once."""
    try:
        return run_batch(classifier, concepts, job.recipe, verifiers, on_iterations)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        if classifier.batch_size == 1:
            raise BadInput(
                f"one concept with {job.recipe.samples} samples does not fit into memory; use fewer samples or a "
                f"smaller model"
            ) from error
    warnings.append(f"out of memory with {classifier.batch_size} images at a time; going on with half")
    models.remember_batch(job.model, classifier.batch_size // 2)
    middle, maps = len(concepts) // 2, []
    for half in (concepts[:middle], concepts[middle:]):
        smaller = classifier.replace(batch_size=models.limit_batch(job.model, classifier.batch_size // 2))
        maps += _run_in_memory(smaller, half, job, verifiers, on_iterations, warnings, models) if half else []
    return maps
