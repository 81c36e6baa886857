"""What an atlas says of its finished maps: read one after the other, so that a thousand take the memory of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from phosphene.atlas.neighbours import RiseMeter, find_neighbours
from phosphene.atlas.record import Atlas, AtlasClass, Judgement
from phosphene.evidence.measures.complexity import effective_area, gini
from phosphene.model.classifier import Classifier
from phosphene.model.record import ModelRecord
from phosphene.recipe.chapters import assign_chapters
from phosphene.recipe.recipe import Recipe
from phosphene.runs.callbacks import noop
from phosphene.runs.failures import Failure
from phosphene.runs.reference import MapReference
from phosphene.runs.saliency import SaliencyMap
from phosphene.runs.versions import installed_versions

DIGITS = 4


def survey(
    classifier: Classifier,
    recipe: Recipe,
    references: Sequence[MapReference],
    failures: Sequence[Failure] = (),
    on_class: Callable[[int], None] = noop,
) -> Atlas:
    """The scores of finished maps of single classes, with the nearest neighbours of each; `on_class` is called with
    the number of maps that have been read."""
    meter, chapters = RiseMeter(classifier.fold(), recipe), assign_chapters(classifier.labels)
    indices = [reference.targets[0] for reference in references]
    rows, rises = [], torch.zeros(len(references), len(references))
    for place, reference in enumerate(references):
        saliency = reference.load()
        rises[place] = meter.measure(saliency.map)[indices]
        rows.append(describe_class(saliency, reference, chapters[indices[place]]))
        on_class(place + 1)
    nearest = find_neighbours(rises, [row.concept for row in rows])
    classes = (replace(row, neighbours=some) for row, some in zip(rows, nearest, strict=True))
    versions = installed_versions()
    return Atlas(ModelRecord.of(classifier), recipe.to_json(), versions, tuple(classes), tuple(failures))


def describe_class(saliency: SaliencyMap, reference: MapReference, chapter: str) -> AtlasClass:
    """The scores of one class, without neighbours."""
    scores, importance = saliency.scores, saliency.importance.flatten().double()
    picture, varies = scores.bare_pictures, bool(importance.any())
    return AtlasClass(
        concept=saliency.concept,
        index=saliency.targets[0],
        file=reference.path.name,
        family=chapter,
        fidelity=round(scores.fidelity.probability, DIGITS),
        top1=round(scores.fidelity.top1, DIGITS),
        elsewhere={name: round(one.probability, DIGITS) for name, one in scores.fidelity_elsewhere.items()},
        refined_fidelity=round(scores.refined_fidelity.probability, DIGITS),
        area=scores.refinement.area,
        seen=picture.seen if picture is not None else scores.top5[0].index in saliency.targets,
        top5=scores.top5,
        judgements=tuple(
            Judgement(one.model, one.top1, one.log_probability, one.top5[0].name) for one in scores.opinions
        ),
        gini=round(gini(importance), DIGITS) if varies else 0.0,
        effective_area=round(effective_area(importance), DIGITS) if varies else 0.0,
        passes=saliency.passes,
        seconds=saliency.seconds,
        restarts=scores.restarts,
        checks=saliency.checks,
    )
