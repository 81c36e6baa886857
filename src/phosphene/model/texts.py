"""Models that compare images with texts, such as CLIP: their classes are texts, and any other text can be asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier

TEXTS_AT_ONCE = 64


class TextModel(nn.Module, ABC):
    """Normalised images in, logits of the contrast texts out.

    `embedding` is the submodule that gives the images' embeddings, unit rows `(N, D)`; `outputs` the kind of the
    logits: what else an image may be decides where they are softmax, and does not where each text is judged alone.
    """

    embedding = "embed"
    outputs = "softmax"
    contrast: Tensor  # embeddings of the contrast texts, (texts, D)

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Identity()
        self.register_buffer("contrast", torch.zeros(0, 0))

    @abstractmethod
    def embed_images(self, images: Tensor) -> Tensor:
        """Embeddings `(N, D)` of images as the network wants them, of any length."""

    @abstractmethod
    def embed_batch(self, texts: Sequence[str]) -> Tensor:
        """Embeddings `(texts, D)` of any length. Raises `BadInput` where a text is too long for the model."""

    @abstractmethod
    def compare(self, images: Tensor, texts: Tensor) -> Tensor:
        """Logits `(N, texts)` from unit rows `(N, D)` of images and `(texts, D)` of texts."""

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Texts as unit rows `(texts, D)`."""
        parts = [texts[start : start + TEXTS_AT_ONCE] for start in range(0, len(texts), TEXTS_AT_ONCE)]
        with torch.no_grad():
            return F.normalize(torch.cat([self.embed_batch(list(part)).float() for part in parts]), dim=1)

    def forward(self, images: Tensor) -> Tensor:
        return self.compare(self.embed(F.normalize(self.embed_images(images), dim=1)), self.contrast)

    def set_contrast(self, texts: Sequence[str]) -> None:
        """Make these texts the classes. Raises `BadInput` for fewer than two: logits of one alone compare nothing."""
        if len(texts) < 2:
            raise BadInput(f"{len(texts)} contrast texts; expected at least two, one a line")
        self.contrast = self.embed_texts(texts)


def find_text_model(classifier: Classifier) -> TextModel | None:
    """The module of a classifier of texts; None for any other."""
    return classifier.module if isinstance(classifier.module, TextModel) else None
