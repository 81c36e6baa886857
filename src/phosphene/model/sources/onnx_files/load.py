"""`load_onnx`: an ONNX file → a `Classifier`, with what the file itself says of its images and of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from phosphene.errors import BadInput, BadWeights
from phosphene.model.classifier import Classifier
from phosphene.model.habits import make_double
from phosphene.model.input_format import InputFormat
from phosphene.model.probe import probe_images
from phosphene.model.sources.onnx_files.folding import decide_by_shape, fold_constants
from phosphene.model.sources.onnx_files.graph import Graph, order
from phosphene.model.sources.onnx_files.image_input import UINT8, Layout, describe_normalization, find_layout
from phosphene.model.sources.onnx_files.network import Network, build_network
from phosphene.model.sources.onnx_files.notes import read_class_names, read_normalization
from phosphene.model.sources.onnx_files.outputs import choose_outputs, drop_last_rounding, guess_outputs
from phosphene.model.sources.onnx_files.reading import Model, read_constants, read_model


def load_onnx(
    path: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    labels: Sequence[str] | None = None,
    outputs: str | None = None,
    output: str | None = None,
    double: bool = False,
) -> Classifier:
    """The classifier in an ONNX file, which is read and never run by another runtime.

    Channels and size are the graph's own, and given only where it leaves them open. `mean` and `std` are needed unless
    the file states them. `labels` come from the file where they are not given and it names its classes.

    Raises `BadWeights` for a file that cannot be read or uses what is not supported, `BadInput` where something has to
    be said, and `FailedCheck` where the network does not behave as a classifier must.
    """
    file = Path(path).name
    model, graph = _read(path, output)
    sides = (size, size) if isinstance(size, int) else size
    layout = find_layout(graph, file, sides, channels)
    images = probe_images((layout.channels, *layout.size), count=3)
    graph = decide_by_shape(graph, layout.lay_out(images), file)
    network = _build(drop_last_rounding(graph), layout, file)
    kind = outputs if outputs is not None else guess_outputs(graph, network, images)
    network = make_double(network, file) if double else network
    classifier = Classifier(
        network,
        _find_format(model, graph, layout, mean, std),
        name=file,
        labels=labels if labels is not None else read_class_names(model.notes, file),
        outputs=kind,
    )
    if kind == "probabilities" and outputs is None:
        return classifier.replace(checks=(*classifier.checks, "probabilities"))
    return classifier


def load_network(path: str | Path, *, size: tuple[int, int] | None = None, output: str | None = None) -> Network:
    """The module alone, as the file has it: its input is not normalised and its output is not interpreted."""
    _, graph = _read(path, output)
    layout = find_layout(graph, Path(path).name, size, None)
    images = probe_images((layout.channels, *layout.size), count=3)
    return _build(decide_by_shape(graph, layout.lay_out(images), Path(path).name), layout, Path(path).name)


def _read(path: str | Path, output: str | None) -> tuple[Model, Graph]:
    """The file, and its graph with one output, its constants computed."""
    model = read_model(path)
    graph = order(choose_outputs(model, output), model.path.name)
    return model, fold_constants(read_constants(graph, model.path), model.path.name)


def _build(graph: Graph, layout: Layout, file: str) -> Network:
    try:
        return build_network(graph, layout, probe_images((layout.channels, *layout.size), count=3))
    except RuntimeError as error:
        raise BadWeights(f"{file}: for images of {layout.channels} channels and size {layout.size}, {error}") from error


def _find_format(
    model: Model,
    graph: Graph,
    layout: Layout,
    mean: float | Sequence[float] | None,
    std: float | Sequence[float] | None,
) -> InputFormat:
    """The user's word, or the file's own: its notes, or an input of bytes."""
    noted = read_normalization(model.notes, layout.channels)
    if not noted and graph.inputs[0].type == UINT8:
        noted = {"mean": (0.0,), "std": (1 / 255,)}
    given: dict[str, Any] = {
        "mean": mean if mean is not None else noted.get("mean"),
        "std": std if std is not None else noted.get("std"),
    }
    missing = [f"--{name}" for name, values in given.items() if values is None]
    if missing:
        raise BadInput(
            f"{model.path.name} has no record of its preprocessing; give {' and '.join(missing)} (for images in [0,1]; "
            f"--mean 0 --std 1 where there is none){_describe_own(graph)}"
        )
    return InputFormat(layout.size, layout.channels, **given)


def _describe_own(graph: Graph) -> str:
    steps = describe_normalization(graph)
    return f". Its graph begins with {steps}, which may already be the normalisation" if steps else ""
