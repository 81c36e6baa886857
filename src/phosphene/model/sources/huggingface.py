"""hf:ORG/NAME, or a folder as transformers writes it: its image classifiers, their image processor and labels.

No code of the folder's runs: `trust_remote_code` stays off, and a pytorch_model.bin is read as tensors alone.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from phosphene.errors import BadInput, BadWeights, PhospheneError, UnsafeWeights
from phosphene.model.input_format import InputFormat
from phosphene.model.sources.image_processor import Processing, ask_processor
from phosphene.model.sources.libraries import downloads, import_extra
from phosphene.model.sources.source import Source
from phosphene.model.sources.timm_models import read_config

KINDS = {"multi_label_classification": "sigmoid", "single_label_classification": "softmax"}


def huggingface_source(name: str) -> Source:
    """The classifier ORG/NAME of the hub, out of its cache or downloaded into it."""
    with downloads(f"hf:{name}"):
        return _source(name, f"hf:{name}")


def huggingface_folder_source(folder: Path) -> Source:
    return _source(str(folder), f"folder:{folder.absolute().name}", local_files_only=True)


def is_huggingface_folder(folder: Path) -> bool:
    """Whether a folder's config.json has transformers' `model_type`."""
    return isinstance(read_config(folder).get("model_type"), str)


def _source(where: str, shown: str, **options: Any) -> Source:
    transformers = import_extra("transformers", "transformers", f"{shown}")
    options["trust_remote_code"] = False
    config = _attempt(shown, lambda: transformers.AutoConfig.from_pretrained(where, **options))
    if getattr(config, "problem_type", None) == "regression":
        raise BadInput(f"{shown} is a regression, not a classifier; ask for a channel of a layer of its own module")
    processing = _read_processing(transformers, where, shown, config, options)
    return Source(
        name=shown,
        build=None,
        weights=None,
        pretrained=lambda: _load(transformers, where, shown, processing, options),
        format=InputFormat(processing.size, processing.channels, processing.mean, processing.std),
        labels=_read_labels(config),
        unknown=processing.unknown,
        outputs=KINDS.get(getattr(config, "problem_type", None) or ""),
    )


def _attempt(shown: str, run: Callable[[], Any]) -> Any:
    """What a call of transformers returns; its complaints in one line."""
    try:
        return run()
    except PhospheneError:
        raise
    except Exception as error:  # transformers has no tree of errors of its own
        if "trust_remote_code" in str(error):
            raise UnsafeWeights(
                f"{shown} brings its own code, which is never run; build the module yourself with --factory"
            ) from error
        if "weights_only" in str(error).lower() or "Weights only" in str(error):
            raise UnsafeWeights(
                f"the weights of {shown} are a pickle that holds more than tensors, and loading could run its author's "
                "code; save them as safetensors"
            ) from error
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadWeights(f"transformers cannot open {shown}: {reason[:300]}") from error


def _load(transformers: Any, where: str, shown: str, processing: Processing, options: Mapping[str, Any]) -> nn.Module:
    build = transformers.AutoModelForImageClassification.from_pretrained
    with quiet(transformers.utils.logging):
        model, info = _attempt(shown, lambda: build(where, output_loading_info=True, weights_only=True, **options))
    for what in ("missing_keys", "mismatched_keys", "error_msgs"):
        if info.get(what):
            shown_names = ", ".join(sorted(map(str, info[what]))[:3])
            raise BadWeights(
                f"the weights of {shown} are not all there ({what.split('_')[0]}: {shown_names}); a classifier filled "
                "in part, or an encoder without its head, would answer at random"
            )
    return Flipped(model) if processing.flipped else model


@contextlib.contextmanager
def quiet(logging: Any) -> Iterator[None]:
    """Without transformers' progress bar and its report of missing weights, which is an error here."""
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


class Flipped(nn.Module):
    """A model that wants blue first, fed with red first."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Any:
        return self.model(images.flip(1))


def _read_processing(transformers: Any, where: str, shown: str, config: Any, options: Mapping[str, Any]) -> Processing:
    """What the image processor does or, without one, what the configuration says of the image."""
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(where, **options)
    except (OSError, ValueError):  # there is none
        size, channels = getattr(config, "image_size", None), getattr(config, "num_channels", None)
        known = isinstance(size, (int, list, tuple))
        both = (size, size) if isinstance(size, int) else tuple(size) if known else (1, 1)  # type: ignore[arg-type]
        missing = [name for name, value in (("size", known), ("channels", channels)) if not value]
        return Processing(both, channels or 3, (0.0,), (1.0,), unknown=(*missing, "mean", "std"))
    channels = getattr(config, "num_channels", None) or 3
    return _attempt(shown, lambda: ask_processor(processor, shown, channels))


def _read_labels(config: Any) -> tuple[str, ...] | None:
    """The names of the classes; None where they are only numbered."""
    names = getattr(config, "id2label", None) or {}
    labels = tuple(str(names[key]) for key in sorted(names, key=int))
    return None if not labels or all(re.fullmatch(r"LABEL_\d+", label) for label in labels) else labels
