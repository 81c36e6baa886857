"""The tables of study 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from phosphene.model.outputs import ACTIVE
from phosphene.runs.saliency import SaliencyMap
from phosphene.studies.concepts.cases import opinions, own_fidelity, raised, seconds, seen_as, unraised
from phosphene.studies.concepts.experiment import Asked, Findings
from phosphene.studies.folder import Part, Table
from phosphene.studies.measures import estimated
from phosphene.studies.words import counted, short, signed


def tables(found: Findings) -> list[Table]:
    """On kinds of concept, differences, channels, sizes, presets and training."""
    every = [
        Table("By kind of concept and model", "Own fidelity: the model’s mean probability of the concept on fresh draws that "
              "carry the map; of a difference, of its positive class, which need not come first. Others: the rate at which the "
              "other models put it first, with the 95% Wilson interval; channels are the model’s own, see below. Passes and "
              "seconds a map.",
              [{"model": short(one.model), "concept": kind, **_numbers(one.maps[kind])}
               for one in found.asked for kind in ("class", "set", "difference") if one.maps[kind]]),
        Table("Differences", "What a difference asks for: the logit of the first class over that of the second, on fresh draws "
              "without the map and with it. Others: the models that prefer the first on the bare picture. Then the "
              "probability of the first among all classes, and what the model calls the picture.",
              [row for one in found.asked for row in _differences(one)]),
        Table("Channels", f"Deviations of what noise gives, on fresh draws: without the map, and with it; beyond {ACTIVE} is more "
              "than one draw of noise in a thousand reaches. Noise alone: the kind that excites the channel most, and how far. "
              "Where that is much, the channel looks for detail of the size of a pixel, which views blur: there is little that a "
              "map can add.",
              [row for one in found.asked for row in _channels(one)]),
        Table("The paper’s choices and the default’s", "The same classes by both presets; columns as in the first table.",
              [{"model": short(one.model), "preset": preset, **_numbers(maps)}
               for one in found.asked for preset, maps in one.by_preset().items()]),
        Table("From one size to another", "How alike the pictures of a class by two models look to a model that made neither "
              "(cosine of its features), and how alike those of different classes; with 95% intervals over the classes.",
              [_size(row) for row in found.sizes]),
        Table("Stages of training", "Means over the signs with 95% intervals. Own fidelity: how sure the network of that step is on "
              "fresh draws that carry its map. Like the end’s: how alike the picture looks to the one at the end of training, in "
              "the trained network’s features, and to that of another sign.",
              [_stage(part) for part in found.stages]),
    ]  # fmt: skip
    return [table for table in every if table.rows]


def _numbers(maps: Sequence[SaliencyMap]) -> dict[str, Any]:
    return {"maps": len(maps), "own fidelity": str(estimated(own_fidelity(maps))), "others": counted(opinions(maps)),
            "passes": maps[0].passes, "seconds": f"{seconds(maps):.1f}"}  # fmt: skip


def _differences(one: Asked) -> list[dict[str, Any]]:
    return [{"model": short(one.model), "difference": saliency.concept, "without": signed(gap["without"]),
             "with the map": signed(gap["with_map"]), "others": counted([score > 0 for score in gap["others"]]),
             "probability": f"{own_fidelity([saliency])[0]:.2f}", "called": seen_as(saliency)}
            for saliency, gap in zip(one.maps["difference"], one.gaps, strict=True)]  # fmt: skip


def _channels(one: Asked) -> list[dict[str, Any]]:
    return [{"model": short(one.model), "channel": saliency.concept, "without": signed(unraised(saliency)),
             "with the map": signed(raised(saliency)), "noise alone": _loudest(noise)}
            for saliency, noise in zip(one.maps["channel"], one.noise, strict=True)]  # fmt: skip


def _loudest(noise: dict[str, float]) -> str:
    kind = max(noise, key=lambda name: noise[name])
    return f"{kind} {signed(noise[kind])}"


def _size(row: dict[str, Any]) -> dict[str, Any]:
    return {"models": " and ".join(map(short, row["models"])), "same class": str(estimated(row["same"])),
            "different classes": str(estimated(row["different"]))}  # fmt: skip


def _stage(part: Part) -> dict[str, Any]:
    numbers = part.numbers
    return {"step": numbers["step"], "accuracy": f"{numbers['accuracy']:.0%}", "own fidelity": str(estimated(numbers["own"])),
            "probability by the trained network": str(estimated(numbers["probability"])),
            "called so by it": f"{sum(numbers['called']):.0f} of {len(numbers['called'])}",
            "like the end’s": str(estimated(numbers["to_the_end"]["same"])),
            "like another sign’s": str(estimated(numbers["to_the_end"]["different"]))}  # fmt: skip
