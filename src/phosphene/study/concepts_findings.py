"""What study 3 found, as sentences, tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import Any

from torch import Tensor

from phosphene.artifact import SaliencyMap
from phosphene.classifier import Classifier
from phosphene.concepts import ACTIVE
from phosphene.study.concepts import Findings, Settings, measured
from phosphene.study.figures import Style, draw, tiles, whiskers
from phosphene.study.folder import Figure, Study, Table
from phosphene.study.measures import Estimate, counted, estimated, listed

FIGURES = (
    Figure("classes", "Classes, by models of three sizes",
           "The bare picture of each class, made without any image. From top to bottom the models grow."),
    Figure("combined", "Sets of classes, and differences",
           "Left: what dogs, and what fruits, have in common to the model. Right: what tells one class from another."),
    Figure("channels", "Channels of the first model, from shallow to deep",
           "What raises one channel of a layer, from the first block to the last: edges and colours, textures, parts. "
           "Under each its score, in deviations of what noise without a map gives."),
    Figure("small", "The same of a small model",
           "A network of three convolutions, trained here on generated signs: classes, sets, differences and channels, by the same "
           "loop. Under each channel its score, in deviations of what noise without a map gives."),
    Figure("presets", "The paper’s choices and the default’s", "The same classes and the same number of iterations."),
    Figure("training", "When concepts appear in training",
           "A small network on generated signs. Left: an image of the class. Then the map of the class at each stage, from "
           "random weights to the end of training; above each column the step and the accuracy on held-out images."),
    Figure("curve", "Training, in numbers",
           "Mean over the signs with 95% intervals: how sure the model of that stage is of its own map, and how sure the "
           "trained model is of it."),
)  # fmt: skip


def run(
    settings: Settings, load: Callable[[str], Classifier], out: Path, told: Callable[[str], None], command: str
) -> Study:
    """Measure, resuming what is in `out`, and draw the figures there."""
    return findings(measured(settings, load, out, told), settings, out, command)


def findings(found: Findings, settings: Settings, out: Path, command: str) -> Study:
    """Draw the figures into `out` and put everything into words."""
    columns = max(len(settings.classes), 1)
    draw(
        out,
        "classes",
        (1.9 * columns, 2.1 * len(settings.models)),
        lambda figure, style: tiles(figure, _rows(found, "class"), style),
    )
    draw(
        out,
        "combined",
        (10, 2.7 * len(settings.models)),
        lambda figure, style: tiles(figure, _rows(found, "set", "difference"), style),
    )
    draw(out, "channels", (10, 5.8), lambda figure, style: tiles(figure, _channels(found), style))
    draw(out, "small", (10, 9), lambda figure, style: tiles(figure, _small(found), style))
    draw(out, "presets", (10, 5.6), lambda figure, style: tiles(figure, _presets(found), style))
    draw(
        out,
        "training",
        (1.45 * (len(settings.stages) + 1), 1.65 * len(settings.signs)),
        lambda figure, style: tiles(figure, _training(found), style),
    )
    draw(out, "curve", (7.5, 4.6), lambda figure, style: _curve(figure, style, found))
    return Study(
        "concepts", "What can be asked, of which model, and when?",
        "The paper shows maps of many concepts on large models. Here are classes, sets, differences and channels on models "
        "of three sizes, the paper’s choices beside the default’s, and a network at every stage of its training.",
        answers(found, settings), FIGURES, tables(found), reading(found), asdict(settings), command,
    )  # fmt: skip


def answers(found: Findings, settings: Settings) -> list[str]:
    """One sentence a question."""
    large, small = found.asked[:-1], found.asked[-1]
    seen = [opinion for one in large for opinion in _opinions(one.maps["class"])]
    channels = [saliency for one in found.asked for saliency in one.maps["channel"]]
    over = [_channel(saliency) > ACTIVE for saliency in channels]
    by_preset = ", ".join(f"{preset} {counted(_opinions(maps))}" for preset, maps in found.presets.items())
    first, last = found.stages[0].numbers, found.stages[-1].numbers
    return [
        f"Pictures of {len(settings.classes)} classes by {len(settings.models)} models, each judged by the others: the class "
        f"comes first in {counted(seen)}; of the small model, judged by another, in {counted(_opinions(small.maps['class']))}. "
        f"Sets: {counted([one for asked in found.asked for one in _opinions(asked.maps['set'])])}.",
        f"Differences are raised in logits from {estimated([gap['without'] for one in found.asked for gap in one.gaps])} to "
        f"{estimated([gap['with_map'] for one in found.asked for gap in one.gaps])}, and preferred the right way round by other "
        f"models in {counted([score > 0 for one in found.asked for gap in one.gaps for score in gap['others']])}.",
        f"{sum(_channel(one) > _without(one) for one in channels)} of {len(channels)} channels rise, to "
        f"{estimated([_channel(one) for one in channels])} deviations of what noise gives; {counted(over)} beyond what one draw of "
        f"noise in a thousand reaches.",
        f"Recognised by the other models: {by_preset}.",
        f"Untrained, the small model is {estimated(first['own']).mean:.0%} sure of its own maps, and the trained one "
        f"{estimated(first['probability']).mean:.0%}; at the end both are "
        f"{estimated(last['own']).mean:.0%} and {estimated(last['probability']).mean:.0%} sure.",
    ]


def tables(found: Findings) -> list[Table]:
    return [
        Table("By kind of concept and model", "Own fidelity: the model’s mean probability of the concept on fresh draws that "
              "carry the map; of a difference, of its positive class, which need not come first. Others: the rate at which the "
              "other models put it first, with the 95% Wilson interval; channels are the model’s own, see below. Passes and "
              "seconds a map.",
              [{"model": _short(one.model), "concept": kind, **_numbers(one.maps[kind])}
               for one in found.asked for kind in ("class", "set", "difference") if one.maps[kind]]),
        Table("Differences", "What a difference asks for: the logit of the first class over that of the second, on fresh draws "
              "without the map and with it. Others: the models that prefer the first on the bare picture. Then the "
              "probability of the first among all classes, and what the model calls the picture.",
              [{"model": _short(one.model), "difference": saliency.concept, "without": _signed(gap["without"]),
                "with the map": _signed(gap["with_map"]), "others": counted([score > 0 for score in gap["others"]]),
                "probability": f"{saliency.scores['fidelity']['own']['probability']:.2f}",
                "called": saliency.scores["top5"][0]["name"]}
               for one in found.asked for saliency, gap in zip(one.maps["difference"], one.gaps, strict=True)]),
        Table("Channels", f"Deviations of what noise gives, on fresh draws: without the map, and with it; beyond {ACTIVE} is more "
              "than one draw of noise in a thousand reaches. Noise alone: the kind that excites the channel most, and how far. "
              "Where that is much, the channel looks for detail of the size of a pixel, which views blur: there is little that a "
              "map can add.",
              [{"model": _short(one.model), "channel": saliency.concept, "without": _signed(_without(saliency)),
                "with the map": _signed(_channel(saliency)), "noise alone": _loudest(noise)}
               for one in found.asked for saliency, noise in zip(one.maps["channel"], one.noise, strict=True)]),
        Table("The paper’s choices and the default’s", "As above, on the first model.",
              [{"preset": preset, **_numbers(maps)} for preset, maps in found.presets.items()]),
        Table("Stages of training", "Means over the signs with 95% intervals.",
              [{"step": part.numbers["step"], "accuracy": f"{part.numbers['accuracy']:.0%}",
                "own fidelity": str(estimated(part.numbers["own"])),
                "probability by the trained model": str(estimated(part.numbers["probability"])),
                "called so by it": f"{sum(part.numbers['called']):.0f} of {len(part.numbers['called'])}"}
               for part in found.stages]),
    ]  # fmt: skip


def reading(found: Findings) -> list[str]:
    """What to conclude, and what not; the verdicts follow the numbers."""
    large = found.asked[:-1]
    by_size = ", ".join(f"{_short(one.model)} {counted(_opinions(one.maps['class']))}" for one in large)
    seconds = ", ".join(f"{_short(one.model)} {_seconds(one.maps['class']):.1f}" for one in large)
    away = sorted({f"{saliency.concept} ends in {saliency.scores['top5'][0]['name']}" for one in large
                   for saliency in one.maps["difference"]
                   if saliency.scores["top5"][0]["index"] not in saliency.targets})  # fmt: skip
    faint = [f"{saliency.concept} of {_short(one.model)}" for one in found.asked for saliency in one.maps["channel"]
             if _channel(saliency) <= ACTIVE]  # fmt: skip
    return [
        "One loop makes all of these: a class, a set, a difference and a channel are four ways to say what is to rise. A set’s "
        "map shows what its members share, which may be a texture rather than an animal, or the member that is easiest to show.",
        "A difference asks for nothing but being more one than the other, so its positive class need not come first, and its "
        "probability is no measure of success: that is in the table of differences."
        + (f" {'; '.join(away)}: what tells them apart is, to these models, largely a third thing." if away else ""),
        f"Size and recognition by the others: {by_size}; seconds a map: {seconds}. What changes with size is the scene: how many, "
        f"how large, from where.",
        "Shallow channels show what they detect at a glance. A deep channel is a mixture, and a picture that raises it is one way "
        "to raise it, not its meaning."
        + (f" Hardly raised: {listed(faint)}." if faint else ""),
        "Untrained, the small model’s maps are patches of colour. Training brings the colour of a sign first, then its rim and "
        "glyph, and what the trained model makes of the maps follows the accuracy.",
    ]  # fmt: skip


def _numbers(maps: Sequence[SaliencyMap]) -> dict[str, Any]:
    own = [one.scores["fidelity"]["own"]["probability"] for one in maps]
    return {"maps": len(maps), "own fidelity": str(estimated(own)), "others": counted(_opinions(maps)),
            "passes": maps[0].passes, "seconds": f"{_seconds(maps):.1f}"}  # fmt: skip


def _seconds(maps: Sequence[SaliencyMap]) -> float:
    return sum(one.seconds for one in maps) / len(maps)


def _opinions(maps: Sequence[SaliencyMap]) -> list[bool]:
    return [bool(seen["top1"]) for one in maps for seen in one.scores.get("verifiers", ()) if seen["top1"] is not None]


def _channel(one: SaliencyMap) -> float:
    return float(one.scores["channel"]["deviations"])


def _without(one: SaliencyMap) -> float:
    return float(one.scores["channel"]["without_map"])


def _loudest(noise: dict[str, float]) -> str:
    kind = max(noise, key=lambda name: noise[name])
    return f"{kind} {_signed(noise[kind])}"


def _signed(value: float) -> str:
    return f"{value:.1f}".replace("-", "−")


def _short(model: str) -> str:
    return model.replace("efficientnet_lite", "Lite")


def _rows(found: Findings, *kinds: str) -> list[list[tuple[str, Tensor | None]]]:
    return [[(f"{_short(one.model)}: {_brief(saliency.concept)}", saliency.raw_picture)
             for kind in kinds for saliency in one.maps[kind]] for one in found.asked[:-1]]  # fmt: skip


def _brief(text: str) -> str:
    return {0: text, 1: text, 2: text}.get(text.count(","), f"{text.split(', ')[0]}, … ({text.count(',') + 1})")


def _channels(found: Findings) -> list[list[tuple[str, Tensor | None]]]:
    cells: list[tuple[str, Tensor | None]] = [
        (f"{one.concept}: {_channel(one):.0f} σ", one.raw_picture) for one in found.asked[0].maps["channel"]
    ]
    return [cells[start : start + 4] for start in range(0, len(cells), 4)]


def _small(found: Findings) -> list[list[tuple[str, Tensor | None]]]:
    maps = found.asked[-1].maps
    cells: list[tuple[str, Tensor | None]] = [
        (f"{one.concept}: {_channel(one):.0f} σ" if kind == "channel" else fill(one.concept, 24), one.raw_picture)
        for kind in maps
        for one in maps[kind]
    ]
    return [cells[start : start + 4] for start in range(0, len(cells), 4)]


def _presets(found: Findings) -> list[list[tuple[str, Tensor | None]]]:
    return [[(f"{preset}: {one.concept}", one.raw_picture) for one in maps] for preset, maps in found.presets.items()]


def _training(found: Findings) -> list[list[tuple[str, Tensor | None]]]:
    rows: list[list[tuple[str, Tensor | None]]] = []
    for row, example in enumerate(found.examples):
        cells: list[tuple[str, Tensor | None]] = [("an image" if row == 0 else "", example)]
        for part in found.stages:
            title = f"{part.numbers['step']}: {part.numbers['accuracy']:.0%}" if row == 0 else ""
            cells.append((title, part.tensors["pictures"][row]))
        rows.append(cells)
    return rows


def _curve(figure: Any, style: Style, found: Findings) -> None:
    axis = figure.subplots()
    names = [f"step {part.numbers['step']}" for part in found.stages]
    series: list[tuple[str, list[Estimate]]] = [
        ("the model of that step", [estimated(part.numbers["own"]) for part in found.stages]),
        ("the trained model", [estimated(part.numbers["probability"]) for part in found.stages]),
    ]
    whiskers(axis, names, series, style)
    axis.set_xlim(-0.03, 1.03)
    axis.set_xlabel("probability of the class that was asked for")
    figure.suptitle("How sure of the map is", x=0.01, horizontalalignment="left")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", ncols=2)
