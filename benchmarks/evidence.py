"""What `phosphene evaluate` says of EfficientNet-Lite0: 50 random classes from two seeds, Lite1 and Lite2 as verifiers.

    python -m benchmarks.evidence                    50 random classes, 8 of them by randomised models
    python -m benchmarks.evidence --classes 8 --sanity 2

Maps and scores are kept in `benchmarks/results/evidence-maps`, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import phosphene
from benchmarks.experiments import development_classes
from benchmarks.record import RESULTS, markdown, write_result
from phosphene.evidence.evaluation import evaluate
from phosphene.evidence.results import Result, make_results
from phosphene.evidence.settings import EvaluationCallbacks, Settings

VERIFIERS = ("efficientnet_lite1", "efficientnet_lite2")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--sanity", type=int, default=8, help="maps that randomised models make again")
    parser.add_argument("--seeds", type=int, default=1, help="other seeds that every map is made again from")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--maps", type=Path, default=RESULTS / "evidence-maps")
    options = parser.parse_args(arguments)
    classes = development_classes(options.classes)
    folder = options.maps / str(options.classes)
    classifier = phosphene.load("efficientnet_lite0")
    callbacks = EvaluationCallbacks(
        on_finish=lambda reference: print(reference.concept, end=" · ", flush=True),
        on_measure=lambda concept, index, total: print(f"{index + 1}/{total} {concept}", flush=True),
    )
    phosphene.make_maps(classifier, [str(index) for index in classes], out=folder, callbacks=callbacks)
    verifiers = [phosphene.load(name).fold() for name in VERIFIERS]
    asked = Settings(samples=options.samples, sanity=options.sanity, seeds=options.seeds)
    evaluation = evaluate(folder, classifier, verifiers=verifiers, settings=asked, callbacks=callbacks)
    rows = [row for result in make_results(evaluation).values() for row in make_rows(result)]
    command = f"python -m benchmarks.evidence --classes {options.classes} --sanity {options.sanity}"
    settings = {"classes": classes, "samples": asked.samples, "sanity": asked.sanity, "seeds": asked.seeds}
    write_result("evidence", command, settings, rows)
    print(markdown(rows))


def make_rows(result: Result) -> list[dict[str, str]]:
    """A row of the docs' table for each row of the score's own."""
    titles = result.table.header[1:]
    return [
        {
            "score": result.measure.title,
            "of": first.text,
            "values": "; ".join(f"{title} {cell}" for title, cell in zip(titles, cells, strict=True) if cell.text),
        }
        for first, *cells in result.table.rows
    ]


if __name__ == "__main__":
    main()
