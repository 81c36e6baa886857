"""The same weights in every form, asked the same: how far the maps are apart.

    python -m benchmarks.forms              networks of benchmarks.models, and EfficientNet-Lite0
    python -m benchmarks.forms --network efficientnet_lite0 --form ONNX     these rows again, the others are kept

Each form is a file or folder as `benchmarks.models.sources` writes it. A map is compared with that of the module itself
after one iteration, after a few and, for the small networks, after those of the default preset. *Apart* is the norm of
the difference over the norm of the map, *cosine* that of both maps; the row of another seed says what is far. *In
double precision* is how far they are apart with `--double`, the weights of both as 64-bit numbers.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import phosphene
from benchmarks.models.nets import NETS, Logits, Net, obtain
from benchmarks.models.sources import SOURCES, Options, quiet
from benchmarks.record import RESULTS, markdown, write_result
from benchmarks.zoo.domains import Domain, Images
from phosphene.model.classifier import Classifier
from phosphene.model.habits import make_double
from phosphene.recipe.recipe import PRESETS
from phosphene.runs.make import make_maps

KEPT = "ONNX, batch norms kept"
FORMS = ("TorchScript", "torch.export (.pt2)", "ONNX", "ONNX, one image", KEPT, "whole module (.pt)")
FORMS_OF = {"vgg-fashion": FORMS, "resnet-signs": FORMS, "hf-resnet": (*FORMS[:5], "transformers, folder")}
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
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.forms", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=(*FORMS_OF, LARGE))
    parser.add_argument("--form", choices=sorted({*FORMS, *sum(FORMS_OF.values(), ())}))
    options = parser.parse_args(arguments)
    cases = [case for case in list_cases() if options.network in (None, case.net.name)]
    if options.form is not None:
        cases = [replace(case, forms=[options.form]) for case in cases]
    rows = merge_rows([row for case in cases for row in compare_forms(case)])
    print(markdown(rows))
    print(write_result("forms", "python -m benchmarks.forms", {"short": SHORT}, rows))


def merge_rows(new: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the record, in their order, the new ones in place of those that they measure again."""
    path = RESULTS / "forms.json"
    rows = {key_of(row): row for row in json.loads(path.read_text())["rows"]} if path.is_file() else {}
    return [*{**rows, **{key_of(row): row for row in new}}.values()]


def key_of(row: Mapping[str, Any]) -> tuple[str, str, int]:
    return row["network"], row["form"], row["iterations"]


def compare_forms(case: Case) -> Iterator[dict[str, Any]]:
    labels, concept = list(case.net.data.labels), case.net.data.labels[3]
    native, exact = (
        Classifier(one, case.net.form, labels=labels) for one in (case.module, make_double(case.module, case.net.name))
    )
    with tempfile.TemporaryDirectory() as folder:
        files = {form: save(form, case, Path(folder)) for form in case.forms}
        for iterations in case.iterations:
            ours, ours_exact = (ask(one, concept, iterations) for one in (native, exact))
            for form, options in files.items():
                theirs = ask(phosphene.load(**options), concept, iterations)
                theirs_exact = ask(phosphene.load(**options, double=True), concept, iterations)
                row = describe(case, form, iterations, ours, theirs)
                row["in double precision"] = f"{measure_distance(ours_exact, theirs_exact):.1e}"
                print(row, flush=True)
                yield row
            other = describe(case, "itself, another seed", iterations, ours, ask(native, concept, iterations, seed=1))
            yield {**other, "in double precision": "–"}


def save(form: str, case: Case, folder: Path) -> Options:
    """Write the network in a form; the options of `phosphene.load` that open it."""
    return save_with_batch_norms(case, folder) if form == KEPT else SOURCES[form](case.module, case.net, folder)


def save_with_batch_norms(case: Case, folder: Path) -> Options:
    """An ONNX file whose exporter was kept from folding batch norms, which would round the weights anew."""
    options = SOURCES["ONNX"](case.module, case.net, folder)
    path = folder / f"{case.net.name}.kept.onnx"
    with quiet():
        image = torch.rand(2, case.net.form.channels, *case.net.form.size)
        shapes = ({0: torch.export.Dim("images", min=1, max=1024)},)
        torch.onnx.export(Logits(case.module).eval(), (image,), path, dynamo=True, optimize=False, verbose=False,
                          dynamic_shapes=shapes)  # fmt: skip
    return {**options, "model": path}


def ask(classifier: Classifier, concept: str, iterations: int, seed: int = 0) -> Tensor:
    recipe = replace(PRESETS["default"], iterations=iterations, restarts=1, seed=seed)
    return make_maps(classifier, [concept], recipe)[0].map


def describe(case: Case, form: str, iterations: int, ours: Tensor, theirs: Tensor) -> dict[str, Any]:
    cosine = torch.nn.functional.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0)
    row = {"network": case.net.name, "form": form, "iterations": iterations}
    return {**row, "apart": f"{measure_distance(ours, theirs):.1e}", "cosine": f"{float(cosine):.3f}"}


def measure_distance(ours: Tensor, theirs: Tensor) -> float:
    """Norm of the difference over the norm of ours."""
    return float((theirs - ours).norm() / ours.norm())


if __name__ == "__main__":
    main()
