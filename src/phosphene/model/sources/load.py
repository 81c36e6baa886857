"""Where models come from: a name or a weights file → a `Classifier` with the preprocessing of its own record.

    efficientnet_lite0 | 1 | 2      real ImageNet weights out of pip packages, no download
    timm:NAME                       timm's architecture, weights and record
    torchvision:NAME                torchvision's architecture, default weights and record
    clip:FOLDER|NAME                a model that compares images with texts, of transformers or open_clip

Any of these names with `weights` uses the architecture and the record with the user's own weights; a weights file with
a `factory` ("package.module:function", called without arguments) needs the user's word for size, channels and
normalisation. A weights file is never allowed to run code: safetensors, or a plain state dict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.model.fingerprint import fingerprint
from phosphene.model.input_format import InputFormat
from phosphene.model.reference import ModelReference
from phosphene.model.sources.factory import factory_source
from phosphene.model.sources.registry import find
from phosphene.model.sources.weights import fill, read_weights
from phosphene.model.texts import TextModel

CONTRAST = Path(__file__).with_name("contrast.txt")


def load(
    model: str | None = None,
    *,
    weights: str | Path | None = None,
    factory: str | None = None,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    labels: str | Path | Sequence[str] | None = None,
    outputs: str | None = None,
    output: str | None = None,
    contrast: str | Path | Sequence[str] | None = None,
    trust_pickle: bool = False,
) -> Classifier:
    """The classifier called `model`, or the one that `factory` builds with the file `weights`.

    `outputs` says what its outputs are, a key of `phosphene.model.outputs.OUTPUTS`, where that is not
    plain; `output` names the tensor where there are several. `contrast` are the texts that a model of texts takes for
    its classes, by default those of `contrast.txt`.

    Raises `UnknownModel`, `BadWeights`, `UnsafeWeights`, `BadInput`, or `FailedCheck` where the model misbehaves.
    """
    if (model is None) == (factory is None):
        raise BadInput("give either a model name or --factory pkg.mod:fn with --weights FILE, not both and not neither")
    names = _read_labels(labels)
    if model is not None:
        source = find(model)
        own_format = _override_format(source.format, size, channels, mean, std)
    else:
        source = factory_source(str(factory))
        own_format = _require_format(size, channels, mean, std)
        if weights is None:
            raise BadInput("--factory builds an architecture only; give its weights with --weights FILE")
    module = source.build()
    state = read_weights(weights, trust_pickle=trust_pickle) if weights is not None else source.weights(module)
    fill(module, state, where=str(weights or source.name))
    if isinstance(module, TextModel):
        names, outputs = set_contrast(module, _read_labels(contrast), names), outputs or module.outputs
    elif contrast is not None:
        raise BadInput(f"--contrast is for models that read texts, such as clip:NAME; {source.name} has classes")
    preprocessing = {"size": size, "channels": channels, "mean": mean, "std": std}
    returned = {"outputs": outputs, "output": output}
    origin = {"model": model, "weights": weights, "factory": factory, "labels": labels, "trust_pickle": trust_pickle}
    origin |= {"contrast": contrast}
    return Classifier(
        module,
        own_format,
        name=source.name,
        labels=names if names is not None else source.labels,
        outputs=outputs,
        output=output,
        reference=_make_reference(module, {**origin, **preprocessing, **returned}),
    )


def _make_reference(module: nn.Module, options: Mapping[str, Any]) -> ModelReference | None:
    """What another process has to pass to `load`; None where labels are no file, for there may be thousands."""
    if any(not isinstance(options[name], (str, Path, type(None))) for name in ("labels", "contrast")):
        return None
    plain = {
        name: str(Path(value).absolute()) if name in ("weights", "labels", "contrast") else _hashable(value)
        for name, value in options.items()
        if value is not None
    }
    return ModelReference(fingerprint(module.state_dict()), tuple(plain.items()))


def set_contrast(module: TextModel, contrast: Sequence[str] | None, labels: Sequence[str] | None) -> tuple[str, ...]:
    """The contrast texts, by default those that are shipped, put into the model as its classes."""
    if labels is not None:
        raise BadInput("the classes of a model that reads texts are the contrast texts; give --contrast, not --labels")
    texts = tuple(contrast) if contrast is not None else tuple(CONTRAST.read_text(encoding="utf-8").splitlines())
    module.set_contrast(texts)
    return texts


def _hashable(value: Any) -> Any:
    return value if isinstance(value, (str, int, float)) else tuple(value)


def _require_format(
    size: int | tuple[int, int] | None,
    channels: int | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> InputFormat:
    given = {"--size": size, "--channels": channels, "--mean": mean, "--std": std}
    missing = [option for option, value in given.items() if value is None]
    if missing:
        raise BadInput(
            f"a factory has no record of its preprocessing; give {', '.join(missing)} "
            f"(for images in [0,1]; --mean 0 --std 1 where there is none)"
        )
    return _override_format(InputFormat((1, 1)), size, channels, mean, std)


def _override_format(
    record: InputFormat,
    size: int | tuple[int, int] | None,
    channels: int | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> InputFormat:
    both = (size, size) if isinstance(size, int) else size
    return InputFormat(
        size=record.size if both is None else both,
        channels=record.channels if channels is None else channels,
        mean=tuple(mean) if mean is not None else record.mean,
        std=tuple(std) if std is not None else record.std,
    )


def _read_labels(labels: str | Path | Sequence[str] | None) -> tuple[str, ...] | None:
    """One class a line; empty lines at the end are nothing, one between classes is refused: which class would it be?"""
    if labels is None or not isinstance(labels, (str, Path)):
        return tuple(labels) if labels is not None else None
    try:
        lines = Path(labels).read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the labels {str(labels)!r}: {error}; expected one class a line") from error
    names = tuple(line.strip() for line in lines)
    if "" in names:
        number = names.index("") + 1
        raise BadInput(
            f"line {number} of the labels {str(labels)!r} is empty; expected one class a line, in the order "
            "of the outputs"
        )
    return names
