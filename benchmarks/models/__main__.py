"""Every source of models against every family: a map of one class through each, as a user would ask for it.

    python -m benchmarks.models                    train what is missing, run what is missing, write table and sheets
    python -m benchmarks.models --models DIR       with the trained networks of others in that folder (`cards.json`)
    python -m benchmarks.models --only ONNX        the cells of one source; --again runs them anew

Networks, files and finished cells are kept in `benchmarks/models/cache/`, so that a run that is stopped goes on where
it was. Fashion-MNIST comes from Debian's `dataset-fashion-mnist`; a cell without its data is left out by name.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

import phosphene
from benchmarks.models.cells import Cell, list_cells
from benchmarks.models.nets import CACHE, NETS, measure_confidence, read_accuracy
from benchmarks.models.sheets import write_sheets
from benchmarks.record import markdown, write_result
from benchmarks.zoo.domains import FASHION_VARIABLE
from phosphene.core.images import to_image
from phosphene.errors import PhospheneError
from phosphene.recipe.recipe import PRESETS
from phosphene.recipe.views import VIEWS
from phosphene.runs.make import make_maps

CELLS = CACHE / "cells"
LIBRARIES = ("onnx", "keras", "transformers", "timm", "torchvision", "sklearn")  # whose absence leaves a cell out


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="folder of trained networks with their cards; only measured")
    parser.add_argument("--fashion", help="folder of the four files of Fashion-MNIST")
    parser.add_argument("--only", default="", help="cells whose source or family has this in it")
    parser.add_argument("--again", action="store_true", help="run cells anew that are finished")
    options = parser.parse_args(arguments)
    if options.fashion:
        os.environ[FASHION_VARIABLE] = options.fashion
    if options.models:
        sys.path.append(str(options.models))
    cells = list_cells(options.models)
    for cell in cells:
        finished = (CELLS / f"{cell.key}.json").is_file()
        if options.only in f"{cell.source} {cell.family}" and (options.again or not finished):
            observed = run(cell)
            print(f"{cell.source:32} {cell.family:24} {observed['fidelity'] or observed['line']}", flush=True)
    publish([cell for cell in cells if (CELLS / f"{cell.key}.json").is_file()], options.models)


def run(cell: Cell) -> Mapping[str, Any]:
    """Make the map of a cell and keep what was observed, and its picture."""
    started, options = time.perf_counter(), {}
    try:
        options = write(cell)
        observed = _make(cell, options)
    except PhospheneError as error:
        observed = {"fidelity": None, "line": _shorten(str(error))}
    except ImportError as error:
        observed = {"fidelity": None, "line": f"not run here: {error}"}
    observed |= {
        "command": format_command(options, cell.concept, cell.views),
        "seconds": round(time.perf_counter() - started, 1),
    }
    CELLS.mkdir(parents=True, exist_ok=True)
    (CELLS / f"{cell.key}.json").write_text(json.dumps(observed, indent=2))
    return observed


def write(cell: Cell) -> Mapping[str, Any]:
    """The options of a cell, whose files are written. Raises `ImportError` also where a library's exporter fails."""
    try:
        return cell.options()
    except (ImportError, PhospheneError):
        raise
    except Exception as error:
        raise ImportError(f"the exporter refuses the network: {_last_reason(error)}") from error


def _last_reason(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).splitlines()[0]}"[:160]


def _make(cell: Cell, options: Mapping[str, Any]) -> dict[str, Any]:
    classifier, recipe = phosphene.load(**options), PRESETS["default"]
    recipe = recipe if cell.views is None else replace(recipe, views=VIEWS[cell.views])
    with tempfile.TemporaryDirectory() as folder:
        (saliency,) = make_maps(classifier, [cell.concept], recipe, out=folder)
    CELLS.mkdir(parents=True, exist_ok=True)
    to_image(saliency.raw_picture).resize((96, 96), Image.Resampling.LANCZOS).convert("RGB").save(
        CELLS / f"{cell.key}.png"
    )
    scores = saliency.scores
    return {
        "fidelity": round(scores.fidelity.probability, 3),
        "top1": scores.fidelity.top1,
        "seen": (bare := scores.bare_pictures) is not None and bare.seen and bare.refined_seen,
        "restarts": scores.restarts,
        "checks": list(saliency.checks),
        "line": "",
    }


def _shorten(line: str) -> str:
    return line.replace(f"{CACHE / 'files'}/", "").replace(str(CACHE), "cache")


