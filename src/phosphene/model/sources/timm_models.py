"""timm:NAME, timm:local-dir:FOLDER and hf-hub:ORG/NAME: timm's architecture, weights and record."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from phosphene.core.reading import read_text
from phosphene.errors import BadInput, UnknownModel
from phosphene.model.input_format import InputFormat
from phosphene.model.sources.imagenet import imagenet_labels
from phosphene.model.sources.libraries import downloads, import_timm
from phosphene.model.sources.own_head import reshape_timm
from phosphene.model.sources.source import Shape, Source

LOCAL, HUB = "local-dir:", "hf-hub:"


def timm_source(name: str) -> Source:
    """The record of a registered name, of `local-dir:FOLDER` or of `hf-hub:ORG/NAME`."""
    if name.startswith(LOCAL):
        return timm_folder_source(Path(name.removeprefix(LOCAL)))
    if name.startswith(HUB):
        return timm_hub_source(name.removeprefix(HUB))
    timm = import_timm()
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:  # a tag that timm does not know
        config = None
    if config is None or not timm.is_model(name):
        closest = difflib.get_close_matches(name.split(".")[0], timm.list_models(), n=3)
        raise UnknownModel(f"timm has no model {name!r}; closest: {', '.join(closest) or 'none'}")
    channels, height, width = config.input_size
    return Source(
        name=f"timm:{name}",
        build=lambda: timm.create_model(name, pretrained=False),
        weights=None,
        pretrained=lambda: _build_pretrained(name, f"timm:{name}"),
        format=InputFormat((height, width), channels, tuple(config.mean), tuple(config.std)),
        labels=imagenet_labels() if config.num_classes == 1000 else None,
        reshape=reshaper(name),
    )


def reshaper(name: str) -> Callable[[Mapping[str, Tensor], tuple[int, int] | None], tuple[nn.Module, Shape]]:
    """How timm's architecture `name` takes the shapes of a state dict."""
    return lambda state, size: reshape_timm(
        lambda **changes: import_timm().create_model(name, pretrained=False, **changes), state, size
    )


def _build_pretrained(name: str, shown: str) -> nn.Module:
    with downloads(shown):
        module: nn.Module = import_timm().create_model(name, pretrained=True)
        return module


def timm_hub_source(name: str) -> Source:
    import_timm()
    from timm.models import load_model_config_from_hf

    with downloads(f"{HUB}{name}"):
        config, architecture, _ = load_model_config_from_hf(name)
    return _configured_source(f"{HUB}{name}", f"{HUB}{name}", architecture, config)


def timm_folder_source(folder: Path) -> Source:
    """A folder as timm writes it: config.json with an `architecture`, beside model.safetensors or pytorch_model.bin."""
    import_timm()
    from timm.models._hub import load_model_config_from_path

    try:
        config, architecture, _ = load_model_config_from_path(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"cannot read timm's config.json in {str(folder)!r}: {error}; expected an architecture and its "
            "pretrained_cfg"
        ) from error
    return _configured_source(f"{LOCAL}{folder.absolute()}", f"folder:{folder.name}", architecture, config)


def is_timm_folder(folder: Path) -> bool:
    """Whether a folder's config.json names one `architecture`, as timm's do; transformers' have `architectures`."""
    return isinstance(read_config(folder).get("architecture"), str)


def read_config(folder: Path) -> Mapping[str, Any]:
    """config.json of a folder; empty where there is none that can be read."""
    try:
        config = json.loads(read_text(folder / "config.json"))
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def _configured_source(reference: str, shown: str, architecture: str, config: Mapping[str, Any]) -> Source:
    """The record that lies beside the weights; what it leaves out is unknown, and not that of the architecture."""
    if not import_timm().is_model(architecture):
        raise UnknownModel(f"{shown} is an {architecture!r}, which timm does not know")
    channels, *size = config.get("input_size") or (1, 1, 1)
    mean, std = config.get("mean"), config.get("std")
    known = {"size": config.get("input_size"), "channels": config.get("input_size"), "mean": mean, "std": std}
    return Source(
        name=shown,
        build=None,
        weights=None,
        pretrained=lambda: _build_pretrained(reference, shown),
        format=InputFormat(tuple(size), channels, tuple(mean or (0.0,)), tuple(std or (1.0,))),
        labels=_read_labels(config),
        unknown=tuple(name for name, value in known.items() if not value),
    )


def _read_labels(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names of the classes, described where the record describes them; ImageNet's where its tag says so."""
    names, described = config.get("label_names"), config.get("label_descriptions")
    if not names:
        is_imagenet = config.get("num_classes") == 1000 and "in1k" in str(config.get("tag"))
        return imagenet_labels() if is_imagenet else None
    if isinstance(names, Mapping):
        names = [names[key] for key in sorted(names, key=int)]
    if isinstance(described, Mapping):
        return tuple(str(described.get(name, name)) for name in names)
    return tuple(map(str, described or names))
