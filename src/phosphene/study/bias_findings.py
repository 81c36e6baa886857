"""What study 2 found, as sentences, tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from phosphene.artifact import file_stem
from phosphene.study.bias import AGNOSTIC, BY_EXAMPLES, KINDS, SETS, Settings, measured
from phosphene.study.figures import Style, draw, tiles, whiskers
from phosphene.study.folder import Figure, Part, Study, Table
from phosphene.study.measures import Estimate, counted, estimated, listed, separation

NAMES = (*BY_EXAMPLES, AGNOSTIC)
BRIEF = dict(zip(BY_EXAMPLES, ("Int. Gradients", "CAV", "most activating"), strict=True))
SHOWS = 2.0  # heat in the region, as a multiple of its share, from which an explanation is said to show the watermark
APART = 0.9  # area under the ROC curve from which two kinds are said to be told apart
PICTURED = 3  # models of each kind in the figure of heat maps
MISLEADING = {"uses": "clean", "ignores": "watermarked"}  # the set that misleads about a model of each kind
TITLES = {"uses": "model uses it", "ignores": "model ignores it"}

FIGURES = (
    Figure("shown", "Who shows the watermark",
           "How much of the heat lies in the watermark’s region, as a multiple of the region’s share of the image (1: no "
           "more than anywhere; from 2 on, the dashed line, it is said to be shown), on a logarithmic scale, with 95% intervals over the models. Left: the examples are clean, "
           "and two kinds of model are to be told apart. Right: the examples carry the watermark."),
    Figure("heats", "The misleading set, model by model",
           "Above, models that use the watermark, explained by clean examples; below, models that ignore it, explained "
           "by watermarked examples. The last two columns are the input-agnostic map: no examples at all. The watermark’s "
           "place is the lower right corner."),
)  # fmt: skip


def run(
    settings: Settings, out: Path, told: Callable[[str], None], command: str, data_folder: Path | None = None
) -> Study:
    """Train and measure, resuming what is in `out`, and draw the figures there."""
    parts = measured(settings, out, data_folder, told)
    return findings(parts, settings, out, command)


def findings(parts: Sequence[Part], settings: Settings, out: Path, command: str) -> Study:
    """Draw the figures into `out` and put everything into words."""
    draw(out, "shown", (9.0, 4.6), lambda figure, style: _shown(figure, style, parts))
    draw(out, "heats", (9.0, 9.4), lambda figure, style: tiles(figure, _heats(parts), style))
    return Study(
        "bias", "Is an explanation by examples biased by its examples?",
        "A watermark stands in what a model was trained on, or in the examples it is explained by, or in neither. Who "
        "shows it when the model uses it, and who invents it when the model does not?",
        answers(parts), FIGURES, tables(parts), reading(parts), asdict(settings), command,
    )  # fmt: skip


def answers(parts: Sequence[Part]) -> list[str]:
    """One sentence a question."""
    used, ignored = (_of(parts, kind) for kind in KINDS)
    called = estimated([part.numbers["fooled_by_mark"] for part in used])
    without, carrying = (estimated([part.numbers[f"own_{held}"] for part in used]) for held in ("clean", "marked"))
    shown = ", ".join(f"{name} for {_shown_by(used, name, 'clean')}" for name in NAMES)
    invented = ", ".join(f"{name} for {_shown_by(ignored, name, 'watermarked')}" for name in NAMES)
    apart = ", ".join(f"{name} {_misled(parts, name)}" for name in NAMES)
    return [
        f"{len(used)} models use the watermark: they call {without.mean:.0%} of the class’s images so without it and "
        f"{carrying.mean:.0%} with it, and {called.mean:.0%} of the images of other classes; {len(ignored)} models ignore "
        f"it (it makes {estimated([p.numbers['fooled_by_mark'] for p in ignored]).mean:.1%} of other images the class).",
        f"The model uses it, the examples are clean: the watermark is shown by {shown}.",
        f"The model ignores it, the examples carry it: the watermark is invented by {invented}.",
        f"Told apart under the misleading sets (area under the ROC curve, 0.5: not at all, 0: the wrong way round): {apart}.",
    ]


def reading(parts: Sequence[Part]) -> list[str]:
    """What to conclude, and what not; the verdicts follow the numbers."""
    used, ignored = (_of(parts, kind) for kind in KINDS)
    hides = [name for name in BY_EXAMPLES if _rate(used, name, "clean") < 0.5]
    invents = [name for name in BY_EXAMPLES if _rate(ignored, name, "watermarked") >= 0.5]
    honest = [name for name in BY_EXAMPLES if name not in invents]
    often = ", ".join(f"{name} for {_shown_by(ignored, name, 'watermarked')} models" for name in honest)
    sharper = [name for name in honest if _mean(used, name, "watermarked") > _mean(used, AGNOSTIC, "clean")]
    fair = [name for name in BY_EXAMPLES if all(_separation(parts, name, held, held).mean > APART for held in SETS)]
    return [
        "An explanation of the model should show the watermark exactly when the model uses it. The example set is "
        "somebody’s choice; here it is chosen once well and once badly, and the models are the same.",
        f"A clean set hides what the model uses from {listed(hides) or 'none of the explanations by examples'}. A "
        f"watermarked set makes {listed(invents) or 'none of them'} show it for models that ignore it. CAV and "
        f"most-activating images show what is in the examples: that is what they are made for, a direction and an example, "
        f"and the mistake is only to read them as what the model goes by.",
        f"Where explanations by examples do well: the watermark was invented by {often or 'all'}. The gradient of Integrated "
        f"Gradients is the model’s own, so what the model ignores hardly shows; but they cannot show what no example holds."
        + (f" With the right examples {listed(sharper)} put more of the heat on the watermark than the map does." if sharper else "")
        + (f" With one and the same set for both kinds of model, whichever it is, {listed(fair)} tell them apart, though "
           f"without a model to compare with nobody would see it." if fair else ""),
        f"The input-agnostic map is the same whatever the set. It shows the watermark of {_shown_by(used, AGNOSTIC, 'clean')} "
        f"models that use it and of {_shown_by(ignored, AGNOSTIC, 'clean')} that ignore it. It is made without views here, "
        f"because it is asked about one place, and so looks rougher than the method’s usual pictures.",
    ]  # fmt: skip


def tables(parts: Sequence[Part]) -> list[Table]:
    rows = []
    for name in NAMES:
        row: dict[str, Any] = {"explanation": name}
        for kind in KINDS:
            for held in SETS:
                row[f"{TITLES[kind]}, {held} set"] = str(estimated(_values(_of(parts, kind), name, held)))
        rows.append(row)
    rates = [
        {"explanation": name,
         **{f"shows it, {held} set": _shown_by(_of(parts, "uses"), name, held) for held in SETS},
         **{f"invents it, {held} set": _shown_by(_of(parts, "ignores"), name, held) for held in SETS},
         **{f"AUC, {held} set": str(_separation(parts, name, held, held)) for held in SETS},
         "AUC, misleading sets": str(_misled(parts, name))}
        for name in NAMES
    ]  # fmt: skip
    called = {"called the class, without the watermark": "own_clean", "with it": "own_marked",
              "other classes’ images called so with it": "fooled_by_mark", "accuracy on clean images": "accuracy"}  # fmt: skip
    models = [
        {"model": TITLES[kind], "models": len(_of(parts, kind)),
         **{title: estimated([part.numbers[key] for part in _of(parts, kind)]).as_percent() for title, key in called.items()}}
        for kind in KINDS
    ]  # fmt: skip
    return [
        Table("Who shows it, who invents it", f"Models of which the explanation shows the watermark: at least {SHOWS:g} times as "
              "much heat in its region as spread evenly; with Wilson intervals. Of models that use it that is right, of "
              "models that ignore it an invention. AUC: how well the heat there tells the two kinds apart, whatever the "
              "threshold, with Newcombe’s 95% interval; the same set for both kinds, or the one that misleads (clean for "
              "users, watermarked for the others).", rates),
        Table("Heat in the watermark’s region", "As a multiple of the region’s share of the image, mean over the models with "
              "95% intervals.", rows),
        Table("The models", "Trained alike but for the watermark on their class; images are held out, means over the models "
              "with 95% intervals.", models),
    ]  # fmt: skip


def _of(parts: Sequence[Part], kind: str) -> list[Part]:
    return [part for part in parts if part.numbers["kind"] == kind]


def _values(parts: Sequence[Part], name: str, held: str) -> list[float]:
    return [part.numbers["shown"][f"{name}/{held}"] for part in parts]


def _mean(parts: Sequence[Part], name: str, held: str) -> float:
    return estimated(_values(parts, name, held)).mean


def _hits(parts: Sequence[Part], name: str, held: str) -> list[bool]:
    return [value >= SHOWS for value in _values(parts, name, held)]


def _rate(parts: Sequence[Part], name: str, held: str) -> float:
    return sum(_hits(parts, name, held)) / len(parts)


def _shown_by(parts: Sequence[Part], name: str, held: str) -> str:
    return counted(_hits(parts, name, held))


def _separation(parts: Sequence[Part], name: str, using: str, ignoring: str) -> Estimate:
    return separation(_values(_of(parts, "uses"), name, using), _values(_of(parts, "ignores"), name, ignoring))


def _misled(parts: Sequence[Part], name: str) -> Estimate:
    return _separation(parts, name, MISLEADING["uses"], MISLEADING["ignores"])


def _shown(figure: Any, style: Style, parts: Sequence[Part]) -> None:
    axes = figure.subplots(1, 2, sharey=True, sharex=True, gridspec_kw={"wspace": 0.12})
    for axis, held in zip(axes, SETS, strict=True):
        series = [
            (TITLES[kind], [estimated(_values(_of(parts, kind), name, held)) for name in NAMES]) for kind in KINDS
        ]
        whiskers(axis, NAMES, series, style)
        axis.set_xscale("log")
        axis.set_xticks([0.1, 0.3, 1, 3, 10, 30], ["0.1", "0.3", "1", "3", "10", "30"])
        axis.set_xlim(0.08, 34)
        axis.minorticks_off()
        axis.axvline(SHOWS, color=style.quiet, linewidth=1.2, linestyle="--")
        axis.annotate(
            "shows it →", (SHOWS, -0.42), xytext=(4, 0), textcoords="offset points", fontsize=9, color=style.quiet
        )
        axis.set_title(f"{held} examples", fontsize=12)
    figure.supxlabel("heat in the watermark’s region ÷ its share of the image", fontsize=12)
    figure.suptitle("Who shows the watermark?", x=0.01, horizontalalignment="left")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)


def _heats(parts: Sequence[Part]) -> list[list[tuple[str, Tensor | None]]]:
    rows = []
    for kind in KINDS:
        held = MISLEADING[kind]
        for part in _of(parts, kind)[:PICTURED]:
            row: list[tuple[str, Tensor | None]] = [(TITLES[kind], _colours(part.tensors[f"example-{held}"]))]
            row += [(short, part.tensors[file_stem(f"{name}/{held}")]) for name, short in BRIEF.items()]
            rows.append([*row, ("map", _colours(part.tensors["picture"])),
                         ("its evidence", part.tensors[file_stem(f"{AGNOSTIC}/{held}")])])  # fmt: skip
    return rows


def _colours(picture: Tensor) -> Tensor:
    return picture if len(picture) == 3 else torch.cat([picture] * 3)