def format_command(options: Mapping[str, Any], concept: str, views: str | None = None) -> str:
    """The command that makes the same map, with files by their name alone."""
    model = [_write("model", options["model"])] if "model" in options else []
    words = ["phosphene map", *model, shlex.quote(concept)]
    for name, value in options.items():
        if name == "trust_pickle":
            words += ["--trust-pickle"] * bool(value)
        elif name != "model":
            words.append(f"--{name} {_write(name, value)}")
    return " ".join([*words, f"--views {views}"] if views else words)


def _write(name: str, value: Any) -> str:
    if name == "labels" and isinstance(value, list):
        return "labels.txt"
    if isinstance(value, Path):
        return value.name
    if isinstance(value, (tuple, list)):
        return ",".join(f"{one:g}" for one in value)
    prefix, _, place = str(value).rpartition(":")
    return f"{prefix}:{Path(place).name}" if "local-dir" in prefix else str(value)


def publish(cells: Sequence[Cell], models: Path | None) -> None:
    """The table of the finished cells, their summary, and their pictures on sheets."""
    observed = {cell: read(cell) for cell in cells}
    rows = [
        {
            "#": number,
            "source": cell.source,
            "family": cell.family,
            "data": cell.data,
            "class": cell.concept,
            "own fidelity": "" if one["fidelity"] is None else f"{one['fidelity']:.2f}",
            "on real images": "" if one["real"] is None else f"{one['real']:.2f}",
            "bare picture": "" if one["fidelity"] is None else "seen" if one["seen"] else "not seen",
            "checks": ", ".join(name for name in one.get("checks", ()) if name != "unrefined"),
            "command, or the line that is printed instead": f"`{one['command']}`" if not one["line"] else one["line"],
        }
        for number, (cell, one) in enumerate(observed.items(), start=1)
    ]
    print(markdown(rows))
    command = "python -m benchmarks.models" + " --models DIR" * (models is not None)
    print(write_result("models", command, {"preset": "default"}, rows))
    write_result("models-summary", command, {}, summarize(observed))
    pictures = {number: CELLS / f"{cell.key}.png" for number, cell in enumerate(observed, start=1)}
    write_sheets({number: path for number, path in pictures.items() if path.is_file()})


def read(cell: Cell) -> dict[str, Any]:
    """What was observed, and how sure the network is of real images of the class, where there are some here."""
    one = json.loads((CELLS / f"{cell.key}.json").read_text())
    known = cell.family in NETS and one["fidelity"] is not None
    return {**one, "real": measure_confidence(NETS[cell.family], cell.concept) if known else None}


def summarize(observed: Mapping[Cell, Mapping[str, Any]]) -> list[dict[str, Any]]:
    made = {cell: one for cell, one in observed.items() if one["fidelity"] is not None}
    parts = {
        "own fidelity of at least 0.95": list(made.values()),
        "… of networks trained on moved images, or those of others": [
            one for cell, one in made.items() if not cell.family.endswith("-still")
        ],
        "… trained on centred images": [
            one for cell, one in made.items() if cell.family.endswith("-still") and cell.views is None
        ],
        "… the same, with `--views none`": [one for cell, one in made.items() if cell.views is not None],
    }
    rows: list[dict[str, Any]] = [
        {"of": "cells in all", "number": len(observed)},
        {"of": "cells with a map", "number": len(made)},
    ]
    for name, ones in parts.items():
        sure = sum(one["fidelity"] >= 0.95 for one in ones)
        rows.append({"of": name, "number": f"{sure} of {len(ones)} ({sure / max(1, len(ones)):.0%})"})
    real = [one for one in made.values() if one["real"] is not None]
    as_sure = sum(one["fidelity"] >= min(0.95, one["real"]) for one in real)
    rows.append(
        {
            "of": "… or as sure as of real images of the class, where there are some",
            "number": f"{as_sure} of {len(real)}",
        }
    )
    weaker = [one for one in made.values() if "weaker-views" in one["checks"]]
    sure = sum(one["fidelity"] >= 0.95 for one in weaker)
    rows.append({"of": "maps made under weaker views, and of these at least 0.95", "number": f"{len(weaker)}, {sure}"})
    rows.append(
        {"of": "bare picture seen, unrefined and refined", "number": sum(bool(one["seen"]) for one in made.values())}
    )
    accuracies = [read_accuracy(net) for net in NETS.values() if (CACHE / "nets" / f"{net.name}.safetensors").is_file()]
    rows.append(
        {"of": "accuracy of the networks trained here", "number": f"{min(accuracies):.2f} to {max(accuracies):.2f}"}
    )
    return rows


if __name__ == "__main__":
    main()
