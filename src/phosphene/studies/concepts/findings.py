"""The sentences and the page of study 3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from phosphene.model.classifier import Classifier
from phosphene.model.outputs import ACTIVE
from phosphene.runs.saliency import SaliencyMap
from phosphene.studies.concepts.cases import channel_score, list_fidelity, list_top1, mean_seconds, predicted_class
from phosphene.studies.concepts.experiment import Results, Settings, measure
from phosphene.studies.concepts.figures import draw_figures
from phosphene.studies.concepts.tables import build_tables
from phosphene.studies.estimates import estimate_mean
from phosphene.studies.folder import Study
from phosphene.studies.words import format_hits, join_names, shorten_model


def run(
    settings: Settings,
    load: Callable[[str], Classifier],
    out: Path,
    on_progress: Callable[[str], None],
    command: str,
) -> Study:
    """Measure, resuming from the files in `out`, and draw the figures there."""
    return build_study(measure(settings, load, out, on_progress), settings, out, command)


def build_study(results: Results, settings: Settings, out: Path, command: str) -> Study:
    """Draw the figures into `out`, and write tables and sentences."""
    return Study(
        name="concepts",
        title="Which concepts, of which model, and when?",
        question="The paper shows maps of many concepts on large models. Here are classes, sets, differences and channels on models of "
        "three sizes, the paper’s preset beside the default, and a network at every stage of its training.",
        answers=write_answers(results),
        figures=draw_figures(results, out),
        tables=build_tables(results),
        reading=write_reading(results),
        settings=asdict(settings),
        command=command,
    )


def write_answers(results: Results) -> list[str]:
    """One sentence a question."""
    by_size = [_write_sizes(results)] if results.sizes else []
    return [
        _write_classes(results),
        _write_sets_and_differences(results),
        _write_channels(results),
        _write_presets(results),
        *by_size,
        _write_training(results),
    ]


def _write_classes(results: Results) -> str:
    top1 = [hit for result in results.large for hit in list_top1(result.maps["class"])]
    return (
        f"Pictures of {len(results.large[0].maps['class'])} classes by {len(results.large)} models, with the predictions of the others: the "
        f"class comes first in {format_hits(top1)}; for the small model, with the predictions of another one, in "
        f"{format_hits(list_top1(results.small.maps['class']))}."
    )


def _write_sets_and_differences(results: Results) -> str:
    gaps = [gap for result in results.models for gap in result.gaps]
    without, with_map = (estimate_mean([gap[key] for gap in gaps]) for key in ("without", "with_map"))
    sets = [hit for result in results.models for hit in list_top1(result.maps["set"])]
    preferred = [score > 0 for gap in gaps for score in gap["others"]]
    return (
        f"For sets the others predict a member in {format_hits(sets)}. Differences are raised in logits from {without} to {with_map}, and "
        f"the others prefer the first class in {format_hits(preferred)}."
    )


def _write_channels(results: Results) -> str:
    scores = [channel_score(saliency) for saliency in _list_channels(results)]
    deviations = [score.deviations for score in scores]
    return (
        f"{sum(score.deviations > score.without_map for score in scores)} of {len(scores)} channels rise, to {estimate_mean(deviations)} "
        f"standard deviations above noise; {format_hits([value > ACTIVE for value in deviations])} above what one draw of noise in a "
        f"thousand reaches."
    )


def _list_channels(results: Results) -> list[SaliencyMap]:
    return [saliency for result in results.models for saliency in result.maps["channel"]]


def _write_presets(results: Results) -> str:
    parts = []
    for preset in ("paper", "default"):
        maps = [saliency for result in results.large for saliency in result.by_preset()[preset]]
        parts.append(
            f"{preset} with an own fidelity of {estimate_mean(list_fidelity(maps))}, recognized by the others in "
            f"{format_hits(list_top1(maps))}"
        )
    return f"The same classes by both presets: {'; '.join(parts)}."


def _write_sizes(results: Results) -> str:
    same, different = (
        estimate_mean([value for record in results.sizes for value in record[key]]) for key in ("same", "different")
    )
    return (
        f"From one size to another: in the features of a model that computed neither, maps of one class have a similarity of {same}, of "
        f"different classes of {different}."
    )


def _write_training(results: Results) -> str:
    first, last = results.stages[0].numbers, results.stages[-1].numbers
    means = [estimate_mean(numbers[key]).mean for numbers in (first, last) for key in ("own", "probability")]
    return (
        f"At step {first['step']} of its training the small network predicts its own maps with a probability of {means[0]:.0%}, and the "
        f"trained one with {means[1]:.0%}; at the end {means[2]:.0%} and {means[3]:.0%}."
    )


def write_reading(results: Results) -> list[str]:
    """What follows, and what does not; the verdicts depend on the numbers."""
    return [
        "One loop computes all of these: a class, a set, a difference and a channel are four definitions of the score to raise. A set’s map "
        "shows what its members share, which may be a texture rather than an animal, or the member that is easiest to show.",
        "A difference only raises one class above the other, so its positive class need not come first, and its probability is no measure "
        f"of success: that is in the table of differences. {_write_third_classes(results)}",
        f"The others predict the class, by the size of the model of the map: {_write_models(results)}. The figure shows one seed; the number "
        f"and the places of the objects change with the seed as much as with the size.",
        "Maps of shallow channels show what the channels detect. A deep channel is a mixture, and a picture that raises it is one way to "
        f"raise it, not its meaning. {_write_faint_channels(results)}",
        _write_stages(results),
        "The paper’s preset follows the paper where its text is explicit (pixels, clipping, Gaussian noise, no views), but for score and "
        "backward pass; the paper’s numbers of iterations, samples and step are not known to us, so a weakness of the preset need not be "
        "one of the paper.",
    ]


def _write_models(results: Results) -> str:
    parts = []
    for result in results.large:
        maps = result.maps["class"]
        parts.append(
            f"{shorten_model(result.model)} {format_hits(list_top1(maps))} at {mean_seconds(maps):.1f} s a map"
        )
    return ", ".join(parts)


def _write_third_classes(results: Results) -> str:
    """Differences for whose picture its own model predicts a third class."""
    maps = [saliency for result in results.large for saliency in result.maps["difference"]]
    away = [saliency for saliency in maps if saliency.scores.top5[0].index not in saliency.targets]
    names = sorted({f"{saliency.concept} is predicted as {predicted_class(saliency)}" for saliency in away})
    return f"{'; '.join(names)}: to these models the difference is largely a third class." if names else ""


def _write_faint_channels(results: Results) -> str:
    faint = [
        f"{saliency.concept} of {shorten_model(result.model)}"
        for result in results.models
        for saliency in result.maps["channel"]
        if channel_score(saliency).deviations <= ACTIVE
    ]
    return f"Hardly raised: {join_names(faint)}." if faint else ""


def _write_stages(results: Results) -> str:
    """When in training the maps become those of the end."""
    words = []
    for part in results.stages[:-1]:
        same = estimate_mean(part.numbers["to_the_end"]["same"]).mean
        words.append(f"{same:.2f} at step {part.numbers['step']} ({part.numbers['accuracy']:.0%} right)")
    start, end = (
        estimate_mean(part.numbers["to_the_end"]["different"]).mean for part in (results.stages[0], results.stages[-1])
    )
    return (
        f"During training the maps approach those of the end: in the features of the trained network, the similarity of a sign’s map to that "
        f"of the end is {', '.join(words)}. That of maps of different signs is {start:.2f} at the start and {end:.2f} at the end."
    )
