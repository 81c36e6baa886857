"""The sentences and the page of study 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from phosphene.model.sources.load import load
from phosphene.studies.estimates import Estimate, estimate_effect_size, estimate_mean
from phosphene.studies.folder import Study
from phosphene.studies.mislead.cases import (
    ALL,
    Pair,
    estimate_over_photographs,
    list_agnostic,
    list_class_correlations,
    list_excess,
    list_fooled,
    list_outlined,
    list_photographs,
    list_shares,
    list_shift_correlations,
)
from phosphene.studies.mislead.experiment import Results, Settings, measure
from phosphene.studies.mislead.figures import draw_figures
from phosphene.studies.mislead.tables import build_tables
from phosphene.studies.words import AGNOSTIC, join_names

STILL, ALIKE, APART = 0.99, 0.5, 0.3  # rank correlations that count as unchanged, similar, different


def run(
    settings: Settings,
    out: Path,
    on_progress: Callable[[str], None],
    command: str,
    photos: Path | None = None,
) -> Study:
    """Measure on every model, resuming from the parts in `out`, and draw the figures there."""
    models = [load(name) for name in settings.models]
    results = []
    for model in models:
        others = [other for other in models if other is not model]
        results.append(measure(model, settings, out, photos, on_progress, others))
    return build_study(results, settings, out, command)


def build_study(results: Sequence[Results], settings: Settings, out: Path, command: str) -> Study:
    """Draw the figures into `out`, and write tables and sentences."""
    return Study(
        name="mislead",
        title="Can an explanation of one input be misled?",
        question="An imperceptible stamp makes the model predict another class for each photograph. Do methods that explain one input then "
        "show the stamp, which is the cause, or the object of the photograph, which is not?",
        answers=write_answers(results, settings),
        figures=draw_figures(results, settings, out),
        tables=build_tables(results, settings),
        reading=write_reading(results, settings),
        settings=asdict(settings),
        command=command,
    )


def write_answers(results: Sequence[Results], settings: Settings) -> list[str]:
    """One sentence a question."""
    on_objects = [_write_object(results), _write_map(results)] if list_outlined(results) else []
    return [
        _write_stamp(results, settings),
        *on_objects,
        _write_classes(results, settings),
        _write_shift(results, settings),
    ]


def _write_stamp(results: Sequence[Results], settings: Settings) -> str:
    pairs = [pair for result in results for pair in result.pairs if pair["absent"]]
    return (
        f"A stamp of root mean square {settings.stamp:g}/255 (at least {min(pair['psnr'] for pair in pairs):.1f} dB; no value of a pixel "
        f"changes by more than {max(pair['largest'] for pair in pairs):.0f}/255) changed the prediction to B for "
        f"{len(list_fooled(results))} of {len(pairs)} pairs of photograph and class."
    )


def _write_object(results: Sequence[Results]) -> str:
    pairs = list_outlined(results)
    energy, effect = (_mean_number(pairs, key) for key in ("cause_inside", "effect_inside"))
    return (
        f"Over all methods and models {_mean_share(pairs, ALL):.0%} of the heat for B lies on A’s object, where {energy:.0%} of the stamp is: "
        f"an excess of {_estimate_excess(pairs, 'cause_inside')}, d = {_estimate_effect(pairs, 'cause_inside')}. Before the stamp "
        f"{_mean_share(pairs, ALL, 'own_inside'):.0%} of the heat for A lay there, a change of {_estimate_excess(pairs, 'own_inside')}. "
        f"Compared with the effect of the stamp’s half on the object ({effect:.0%} of B’s gain) the excess is "
        f"{_estimate_excess(pairs, 'effect_inside')}, d = {_estimate_effect(pairs, 'effect_inside')}."
    )


def _mean_share(pairs: Sequence[Pair], name: str, key: str = "inside") -> float:
    return estimate_mean(list_shares(pairs, name, key)).mean


def _mean_number(pairs: Sequence[Pair], key: str) -> float:
    return estimate_mean([pair[key] for pair in pairs]).mean


def _estimate_excess(pairs: Sequence[Pair], yardstick: str, name: str = ALL) -> Estimate:
    return estimate_mean(list_excess(pairs, name, yardstick), list_photographs(pairs))


def _estimate_effect(pairs: Sequence[Pair], yardstick: str) -> Estimate:
    return estimate_effect_size(list_excess(pairs, ALL, yardstick), list_photographs(pairs))


def _write_map(results: Sequence[Results]) -> str:
    pairs = list_outlined(results)
    return (
        f"The input-agnostic maps of B use no photograph, so no stamp can change them: {_mean_share(pairs, AGNOSTIC):.0%} of their evidence "
        f"lies where A’s object is, which covers {_mean_number(pairs, 'area'):.0%} of the image."
    )


def _write_classes(results: Sequence[Results], settings: Settings) -> str:
    heats = [
        value for result in results for name in settings.methods for value in list_class_correlations(result, name)
    ]
    similar = {key: estimate_mean(list_agnostic(results, f"alike {key}")) for key in ("classes", "seeds")}
    top1 = list_agnostic(results, "called")
    return (
        f"Heat maps of two absent classes on one photograph correlate by {estimate_mean(heats)}, input-agnostic maps of two classes by "
        f"{estimate_mean(list_agnostic(results, 'classes'))}. B is predicted for {sum(top1):.0f} of {len(top1)} of their pictures; to "
        f"another model the similarity of two classes is {similar['classes']}, of two seeds of one class {similar['seeds']}."
    )


def _write_shift(results: Sequence[Results], settings: Settings) -> str:
    correlations = {name: _mean_over(results, name, list_shift_correlations) for name in settings.methods}
    still = [name for name, value in correlations.items() if value > STILL]
    rest = ", ".join(f"{name} {value:.2f}" for name, value in correlations.items() if name not in still)
    top1 = list_agnostic(results, "shifted_called")
    keys = ("shift", "seeds", "alike shift", "alike seeds")
    numbers = {key: estimate_mean(list_agnostic(results, key)).mean for key in keys}
    return (
        f"A constant that is added and subtracted again leaves {join_names(still, 'no method')} unchanged"
        f"{f' and changes {rest}' if rest else ''}. Input-agnostic maps are estimated anew: B is still predicted for {sum(top1):.0f} of "
        f"{len(top1)}, with a similarity of {numbers['alike shift']:.2f} (two seeds {numbers['alike seeds']:.2f}), but their evidence is "
        f"elsewhere ({numbers['shift']:.2f}), as that of two seeds ({numbers['seeds']:.2f})."
    )


def _mean_over(results: Sequence[Results], name: str, numbers: Callable[[Results, str], list[float]]) -> float:
    """The mean of a method's numbers over all models."""
    return estimate_mean([value for result in results for value in numbers(result, name)]).mean


