"""How often a right normalisation is doubted, and how often a wrong one: over trained networks with batch norms.

    python -m benchmarks.normalization                 the bundled networks and those of benchmarks.models
    python -m benchmarks.normalization --models DIR    with the trained networks of others in that folder

Wrong are the usual normalisations that differ from the right one by at least `FACTOR` in scale.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

from torch import nn

import phosphene
from benchmarks.models.nets import CACHE, NETS, obtain
from benchmarks.record import markdown, write_result
from phosphene.model.input_format import InputFormat
from phosphene.model.normalization import USUAL, doubt_normalization, measure_misfit, usual_format

FACTOR = 1.5  # between two normalisations, from which they are not nearly the same


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="folder of trained networks with their cards; only measured")
    options = parser.parse_args(arguments)
    rows = [row for name, module, form in networks(options.models) if (row := observe(name, module, form)) is not None]
    total = {"network": f"{len(rows)} networks", "misfit": "", "false alarm": sum(row["false alarm"] for row in rows)}
    total |= {name: sum(row[name] for row in rows) for name in ("wrong ones", "doubted", "rightly named")}
    print(markdown([*rows, total]))
    command = "python -m benchmarks.normalization" + " --models DIR" * (options.models is not None)
    print(write_result("normalization", command, {}, [*rows, total]))


def networks(models: Path | None) -> Iterator[tuple[str, nn.Module, InputFormat]]:
    """Name, module and the normalisation that it was trained with."""
    for name in ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"):
        classifier = phosphene.load(name)
        yield name, classifier.module, classifier.format
    for net in NETS.values():
        if not net.channels_last and (CACHE / "nets" / f"{net.name}.safetensors").is_file():
            yield net.name, obtain(net), net.form
    if models is not None:
        sys.path.append(str(models))
        for card in json.loads((models / "cards.json").read_text()):
            form = {name: card[name] for name in ("size", "channels", "mean", "std")}
            classifier = phosphene.load(factory=card["factory"], weights=models / card["file"], **form)
            yield Path(card["file"]).stem, classifier.module.float(), classifier.format


def observe(name: str, module: nn.Module, form: InputFormat) -> dict[str, Any] | None:
    """The row of a network; None without a batch norm that tells."""
    misfit = measure_misfit(module, form)
    if misfit is None:
        return None
    others = {usual: usual_format(usual, form) for usual in USUAL}
    wrong = {usual: other for usual, other in others.items() if _differ(other, form)}
    stated = (replace(form, mean=one.mean, std=one.std) for one in wrong.values())
    doubts = [doubt for one in stated if (doubt := doubt_normalization(module, one)) is not None]
    named = [one for one in doubts if not _differ(replace(form, mean=one.mean, std=one.std), form)]
    return {
        "network": name,
        "misfit": f"{misfit:.2f}",
        "false alarm": int(doubt_normalization(module, form) is not None),
        "wrong ones": len(wrong),
        "doubted": len(doubts),
        "rightly named": len(named),
    }


def _differ(one: InputFormat, other: InputFormat) -> bool:
    ratio = mean(one.std) / mean(other.std)
    return max(ratio, 1 / ratio) >= FACTOR


if __name__ == "__main__":
    main()
