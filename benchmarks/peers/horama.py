"""Horama (horama 0.3.0): MACO by its authors, on a large canvas of which crops are shown.

https://github.com/serre-lab/Horama; Fel et al., NeurIPS 2023.

Two things are patched at run time. Its spectrum of natural images is a download that may be gone or out of reach; it
is given the one that DreamLens ships, made by the same authors for the same purpose. And it needs torchvision's
compiled `roi_align`: where that does not load (torch for CPU beside torchvision from PyPI), the same values are taken
with `grid_sample`, which is as fast.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.peers.network import set_seeds
from phosphene.model.classifier import Classifier


@dataclass(frozen=True)
class HoramaMaco:
    """`maco` with its defaults: 1280 pixels and 1000 iterations of 6 crops; the range of values is the network's."""

    steps: int = 1000
    crops: int = 6
    side: int = 1280
    together: int = 1

    def __call__(self, classifier: Classifier, classes: Sequence[int], seed: int) -> list[Tensor]:
        os.environ["TQDM_DISABLE"] = "1"
        from horama import maco

        (index,), network = classes, classifier.module
        (mean,), (std,) = set(classifier.format.mean), set(classifier.format.std)
        low, high = -mean / std, (1 - mean) / std
        set_seeds(seed, index)
        with _patch_horama():
            image, _ = maco(
                lambda images: torch.mean(network(images)[:, index]),
                total_steps=self.steps,
                image_size=self.side,
                model_input_size=classifier.format.size[0],
                values_range=(low, high),
                crops_per_iteration=self.crops,
                device="cpu",
            )
        return [(image.detach() - low) / (high - low)]


@contextmanager
def _patch_horama() -> Iterator[None]:
    """The spectrum that DreamLens ships, and `roi_align` where torchvision's own does not load."""
    import dreamlens

    spectrum = str(Path(dreamlens.__file__).parent / "data" / "clean_decorrelated.npy")
    loads = hasattr(torch.ops.torchvision, "roi_align")
    with patch("horama.maco_fv.MACO_SPECTRUM_FILENAME", spectrum):
        if loads:
            yield
        else:
            with patch("horama.common.roi_align", roi_align):
                yield


def roi_align(images: Tensor, boxes: Tensor, output_size: tuple[int, int]) -> Tensor:
    """torchvision's `roi_align` of boxes `(K, 5)` of image 0 that are smaller than the output: one sample a cell.

    Up to a pixel outside, the border is repeated; farther out all is zero.
    """
    height, width = images.shape[2:]
    (rows, columns), (x0, y0, x1, y1) = output_size, boxes[:, 1:].unbind(dim=1)
    ys = y0[:, None] + (y1 - y0).clamp(min=1)[:, None] * (torch.arange(rows) + 0.5) / rows
    xs = x0[:, None] + (x1 - x0).clamp(min=1)[:, None] * (torch.arange(columns) + 0.5) / columns
    grid = torch.stack(
        [
            (2 * xs / (width - 1) - 1)[:, None, :].expand(-1, rows, -1),
            (2 * ys / (height - 1) - 1)[:, :, None].expand(-1, -1, columns),
        ],
        dim=-1,
    )
    taken = F.grid_sample(
        images.expand(len(boxes), -1, -1, -1), grid, mode="bilinear", padding_mode="border", align_corners=True
    )
    inside = ((ys >= -1) & (ys <= height))[:, None, :, None] & ((xs >= -1) & (xs <= width))[:, None, None, :]
    return taken * inside
