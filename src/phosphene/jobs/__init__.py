"""The one place where model, concepts, method and files meet: a list of concepts in, finished maps out.

A run is cut into chunks that fit into memory, each chunk is one batch of the estimator, and every finished map is
written before the next chunk starts. Running again skips what is finished.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, groupby
from pathlib import Path

import psutil
import torch
from torch import Tensor

from phosphene.artifact import SaliencyMap, prepare_folder
from phosphene.classifier import Classifier
from phosphene.concepts import Concept, layer_of, parse, scores_used
from phosphene.errors import BadInput
from phosphene.execution import Executor, Serial
from phosphene.jobs.chunk import make_chunk, opinions
from phosphene.jobs.folder import artifact_path, finished_maps, write_plan
from phosphene.reading import check_readable
from phosphene.recipe import PRESETS, Recipe

MEMORY_SHARE = 0.5  # of what is free; the rest is for workspaces and the user


def _silent(*heard: object) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class Listener:
    """What a caller may want to hear of a run; every slot may stay silent."""

    planned: Callable[[int, int], None] = _silent  # maps to make, iterations of all maps together
    iterated: Callable[[int], None] = _silent  # so many more iterations of a map
    finished: Callable[[SaliencyMap, Path | None], None] = _silent
    warned: Callable[[str], None] = _silent


def make_maps(
    classifier: Classifier,
    concepts: Sequence[str | Concept],
    recipe: Recipe = PRESETS["default"],
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    verifiers: Sequence[Classifier] = (),
    executor: Executor = Serial(),
    listener: Listener = Listener(),
) -> list[SaliencyMap]:
    """The map of each concept, in order; with `out` each is written when it is finished, and finished ones are kept.

    `verifiers` are other models of the same classes whose opinion of the pictures is recorded. Raises `OtherRecipe`
    where `out` holds a map of the same concept by another recipe or model, unless `overwrite`.
    """
    asked = _asked(classifier, concepts, recipe)
    check_same_classes(classifier, verifiers)
    folder = Path(out) if out is not None else None
    done: dict[str, SaliencyMap] = {}
    if folder is not None:
        prepare_folder(folder)
        done = {} if overwrite else finished_maps(folder, asked, classifier, recipe, listener.warned)
        write_plan(folder, asked, classifier, recipe)
    missing = [concept for concept in asked if concept.name not in done]
    listener.planned(len(missing), len(missing) * recipe.iterations)
    kept = (_with_opinions(done[concept.name], concept, verifiers) for concept in asked if concept.name in done)
    for saliency in chain(kept, _all_maps(classifier, missing, recipe, verifiers, executor, listener)):
        path = artifact_path(folder, saliency.concept) if folder is not None else None
        if path is not None and done.get(saliency.concept) is not saliency:
            saliency.save(path)
        done[saliency.concept] = saliency
        listener.finished(saliency, path)
    return [done[concept.name] for concept in asked]


def rows_that_fit(classifier: Classifier) -> int:
    """The classifier's rows a pass, halved until layer outputs and gradients fit into the device's free memory."""

    def bytes_a_row(output: Tensor) -> Tensor:
        return torch.full((output.shape[0],), output[0].numel() * output.element_size())

    probe = torch.zeros(1, *classifier.image_shape)
    row = 2 * sum(int(sizes[0]) for sizes in classifier.observed(probe, bytes_a_row).values())
    device = classifier.device
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    rows = classifier.rows_a_pass
    while rows > 1 and rows * row > MEMORY_SHARE * free:
        rows //= 2
    return rows


def _asked(classifier: Classifier, concepts: Sequence[str | Concept], recipe: Recipe) -> list[Concept]:
    if not concepts:
        raise BadInput("no concept given; name at least one class, for example `goldfish`")
    parsed = [
        parse(concept, classifier.labels, model=classifier.name, scored=recipe.score)
        if isinstance(concept, str) else concept
        for concept in concepts
    ]  # fmt: skip
    for concept in parsed:
        if scores_used(concept) - {recipe.score}:
            raise BadInput(f"{concept.name!r} is scored by {', '.join(sorted(scores_used(concept)))}, the recipe says "
                           f"{recipe.score}; make both the same, so that the record tells the truth")  # fmt: skip
    by_name = {concept.name: concept for concept in parsed}
    for concept in parsed:
        check_readable(classifier, concept)
        if concept.targets != by_name[concept.name].targets:
            raise BadInput(f"two different concepts are called {concept.name!r}; give them different names")
    return list(by_name.values())


def check_same_classes(classifier: Classifier, verifiers: Sequence[Classifier]) -> None:
    """Raise `BadInput` unless every verifier has the classifier's classes."""
    for verifier in verifiers:
        if verifier.labels != classifier.labels:
            raise BadInput(f"{verifier.name} cannot verify {classifier.name}: their classes differ; "
                           f"choose a verifier with the same {len(classifier.labels)} labels")  # fmt: skip


