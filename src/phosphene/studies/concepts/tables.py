"""The tables of study 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from phosphene.model.outputs import ACTIVE
from phosphene.runs.saliency import SaliencyMap
from phosphene.studies.concepts.cases import channel_score, list_fidelity, list_top1, mean_seconds, predicted_class
from phosphene.studies.concepts.experiment import ModelResult, Results
from phosphene.studies.estimates import estimate_mean
from phosphene.studies.folder import Part, Table
from phosphene.studies.words import format_hits, format_signed, shorten_model

Rows = list[dict[str, Any]]

NOTES = {
    "By kind of concept and model": "Own fidelity: the model’s mean probability of the concept on fresh draws that carry the map; of a "
    "difference, of its positive class, which need not come first. Others: the rate at which the other models predict it, with the 95% "
    "Wilson interval; channels exist in one model only, see below. Passes and seconds a map.",
    "Differences": "What a difference raises: the logit of the first class minus that of the second, on fresh draws without the map and "
    "with it. Others: the models that prefer the first on the bare picture. Then the probability of the first among all classes, and what "
    "the model predicts for the picture.",
    "Channels": f"Standard deviations of the channel on noise, on fresh draws: without the map, and with it; one draw of noise in a "
    f"thousand exceeds {ACTIVE}. Noise alone: the kind that excites the channel most, and how far. Where that is much, the channel detects "
    f"detail of the size of a pixel, which views blur, so that a map can add little.",
    "The paper’s choices and the default’s": "The same classes by both presets; columns as in the first table.",
    "From one size to another": "Similarity of the pictures of one class by two models to a model that computed neither (cosine of its "
    "features), and of the pictures of different classes; with 95% intervals over the classes.",
    "Stages of training": "Means over the signs with 95% intervals. Own fidelity: the probability that the network of that step predicts "
    "on fresh draws that carry its map. Like the end’s: similarity of the picture to the one at the end of training, in the trained "
    "network’s features, and to that of another sign.",
}


def build_tables(results: Results) -> list[Table]:
    """Kinds of concept, differences, channels, presets, sizes and training; those that have rows."""
    rows: list[Rows] = [
        _list_kinds(results),
        [row for result in results.models for row in _list_differences(result)],
        [row for result in results.models for row in _list_channels(result)],
        _list_presets(results),
        [_describe_sizes(record) for record in results.sizes],
        [_describe_stage(part) for part in results.stages],
    ]
    tables = [Table(title, note, some) for (title, note), some in zip(NOTES.items(), rows, strict=True)]
    return [table for table in tables if table.rows]


def _list_kinds(results: Results) -> Rows:
    return [
        {"model": shorten_model(result.model), "concept": kind, **_summarize(result.maps[kind])}
        for result in results.models
        for kind in ("class", "set", "difference")
        if result.maps[kind]
    ]


def _list_presets(results: Results) -> Rows:
    return [
        {"model": shorten_model(result.model), "preset": preset, **_summarize(maps)}
        for result in results.models
        for preset, maps in result.by_preset().items()
    ]


def _summarize(maps: Sequence[SaliencyMap]) -> dict[str, Any]:
    return {
        "maps": len(maps),
        "own fidelity": str(estimate_mean(list_fidelity(maps))),
        "others": format_hits(list_top1(maps)),
        "passes": maps[0].passes,
        "seconds": f"{mean_seconds(maps):.1f}",
    }


def _list_differences(result: ModelResult) -> Rows:
    return [
        {
            "model": shorten_model(result.model),
            "difference": saliency.concept,
            "without": format_signed(gap["without"]),
            "with the map": format_signed(gap["with_map"]),
            "others": format_hits([score > 0 for score in gap["others"]]),
            "probability": f"{saliency.scores.fidelity.probability:.2f}",
            "called": predicted_class(saliency),
        }
        for saliency, gap in zip(result.maps["difference"], result.gaps, strict=True)
    ]


def _list_channels(result: ModelResult) -> Rows:
    return [
        {
            "model": shorten_model(result.model),
            "channel": saliency.concept,
            "without": format_signed(channel_score(saliency).without_map),
            "with the map": format_signed(channel_score(saliency).deviations),
            "noise alone": _format_strongest(noise),
        }
        for saliency, noise in zip(result.maps["channel"], result.noise, strict=True)
    ]


def _format_strongest(noise: dict[str, float]) -> str:
    kind = max(noise, key=lambda name: noise[name])
    return f"{kind} {format_signed(noise[kind])}"


def _describe_sizes(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "models": " and ".join(map(shorten_model, record["models"])),
        "same class": str(estimate_mean(record["same"])),
        "different classes": str(estimate_mean(record["different"])),
    }


def _describe_stage(part: Part) -> dict[str, Any]:
    numbers = part.numbers
    return {
        "step": numbers["step"],
        "accuracy": f"{numbers['accuracy']:.0%}",
        "own fidelity": str(estimate_mean(numbers["own"])),
        "probability by the trained network": str(estimate_mean(numbers["probability"])),
        "called so by it": f"{sum(numbers['called']):.0f} of {len(numbers['called'])}",
        "like the end’s": str(estimate_mean(numbers["to_the_end"]["same"])),
        "like another sign’s": str(estimate_mean(numbers["to_the_end"]["different"])),
    }