def write_reading(results: Sequence[Results], settings: Settings) -> list[str]:
    """What follows, and what does not; the verdicts on methods depend on the numbers."""
    photographs = len({pair["photograph"] for result in results for pair in result.pairs})
    return [
        "The stamp is the only difference between a photograph for which A is predicted and one for which B is, so it causes all of the "
        "change, and its energy is spread over the whole image. A heat map that lies on A’s object more than the stamp does tells its "
        "reader that the object is why the model predicts B.",
        _write_yardsticks(results, settings),
        _write_strengths(results, settings),
        "An input-agnostic map answers another question: how the model represents B, wherever it may be. It cannot name a place in this "
        "photograph, which it does not use. What it adds is an answer that the photograph cannot distort. Its importance map is not stable: "
        "two seeds put the same objects in different places, which is why a second measure compares the pictures.",
        f"There are {photographs} photographs, and intervals resample whole photographs. The stamps were estimated on these: each is one "
        f"stamp for all of them, but need not work on another.",
    ]


def _write_yardsticks(results: Sequence[Results], settings: Settings) -> str:
    pairs = list_fooled(results)
    unmoved = [name for name in settings.methods if pairs and _mean_rank(pairs, name, "unmoved") > ALIKE]
    follows = [name for name in settings.methods if pairs and _mean_rank(pairs, name, "follows_stamp") > APART]
    sentences = [
        "How misleading that is depends on the yardstick, and both are in the table. Compared with the stamp’s energy, there is too much heat "
        "on the object. Compared with the effect of the stamp’s half on the object on the logit of B (the Shapley value of the two halves), "
        "pixels of the object matter more than their number, for a stamp works through what is already there.",
        f"Without a yardstick: {join_names(unmoved, 'none of the methods')} hardly changed when the prediction did, and "
        f"{join_names(follows)} follow{'s' if len(follows) < 2 else ''} the stamp’s energy.",
    ]
    if list_outlined(results):
        sentences.insert(1, _write_chance_excess(results))
    return " ".join(sentences)


def _mean_rank(pairs: Sequence[Pair], name: str, key: str) -> float:
    return estimate_over_photographs(pairs, name, key).mean


def _write_chance_excess(results: Sequence[Results]) -> str:
    """How much of the excess there is without any photograph: that of the input-agnostic maps."""
    pairs = list_outlined(results)
    agnostic, methods = (_estimate_excess(pairs, "cause_inside", name) for name in (AGNOSTIC, ALL))
    return (
        f"Maps of B that use no photograph have an excess of {agnostic} over the stamp’s energy on the object, the methods one of {methods}: "
        f"objects are in the middle, where evidence is, so that much of an excess is not misleading."
    )


def _write_strengths(results: Sequence[Results], settings: Settings) -> str:
    classes = {name: _mean_over(results, name, list_class_correlations) for name in settings.methods}
    shifts = {name: _mean_over(results, name, list_shift_correlations) for name in settings.methods}
    alike = [name for name, value in classes.items() if value > ALIKE]
    apart = [name for name, value in classes.items() if value < APART]
    still = [name for name, value in shifts.items() if value > STILL]
    return (
        f"Where input-specific methods do well: the heat of {join_names(apart, 'none of them')} differs between classes, and that of "
        f"{join_names(still, 'none of them')} does not depend on the constant. {join_names(alike, 'None')} show nearly the same outline for "
        f"every class."
    )
