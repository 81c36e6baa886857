"""The same weights in every form, asked the same: how far the maps are apart.

    python -m benchmarks.forms              networks of benchmarks.models, and EfficientNet-Lite0

Each form is a file or folder as `benchmarks.models.sources` writes it. A map is compared with that of the module itself
after one iteration, after a few and, for the small networks, after those of the default preset. *Apart* is the norm of
the difference over the norm of the map, *cosine* that of both maps; the row of another seed says what is far.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import phosphene
from benchmarks.models.nets import NETS, Net, obtain
from benchmarks.models.sources import SOURCES
from benchmarks.record import markdown, write_result
from benchmarks.zoo.domains import Domain, Images
from phosphene.model.classifier import Classifier
from phosphene.recipe.recipe import PRESETS
from phosphene.runs.make import make_maps

FORMS = ("TorchScript", "torch.export (.pt2)", "ONNX", "ONNX, one image", "whole module (.pt)")
FORMS_OF = {"vgg-fashion": FORMS, "resnet-signs": FORMS, "hf-resnet": (*FORMS[:4], "transformers, folder")}
ONE, SHORT = 1, 12  # iterations
LARGE = "efficientnet_lite0"


@dataclass(frozen=True)
class Case:
    """A network, the class that is asked, and for how many iterations."""

    net: Net
    module: nn.Module
    forms: Sequence[str]
    iterations: Sequence[int]


def list_cases() -> Iterator[Case]:
    for name, forms in FORMS_OF.items():
        yield Case(NETS[name], obtain(NETS[name]), forms, (ONE, SHORT, PRESETS["default"].iterations))
    large = phosphene.load(LARGE)
    names = tuple(f"class {number}" for number in range(len(large.labels)))
    domain = Domain(LARGE, names, large.format, _nothing, _nothing)
    yield Case(Net(LARGE, domain, lambda: large.module), large.module, FORMS, (ONE, SHORT))


def _nothing() -> Images:
    raise NotImplementedError("no images are needed here")


def main(arguments: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(
        prog="python -m benchmarks.forms", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(arguments)
    rows = [row for case in list_cases() for row in compare_forms(case)]
    print(markdown(rows))
    print(write_result("forms", "python -m benchmarks.forms", {"short": SHORT}, rows))


def compare_forms(case: Case) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        labels = list(case.net.data.labels)
        native = Classifier(case.module, case.net.form, labels=labels)
        for iterations in case.iterations:
            ours = ask(native, labels[3], iterations)
            for form in case.forms:
                options = SOURCES[form](case.module, case.net, Path(folder))
                theirs = ask(phosphene.load(**options), labels[3], iterations)
                yield describe(case, form, iterations, ours, theirs)
            yield describe(case, "itself, another seed", iterations, ours, ask(native, labels[3], iterations, seed=1))


def ask(classifier: Classifier, concept: str, iterations: int, seed: int = 0) -> Tensor:
    recipe = replace(PRESETS["default"], iterations=iterations, restarts=1, seed=seed)
    return make_maps(classifier, [concept], recipe)[0].map


def describe(case: Case, form: str, iterations: int, ours: Tensor, theirs: Tensor) -> dict[str, Any]:
    cosine = torch.nn.functional.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0)
    row = {"network": case.net.name, "form": form, "iterations": iterations}
    row |= {"apart": f"{float((theirs - ours).norm() / ours.norm()):.1e}", "cosine": f"{float(cosine):.3f}"}
    print(row, flush=True)
    return row


if __name__ == "__main__":
    main()
