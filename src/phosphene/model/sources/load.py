"""Where models come from: a name, a path or a weights file → a `Classifier` with the preprocessing of its own record.

    efficientnet_lite0 | 1 | 2      real ImageNet weights out of pip packages, no download
    timm:NAME, hf-hub:ORG/NAME      timm's architecture, weights and record
    torchvision:NAME                torchvision's architecture, default weights and record
    hf:ORG/NAME                     transformers' classifier, weights and image processor
    PATH                            a file or a folder that holds a model, told by what is in it; ONNX too
    clip:FOLDER|NAME                a model that compares images with texts, of transformers or open_clip

The names of timm, torchvision and the pip packages with `weights` use the architecture and the record with the user's
own weights, whose tensors say how many classes there are; a `factory` ("package.module:function", called without
arguments), with `weights` or without, needs the user's word for size, channels and normalisation. A weights file is
never allowed to run code: safetensors, or a plain state dict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.model.fingerprint import fingerprint
from phosphene.model.habits import make_double
from phosphene.model.input_format import InputFormat
from phosphene.model.labels import Labels, read_labels
from phosphene.model.reference import ModelReference
from phosphene.model.sources.factory import factory_source, module_source
from phosphene.model.sources.onnx_files.load import load_onnx
from phosphene.model.sources.onnx_files.reading import is_onnx
from phosphene.model.sources.opening import Opened, open_source
from phosphene.model.sources.registry import find, is_name
from phosphene.model.sources.source import Source
from phosphene.model.texts import TextModel

CONTRAST = Path(__file__).with_name("contrast.txt")
FLAGS = ("trust_pickle", "double")  # options that are either given or not
# Options that a reader of a map has to give again; a factory is the model's name.
SAID = ("weights", "size", "channels", "mean", "std", "labels", "outputs", "output", "contrast", *FLAGS)
Numbers = float | Sequence[float]


def load(
    model: str | Path | nn.Module | None = None,
    *,
    weights: str | Path | None = None,
    factory: str | None = None,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    mean: Numbers | None = None,
    std: Numbers | None = None,
    labels: Labels | None = None,
    outputs: str | None = None,
    output: str | None = None,
    contrast: str | Path | Sequence[str] | None = None,
    trust_pickle: bool = False,
    double: bool = False,
) -> Classifier:
    """The classifier called `model` or at that path, or the one that `factory` builds; a module is taken as it is.

    `outputs` says what its outputs are, a key of `phosphene.model.outputs.OUTPUTS`, where that is not
    plain; `output` names the tensor where there are several. `contrast` are the texts that a model of texts takes for
    its classes, by default those of `contrast.txt`. `double` computes in 64-bit numbers: slower, and the same weights
    give the same map whatever form they are in.

    Raises `UnknownModel`, `BadWeights`, `UnsafeWeights`, `BadInput`, or `FailedCheck` where the model misbehaves.
    """
    if (model is None) == (factory is None):
        raise BadInput("give either MODEL, a name or a path, or --factory pkg.mod:fn, not both and not neither")
    names = read_labels(labels)
    if isinstance(model, (str, Path)) and is_onnx(model):
        stated = {"size": size, "channels": channels, "mean": mean, "std": std, "outputs": outputs, "output": output}
        stated |= {"double": double}
        return _load_onnx_file(model, weights, labels, names, stated)
    source = factory_source(str(factory)) if model is None else _find(model, trust_pickle)
    both = (size, size) if isinstance(size, int) else size
    given = {"size": both, "channels": channels, "mean": mean, "std": std}
    _require(source, given)
    opened = open_source(source, weights, size=both, trust_pickle=trust_pickle)
    module = make_double(opened.module, source.name) if double else opened.module
    if isinstance(module, TextModel):
        names, outputs = set_contrast(module, read_labels(contrast), names), outputs or module.outputs
    elif contrast is not None:
        raise BadInput(f"--contrast is for models that read texts, such as clip:NAME; {source.name} has classes")
    options = {"weights": weights, "factory": factory, "labels": labels, "trust_pickle": trust_pickle, **given}
    options |= {"contrast": contrast, "outputs": outputs, "output": output, "double": double}
    classifier = Classifier(
        module,
        _combine(source, opened, given),
        name=source.name,
        labels=names if names is not None or "classes" in opened.shape else source.labels,
        outputs=outputs or source.outputs,
        output=output,
        reference=_make_reference(module, {"model": model, **options}),
    )
    checks = (*opened.checks, *classifier.checks)
    return classifier.replace(checks=checks, reference=classifier.reference, opened=list_said(options))


def _find(model: str | Path | nn.Module, trust_pickle: bool) -> Source:
    if isinstance(model, nn.Module):
        return module_source(model)
    if not isinstance(model, (str, Path)):
        raise BadInput(f"the model is a {type(model).__name__}; expected a name, a path or a torch.nn.Module")
    return find(str(model), trust_pickle=trust_pickle)


def _require(source: Source, given: Mapping[str, Any]) -> None:
    """Raise `BadInput` where neither the record nor the user says how the model is fed."""
    missing = [f"--{name}" for name in source.unknown if given[name] is None]
    if missing:
        raise BadInput(
            f"{source.name} has no record of its preprocessing; give {', '.join(missing)} (mean and std for images in "
            f"[0,1]: --mean 0 --std 1 where there is none, --std 0.00392157 where it takes 0 to 255)"
        )


def _combine(source: Source, opened: Opened, given: Mapping[str, Any]) -> InputFormat:
    """The record, changed by what the tensors say and then by what the user says."""
    record = {name: getattr(source.format, name) for name in ("size", "channels", "mean", "std")}
    shape = {name: value for name, value in opened.shape.items() if name in record}
    said = {name: value for name, value in given.items() if value is not None}
    fields = {**record, **shape, **said}
    for name in ("mean", "std"):
        if name not in said and len(fields[name]) not in (1, fields["channels"]):
            if len(set(fields[name])) > 1:
                raise BadInput(
                    f"the record of {source.name} normalises {len(fields[name])} channels, and the weights take "
                    f"{fields['channels']}; give --mean and --std"
                )
            fields[name] = fields[name][:1]
    return InputFormat(**fields)


def _load_onnx_file(
    path: str | Path,
    weights: str | Path | None,
    labels: Labels | None,
    names: Sequence[str] | None,
    stated: Mapping[str, Any],
) -> Classifier:
    if weights is not None:
        raise BadInput(f"{str(path)!r} is an ONNX file and holds its own weights; leave out --weights")
    classifier = load_onnx(path, labels=names, **stated)
    options = {"model": str(path), "labels": labels, **stated}
    return classifier.replace(reference=_make_reference(classifier.module, options), opened=list_said(options))


def _make_reference(module: nn.Module, options: Mapping[str, Any]) -> ModelReference | None:
    """What another process has to pass to `load`; None where labels are no file, for there may be thousands, and for a
    module that no other process has."""
    if isinstance(options["model"], nn.Module):
        return None
    if any(not isinstance(options.get(name), (str, Path, type(None))) for name in ("labels", "contrast")):
        return None
    plain = {name: _plain(name, value) for name, value in options.items() if value is not None and value is not False}
    return ModelReference(fingerprint(module.state_dict()), tuple(plain.items()))


def list_said(options: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What was said beside the model's name, as on the command line: files by their names, FILE for lists of names."""
    said = {name: options.get(name) for name in SAID}
    return tuple((name, _as_typed(name, one)) for name, one in said.items() if one is not None and one is not False)


def _as_typed(name: str, value: Any) -> str:
    if name in ("weights", "labels", "contrast"):
        return Path(value).name if isinstance(value, (str, Path)) else "FILE"
    return ",".join(f"{one:g}" for one in value) if isinstance(value, (tuple, list)) else str(value)


def set_contrast(module: TextModel, contrast: Sequence[str] | None, labels: Sequence[str] | None) -> tuple[str, ...]:
    """The contrast texts, by default those that are shipped, put into the model as its classes."""
    if labels is not None:
        raise BadInput("the classes of a model that reads texts are the contrast texts; give --contrast, not --labels")
    texts = tuple(contrast) if contrast is not None else tuple(CONTRAST.read_text(encoding="utf-8").splitlines())
    module.set_contrast(texts)
    return texts


def _plain(name: str, value: Any) -> Any:
    """A value that can be hashed and means the same in another folder."""
    if name in ("weights", "labels", "contrast") or (name == "model" and not is_name(str(value))):
        return str(Path(value).absolute())
    return value if isinstance(value, (str, int, float)) else tuple(value)