def _with_opinions(saliency: SaliencyMap, concept: Concept, verifiers: Sequence[Classifier]) -> SaliencyMap:
    """A finished map with the opinions that it still lacks; the very same object where it lacks none."""
    heard = saliency.scores.get("verifiers", [])
    missing = [verifier for verifier in verifiers if verifier.name not in {opinion["model"] for opinion in heard}]
    if not missing:
        return saliency
    added = [opinion for verifier in missing for opinion in opinions(verifier, [concept], saliency.raw_picture[None])]
    return replace(saliency, scores={**saliency.scores, "verifiers": [*heard, *added]})


def _all_maps(
    classifier: Classifier,
    concepts: Sequence[Concept],
    recipe: Recipe,
    verifiers: Sequence[Classifier],
    executor: Executor,
    listener: Listener,
) -> Iterator[SaliencyMap]:
    """Chunk after chunk, as the executor brings them; none of classes and channels, whose stages differ."""
    if not concepts:
        return
    fast = classifier.folded()
    fast.rows_a_pass = rows_that_fit(fast)
    size = max(1, fast.rows_a_pass // recipe.samples)
    alike = [tuple(some) for _, some in groupby(concepts, key=lambda concept: layer_of(concept) is None)]
    chunks = [some[start : start + size] for some in alike for start in range(0, len(some), size)]
    told = listener if executor.in_process else Listener()
    for maps in executor.map(partial(_halved_where_needed, fast, recipe, tuple(verifiers), told), chunks):
        if not executor.in_process:
            listener.iterated(len(maps) * recipe.iterations)
        yield from maps


def _halved_where_needed(
    classifier: Classifier,
    recipe: Recipe,
    verifiers: Sequence[Classifier],
    listener: Listener,
    concepts: Sequence[Concept],
) -> list[SaliencyMap]:
    """The maps of one chunk; where memory runs out, of its halves in passes of half as many rows."""
    try:
        return make_chunk(classifier, concepts, recipe, verifiers, listener.iterated)
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        if classifier.rows_a_pass == 1:
            raise BadInput(f"one concept with {recipe.samples} samples does not fit into memory; "
                           f"use fewer samples or a smaller model") from error  # fmt: skip
    smaller = copy.copy(classifier)
    smaller.rows_a_pass = classifier.rows_a_pass // 2
    listener.warned(f"out of memory with {classifier.rows_a_pass} images at a time; going on with half")
    middle = len(concepts) // 2
    return [
        saliency
        for half in (concepts[:middle], concepts[middle:])
        if half
        for saliency in _halved_where_needed(smaller, recipe, verifiers, listener, half)
    ]


def _out_of_memory(error: BaseException) -> bool:
    """CUDA has an error type of its own; the CPU allocator raises a plain RuntimeError."""
    told = str(error).lower()
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in told
