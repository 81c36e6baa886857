"""What `phosphene evaluate` says of EfficientNet-Lite0: 50 random classes from two seeds, Lite1 and Lite2 as verifiers.

    python -m benchmarks.evidence                    50 random classes, 8 of them by models that forget
    python -m benchmarks.evidence --classes 8 --sanity 2
    python -m benchmarks.evidence --kept             only how alike the maps are that an unfinished run has made so far

Maps and scores are kept in `benchmarks/results/evidence-maps`, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

import phosphene
from benchmarks.experiments import development_classes
from benchmarks.record import RESULTS, markdown, write_result
from phosphene.artifact import SaliencyMap
from phosphene.classifier import Classifier
from phosphene.evidence import Settings, Watcher, evaluate
from phosphene.evidence.randomised import STAGES
from phosphene.evidence.similarity import WAYS, Looks, different_pairs, looks
from phosphene.evidence.soundness import matched, separation
from phosphene.evidence.tables import tables
from phosphene.evidence.wording import MEANINGS
from phosphene.jobs import Listener

VERIFIERS = ("efficientnet_lite1", "efficientnet_lite2")


def appearance(folder: Path, eyes: Sequence[Classifier]) -> tuple[list[str], Looks]:
    """The maps in a folder by file name, and how their bare pictures look."""
    files = sorted(folder.glob("*.safetensors"))
    return [file.name for file in files], Looks.joined(
        [looks(SaliencyMap.load(file).raw_picture[None], eyes) for file in files]
    )


def chance(matrix: Tensor) -> str:
    """How often shuffled partners are as alike as those on the diagonal."""
    found = matched("features", matrix)
    if found is None:
        return "–"
    return f"{found['chance']:.3f}" if found["chance"] >= 0.001 else "<0.001"


def kept(folder: Path, eyes: Sequence[Classifier]) -> list[dict[str, Any]]:
    """One line for each folder of maps made again: how like the maps of the same class are they?"""
    names, first = appearance(folder, eyes)
    alike = first.to(first)
    between = {way: different_pairs(alike[way]) for way in WAYS}
    rows: list[dict[str, Any]] = [{"maps": "different classes, the same seed", "how many": len(names),
                                   **{f"{way} alike": f"{between[way].mean():.2f}" for way in WAYS},
                                   **{f"{way} AUC": "–" for way in WAYS}, "own class, p": "–"}]  # fmt: skip
    stages = [stage.replace(" ", "-") for stage in STAGES]
    for again in sorted(
        folder.glob("evidence/*/*"), key=lambda path: stages.index(path.name) if path.name in stages else -1
    ):
        if len(list(again.glob("*.safetensors"))) < 4:
            continue
        made, looked = appearance(again, eyes)
        matrices = {way: matrix[[names.index(name) for name in made]] for way, matrix in first.to(looked).items()}
        own = {way: matrix.diagonal() for way, matrix in matrices.items()}
        rows.append({
            "maps": f"same class, {again.name}", "how many": len(made),
            **{f"{way} alike": f"{own[way].mean():.2f}" for way in WAYS},
            **{f"{way} AUC": f"{separation(way, own[way], between[way]):.2f}" for way in WAYS},
            "own class, p": chance(matrices["features"]),
        })  # fmt: skip
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--sanity", type=int, default=8, help="maps that randomised models make again")
    parser.add_argument("--seeds", type=int, default=1, help="other seeds that every map is made again from")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--maps", type=Path, default=RESULTS / "evidence-maps")
    parser.add_argument("--kept", action="store_true", help="make and score nothing; compare the maps that are there")
    options = parser.parse_args(arguments)
    if options.kept:
        eyes = [phosphene.load(name).folded() for name in VERIFIERS]
        rows = kept(options.maps / str(options.classes), eyes)
        write_result("evidence-kept", "python -m benchmarks.evidence --kept", {"classes": options.classes}, rows)
        print(markdown(rows))
        return
    classes = development_classes(options.classes)
    folder = options.maps / str(options.classes)
    classifier = phosphene.load("efficientnet_lite0")
    told = Listener(finished=lambda saliency, path: print(saliency.concept, end=" · ", flush=True))
    phosphene.make_maps(classifier, [str(index) for index in classes], out=folder, listener=told)
    watcher = Watcher(
        examined=lambda concept, place, total: print(f"{place + 1}/{total} {concept}", flush=True), making=told
    )
    verifiers = [phosphene.load(name).folded() for name in VERIFIERS]
    asked = Settings(samples=options.samples, sanity=options.sanity, seeds=options.seeds)
    record = evaluate(folder, classifier, verifiers=verifiers, settings=asked, watcher=watcher)
    rows = [
        {"score": MEANINGS[name].title, "of": row[0].text,
         "values": "; ".join(f"{title} {cell}" for title, cell in zip(table.header[1:], row[1:], strict=True)
                             if cell.text)}
        for name, table in tables(record).items() for row in table.rows
    ]  # fmt: skip
    command = f"python -m benchmarks.evidence --classes {options.classes} --sanity {options.sanity}"
    settings = {"classes": classes, "samples": asked.samples, "sanity": asked.sanity, "seeds": asked.seeds}
    write_result("evidence", command, settings, rows)
    print(markdown(rows))


if __name__ == "__main__":
    main()
