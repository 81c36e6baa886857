"""Files of Keras 3 (.keras) on its torch backend.

Keras' safe mode stays on, and besides every class that the file names must be Keras' own: layers that carry code
(`Lambda`, wrapped torch modules) or that the author registered are refused unless the user trusts the file.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from phosphene.core.reading import RECORD_LIMIT
from phosphene.errors import BadInput, BadWeights, UnsafeWeights
from phosphene.model.input_format import InputFormat
from phosphene.model.sources.archive import list_entries, unreadable
from phosphene.model.sources.libraries import import_extra
from phosphene.model.sources.source import Source

CARRY_CODE = ("Lambda", "TorchModuleWrapper", "FlaxLayer", "JaxLayer", "TFSMLayer")
MARKERS = ("__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__")  # of plain values
BYTES = 255.0


def is_keras(path: Path) -> bool:
    return {"config.json", "model.weights.h5"} <= set(list_entries(path))


def is_legacy_keras(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"


def refuse_legacy_keras(path: Path, trusted: bool) -> Source:
    raise BadInput(
        f"{str(path)!r} is HDF5, Keras' old format; open it in Keras 3 and save it again with "
        "`model.save('model.keras')`"
    )


def keras_source(path: Path, trusted: bool) -> Source:
    """The record of a Keras model: its input says size and channels, its last layer what the outputs are."""
    if not trusted:
        _refuse_foreign_classes(path)
    keras = _import_keras()
    try:
        with tempfile.TemporaryDirectory() as folder:
            named = Path(folder) / "model.keras"  # Keras tells formats by the ending
            named.symlink_to(path.absolute())
            model = keras.saving.load_model(named, compile=False, safe_mode=not trusted)
    except (Exception, SystemExit) as error:  # whatever a parser throws at bytes of unknown origin
        raise unreadable(path, "a Keras model", error) from error
    size, channels = _read_shape(model, path)
    mean, std = _read_scale(keras, model)
    return Source(
        name=f"file:{path.name}",
        build=None,
        weights=None,
        pretrained=lambda: ChannelsLast(model),
        format=InputFormat(size or (1, 1), channels, mean or (0.0,), std or (1.0,)),
        labels=None,
        unknown=tuple(name for name, value in (("size", size), ("mean", mean), ("std", std)) if value is None),
        outputs=_read_outputs(model),
    )


class ChannelsLast(nn.Module):
    """A Keras model `(N, H, W, C)` that is fed as torch's are, `(N, C, H, W)`."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Any:
        return self.model(images.permute(0, 2, 3, 1), training=False)


def _import_keras() -> Any:
    """Keras, on torch. It reads its backend once, when it is imported."""
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "torch"
    keras = import_extra("keras", "keras", "a .keras file")
    if keras.backend.backend() != "torch":
        raise BadInput(
            f"keras was imported with the backend {keras.backend.backend()}, which gives no gradients here; start "
            "again with KERAS_BACKEND=torch"
        )
    return keras


def _refuse_foreign_classes(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > RECORD_LIMIT:
                raise BadWeights("its config.json declares more than any model's has")
            config = json.loads(archive.read("config.json"))
    except Exception as error:  # whatever a parser throws at bytes of unknown origin
        raise unreadable(path, "a Keras model", error) from error
    for module, name in _list_classes(config):
        if not _is_own(module, name):
            raise UnsafeWeights(
                f"{str(path)!r} has a {name!r} of {module or 'its author'}, whose code would run; expected layers of "
                "Keras alone, or pass --trust-pickle if you trust the author"
            )


def _is_own(module: str, name: str) -> bool:
    """Whether a class is Keras' own and carries no code; functions of Keras are said to be of `builtins`."""
    if not module:
        return name in MARKERS
    return (module.split(".")[0] == "keras" and name not in CARRY_CODE) or (module, name) == ("builtins", "function")


def _list_classes(config: object) -> Iterator[tuple[str, str]]:
    """Module and name of every class in a Keras configuration."""
    if isinstance(config, dict):
        if isinstance(config.get("class_name"), str) and "config" in config:
            yield str(config.get("module") or ""), config["class_name"]
        for value in config.values():
            yield from _list_classes(value)
    elif isinstance(config, list):
        for value in config:
            yield from _list_classes(value)


def _read_shape(model: Any, path: Path) -> tuple[tuple[int, int] | None, int]:
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or not shape[3]:
        raise BadInput(f"{str(path)!r} takes inputs of {shape}; expected one image (None, height, width, channels)")
    return (shape[1], shape[2]) if shape[1] and shape[2] else None, shape[3]


def _read_scale(keras: Any, model: Any) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Mean and std for images in [0,1] where the model begins with a scaling of bytes, so that it takes 0 to 255."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    first = layers[0] if layers else None
    if isinstance(first, keras.layers.Rescaling) and 0 < float(first.scale) < 0.05:
        return (0.0,), (1 / BYTES,)
    return None, None


def _read_outputs(model: Any) -> str | None:
    """What the outputs are where the last layer's activation is a sigmoid; a softmax shows in the outputs."""
    if getattr(getattr(model.layers[-1], "activation", None), "__name__", "") != "sigmoid":
        return None
    return "binary-probability" if model.output_shape[-1] == 1 else "label-probabilities"
