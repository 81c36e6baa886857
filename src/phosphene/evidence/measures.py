"""The scores of one map: each a function of its `Case`, with the question that it answers and how to read it.

One more score is one function and one entry in `MEASURES`; `phosphene.evidence.summary` averages it over a run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from phosphene.evidence.case import Case, centred, stamp
from phosphene.evidence.soundness import rounded, sound
from phosphene.method.fidelity import UNSEEN, measure_fidelities
from phosphene.method.recognition import resize_pictures
from phosphene.model.classifier import Classifier
from phosphene.model.outputs import is_top, probability
from phosphene.recipe.concepts import Concept
from phosphene.recipe.distributions import Distribution, Gaussian

EPSILONS = (0.25, 0.5, 0.75, 1.0)  # shares of the map, for the curve of the logit gain
FOREIGN: dict[str, Distribution] = {**UNSEEN, "gaussian": Gaussian()}


def recognition(case: Case) -> dict[str, Any]:
    """Top-1, top-5 and log-probability of the bare picture by each verifier, which had no part in the map."""
    picture = case.saliency.raw_picture[None]
    return {"opinions": [{"model": verifier.name, **_opinion(verifier, case.concept, picture)}
                         for verifier in case.verifiers]}  # fmt: skip


def _opinion(verifier: Classifier, concept: Concept, picture: Tensor) -> dict[str, Any]:
    seen = resize_pictures(picture, verifier)
    with torch.no_grad():
        outputs = verifier(torch.cat([seen, torch.full_like(seen, 0.5)]))
    difference = (outputs[0] - outputs[1]).abs().max().item()
    sound(f"what {verifier.name} answers to the picture, beside mid-grey,", [0.0, difference], varying=True)
    first = outputs[:1]
    five = set(first[0].topk(min(5, first.shape[1])).indices.tolist())
    return {"top1": bool(is_top(first, concept)), "top5": bool(five & set(concept.targets)),
            "log_probability": round(probability(first, concept).clamp(min=1e-30).log().item(), 4)}  # fmt: skip


def agnosticity(case: Case) -> dict[str, Any]:
    """Top-1 rate of the map, at the contrast it is shown at, on distributions never drawn from and on photographs.

    Beside it, on the same samples: a random map of equal norm, the map of another class, and no map at all.
    """
    grounds = {name: kind for name, kind in FOREIGN.items() if kind != case.recipe.distribution}
    if case.photographs is not None:
        grounds["photographs"] = case.photographs
    stamped = stamp(case.saliency)
    laid = {"map": stamped, "random": case.random_maps(stamped)}
    if case.other is not None:
        laid["other"] = stamp(case.other)
    rates = {ground: {name: _top1(case, ground, kind, m) for name, m in laid.items()}
             for ground, kind in grounds.items()}  # fmt: skip
    if case.photographs is not None:
        nothing = torch.zeros_like(case.saliency.map)
        rates["photographs"]["nothing"] = _top1(case, "photographs", case.photographs, nothing)
    return {"other": case.other.concept if case.other else None, "rates": rates}


def _top1(case: Case, ground: str, distribution: Distribution, maps: Tensor) -> float:
    outputs = case.outputs(case.drawn(f"agnosticity/{ground}", distribution), maps)
    answers = sound(f"what the model answers on {ground}", outputs, varying=True)
    return round(is_top(answers, case.concept).mean().item(), 4)


def gain(case: Case) -> dict[str, Any]:
    """Mean change of the concept's score with +ε of the map, −ε of it, and ε of random maps of equal norm."""
    drawn = case.drawn("gain")
    directions = {"plus": case.saliency.map, "minus": -case.saliency.map, "random": case.random_maps(case.saliency.map)}
    before = case.concept.score(case.outputs(drawn, torch.zeros_like(case.saliency.map)))
    curves = {
        name: [(case.concept.score(case.outputs(drawn, epsilon * m)) - before).mean().item() for epsilon in EPSILONS]
        for name, m in directions.items()
    }
    sound("logit gain", [0.0, *(value for curve in curves.values() for value in curve)], varying=True)
    return {"epsilon": list(EPSILONS), **{name: rounded(curve) for name, curve in curves.items()}}


