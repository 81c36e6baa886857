"""clip:FOLDER|NAME: models that compare images with texts, of transformers (CLIP, SigLIP) or of open_clip.

    clip:FOLDER               a folder that `save_pretrained` of transformers wrote, or one of open_clip's
    clip:ORG/NAME             transformers' model of that name
    clip:ARCHITECTURE@TAG     open_clip's model with its pretrained weights

Nothing in a folder is run: code of the model's author is not trusted, weights are tensors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from phosphene.errors import BadInput, BadWeights, PhospheneError, UnknownModel
from phosphene.model.input_format import InputFormat
from phosphene.model.sources.libraries import import_library, import_torchvision
from phosphene.model.sources.source import Source
from phosphene.model.texts import TextModel

KINDS = ("clip", "siglip")  # what transformers calls the models that this source opens


def clip_source(name: str) -> Source:
    """The record of a model of images and texts; its classes, the contrast texts, are set by `load`."""
    with _opening(name):
        if (Path(name) / "open_clip_config.json").is_file() or (not Path(name).exists() and "@" in name):
            model, form = _open_with_open_clip(name)
        else:
            model, form = _open_with_transformers(name)
    return Source(f"clip:{name}", lambda: model.eval(), lambda module: module.state_dict(), form, None)


@contextlib.contextmanager
def _opening(name: str) -> Iterator[None]:
    try:
        yield
    except PhospheneError:
        raise
    except Exception as error:  # both libraries, and the hub's client, have their own trees of errors
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnknownModel(
            f"cannot open clip:{name}: {reason[:200]}; expected a folder that save_pretrained wrote, ORG/NAME of the "
            "hub, or ARCHITECTURE@TAG of open_clip"
        ) from error


@contextlib.contextmanager
def _without_bars(logging: Any) -> Iterator[None]:
    """Standard error belongs to the command line; the library's setting is left as it was."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


class TransformersTexts(TextModel):
    """CLIP or SigLIP of transformers; SigLIP judges each text alone."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__()
        self.model, self.tokenizer = model, tokenizer
        self.alone = model.config.model_type == "siglip"
        self.outputs = "sigmoid" if self.alone else "softmax"

    def embed_images(self, images: Tensor) -> Tensor:
        return _pooled(self.model.get_image_features(pixel_values=images))

    def embed_batch(self, texts: Sequence[str]) -> Tensor:
        longest = self.model.config.text_config.max_position_embeddings
        for text in texts:
            if (length := len(self.tokenizer(text)["input_ids"])) > longest:
                raise BadInput(f"{text!r} has {length} tokens; the model reads {longest}, expected a shorter text")
        padding: Any = {"padding": "max_length", "max_length": longest} if self.alone else {"padding": True}
        tokens = self.tokenizer(list(texts), return_tensors="pt", **padding).to(self.model.device)
        masked = {} if self.alone else {"attention_mask": tokens["attention_mask"]}  # SigLIP was trained without a mask
        return _pooled(self.model.get_text_features(input_ids=tokens["input_ids"], **masked))

    def compare(self, images: Tensor, texts: Tensor) -> Tensor:
        logits = self.model.logit_scale.exp() * images @ texts.T
        return logits + self.model.logit_bias if self.alone else logits


def _pooled(features: Any) -> Tensor:
    """Transformers before version 5 gives the tensor itself."""
    pooled: Tensor = features if isinstance(features, Tensor) else features.pooler_output
    return pooled


def _open_with_transformers(name: str) -> tuple[TextModel, InputFormat]:
    import_torchvision()  # which transformers imports, where it cannot always be
    transformers = import_library("transformers", "clip")
    config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
    if config.model_type not in KINDS:
        raise UnknownModel(f"clip:{name} is a model of type {config.model_type!r}; expected {' or '.join(KINDS)}")
    with _without_bars(transformers.utils.logging):
        model, loading = transformers.AutoModel.from_pretrained(
            name, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
        )
    if lacking := sorted(loading["missing_keys"]) + sorted(map(str, loading["mismatched_keys"])):
        raise BadWeights(f"the weights of clip:{name} lack {', '.join(lacking[:3])}, or have another shape of them")
    tokenizer = transformers.AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    processing = import_library("transformers.image_processing_base", "clip").ImageProcessingMixin
    record, _ = processing.get_image_processor_dict(name)
    return TransformersTexts(model, tokenizer), _read_format(name, record, config.vision_config.image_size)


def _read_format(name: str, record: Mapping[str, Any], side: int) -> InputFormat:
    """Size, mean and deviation of the image processor; raises `BadInput` where it brings pixels to another range."""
    if not record.get("do_rescale", True) or abs(record.get("rescale_factor", 1 / 255) - 1 / 255) > 1e-6:
        raise BadInput(f"the image processor of clip:{name} does not bring pixels to [0,1]; expected a factor of 1/255")
    size = _read_size(record.get("crop_size") if record.get("do_center_crop") else record.get("size"), side)
    if not record.get("do_normalize", True):
        return InputFormat(size, 3)
    return InputFormat(size, 3, tuple(record["image_mean"]), tuple(record["image_std"]))


def _read_size(size: Any, side: int) -> tuple[int, int]:
    """A number, or height and width, or the shortest edge of what is then cropped; that of the model where none."""
    if isinstance(size, Mapping):
        square = size.get("shortest_edge", side)
        return int(size.get("height", square)), int(size.get("width", square))
    if isinstance(size, Sequence):
        return int(size[0]), int(size[-1])
    return (side, side) if size is None else (int(size), int(size))


class OpenClipTexts(TextModel):
    """A model of open_clip; one with a bias was trained to judge each text alone."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__()
        self.model, self.tokenizer = model, tokenizer
        self.outputs = "softmax" if getattr(model, "logit_bias", None) is None else "sigmoid"

    def embed_images(self, images: Tensor) -> Tensor:
        embedded: Tensor = self.model.encode_image(images)
        return embedded

    def embed_batch(self, texts: Sequence[str]) -> Tensor:
        tokens = self.tokenizer(list(texts)).to(self.model.logit_scale.device)
        for text, row in zip(texts, tokens, strict=True):
            if len(row) == int((row != row[-1]).sum()) + 1 and len(text.split()) > 1:
                raise BadInput(f"{text!r} fills all {len(row)} tokens that the model reads; expected a shorter text")
        embedded: Tensor = self.model.encode_text(tokens)
        return embedded

    def compare(self, images: Tensor, texts: Tensor) -> Tensor:
        logits: Tensor = self.model.logit_scale.exp() * images @ texts.T
        return logits if self.outputs == "softmax" else logits + self.model.logit_bias


def _open_with_open_clip(name: str) -> tuple[TextModel, InputFormat]:
    import_torchvision()
    open_clip = import_library("open_clip", "open-clip")
    architecture, _, tag = name.rpartition("@")
    known, options = (f"local-dir:{name}", {}) if Path(name).is_dir() else (architecture, {"pretrained": tag})
    model = open_clip.create_model(known, precision="fp32", require_pretrained=True, **options)
    record = open_clip.get_model_preprocess_cfg(model)
    form = InputFormat(_read_size(record["size"], 0), 3, tuple(record["mean"]), tuple(record["std"]))
    return OpenClipTexts(model, open_clip.get_tokenizer(known)), form