def entanglement(case: Case) -> dict[str, Any]:
    """How far the map raises the score of each concept of the run, in logits centred over the classes.

    Draws and views are the same for all maps of the run, so that rows differ by the map alone.
    """
    drawn = case.drawn("entanglement")
    nothing = torch.zeros_like(case.saliency.map)
    before, after = (centred(case.outputs(drawn, m)) for m in (nothing, case.saliency.map))
    raised = [(concept.score(after) - concept.score(before)).mean().item() for concept in case.company]
    sound(f"rise of its own score by the map of {case.concept.name}",
          [raised[case.place] if raised[case.place] > 0 else float("nan")])  # fmt: skip
    return {"raised": dict(zip([concept.name for concept in case.company], rounded(raised), strict=True))}


def classes(case: Case) -> dict[str, Any]:
    """Class randomisation: similarity of the map to the maps of all other classes of the run."""
    others = [place for place in range(len(case.company)) if place != case.place]
    found: dict[str, Any] = {}
    for way, row in case.similarities.items():
        alike = sound(f"similarity of {way} to other classes", row[others])
        found[way] = {"mean": round(alike.mean().item(), 4), "most": round(alike.max().item(), 4),
                      "whose": case.company[others[int(alike.argmax())]].name}  # fmt: skip
    return found


def complexity(case: Case) -> dict[str, Any]:
    """Gini index and effective area of the importance."""
    importance = case.saliency.importance.flatten().double()
    sound("importance", importance, varying=True)
    return {"gini": round(gini(importance), 4), "effective_area": round(effective_area(importance), 4)}


def gini(values: Tensor) -> float:
    """Gini index of non-negative values: 0 where all are equal, near 1 where one has everything."""
    ordered = values.sort().values
    count = len(ordered)
    weights = 2 * torch.arange(1, count + 1, dtype=ordered.dtype) - count - 1
    return ((weights * ordered).sum() / (count * ordered.sum())).item()


def effective_area(values: Tensor) -> float:
    """`(Σa)² / (N Σa²)`: the share of equally important places that would be as concentrated."""
    return (values.sum().square() / (len(values) * values.square().sum())).item()


def refinement(case: Case) -> dict[str, Any]:
    """Fidelity without and with the mask, on draws that the mask was not chosen on, and what the mask keeps."""
    saliency = case.saliency
    both = torch.stack([saliency.map, saliency.mask * saliency.map])
    fresh = replace(case.recipe, seed=case.recipe.seed + 1)
    before, after = measure_fidelities(case.classifier, case.concept, both, fresh, samples=case.samples)
    sound("fidelity of refinement", [*asdict(before).values(), *asdict(after).values()])
    inside = (saliency.importance * saliency.mask).sum() / saliency.importance.sum()
    sound("evidence inside the mask", inside[None])
    return {"before": asdict(before), "after": asdict(after), "inside": round(inside.item(), 4),
            "area": round(saliency.mask.mean().item(), 4)}  # fmt: skip


@dataclass(frozen=True)
class Measure:
    """A score of one map; `needs` names the settings that it depends on, so that it is measured again when they change.

    `least` is the number of maps that a run must have for it, `witnesses` whether it asks verifiers.
    """

    measured: Callable[[Case], dict[str, Any]]
    needs: tuple[str, ...]
    least: int = 1
    witnesses: bool = False

    def applies(self, maps: int, verifiers: Sequence[Classifier]) -> bool:
        return maps >= self.least and (bool(verifiers) or not self.witnesses)


MEASURES: dict[str, Measure] = {
    "recognition": Measure(recognition, ("verifiers",), witnesses=True),
    "agnosticity": Measure(agnosticity, ("samples", "photographs", "company")),
    "gain": Measure(gain, ("samples",)),
    "classes": Measure(classes, ("company", "eyes"), least=2),
    "entanglement": Measure(entanglement, ("samples", "company"), least=2),
    "complexity": Measure(complexity, ()),
    "refinement": Measure(refinement, ("samples",)),
}
